/**
 * Manifests list data files with their partitions and metrics; a manifest list lists the manifests of one snapshot.
 * Together they tell an engine which files to read without opening any of them.
 *
 * Format: https://iceberg.apache.org/spec/#manifests, https://iceberg.apache.org/spec/#manifest-lists
 */
import { writeAvroFile } from './avro.ts'
import type { AvroRecordValue, AvroValue } from './avro.ts'
import { rangeOf } from './bounds.ts'
import type { DataFile } from './data-file.ts'
import { MANIFEST_FILE, manifestEntrySchema } from './manifest-schema.ts'
import type { ColumnMetrics } from './parquet.ts'
import type { PartitionSpec, PartitionValue } from './partition.ts'
import type { Schema } from './schema.ts'
import { encodeSingleValue } from './single-value.ts'

/**
 * What a manifest list says of one manifest, named as in the spec. It survives JSON: bounds are kept as values and
 * become bytes only in the manifest list.
 */
export type ManifestFile = EntryCounts & {
  /** Full location, with the table's. */
  manifest_path: string
  manifest_length: number
  partition_spec_id: number
  /** 0 is data; delete files (1) are never written here. */
  content: 0
  sequence_number: number
  min_sequence_number: number
  added_snapshot_id: number
  /** One summary per field of the partition spec, in its order. */
  partitions: FieldSummary[]
}

type EntryCounts = {
  added_files_count: number
  existing_files_count: number
  deleted_files_count: number
  added_rows_count: number
  existing_rows_count: number
  deleted_rows_count: number
}

/** Bounds are null when every value is null. */
type FieldSummary = {
  contains_null: boolean
  lower_bound: PartitionValue
  upper_bound: PartitionValue
}

/** What a manifest says of its table. */
export type ManifestOptions = {
  location: string
  schema: Schema
  spec: PartitionSpec
  snapshotId: number
  sync: Uint8Array
}

/** What a manifest list says of its snapshot. */
export type ManifestListOptions = {
  snapshotId: number
  parentSnapshotId: number | undefined
  sequenceNumber: number
  sync: Uint8Array
}

/** What a snapshot does with a file: it was there before, is new, or is there no more. */
const STATUS = { existing: 0, added: 1, deleted: 2 } as const

/** A file in a manifest. */
export type ManifestEntry = {
  status: keyof typeof STATUS
  /** The snapshot that added the file; of a deleted one, the snapshot that deletes it. */
  snapshotId: number
  /** The sequence number of the snapshot that added the file; missing where that is this one. */
  sequenceNumber?: number
  partition: readonly PartitionValue[]
  rows: number
  /** What the manifest says of the file. */
  file: AvroRecordValue
}

const DATA_FILE = 0
const UNSORTED = 0

/** Writes a manifest. Its entries are those of the files that `describeManifest` is given. */
export function writeManifest(files: readonly ManifestEntry[], options: ManifestOptions): Uint8Array {
  const { schema, spec, sync } = options
  const entries = files.map(({ status, snapshotId, sequenceNumber, file }) => ({
    status: STATUS[status],
    snapshot_id: snapshotId,
    // Of a new file they are left null on purpose: readers take the manifest list's, so that a manifest can be kept
    // when the commit has to be tried again with a later number.
    sequence_number: sequenceNumber ?? null,
    file_sequence_number: sequenceNumber ?? null,
    data_file: file,
  }))
  const metadata = {
    schema: JSON.stringify(schema),
    'schema-id': String(schema['schema-id']),
    'partition-spec': JSON.stringify(spec.fields),
    'partition-spec-id': String(spec['spec-id']),
    'format-version': '2',
    content: 'data',
  }
  return writeAvroFile(manifestEntrySchema(spec.fields), entries, metadata, sync)
}

/** What a manifest says of a data file. */
export function dataFileEntry(
  file: DataFile,
  { location, spec }: Pick<ManifestOptions, 'location' | 'spec'>,
): AvroRecordValue {
  const { columns } = file
  return {
    content: DATA_FILE,
    file_path: `${location}/${file.key}`,
    file_format: 'PARQUET',
    partition: Object.fromEntries(spec.fields.map(({ name }, i) => [name, file.partition[i] ?? null])),
    record_count: file.rowCount,
    file_size_in_bytes: file.bytes.length,
    column_sizes: columnMap(columns, ({ sizeBytes }) => sizeBytes),
    value_counts: columnMap(columns, ({ valueCount }) => valueCount),
    null_value_counts: columnMap(columns, ({ nullCount }) => nullCount),
    lower_bounds: columnMap(columns, ({ bounds }) => bounds && encodeSingleValue(bounds.lower)),
    upper_bounds: columnMap(columns, ({ bounds }) =>
      bounds?.upper === undefined ? undefined : encodeSingleValue(bounds.upper),
    ),
    split_offsets: file.splitOffsets,
    sort_order_id: UNSORTED,
  }
}

/** A column without a value is left out of the map. */
function columnMap(
  columns: readonly ColumnMetrics[],
  read: (column: ColumnMetrics) => number | Uint8Array | undefined,
): AvroValue[] {
  return columns.flatMap((column) => {
    const value = read(column)
    return value === undefined ? [] : [{ key: column.columnId, value }]
  })
}

/** Describes a manifest for the manifest list. */
export function describeManifest(
  files: readonly ManifestEntry[],
  manifest: { location: string; lengthBytes: number; spec: PartitionSpec; snapshotId: number; sequenceNumber: number },
): ManifestFile {
  const live = files.filter(({ status }) => status !== 'deleted')
  const sequenceNumbers = live.map(({ sequenceNumber = manifest.sequenceNumber }) => sequenceNumber)
  return {
    manifest_path: manifest.location,
    manifest_length: manifest.lengthBytes,
    partition_spec_id: manifest.spec['spec-id'],
    content: 0,
    sequence_number: manifest.sequenceNumber,
    min_sequence_number: sequenceNumbers.reduce((min, number) => Math.min(min, number), manifest.sequenceNumber),
    added_snapshot_id: manifest.snapshotId,
    ...countEntries(files),
    partitions: manifest.spec.fields.map((_, i) => fieldSummary(files.map((file) => file.partition[i] ?? null))),
  }
}

function countEntries(files: readonly ManifestEntry[]): EntryCounts {
  const count = (status: ManifestEntry['status']): number => files.filter((file) => file.status === status).length
  const rows = (status: ManifestEntry['status']): number =>
    files.reduce((total, file) => total + (file.status === status ? file.rows : 0), 0)
  return {
    added_files_count: count('added'),
    existing_files_count: count('existing'),
    deleted_files_count: count('deleted'),
    added_rows_count: rows('added'),
    existing_rows_count: rows('existing'),
    deleted_rows_count: rows('deleted'),
  }
}

function fieldSummary(values: readonly PartitionValue[]): FieldSummary {
  const range = rangeOf(values)
  return {
    contains_null: values.includes(null),
    lower_bound: range?.lower ?? null,
    upper_bound: range?.upper ?? null,
  }
}

/** Writes the list of all manifests of a snapshot: the new one and those carried over from its parent. */
export function writeManifestList(manifests: readonly ManifestFile[], options: ManifestListOptions): Uint8Array {
  const { snapshotId, parentSnapshotId, sequenceNumber, sync } = options
  // The spec asks for no metadata here; Iceberg's own libraries write these four, so we do as well.
  const metadata = {
    'snapshot-id': String(snapshotId),
    'parent-snapshot-id': parentSnapshotId === undefined ? 'null' : String(parentSnapshotId),
    'sequence-number': String(sequenceNumber),
    'format-version': '2',
  }
  const entries = manifests.map((file) => ({ ...file, partitions: file.partitions.map(encodeSummary) }))
  return writeAvroFile(MANIFEST_FILE, entries, metadata, sync)
}

function encodeSummary({ contains_null, lower_bound, upper_bound }: FieldSummary): AvroRecordValue {
  return {
    contains_null,
    lower_bound: lower_bound === null ? null : encodeSingleValue(lower_bound),
    upper_bound: upper_bound === null ? null : encodeSingleValue(upper_bound),
  }
}
