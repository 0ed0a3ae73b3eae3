/**
 * A fast append, prepared but not committed: new data files, one manifest of them, and a manifest list that carries
 * all older manifests by reference. Nothing is read and nothing old is rewritten, so the cost of a commit does not
 * grow with the table but for 160 bytes per commit in the list.
 *
 * The caller stores the files, then commits by putting the metadata in place of the old.
 *
 * Format: https://iceberg.apache.org/spec/#snapshots
 */
import { CDCError } from '../../error.ts'
import { writeDataFiles } from './data-file.ts'
import type { DataFile } from './data-file.ts'
import type { AvroRecordValue } from './avro.ts'
import { dataFileEntry, describeManifest, writeManifest, writeManifestList } from './manifest.ts'
import type { ManifestFile } from './manifest.ts'
import { columnsOf, currentSchema, currentSnapshot, defaultSpec, nextTimestampMs, withSnapshot } from './metadata.ts'
import type { TableMetadata } from './metadata.ts'
import type { PartitionValue } from './partition.ts'
import type { Row } from './schema.ts'
import { summarizeAppend } from './snapshot.ts'
import type { Snapshot } from './snapshot.ts'

/** A table as the last commit left it. */
export type Table = {
  metadata: TableMetadata
  /** The manifests of the current snapshot, newest first; empty in an empty table. */
  manifests: readonly ManifestFile[]
  /** Where `metadata` is stored, relative to the location; missing when it never was. */
  metadataKey?: string
}

export type AppendOptions = {
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

/** A data file as its manifest has it. */
export type NewDataFile = { key: string; partition: readonly PartitionValue[]; bytes: number; entry: AvroRecordValue }

export type PreparedAppend = {
  /** Data files first, then the manifest, then the manifest list. */
  files: NewFile[]
  /** The new manifest: put it before the table's manifests once the commit is done. */
  manifest: ManifestFile
  manifestKey: string
  dataFiles: NewDataFile[]
  /** The table's next metadata: storing it is the commit. */
  metadata: TableMetadata
}

/**
 * Prepares the commit that appends `rows` to a table. It has no effect and may be thrown away.
 *
 * Throws `invalid-argument` when there are no rows, when a value does not fit its column, when the snapshot id is
 * taken, or when `manifests` are not those of the metadata's snapshot.
 */
export function prepareAppend(table: Table, rows: readonly Row[], options: AppendOptions): PreparedAppend {
  if (rows.length === 0) throw new CDCError('invalid-argument', 'prepareAppend: there are no rows; skip the commit')
  checkManifests(table)
  const { metadata } = table
  const [schema, spec] = [currentSchema(metadata), defaultSpec(metadata)]
  const dataFiles = writeDataFiles(rows, { schema, columns: columnsOf(metadata), spec, uuid: options.uuid })
  const commit = options.uuid()
  const manifest = prepareManifest(dataFiles, `metadata/${commit}-m0.avro`, table, options)
  const listKey = `metadata/snap-${options.snapshotId}-1-${commit}.avro`
  const snapshot = nextSnapshot(dataFiles, listKey, metadata, options)
  const list = writeManifestList([manifest.described, ...table.manifests], {
    snapshotId: snapshot['snapshot-id'],
    parentSnapshotId: snapshot['parent-snapshot-id'],
    sequenceNumber: snapshot['sequence-number'],
    sync: uuidBytes(options.uuid()),
  })
  return {
    files: [...dataFiles.map(({ key, bytes }) => ({ key, bytes })), manifest.file, { key: listKey, bytes: list }],
    manifest: manifest.described,
    manifestKey: manifest.file.key,
    dataFiles: dataFiles.map((file) => ({
      key: file.key,
      partition: file.partition,
      bytes: file.bytes.length,
      entry: dataFileEntry(file, { location: metadata.location, spec }),
    })),
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
  files: readonly DataFile[],
  key: string,
  { metadata }: Table,
  { snapshotId, uuid }: AppendOptions,
): { file: NewFile; described: ManifestFile } {
  const { location } = metadata
  const spec = defaultSpec(metadata)
  const sync = uuidBytes(uuid())
  const bytes = writeManifest(files, { location, schema: currentSchema(metadata), spec, snapshotId, sync })
  const described = describeManifest(files, {
    location: `${location}/${key}`,
    lengthBytes: bytes.length,
    spec,
    snapshotId,
    sequenceNumber: metadata['last-sequence-number'] + 1,
  })
  return { file: { key, bytes }, described }
}

function nextSnapshot(
  files: readonly DataFile[],
  listKey: string,
  metadata: TableMetadata,
  { snapshotId, nowMs, summary }: AppendOptions,
): Snapshot {
  const parent = currentSnapshot(metadata)
  return {
    'snapshot-id': snapshotId,
    ...(parent && { 'parent-snapshot-id': parent['snapshot-id'] }),
    'sequence-number': metadata['last-sequence-number'] + 1,
    'timestamp-ms': nextTimestampMs(metadata, nowMs),
    'manifest-list': `${metadata.location}/${listKey}`,
    'schema-id': metadata['current-schema-id'],
    summary: summarizeAppend(files, parent, summary),
  }
}

/** An Avro file's sync marker is 16 random bytes, and so is a UUID. */
function uuidBytes(uuid: string): Uint8Array {
  if (!/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(uuid)) {
    throw new CDCError('invalid-argument', `prepareAppend: uuid() returned ${uuid}, which is no UUID`)
  }
  return Uint8Array.from(uuid.replaceAll('-', '').match(/../g) ?? [], (hex) => Number.parseInt(hex, 16))
}
