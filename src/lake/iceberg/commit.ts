/**
 * A commit, prepared but not done. A fast append: new data files, one manifest of them, and a manifest list that carries
 * all older manifests by reference. Nothing is read and nothing old is rewritten, so the cost of a commit does not
 * grow with the table but for 160 bytes per manifest in the list. Or a rewrite, which says the same rows in other files.
 *
 * The caller stores the files, then commits by putting the metadata in place of the old.
 *
 * Format: https://iceberg.apache.org/spec/#snapshots
 */
import { CDCError } from '../../error.ts'
import { writeDataFiles } from './data-file.ts'
import { dataFileEntry, describeManifest, writeManifest, writeManifestList } from './manifest.ts'
import type { ManifestEntry, ManifestFile } from './manifest.ts'
import { columnsOf, currentSchema, currentSnapshot, defaultSpec, nextTimestampMs, withSnapshot } from './metadata.ts'
import type { TableMetadata } from './metadata.ts'
import type { Row } from './schema.ts'
import { summarize } from './snapshot.ts'
import type { FileTotals, Snapshot } from './snapshot.ts'

/** A table as the last commit left it. */
export type Table = {
  metadata: TableMetadata
  /** The manifests of the current snapshot, newest first; empty in an empty table. */
  manifests: readonly ManifestFile[]
  /** Where `metadata` is stored, relative to the location; missing when it never was. */
  metadataKey?: string
}

export type CommitOptions = {
  /** Goes into the snapshot's summary beside Iceberg's own counters, such as the watermarks. */
  summary: Readonly<Record<string, string>>
  nowMs: number
  /** Makes a new random UUID. It is called about once per file. */
  uuid: () => string
  /** Positive and below 2^53, see `snapshotIdFrom`. */
  snapshotId: number
}

/** A file to store before the commit. The key is relative to the table's location. */
export type NewFile = { key: string; bytes: Uint8Array }

/** A data file, and what a manifest says of it. The sequence number is that of the snapshot that added it. */
export type ListedFile = Pick<ManifestEntry, 'snapshotId' | 'partition' | 'rows' | 'file'> & {
  key: string
  bytes: number
  sequenceNumber: number
}

/** What a rewrite puts in place of what. */
export type Rewrite = {
  /** Manifests of the table that go; all their files are in `kept` or `removed`. */
  manifests: readonly ManifestFile[]
  kept: readonly ListedFile[]
  removed: readonly ListedFile[]
  /** The removed files' rows. */
  rows: readonly Row[]
}

export type PreparedCommit = {
  /** Data files first, then the manifest, then the manifest list. */
  files: NewFile[]
  /** The new manifest: put it before those of the table's manifests that stay, once the commit is done. */
  manifest: ManifestFile
  manifestKey: string
  /** The new data files. */
  added: ListedFile[]
  /** The table's next metadata: storing it is the commit. */
  metadata: TableMetadata
}

/**
 * Prepares the commit that appends `rows` to a table. It has no effect and may be thrown away.
 *
 * Throws `invalid-argument` when there are no rows, when a value does not fit its column, when the snapshot id is
 * taken, or when `manifests` are not those of the metadata's snapshot.
 */
export function prepareAppend(table: Table, rows: readonly Row[], options: CommitOptions): PreparedCommit {
  if (rows.length === 0) throw new CDCError('invalid-argument', 'prepareAppend: there are no rows; skip the commit')
  return prepare(table, { manifests: [], kept: [], removed: [], rows }, options)
}

/**
 * Prepares a commit that leaves the rows as they are, in other files or under fewer manifests.
 *
 * Throws `invalid-argument` like `prepareAppend`, and where the rows are not as many as those of the removed files.
 */
export function prepareRewrite(table: Table, rewrite: Rewrite, options: CommitOptions): PreparedCommit {
  const removedRows = rewrite.removed.reduce((total, { rows }) => total + rows, 0)
  if (removedRows !== rewrite.rows.length)
    throw new CDCError(
      'invalid-argument',
      `prepareRewrite: the removed files have ${removedRows} rows, and ${rewrite.rows.length} would take their place`,
    )
  return prepare(table, rewrite, options)
}

/**
 * Prepares a commit that takes files out of a table, and with them their rows.
 *
 * Throws `invalid-argument` like `prepareAppend`.
 */
export function prepareRemoval(table: Table, rewrite: Rewrite, options: CommitOptions): PreparedCommit {
  return prepare(table, { ...rewrite, rows: [] }, options)
}

function prepare(table: Table, { manifests, kept, removed, rows }: Rewrite, options: CommitOptions): PreparedCommit {
  checkManifests(table)
  const { metadata } = table
  const { snapshotId, uuid } = options
  const [schema, spec] = [currentSchema(metadata), defaultSpec(metadata)]
  const sequenceNumber = metadata['last-sequence-number'] + 1
  const dataFiles = writeDataFiles(rows, { schema, columns: columnsOf(metadata), spec, uuid })
  const added = dataFiles.map((file): ListedFile => ({
    key: file.key,
    partition: file.partition,
    bytes: file.bytes.length,
    rows: file.rowCount,
    snapshotId,
    sequenceNumber,
    file: dataFileEntry(file, { location: metadata.location, spec }),
  }))
  const entries: ManifestEntry[] = [
    ...added.map(({ sequenceNumber: _own, ...file }): ManifestEntry => ({ ...file, status: 'added' })),
    ...kept.map((file): ManifestEntry => ({ ...file, status: 'existing' })),
    ...removed.map((file): ManifestEntry => ({ ...file, status: 'deleted', snapshotId })),
  ]
  const commit = uuid()
  const manifest = prepareManifest(entries, `metadata/${commit}-m0.avro`, table, options)
  const listKey = `metadata/snap-${snapshotId}-1-${commit}.avro`
  const parent = currentSnapshot(metadata)
  const delta = {
    added: totalsOf(added),
    deleted: totalsOf(removed),
    partitions: new Set([...added, ...removed].map((file) => JSON.stringify(file.partition))).size,
  }
  const isRemoval = removed.length > 0 && rows.length === 0
  const operation = isRemoval ? 'delete' : manifests.length === 0 ? 'append' : 'replace'
  const snapshot: Snapshot = {
    'snapshot-id': snapshotId,
    ...(parent && { 'parent-snapshot-id': parent['snapshot-id'] }),
    'sequence-number': sequenceNumber,
    'timestamp-ms': nextTimestampMs(metadata, options.nowMs),
    'manifest-list': `${metadata.location}/${listKey}`,
    'schema-id': metadata['current-schema-id'],
    summary: summarize(operation, delta, parent, options.summary),
  }
  const gone = new Set(manifests.map((file) => file.manifest_path))
  const staying = table.manifests.filter((file) => !gone.has(file.manifest_path))
  const list = writeManifestList([manifest.described, ...staying], {
    snapshotId,
    parentSnapshotId: snapshot['parent-snapshot-id'],
    sequenceNumber,
    sync: uuidBytes(uuid()),
  })
  return {
    files: [...dataFiles.map(({ key, bytes }) => ({ key, bytes })), manifest.file, { key: listKey, bytes: list }],
    manifest: manifest.described,
    manifestKey: manifest.file.key,
    added,
    metadata: withSnapshot(metadata, snapshot, table.metadataKey),
  }
}

/** A manifest that is forgotten takes its rows out of the table, so the counts must agree before we go on. */
function checkManifests({ metadata, manifests }: Table): void {
  const listed = manifests.reduce((total, file) => total + file.added_rows_count + file.existing_rows_count, 0)
  const expected = Number(currentSnapshot(metadata)?.summary['total-records'] ?? 0)
  if (listed === expected) return
  const problem = `the manifests hold ${listed} records, the current snapshot ${expected}`
  throw new CDCError('invalid-argument', `prepareAppend: ${problem}; pass every manifest of the current snapshot`)
}

function prepareManifest(
  entries: readonly ManifestEntry[],
  key: string,
  { metadata }: Table,
  { snapshotId, uuid }: CommitOptions,
): { file: NewFile; described: ManifestFile } {
  const { location } = metadata
  const spec = defaultSpec(metadata)
  const sync = uuidBytes(uuid())
  const bytes = writeManifest(entries, { location, schema: currentSchema(metadata), spec, snapshotId, sync })
  const described = describeManifest(entries, {
    location: `${location}/${key}`,
    lengthBytes: bytes.length,
    spec,
    snapshotId,
    sequenceNumber: metadata['last-sequence-number'] + 1,
  })
  return { file: { key, bytes }, described }
}

function totalsOf(files: readonly ListedFile[]): FileTotals {
  const sum = (read: (file: ListedFile) => number): number => files.reduce((total, file) => total + read(file), 0)
  return { files: files.length, records: sum(({ rows }) => rows), bytes: sum(({ bytes }) => bytes) }
}

/** An Avro file's sync marker is 16 random bytes, and so is a UUID. */
function uuidBytes(uuid: string): Uint8Array {
  if (!/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(uuid)) {
    throw new CDCError('invalid-argument', `prepareAppend: uuid() returned ${uuid}, which is no UUID`)
  }
  return Uint8Array.from(uuid.replaceAll('-', '').match(/../g) ?? [], (hex) => Number.parseInt(hex, 16))
}
