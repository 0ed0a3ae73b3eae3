// A commit, prepared but not done. A fast append: new data files, one manifest of them, and a manifest list that carries all
// older manifests by reference. Nothing is read and nothing old is rewritten, so the cost of a commit does not grow with the
// table, except by 160 bytes per manifest in the list. Or a rewrite, which stores the same rows in other files. The caller
// stores the files, and then commits by storing the metadata. Format: https://iceberg.apache.org/spec/#snapshots

import { CDCError } from '../../error.ts'
import { type DataFile, partitionsOf, writeDataFiles } from './data-file.ts'
import { dataFileEntry, describeManifest, writeManifest, writeManifestList } from './manifest.ts'
import type { ManifestEntry, ManifestFile } from './manifest.ts'
import {
  columnsOf,
  currentSchema,
  currentSnapshot,
  nextSequenceNumber,
  nextTimestampMs,
  specOf,
  type TableMetadata,
  withSnapshot,
  withSpec,
  withUnpartitionedSpec,
  writableSpec,
} from './metadata.ts'
import type { PartitionField, PartitionSpec, PartitionValue } from './partition.ts'
import type { Row } from './schema.ts'
import { type FileTotals, type Snapshot, type SnapshotSummary, summarize } from './snapshot.ts'

/** A table as the last commit left it. */
export interface Table {
  readonly metadata: TableMetadata
  /** The manifests of the current snapshot, newest first; empty in an empty table. */
  readonly manifests: readonly ManifestFile[]
  /** Where `metadata` is stored, relative to the location; missing if it never was. */
  readonly metadataKey?: string
}

export interface CommitOptions {
  /** Goes into the snapshot's summary beside Iceberg's own counters, such as the watermarks. */
  readonly summary: Readonly<Record<string, string>>
  readonly nowMs: number
  /** Makes a new random UUID. It is called about once per file. */
  readonly uuid: () => string
  /** Positive and below 2^53, see `snapshotIdFrom`. */
  readonly snapshotId: number
  /** Whether rows that are appended may have a file for each of these partitions. Otherwise they go into one file, unpartitioned. */
  readonly mayPartition?: (partitions: readonly (readonly PartitionValue[])[]) => boolean
}

/** A file to store before the commit. */
export interface NewFile {
  /** Relative to the table's location. */
  readonly key: string
  readonly bytes: Uint8Array
}

/** A data file, and what a manifest holds about it. */
export interface ListedFile extends Pick<ManifestEntry, 'snapshotId' | 'partition' | 'rows' | 'file'> {
  readonly key: string
  readonly bytes: number
  /** That of the snapshot that added the file. */
  readonly sequenceNumber: number
}

/** A data file that is stored already, to be added by a commit. */
export interface WrittenFile extends Omit<ListedFile, 'snapshotId' | 'sequenceNumber'> {
  /** Those of the partition spec that it was written by. */
  readonly fields: readonly PartitionField[]
}

/** Which files replace which. */
export interface Rewrite {
  /** Manifests of the table that are replaced, all of one partition spec; all their files are in `kept` or `removed`. */
  readonly manifests: readonly ManifestFile[]
  readonly kept: readonly ListedFile[]
  readonly removed: readonly ListedFile[]
  /** The removed files' rows. */
  readonly rows: readonly Row[]
}

/** A manifest of a commit, and the data files that the commit adds by it. */
interface NewManifest {
  readonly key: string
  readonly manifest: ManifestFile
  readonly added: readonly ListedFile[]
}

export interface PreparedCommit {
  /** Data files first, then the manifests, then the manifest list. */
  readonly files: readonly NewFile[]
  /** One for each partition spec. Once the commit is done, they come before those of the table's manifests that stay. */
  readonly manifests: readonly NewManifest[]
  /** The table's next metadata: storing it is the commit. */
  readonly metadata: TableMetadata
}

/**
 * Prepares the commit that appends `rows` to a table, and the rows of files that are stored already. It has no effect and may
 * be thrown away.
 *
 * @throws {CDCError} `invalid-argument` if there are no rows, if a value does not fit its column, if the snapshot id is taken,
 * or if `manifests` are not those of the metadata's snapshot.
 */
export function prepareAppend(
  table: Table,
  rows: readonly Row[],
  options: CommitOptions,
  written: readonly WrittenFile[] = [],
): PreparedCommit {
  if (rows.length + written.length === 0)
    throw new CDCError('invalid-argument', 'prepareAppend: there are no rows; skip the commit')
  return prepare(table, { manifests: [], kept: [], removed: [], rows }, options, written)
}

/**
 * Prepares a commit that stores the same rows in other files, or lists the same files in fewer manifests.
 *
 * @throws {CDCError} `invalid-argument` like `prepareAppend`, and if the rows are not as many as those of the removed files.
 */
export function prepareRewrite(table: Table, rewrite: Rewrite, options: CommitOptions): PreparedCommit {
  const removedRows = rewrite.removed.reduce((total, { rows }) => total + rows, 0)
  if (removedRows !== rewrite.rows.length)
    throw new CDCError(
      'invalid-argument',
      `prepareRewrite: the removed files have ${removedRows} rows, and ${rewrite.rows.length} would replace them`,
    )
  return prepare(table, rewrite, options)
}

/**
 * Prepares a commit that removes files from a table, and with them their rows.
 *
 * @throws {CDCError} `invalid-argument` like `prepareAppend`.
 */
export function prepareRemoval(table: Table, rewrite: Omit<Rewrite, 'rows'>, options: CommitOptions): PreparedCommit {
  return prepare(table, { ...rewrite, rows: [] }, options)
}

/** A manifest to store, and the files that it lists. */
export interface PreparedManifest {
  readonly key: string
  readonly manifest: ManifestFile
  readonly files: readonly ListedFile[]
}

export interface PreparedRebuild extends Pick<PreparedCommit, 'files' | 'metadata'> {
  readonly manifests: readonly PreparedManifest[]
}

/** Files that one manifest of a rebuilt table lists. */
const REBUILT_MANIFEST_FILES = 5_000

/** Writes rows as data files. The caller stores them, and adds them by a commit. Throws like `prepareAppend`. */
export function writeRows(
  metadata: TableMetadata,
  rows: readonly Row[],
  options: Pick<CommitOptions, 'uuid' | 'mayPartition'>,
): { files: NewFile[]; written: WrittenFile[] } {
  const layout = layoutOf({ metadata, manifests: [] }, { manifests: [], kept: [], removed: [], rows }, options)
  const dataFiles = dataFilesOf(rows, layout, options)
  return {
    files: dataFiles.map(({ key, bytes }) => ({ key, bytes })),
    written: dataFiles.map((file) => writtenFile(file, layout)),
  }
}

/** A file that is stored already, as the next commit lists it. */
export function listFile(
  { fields: _fields, ...file }: WrittenFile,
  metadata: TableMetadata,
  { snapshotId }: Pick<CommitOptions, 'snapshotId'>,
): ListedFile {
  return { ...file, snapshotId, sequenceNumber: nextSequenceNumber(metadata) }
}

/** The partitions that rows would have, each once; undefined if the table has no spec by which rows can be divided. */
export function wantedPartitions(metadata: TableMetadata, rows: readonly Row[]) {
  const spec = writableSpec(metadata)
  return spec && partitionsOf(rows, { schema: currentSchema(metadata), spec })
}

/**
 * Prepares the commit after which a table consists of the given files, and of nothing else. Its manifests are new, since the old
 * ones may be gone.
 *
 * @param metadata with the partition specs of all files, and without a current snapshot.
 */
export function prepareRebuild(
  { metadata, metadataKey }: Omit<Table, 'manifests'>,
  listed: readonly ListedFile[],
  options: CommitOptions,
): PreparedRebuild {
  const { snapshotId, uuid } = options
  const manifests = [...Map.groupBy(listed, ({ partition }) => partition.length)].flatMap(([fields, group]) => {
    const spec = metadata['partition-specs'].find((candidate) => candidate.fields.length === fields)
    if (spec === undefined)
      throw new CDCError('invalid-config', `lake: the table has no partition spec of ${fields} fields`)
    return cut(group, REBUILT_MANIFEST_FILES).map((files) => {
      const entries = files.map(({ sequenceNumber, ...file }): ManifestEntry =>
        file.snapshotId === snapshotId ? { ...file, status: 'added' } : { ...file, sequenceNumber, status: 'existing' },
      )
      const { file, described } = prepareManifest(entries, `metadata/${uuid()}-m0.avro`, { metadata, spec }, options)
      return { file, files, key: file.key, manifest: described }
    })
  })
  const listKey = `metadata/snap-${snapshotId}-1-${uuid()}.avro`
  const sequenceNumber = nextSequenceNumber(metadata)
  const list = writeManifestList(
    manifests.map(({ manifest }) => manifest),
    { snapshotId, parentSnapshotId: undefined, sequenceNumber, sync: uuidBytes(uuid()) },
  )
  const delta = { added: totalsOf(listed), deleted: totalsOf([]), partitions: 0 }
  const snapshot: Snapshot = {
    'snapshot-id': snapshotId,
    'sequence-number': sequenceNumber,
    'timestamp-ms': nextTimestampMs(metadata, options.nowMs),
    'manifest-list': `${metadata.location}/${listKey}`,
    'schema-id': metadata['current-schema-id'],
    summary: summarize('overwrite', delta, undefined, options.summary),
  }
  return {
    files: [...manifests.map(({ file }) => file), { key: listKey, bytes: list }],
    manifests: manifests.map(({ key, manifest, files }) => ({ key, manifest, files })),
    metadata: withSnapshot(metadata, snapshot, metadataKey),
  }
}

function cut<Item>(items: readonly Item[], size: number): Item[][] {
  const count = Math.ceil(items.length / size)
  return Array.from({ length: count }, (_, index) => items.slice(index * size, (index + 1) * size))
}

function prepare(
  table: Table,
  rewrite: Rewrite,
  options: CommitOptions,
  written: readonly WrittenFile[] = [],
): PreparedCommit {
  checkManifests(table)
  const layout = layoutOf(table, rewrite, options)
  const { uuid, snapshotId } = options
  const dataFiles = dataFilesOf(rewrite.rows, layout, options)
  const { metadata, groups } = groupBySpec([...dataFiles.map((file) => writtenFile(file, layout)), ...written], layout)
  const commit = uuid()
  const manifests = groups.flatMap(({ spec, files }, index) => {
    const added = files.map((file) => listFile(file, metadata, options))
    const entries = entriesOf(added, spec === layout.spec ? rewrite : NO_REWRITE, snapshotId)
    if (entries.length === 0) return []
    const key = `metadata/${commit}-m${index}.avro`
    const { file, described } = prepareManifest(entries, key, { metadata, spec }, options)
    return { file, key, manifest: described, added }
  })
  const added = manifests.flatMap((manifest) => manifest.added)
  const listKey = `metadata/snap-${snapshotId}-1-${commit}.avro`
  const snapshot = snapshotOf({ ...table, metadata }, { added, rewrite, listKey }, options)
  const list = writeManifestList([...manifests.map(({ manifest }) => manifest), ...manifestsAfter(table, rewrite)], {
    snapshotId,
    parentSnapshotId: snapshot['parent-snapshot-id'],
    sequenceNumber: snapshot['sequence-number'],
    sync: uuidBytes(uuid()),
  })
  return {
    files: [
      ...dataFiles.map(({ key, bytes }) => ({ key, bytes })),
      ...manifests.map(({ file }) => file),
      { key: listKey, bytes: list },
    ],
    manifests: manifests.map(({ file: _file, ...manifest }) => manifest),
    metadata: withSnapshot(metadata, snapshot, table.metadataKey),
  }
}

const NO_REWRITE = { kept: [], removed: [] }

/** A manifest has one partition spec. The first group is of the layout's own, and may be empty. */
function groupBySpec(
  written: readonly WrittenFile[],
  layout: Layout,
): { metadata: TableMetadata; groups: { spec: PartitionSpec; files: WrittenFile[] }[] } {
  const groups = [{ spec: layout.spec, files: new Array<WrittenFile>() }]
  let { metadata } = layout
  for (const file of written) {
    const found = withSpec(metadata, file.fields)
    metadata = found.metadata
    const group = groups.find(({ spec }) => spec['spec-id'] === found.spec['spec-id'])
    if (group === undefined) groups.push({ spec: found.spec, files: [file] })
    else group.files.push(file)
  }
  return { metadata, groups }
}

/** What all files of a commit are written by: its manifest has one partition spec. */
interface Layout {
  readonly metadata: TableMetadata
  readonly spec: PartitionSpec
}

/** Files that replace others have the partitions of those. */
function layoutOf(
  { metadata }: Table,
  { manifests, rows }: Rewrite,
  { mayPartition }: Pick<CommitOptions, 'mayPartition'>,
): Layout {
  const [replaced, ...others] = new Set(manifests.map((file) => file.partition_spec_id))
  if (others.length > 0)
    throw new CDCError('invalid-argument', 'prepareRewrite: the manifests are of several partition specs; take one')
  if (replaced !== undefined) return { metadata, spec: specOf(metadata, replaced) }
  const spec = writableSpec(metadata)
  const isFine =
    spec !== undefined && (mayPartition?.(partitionsOf(rows, { schema: currentSchema(metadata), spec })) ?? true)
  return isFine ? { metadata, spec } : withUnpartitionedSpec(metadata)
}

/** A manifest that is left out takes its rows out of the table, so the counts must agree first. */
function checkManifests({ metadata, manifests }: Table): void {
  const listed = countLive(manifests).rows
  const expected = Number(currentSnapshot(metadata)?.summary['total-records'] ?? 0)
  if (listed === expected) return
  const problem = `the manifests hold ${listed} records, the current snapshot ${expected}`
  throw new CDCError('invalid-argument', `prepareAppend: ${problem}; pass every manifest of the current snapshot`)
}

/**
 * A table whose current snapshot may be another writer's: its totals, on which the next summary builds, are counted, as not
 * every writer keeps them.
 */
export function withCountedTotals(metadata: TableMetadata, manifests: readonly ManifestFile[]): TableMetadata {
  const current = currentSnapshot(metadata)
  if (current === undefined) return metadata
  const { files, rows } = countLive(manifests)
  const summary = { ...current.summary, 'total-data-files': String(files), 'total-records': String(rows) }
  const snapshots = metadata.snapshots.map((snapshot) => (snapshot === current ? { ...snapshot, summary } : snapshot))
  return { ...metadata, snapshots }
}

/** The data files of manifests, and their rows. */
function countLive(manifests: readonly ManifestFile[]): { files: number; rows: number } {
  const data = manifests.filter(({ content }) => content === 0)
  return {
    files: data.reduce((total, file) => total + file.added_files_count + file.existing_files_count, 0),
    rows: data.reduce((total, file) => total + file.added_rows_count + file.existing_rows_count, 0),
  }
}

function dataFilesOf(
  rows: readonly Row[],
  { metadata, spec }: Layout,
  { uuid }: Pick<CommitOptions, 'uuid'>,
): DataFile[] {
  return writeDataFiles(rows, { schema: currentSchema(metadata), columns: columnsOf(metadata), spec, uuid })
}

function writtenFile(file: DataFile, { metadata, spec }: Layout): WrittenFile {
  return {
    key: file.key,
    partition: file.partition,
    bytes: file.bytes.length,
    rows: file.rowCount,
    fields: spec.fields,
    file: dataFileEntry(file, { location: metadata.location, spec }),
  }
}

function entriesOf(
  added: readonly ListedFile[],
  { kept, removed }: Pick<Rewrite, 'kept' | 'removed'>,
  snapshotId: number,
): ManifestEntry[] {
  return [
    ...added.map(({ sequenceNumber: _own, ...file }): ManifestEntry => ({ ...file, status: 'added' })),
    ...kept.map((file): ManifestEntry => ({ ...file, status: 'existing' })),
    ...removed.map((file): ManifestEntry => ({ ...file, status: 'deleted', snapshotId })),
  ]
}

function prepareManifest(
  entries: readonly ManifestEntry[],
  key: string,
  { metadata, spec }: Layout,
  { snapshotId, uuid }: CommitOptions,
): { file: NewFile; described: ManifestFile } {
  const { location } = metadata
  const bytes = writeManifest(entries, { location, schema: currentSchema(metadata), spec, sync: uuidBytes(uuid()) })
  const described = describeManifest(entries, {
    location: `${location}/${key}`,
    lengthBytes: bytes.length,
    spec,
    snapshotId,
    sequenceNumber: nextSequenceNumber(metadata),
  })
  return { file: { key, bytes }, described }
}

/** The manifests of the table that its next snapshot still has. */
function manifestsAfter(table: Table, { manifests }: Rewrite): ManifestFile[] {
  const replaced = new Set(manifests.map((file) => file.manifest_path))
  return table.manifests.filter((file) => !replaced.has(file.manifest_path))
}

interface Change {
  readonly added: readonly ListedFile[]
  readonly rewrite: Rewrite
  readonly listKey: string
}

function snapshotOf({ metadata }: Table, { added, rewrite, listKey }: Change, options: CommitOptions): Snapshot {
  const { removed } = rewrite
  const parent = currentSnapshot(metadata)
  const delta = {
    added: totalsOf(added),
    deleted: totalsOf(removed),
    partitions: new Set([...added, ...removed].map((file) => JSON.stringify(file.partition))).size,
  }
  return {
    'snapshot-id': options.snapshotId,
    ...(parent && { 'parent-snapshot-id': parent['snapshot-id'] }),
    'sequence-number': nextSequenceNumber(metadata),
    'timestamp-ms': nextTimestampMs(metadata, options.nowMs),
    'manifest-list': `${metadata.location}/${listKey}`,
    'schema-id': metadata['current-schema-id'],
    summary: summarize(operationOf(rewrite), delta, parent, options.summary),
  }
}

function operationOf({ manifests, removed, rows }: Rewrite): SnapshotSummary['operation'] {
  if (removed.length > 0 && rows.length === 0) return 'delete'
  return manifests.length === 0 ? 'append' : 'replace'
}

function totalsOf(files: readonly ListedFile[]): FileTotals {
  const sum = (read: (file: ListedFile) => number): number => files.reduce((total, file) => total + read(file), 0)
  return { files: files.length, records: sum(({ rows }) => rows), bytes: sum(({ bytes }) => bytes) }
}

/** An Avro file's sync marker is 16 random bytes, and so is a UUID. */
function uuidBytes(uuid: string): Uint8Array {
  if (!/^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(uuid))
    throw new CDCError('invalid-argument', `prepareAppend: uuid() returned ${uuid}, which is not a UUID`)
  return Uint8Array.from(uuid.replaceAll('-', '').match(/../g) ?? [], (hex) => Number.parseInt(hex, 16))
}
