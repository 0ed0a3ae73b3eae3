// The lake's own tables.

import type { Migration } from '../sqlite/migrate.ts'

export const migrations: readonly Migration[] = [
  {
    name: '0001_lake',
    sql: `
      -- What is durable here and not yet in the table. runs is JSON, [[log, first LSN, last LSN], …], and leaves out events
      -- that went through no outbox, and forks. A log is JSON, [ns, source, epoch].
      CREATE TABLE lake_buffer (
        seq INTEGER PRIMARY KEY, taken_ms INTEGER NOT NULL, runs TEXT NOT NULL,
        events INTEGER NOT NULL, bytes INTEGER NOT NULL, records TEXT NOT NULL
      );
      -- The same, held back because LSNs before it are missing.
      CREATE TABLE lake_held (
        seq INTEGER PRIMARY KEY, taken_ms INTEGER NOT NULL, log TEXT NOT NULL,
        first_lsn INTEGER NOT NULL, last_lsn INTEGER NOT NULL,
        events INTEGER NOT NULL, bytes INTEGER NOT NULL, records TEXT NOT NULL
      );
      CREATE INDEX lake_held_log ON lake_held (log);
      -- Which LSNs are in the table.
      CREATE TABLE lake_landed (
        log TEXT NOT NULL, first_lsn INTEGER NOT NULL, last_lsn INTEGER NOT NULL, PRIMARY KEY (log, first_lsn)
      ) WITHOUT ROWID;
      -- The ids that came under LSNs, to tell a fork from an event that came twice.
      CREATE TABLE lake_ids (
        seq INTEGER PRIMARY KEY, taken_ms INTEGER NOT NULL, log TEXT NOT NULL,
        first_lsn INTEGER NOT NULL, last_lsn INTEGER NOT NULL, ids TEXT NOT NULL
      );
      CREATE INDEX lake_ids_log ON lake_ids (log, last_lsn);
      -- Ids of events that went through no outbox.
      CREATE TABLE lake_seen (
        seq INTEGER PRIMARY KEY, taken_ms INTEGER NOT NULL, ns TEXT NOT NULL, event_id TEXT NOT NULL, UNIQUE (ns, event_id)
      );
      -- One row: the table's current version, and the file of all watermarks that its snapshots name.
      CREATE TABLE lake_pointer (
        id INTEGER PRIMARY KEY, version INTEGER NOT NULL, events INTEGER NOT NULL,
        watermarks_key TEXT, watermarks_version INTEGER NOT NULL
      );
      CREATE TABLE lake_manifest (key TEXT PRIMARY KEY, version INTEGER NOT NULL, manifest TEXT NOT NULL);
      -- Data files of the current snapshot, with all that a manifest holds about them.
      CREATE TABLE lake_file (
        key TEXT PRIMARY KEY, manifest_key TEXT NOT NULL, partition TEXT NOT NULL, sequence INTEGER NOT NULL,
        events INTEGER NOT NULL, file TEXT NOT NULL
      );
      CREATE INDEX lake_file_partition ON lake_file (partition, events);
      CREATE INDEX lake_file_manifest ON lake_file (manifest_key);
      -- Commits whose files are stored, which may or may not have happened; and what each changes in the two tables above.
      CREATE TABLE lake_prepared (
        snapshot_id INTEGER PRIMARY KEY, version INTEGER NOT NULL, through_seq INTEGER NOT NULL, watermarks_key TEXT
      );
      CREATE TABLE lake_change (
        seq INTEGER PRIMARY KEY, snapshot_id INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL
      );
      -- Files that no snapshot from this version on reads.
      CREATE TABLE lake_garbage (key TEXT PRIMARY KEY, version INTEGER NOT NULL, since_ms INTEGER NOT NULL);
      -- One row: where the sweep of the bucket continues, when the next one is due, and what upkeep did last.
      CREATE TABLE lake_upkeep (id INTEGER PRIMARY KEY, sweep_after TEXT, sweep_due_ms INTEGER NOT NULL, last TEXT);`,
  },
  {
    name: '0002_catalog',
    sql: `
      -- One row: the table of a catalog that is not the lake's own, as the lake has found it first.
      CREATE TABLE lake_catalog (id INTEGER PRIMARY KEY, uuid TEXT NOT NULL, location TEXT NOT NULL);
      -- Ids of snapshots: the lake's last one, and the current one, which may be another writer's.
      ALTER TABLE lake_pointer ADD COLUMN own_snapshot TEXT;
      ALTER TABLE lake_pointer ADD COLUMN current_snapshot TEXT;
      -- Files that nobody needs once the commit has happened: a JSON array of keys.
      ALTER TABLE lake_prepared ADD COLUMN retired TEXT NOT NULL DEFAULT '[]';
      -- Whether the lake has written the file.
      ALTER TABLE lake_file ADD COLUMN is_own INTEGER NOT NULL DEFAULT 1;`,
  },
  {
    name: '0003_shards',
    sql: `
      -- Of what a shard has offered: the id of the offer, and in place of records the files that hold them, as JSON.
      ALTER TABLE lake_buffer ADD COLUMN offer TEXT;
      ALTER TABLE lake_buffer ADD COLUMN files TEXT;
      -- In the object that commits: how many shards take in, layout after layout, and the last offer of each shard that was
      -- taken or renounced. Without a row it takes in itself.
      CREATE TABLE lake_layout (
        layout INTEGER PRIMARY KEY, shards INTEGER NOT NULL, is_closing INTEGER NOT NULL DEFAULT 0, closed_ms INTEGER
      );
      CREATE TABLE lake_shard (
        layout INTEGER NOT NULL, shard INTEGER NOT NULL, number INTEGER NOT NULL, offer TEXT NOT NULL,
        PRIMARY KEY (layout, shard)
      ) WITHOUT ROWID;
      -- In a shard: one row once it was opened or closed. elders is JSON, the layouts before its own.
      CREATE TABLE lake_intake (
        id INTEGER PRIMARY KEY, is_closed INTEGER NOT NULL, elders TEXT NOT NULL, number INTEGER NOT NULL,
        latest_ms INTEGER NOT NULL
      );
      -- In a shard: the offer whose files it stores, or that it has handed over without an answer yet. A row for each
      -- thousand of its files.
      CREATE TABLE lake_offer (
        seq INTEGER PRIMARY KEY, number INTEGER NOT NULL, offer TEXT NOT NULL, through_seq INTEGER NOT NULL,
        latest_ms INTEGER NOT NULL, keys TEXT NOT NULL
      );`,
  },
]
