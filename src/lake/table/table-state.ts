// The state of the table, as its one writer keeps it in SQLite: the current version, the manifests and files of its snapshot,
// and the commits that were prepared and may or may not have happened.

import type { ListedFile, PreparedManifest } from '../iceberg/commit.ts'
import type { ManifestFile } from '../iceberg/manifest.ts'
import type { PartitionValue } from '../iceberg/partition.ts'
import type { SnapshotId } from '../iceberg/snapshot.ts'
import { parseExact, stringifyExact } from './exact-json.ts'
import { Garbage } from './garbage.ts'

/** What a commit changes in the current snapshot, and what else it has stored. Keys are relative to the table's location. */
export type TableChange =
  | { readonly kind: 'add manifest'; readonly key: string; readonly manifest: ManifestFile }
  | {
      readonly kind: 'add file' | 'move file'
      readonly key: string
      readonly manifestKey: string
      readonly file: ListedFile
    }
  | { readonly kind: 'remove manifest' | 'remove file' | 'store'; readonly key: string }

/** A commit whose files are stored. It has happened once the table's metadata knows its snapshot. */
export interface OpenCommit {
  readonly snapshotId: number
  /** The table's version that the commit makes: its sequence number. */
  readonly version: number
  /** The last row of the buffer that it brings into the table; 0 if it brings none. */
  readonly throughSeq: number
  /** The file of all watermarks that it stored, relative to the table's location. */
  readonly watermarksKey?: string
  /** Files that nobody needs once it has happened, relative to the table's location. */
  readonly retired: readonly string[]
}

export interface Pointer {
  /** Commits so far, those of other writers too; 0 before the first. */
  readonly version: number
  /** Events that have ever landed. */
  readonly events: number
  /** The newest file of all watermarks, relative to the table's location. */
  readonly watermarksKey: string | undefined
  /** The version whose commit stored it; 0 if none has. */
  readonly watermarksVersion: number
}

/** A table of a catalog that is not the lake's own. */
export interface PinnedTable {
  readonly uuid: string
  readonly location: string
}

/** A snapshot of another writer: all its manifests, and the files of those that the lake has not known. */
export interface ForeignSnapshot {
  readonly id: SnapshotId | undefined
  readonly version: number
  readonly manifestKeys: readonly string[]
  readonly added: readonly PreparedManifest[]
}

/** Which small files are worth being compacted. */
export interface SmallFilesQuery {
  readonly minFiles: number
  readonly maxFiles: number
  readonly eventsBelow: number
}

/** The files that shards have offered and that wait for a commit. */
const OFFERED_KEYS = `SELECT file.value ->> 'key' FROM lake_buffer, json_each(files) AS file WHERE files IS NOT NULL`

type PointerRow = { version: number; events: number; watermarks_key: string | null; watermarks_version: number }
type SnapshotRow = { own_snapshot: string | null; current_snapshot: string | null }
type OpenRow = {
  snapshotId: number
  version: number
  throughSeq: number
  watermarksKey: string | null
  retired: string
}

export class TableState {
  readonly garbage: Garbage
  readonly #sql: SqlStorage

  constructor(sql: SqlStorage) {
    this.#sql = sql
    this.garbage = new Garbage(sql)
  }

  pointer(): Pointer {
    const [row] = this.#sql.exec<PointerRow>('SELECT * FROM lake_pointer').toArray()
    if (row === undefined) return { version: 0, events: 0, watermarksKey: undefined, watermarksVersion: 0 }
    return {
      version: row.version,
      events: row.events,
      watermarksKey: row.watermarks_key ?? undefined,
      watermarksVersion: row.watermarks_version,
    }
  }

  /** The ids of the lake's last snapshot and of the current one, as text. */
  snapshots(): { readonly own: string | undefined; readonly current: string | undefined } {
    const [row] = this.#sql.exec<SnapshotRow>('SELECT own_snapshot, current_snapshot FROM lake_pointer').toArray()
    return { own: row?.own_snapshot ?? undefined, current: row?.current_snapshot ?? undefined }
  }

  /** The table that was found first in a catalog that is not the lake's own. */
  pinned(): PinnedTable | undefined {
    return this.#sql.exec<{ uuid: string; location: string }>('SELECT uuid, location FROM lake_catalog').toArray()[0]
  }

  pin({ uuid, location }: PinnedTable): void {
    this.#sql.exec('INSERT INTO lake_catalog VALUES (1, ?, ?)', uuid, location)
  }

  /** The manifests of the current snapshot, newest first. */
  manifests(): ManifestFile[] {
    return this.#sql
      .exec<{ manifest: string }>('SELECT manifest FROM lake_manifest ORDER BY version DESC, key')
      .toArray()
      .map((row) => parseExact(row.manifest) as ManifestFile)
  }

  manifestKeys(): string[] {
    return this.#keys('SELECT key FROM lake_manifest')
  }

  /** Notes a commit whose outcome only the table's metadata will tell. To be called in a transaction. */
  prepare(commit: OpenCommit, changes: readonly TableChange[]): void {
    const { snapshotId, version, throughSeq, watermarksKey, retired } = commit
    this.#sql.exec(
      `INSERT INTO lake_prepared (snapshot_id, version, through_seq, watermarks_key, retired) VALUES (?, ?, ?, ?, ?)`,
      snapshotId,
      version,
      throughSeq,
      watermarksKey ?? null,
      JSON.stringify(retired),
    )
    for (const change of changes)
      this.#sql.exec(
        'INSERT INTO lake_change (snapshot_id, kind, key, body) VALUES (?, ?, ?, ?)',
        snapshotId,
        change.kind,
        change.key,
        bodyOf(change),
      )
  }

  /** The commits that were prepared and may or may not have happened. */
  open(): OpenCommit[] {
    return this.#sql
      .exec<OpenRow>(
        `SELECT snapshot_id AS snapshotId, version, through_seq AS throughSeq, watermarks_key AS watermarksKey, retired
         FROM lake_prepared`,
      )
      .toArray()
      .map(({ watermarksKey, retired, ...commit }) => ({
        ...commit,
        ...(watermarksKey !== null && { watermarksKey }),
        retired: JSON.parse(retired) as string[],
      }))
  }

  hasOpen(): boolean {
    return this.#sql.exec('SELECT 1 FROM lake_prepared LIMIT 1').toArray().length > 0
  }

  /**
   * Applies a commit that has happened. All others that were prepared have not, and what they stored is garbage. To be called
   * in the transaction that empties the buffer.
   */
  finish({ snapshotId, version, watermarksKey, retired }: OpenCommit, events: number, nowMs: number): void {
    const { watermarksKey: before } = this.pointer()
    this.#sql.exec(
      `INSERT INTO lake_pointer VALUES (1, ?1, ?2, ?3, iif(?3 IS NULL, 0, ?1), ?4, ?4)
       ON CONFLICT DO UPDATE SET version = ?1, events = events + ?2, watermarks_key = coalesce(?3, watermarks_key),
         watermarks_version = iif(?3 IS NULL, watermarks_version, ?1), own_snapshot = ?4, current_snapshot = ?4`,
      version,
      events,
      watermarksKey ?? null,
      String(snapshotId),
    )
    if (watermarksKey !== undefined && before !== undefined) this.garbage.add([before], version, nowMs)
    const changes = this.#sql
      .exec<{ kind: TableChange['kind']; key: string; body: string }>(
        'SELECT kind, key, body FROM lake_change WHERE snapshot_id = ? ORDER BY seq',
        snapshotId,
      )
      .toArray()
    for (const { kind, key, body } of changes) this.#apply(kind, key, { body, version, nowMs })
    // What a shard has stored is in each attempt to commit its offer.
    const abandoned = this.#keys(
      `SELECT key FROM lake_change WHERE snapshot_id <> ? AND kind IN ('add manifest', 'add file', 'store')
         AND key NOT IN (SELECT key FROM lake_file) AND key NOT IN (${OFFERED_KEYS})`,
      snapshotId,
    )
    // Nothing ever read them: the version that they were for is another commit's.
    this.garbage.add([...abandoned, ...retired], 0, nowMs)
    this.#sql.exec('DELETE FROM lake_change')
    this.#sql.exec('DELETE FROM lake_prepared')
  }

  /** Takes over what another writer has made of the table. To be called in a transaction. */
  takeOver({ id, version, manifestKeys, added }: ForeignSnapshot, nowMs: number): void {
    const own = new Set(this.#keys('SELECT key FROM lake_file WHERE is_own'))
    const kept = JSON.stringify(manifestKeys)
    this.#sql.exec('DELETE FROM lake_manifest WHERE key NOT IN (SELECT value FROM json_each(?))', kept)
    this.#sql.exec('DELETE FROM lake_file WHERE manifest_key NOT IN (SELECT value FROM json_each(?))', kept)
    this.#list(added, version, nowMs)
    const foreign = added.flatMap(({ files }) => files.map(({ key }) => key)).filter((key) => !own.has(key))
    this.#sql.exec(
      'UPDATE lake_file SET is_own = 0 WHERE key IN (SELECT value FROM json_each(?))',
      JSON.stringify(foreign),
    )
    // After a rollback what was replaced is read again.
    this.garbage.forget([...manifestKeys, ...this.fileKeys()])
    this.#sql.exec(
      `INSERT INTO lake_pointer VALUES (1, ?1, 0, NULL, 0, NULL, ?2)
       ON CONFLICT DO UPDATE SET version = ?1, current_snapshot = ?2`,
      version,
      id === undefined ? null : String(id),
    )
  }

  /** Forgets the table for that of a catalog, of which `takeOver` tells more. To be called in a transaction. */
  beginAnew(pinned: PinnedTable, { own, events }: { own: string | undefined; events: number }): void {
    this.#forgetTable()
    this.#sql.exec('DELETE FROM lake_catalog')
    this.pin(pinned)
    this.#sql.exec('INSERT INTO lake_pointer VALUES (1, 0, ?, NULL, 0, ?, NULL)', events, own ?? null)
  }

  #forgetTable(): void {
    for (const table of ['lake_pointer', 'lake_manifest', 'lake_file', 'lake_prepared', 'lake_change'])
      this.#sql.exec(`DELETE FROM ${table}`)
  }

  /** Replaces all that is known of the table, as after it was rebuilt. To be called in a transaction. */
  replace(pointer: Required<Pointer>, manifests: readonly PreparedManifest[], nowMs: number): void {
    this.#forgetTable()
    const { version, events, watermarksKey, watermarksVersion } = pointer
    this.#sql.exec(
      'INSERT INTO lake_pointer VALUES (1, ?, ?, ?, ?, NULL, NULL)',
      version,
      events,
      watermarksKey ?? null,
      watermarksVersion,
    )
    this.#list(manifests, version, nowMs)
    // What an older state took for garbage may be read again.
    this.garbage.forget(this.fileKeys())
  }

  #list(manifests: readonly PreparedManifest[], version: number, nowMs: number): void {
    for (const { key: manifestKey, manifest, files } of manifests) {
      const apply = (change: TableChange) =>
        this.#apply(change.kind, change.key, { body: bodyOf(change), version, nowMs })
      apply({ kind: 'add manifest', key: manifestKey, manifest })
      for (const file of files) apply({ kind: 'add file', key: file.key, manifestKey, file })
    }
  }

  /** The data files of the current snapshot, as its manifests list them. */
  files(): ListedFile[] {
    return this.#files('true ORDER BY sequence, key')
  }

  /** The keys of the current snapshot's data files. */
  fileKeys(): string[] {
    return this.#keys('SELECT key FROM lake_file ORDER BY key')
  }

  /** The data files of some manifests. */
  filesOf(manifestKeys: readonly string[]): ListedFile[] {
    return this.#files(
      'manifest_key IN (SELECT value FROM json_each(?)) ORDER BY sequence, key',
      JSON.stringify(manifestKeys),
    )
  }

  /** Whether the table may have these partitions too, and has no more than so many then. */
  hasRoomFor(partitions: readonly (readonly PartitionValue[])[], maxPartitions: number): boolean {
    const { added } = this.#sql
      .exec<{ added: number }>(
        `SELECT count(*) AS added FROM json_each(?)
         WHERE NOT EXISTS (SELECT 1 FROM lake_file WHERE partition = value)`,
        JSON.stringify(partitions.map((values) => JSON.stringify(values))),
      )
      .one()
    // Mostly there is none, and then the partitions need not be counted.
    if (added === 0) return true
    const { known } = this.#sql
      .exec<{ known: number }>('SELECT count(DISTINCT partition) AS known FROM lake_file')
      .one()
    return known + added <= maxPartitions
  }

  /** The manifests that list some data files. */
  manifestsOf(keys: readonly string[]): string[] {
    return this.#keys(
      'SELECT DISTINCT manifest_key AS key FROM lake_file WHERE key IN (SELECT value FROM json_each(?))',
      JSON.stringify(keys),
    )
  }

  /** The oldest small files of the lake's own in the partition that has the most of them; none if no partition has enough. */
  smallFiles({ minFiles, maxFiles, eventsBelow }: SmallFilesQuery): ListedFile[] {
    const [most] = this.#sql
      .exec<{ partition: string }>(
        `SELECT partition FROM lake_file WHERE events < ? AND is_own
         GROUP BY partition HAVING count(*) >= ? ORDER BY count(*) DESC LIMIT 1`,
        eventsBelow,
        minFiles,
      )
      .toArray()
    if (most === undefined) return []
    return this.#files(
      'partition = ? AND events < ? AND is_own ORDER BY sequence, key LIMIT ?',
      most.partition,
      eventsBelow,
      maxFiles,
    )
  }

  /** Those of some keys that belong to the table, or to a commit or an offer that waits for it, or are known as garbage. */
  known(keys: readonly string[]): Set<string> {
    const known = this.#keys(
      `WITH asked AS (SELECT value AS key FROM json_each(?))
       SELECT key FROM asked WHERE key IN (SELECT key FROM lake_file) OR key IN (SELECT key FROM lake_manifest)
         OR key IN (SELECT key FROM lake_change) OR key IN (SELECT key FROM lake_garbage)
         OR key IN (${OFFERED_KEYS})
         OR key = (SELECT watermarks_key FROM lake_pointer)`,
      JSON.stringify(keys),
    )
    return new Set(known)
  }

  /** Whether another writer has deleted rows by files that hide them. */
  hasDeleteFiles(): boolean {
    return this.#sql.exec(`SELECT 1 FROM lake_manifest WHERE manifest ->> 'content' = 1 LIMIT 1`).toArray().length > 0
  }

  /** Every commit asks for it, so nothing else is counted. */
  countManifests(): number {
    return this.#sql.exec<{ manifests: number }>('SELECT count(*) AS manifests FROM lake_manifest').one().manifests
  }

  /** The data files and manifests of the current snapshot, and the files that are garbage. */
  count(): { files: number; manifests: number; garbage: number } {
    return this.#sql
      .exec<{ files: number; manifests: number; garbage: number }>(
        `SELECT (SELECT count(*) FROM lake_file) AS files, (SELECT count(*) FROM lake_manifest) AS manifests,
           (SELECT count(*) FROM lake_garbage) AS garbage`,
      )
      .one()
  }

  #keys(select: string, ...values: SqlStorageValue[]): string[] {
    return this.#sql
      .exec<{ key: string }>(select, ...values)
      .toArray()
      .map(({ key }) => key)
  }

  #files(condition: string, ...values: SqlStorageValue[]): ListedFile[] {
    return this.#sql
      .exec<{ file: string }>(`SELECT file FROM lake_file WHERE ${condition}`, ...values)
      .toArray()
      .map(({ file }) => parseExact(file) as ListedFile)
  }

  #apply(
    kind: TableChange['kind'],
    key: string,
    { body, version, nowMs }: { body: string; version: number; nowMs: number },
  ): void {
    switch (kind) {
      case 'add manifest':
        this.#sql.exec('INSERT INTO lake_manifest (key, version, manifest) VALUES (?, ?, ?)', key, version, body)
        break
      case 'remove manifest':
        this.#sql.exec('DELETE FROM lake_manifest WHERE key = ?', key)
        this.garbage.add([key], version, nowMs)
        break
      case 'add file':
      case 'move file': {
        const { manifestKey, file } = JSON.parse(body) as { manifestKey: string; file: ListedFile }
        this.#sql.exec(
          'INSERT OR REPLACE INTO lake_file (key, manifest_key, partition, sequence, events, file) VALUES (?, ?, ?, ?, ?, ?)',
          key,
          manifestKey,
          JSON.stringify(file.partition),
          file.sequenceNumber,
          file.rows,
          stringifyExact(file),
        )
        break
      }
      case 'remove file':
        this.#sql.exec('DELETE FROM lake_file WHERE key = ?', key)
        this.garbage.add([key], version, nowMs)
        break
      case 'store':
        break
    }
  }
}

function bodyOf(change: TableChange): string {
  switch (change.kind) {
    case 'add manifest':
      return stringifyExact(change.manifest)
    case 'add file':
    case 'move file':
      return stringifyExact({ manifestKey: change.manifestKey, file: change.file })
    default:
      return ''
  }
}
