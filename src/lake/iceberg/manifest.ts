// Manifests list data files with their partitions and metrics; a manifest list lists the manifests of one snapshot.
// Together they tell an engine which files to read without opening any of them.
// Format: https://iceberg.apache.org/spec/#manifests, https://iceberg.apache.org/spec/#manifest-lists

import { type AvroRecordValue, type AvroValue, writeAvroFile } from './avro.ts'
import { rangeOf } from './bounds.ts'
import type { DataFile } from './data-file.ts'
import { MANIFEST_FILE, manifestEntrySchema } from './manifest-schema.ts'
import type { ColumnMetrics } from './parquet.ts'
import type { PartitionSpec, PartitionValue } from './partition.ts'
import type { Schema } from './schema.ts'
import { encodeSingleValue } from './single-value.ts'
import type { SnapshotId } from './snapshot.ts'

/**
 * What a manifest list holds about one manifest, named as in the spec. It can be stored as JSON: bounds are kept as values,
 * and become bytes only in the manifest list.
 */
export interface ManifestFile extends EntryCounts {
  /** Full location, with the table's. */
  readonly manifest_path: string
  readonly manifest_length: number
  readonly partition_spec_id: number
  /** 0 for data files, 1 for delete files, which only others write. */
  readonly content: 0 | 1
  readonly sequence_number: number
  readonly min_sequence_number: number
  readonly added_snapshot_id: SnapshotId
  /** One summary per field of the partition spec, in its order. */
  readonly partitions: readonly FieldSummary[]
}

interface EntryCounts {
  readonly added_files_count: number
  readonly existing_files_count: number
  readonly deleted_files_count: number
  readonly added_rows_count: number
  readonly existing_rows_count: number
  readonly deleted_rows_count: number
}

/** Bounds are null if every value is null, and bytes as another writer has stored them. */
interface FieldSummary {
  readonly contains_null: boolean
  readonly contains_nan?: boolean
  readonly lower_bound: PartitionValue | Uint8Array
  readonly upper_bound: PartitionValue | Uint8Array
}

/** What a manifest holds about its table. */
export interface ManifestOptions {
  readonly location: string
  readonly schema: Schema
  readonly spec: PartitionSpec
  readonly sync: Uint8Array
}

/** What a manifest list holds about its snapshot. */
export interface ManifestListOptions {
  readonly snapshotId: number
  readonly parentSnapshotId: SnapshotId | undefined
  readonly sequenceNumber: number
  readonly sync: Uint8Array
}

/** What describes a manifest beside its entries. */
export interface ManifestFacts {
  readonly location: string
  readonly lengthBytes: number
  readonly spec: PartitionSpec
  readonly snapshotId: number
  readonly sequenceNumber: number
}

/** What a snapshot does with a file: it was there before, is added, or is deleted. */
const STATUS = { existing: 0, added: 1, deleted: 2 } as const

/** A file in a manifest. */
export interface ManifestEntry {
  readonly status: keyof typeof STATUS
  /** The snapshot that added the file; for a deleted file, the snapshot that deletes it. */
  readonly snapshotId: SnapshotId
  /** The sequence number of the snapshot that added the file; missing if that is this one. */
  readonly sequenceNumber?: number
  readonly partition: readonly PartitionValue[]
  readonly rows: number
  /** What the manifest holds about the file. */
  readonly file: AvroRecordValue
}

const DATA_FILE = 0
const UNSORTED = 0

/** Writes a manifest of the files that `describeManifest` is given. */
export function writeManifest(files: readonly ManifestEntry[], { schema, spec, sync }: ManifestOptions): Uint8Array {
  const entries = files.map(({ status, snapshotId, sequenceNumber, file }) => ({
    status: STATUS[status],
    snapshot_id: longOf(snapshotId),
    // Null for an added file, on purpose: readers take the manifest list's number, so that a manifest remains valid if its
    // commit is tried again with a later number.
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

/** What a manifest holds about a data file. */
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
    // No column holds floats. Other writers leave the map empty too, and not out.
    nan_value_counts: [],
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
export function describeManifest(files: readonly ManifestEntry[], manifest: ManifestFacts): ManifestFile {
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

/** Writes the list of all manifests of a snapshot: the new one, and those carried over from its parent. */
export function writeManifestList(manifests: readonly ManifestFile[], options: ManifestListOptions): Uint8Array {
  const { snapshotId, parentSnapshotId, sequenceNumber, sync } = options
  // The spec asks for no metadata here; Iceberg's own libraries write these four, so we do as well.
  const metadata = {
    'snapshot-id': String(snapshotId),
    'parent-snapshot-id': parentSnapshotId === undefined ? 'null' : String(parentSnapshotId),
    'sequence-number': String(sequenceNumber),
    'format-version': '2',
  }
  const entries = manifests.map((file) => ({
    ...file,
    added_snapshot_id: longOf(file.added_snapshot_id),
    partitions: file.partitions.map(encodeSummary),
  }))
  return writeAvroFile(MANIFEST_FILE, entries, metadata, sync)
}

function longOf(id: SnapshotId): number | bigint {
  return typeof id === 'string' ? BigInt(id) : id
}

// Our partitions are strings or dates, so never NaN. Optional in the spec, but Spark's all_manifests fails without it.
function encodeSummary({ contains_null, contains_nan = false, ...bounds }: FieldSummary): AvroRecordValue {
  const { lower_bound, upper_bound } = bounds
  return { contains_null, contains_nan, lower_bound: encodeBound(lower_bound), upper_bound: encodeBound(upper_bound) }
}

function encodeBound(bound: PartitionValue | Uint8Array): Uint8Array | null {
  return bound === null || bound instanceof Uint8Array ? bound : encodeSingleValue(bound)
}
