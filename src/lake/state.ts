// What the lake remembers in its own SQLite: the buffer of runs that are not in the table yet, which LSNs have landed,
// the table's pointer, and the commits that were prepared and may or may not have happened.

import { migrate, type Migration } from '../sqlite/migrate.ts'
import type { ManifestFile } from './iceberg/manifest.ts'
import type { EventRecord } from '../event/record.ts'
import type { Origin, Part, Run } from './intake.ts'
import { type LSNRange, unite } from './ranges.ts'
import { SELECT_EVENTS } from './stream.generated.ts'

const migrations: readonly Migration[] = [
  {
    name: '0001_lake',
    sql: `
      CREATE TABLE lake_buffer (
        seq INTEGER PRIMARY KEY, taken_ms INTEGER NOT NULL, ns TEXT, source TEXT, epoch TEXT,
        first_lsn INTEGER, last_lsn INTEGER, events INTEGER NOT NULL, bytes INTEGER NOT NULL, records TEXT NOT NULL
      );
      CREATE INDEX lake_buffer_origin ON lake_buffer (ns, source, epoch) WHERE epoch IS NOT NULL;
      CREATE TABLE lake_landed (
        ns TEXT NOT NULL, source TEXT NOT NULL, epoch TEXT NOT NULL,
        first_lsn INTEGER NOT NULL, last_lsn INTEGER NOT NULL,
        PRIMARY KEY (ns, source, epoch, first_lsn)
      ) WITHOUT ROWID;
      CREATE TABLE lake_seen (
        seq INTEGER PRIMARY KEY, taken_ms INTEGER NOT NULL, ns TEXT NOT NULL, event_id TEXT NOT NULL, UNIQUE (ns, event_id)
      );
      CREATE TABLE lake_pointer (id INTEGER PRIMARY KEY, version INTEGER NOT NULL, events INTEGER NOT NULL);
      CREATE TABLE lake_manifest (version INTEGER PRIMARY KEY, manifest TEXT NOT NULL);
      CREATE TABLE lake_prepared (
        snapshot_id INTEGER PRIMARY KEY, version INTEGER NOT NULL, through_seq INTEGER NOT NULL, manifest TEXT NOT NULL
      );`,
  },
]

/** A commit whose files are stored. It has happened once the metadata file of its version names its snapshot. */
export interface PreparedCommit {
  readonly snapshotId: number
  /** The table's version that the commit makes. */
  readonly version: number
  /** The last row of the buffer that it brings into the table. */
  readonly throughSeq: number
  readonly manifest: ManifestFile
}

/** A part of the buffer, from its beginning, that one commit brings into the table. */
export interface Slice {
  readonly throughSeq: number
  /** Of the events with a place in a log, which ones they are. */
  readonly runs: readonly (Origin & LSNRange)[]
}

/** How long, and of how many events, the ids are known of events without a place in a log. */
export interface SeenLimits {
  readonly seenMs: number
  readonly seenEventsMax: number
}

/** How much of the buffer goes into one commit: at least one run. */
export interface SliceLimits {
  readonly commitEventsMax: number
  readonly commitBytesMax: number
}

/** A row of the table, as the stream's SQL made it. */
export type StreamRow = Record<string, string | number | null>

export class LakeState {
  readonly #storage: DurableObjectStorage

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage
    migrate(storage, 'lake_migrations', migrations)
  }

  /** Events and bytes that wait in the buffer. Reads it all, so once per life. */
  measureBuffer(): { events: number; bytes: number } {
    return this.#storage.sql
      .exec<{ events: number; bytes: number }>(
        'SELECT coalesce(sum(events), 0) AS events, coalesce(sum(bytes), 0) AS bytes FROM lake_buffer',
      )
      .one()
  }

  /** Events in the table. */
  countLanded(): number {
    const [pointer] = this.#storage.sql.exec<{ events: number }>('SELECT events FROM lake_pointer').toArray()
    return pointer?.events ?? 0
  }

  /** The LSNs of an origin that are in the table or in the buffer. */
  taken(origin: Origin): LSNRange[] {
    return unite([...this.#ranges('lake_landed', origin), ...this.#ranges('lake_buffer', origin)])
  }

  /** The LSNs of an origin that are in the table. */
  landed(origin: Origin): LSNRange[] {
    return unite(this.#ranges('lake_landed', origin))
  }

  /** Buffers a run, or a part of events without a place in a log. */
  addPart(part: Part & Partial<Run>, nowMs: number): void {
    this.#storage.sql.exec(
      `INSERT INTO lake_buffer (taken_ms, ns, source, epoch, first_lsn, last_lsn, events, bytes, records)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      nowMs,
      part.ns ?? null,
      part.source ?? null,
      part.epoch ?? null,
      part.first ?? null,
      part.last ?? null,
      part.events,
      part.bytes,
      part.records,
    )
  }

  /** Those of some events whose ids are not known, each once. They are known from then on. */
  takeUnseen(records: readonly EventRecord[], nowMs: number): EventRecord[] {
    return records.filter(
      ({ ns, id }) =>
        this.#storage.sql.exec(
          'INSERT INTO lake_seen (taken_ms, ns, event_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING',
          nowMs,
          ns,
          id,
        ).rowsWritten > 0,
    )
  }

  /** Forgets ids that are known for longer than they have to be, at most `SEEN_PRUNED_MAX` at once. */
  pruneSeen({ seenMs, seenEventsMax }: SeenLimits, nowMs: number): void {
    this.#storage.sql.exec(
      `DELETE FROM lake_seen WHERE seq IN (SELECT seq FROM lake_seen ORDER BY seq LIMIT ${SEEN_PRUNED_MAX})
         AND (taken_ms < ? OR seq <= (SELECT max(seq) FROM lake_seen) - ?)`,
      nowMs - seenMs,
      seenEventsMax,
    )
  }

  /** The oldest part of the buffer within the limits, or nothing where it is empty. */
  nextSlice({ commitEventsMax, commitBytesMax }: SliceLimits): Slice | undefined {
    let [throughSeq, events, bytes] = [0, 0, 0]
    const select = 'SELECT seq, events, bytes FROM lake_buffer ORDER BY seq'
    for (const part of this.#storage.sql.exec<{ seq: number; events: number; bytes: number }>(select)) {
      events += part.events
      bytes += part.bytes
      if (throughSeq > 0 && (events > commitEventsMax || bytes > commitBytesMax)) break
      throughSeq = part.seq
    }
    return throughSeq === 0 ? undefined : { throughSeq, runs: this.#bufferedRuns(throughSeq) }
  }

  /** Runs streams/events.sql over the buffer up to a row of it. */
  transform(throughSeq: number): StreamRow[] {
    return this.#storage.sql.exec<StreamRow>(`${EVENTS_OF_BUFFER} ${SELECT_EVENTS}`, throughSeq).toArray()
  }

  /** The table's version; 0 before the first commit. */
  version(): number {
    const [pointer] = this.#storage.sql.exec<{ version: number }>('SELECT version FROM lake_pointer').toArray()
    return pointer?.version ?? 0
  }

  /** The manifests of the current snapshot, newest first. */
  manifests(): ManifestFile[] {
    return this.#storage.sql
      .exec<{ manifest: string }>('SELECT manifest FROM lake_manifest ORDER BY version DESC')
      .toArray()
      .map((row) => JSON.parse(row.manifest) as ManifestFile)
  }

  /** Notes a commit whose outcome will be known only by looking at the table's files. */
  prepare({ snapshotId, version, throughSeq, manifest }: PreparedCommit): void {
    this.#storage.sql.exec(
      'INSERT INTO lake_prepared (snapshot_id, version, through_seq, manifest) VALUES (?, ?, ?, ?)',
      snapshotId,
      version,
      throughSeq,
      JSON.stringify(manifest),
    )
  }

  prepared(snapshotId: number): PreparedCommit | undefined {
    const [row] = this.#storage.sql
      .exec<{ version: number; throughSeq: number; manifest: string }>(
        'SELECT version, through_seq AS throughSeq, manifest FROM lake_prepared WHERE snapshot_id = ?',
        snapshotId,
      )
      .toArray()
    if (row === undefined) return undefined
    return { snapshotId, ...row, manifest: JSON.parse(row.manifest) as ManifestFile }
  }

  hasPrepared(): boolean {
    return this.#storage.sql.exec('SELECT 1 FROM lake_prepared LIMIT 1').toArray().length > 0
  }

  /** Moves the pointer, empties the buffer of what has landed and notes that it has: all in one transaction. */
  finish({ version, throughSeq, manifest }: PreparedCommit): void {
    this.#storage.transactionSync(() => {
      this.#addLanded(this.#bufferedRuns(throughSeq))
      this.#storage.sql.exec(
        `INSERT INTO lake_pointer SELECT 1, ?, sum(events) FROM lake_buffer WHERE seq <= ?
         ON CONFLICT DO UPDATE SET version = excluded.version, events = events + excluded.events`,
        version,
        throughSeq,
      )
      this.#storage.sql.exec('DELETE FROM lake_buffer WHERE seq <= ?', throughSeq)
      this.#storage.sql.exec('INSERT INTO lake_manifest VALUES (?, ?)', version, JSON.stringify(manifest))
      this.#storage.sql.exec('DELETE FROM lake_prepared')
    })
  }

  #bufferedRuns(throughSeq: number): BufferedRun[] {
    return this.#storage.sql
      .exec<BufferedRun>(
        `SELECT ns, source, epoch, first_lsn AS first, last_lsn AS last
         FROM lake_buffer WHERE seq <= ? AND epoch IS NOT NULL ORDER BY seq`,
        throughSeq,
      )
      .toArray()
  }

  #addLanded(runs: readonly BufferedRun[]): void {
    for (const group of Map.groupBy(runs, ({ ns, source, epoch }) => JSON.stringify([ns, source, epoch])).values()) {
      const [origin] = group
      if (origin === undefined) continue
      const before = this.landed(origin)
      const { ns, source, epoch } = origin
      for (const { first } of before)
        this.#storage.sql.exec(
          'DELETE FROM lake_landed WHERE ns = ? AND source = ? AND epoch = ? AND first_lsn = ?',
          ns,
          source,
          epoch,
          first,
        )
      for (const { first, last } of unite([...before, ...group]))
        this.#storage.sql.exec('INSERT INTO lake_landed VALUES (?, ?, ?, ?, ?)', ns, source, epoch, first, last)
    }
  }

  #ranges(table: 'lake_landed' | 'lake_buffer', { ns, source, epoch }: Origin): LSNRange[] {
    return this.#storage.sql
      .exec<{ first: number; last: number }>(
        `SELECT first_lsn AS first, last_lsn AS last FROM ${table} WHERE ns = ? AND source = ? AND epoch = ?`,
        ns,
        source,
        epoch,
      )
      .toArray()
  }
}

/** Ids that one commit forgets at most. */
const SEEN_PRUNED_MAX = 10_000

type BufferedRun = { ns: string; source: string; epoch: string; first: number; last: number }

/** The stream as SQL sees it: each field of a record is a column, and objects are JSON text. */
const EVENTS_OF_BUFFER = `WITH events AS (
  SELECT
    value ->> 'id' AS id, value ->> 'type' AS type, value ->> 'timestamp' AS timestamp, value ->> 'ns' AS ns,
    value ->> 'source' AS source, value ->> 'epoch' AS epoch, value ->> 'lsn' AS lsn, value ->> 'txid' AS txid,
    value ->> 'correlation_id' AS correlation_id, value ->> 'op' AS op, value ->> 'store' AS store,
    value ->> 'table' AS "table", value ->> 'key' AS key, value -> 'before' AS before, value -> 'after' AS after,
    value ->> 'actor' AS actor, value -> 'data' AS data, value ->> 'visibility' AS visibility, value -> '_meta' AS _meta,
    strftime('%Y-%m-%dT%H:%M:%fZ', taken_ms / 1000.0, 'unixepoch') AS __ingest_ts
  FROM lake_buffer, json_each(lake_buffer.records)
  WHERE seq <= ?
)`
