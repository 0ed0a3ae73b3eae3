// Reads manifest lists and manifests in workerd, whoever wrote them. For Node, see read.ts.
// Format: https://iceberg.apache.org/spec/#manifests, https://iceberg.apache.org/spec/#manifest-lists

import { isObject } from '../../event/kinds.ts'
import { readAvroFile } from './avro-read.ts'
import type { AvroRecordValue, AvroValue } from './avro.ts'
import type { ListedFile } from './commit.ts'
import type { ManifestFile } from './manifest.ts'
import { keyOfPath, specOf, type TableMetadata } from './metadata.ts'
import type { PartitionValue } from './partition.ts'
import type { SnapshotId } from './snapshot.ts'

const ENTRY_ADDED = 1
const ENTRY_DELETED = 2

/** The manifests of a manifest list. @throws {CDCError} `table-damaged`. */
export function readManifestList(name: string, bytes: Uint8Array): ManifestFile[] {
  return readAvroFile(name, bytes).map((entry) => ({
    manifest_path: textOf(entry['manifest_path']),
    manifest_length: Number(entry['manifest_length']),
    partition_spec_id: Number(entry['partition_spec_id']),
    content: Number(entry['content'] ?? 0) === 0 ? 0 : 1,
    sequence_number: Number(entry['sequence_number'] ?? 0),
    min_sequence_number: Number(entry['min_sequence_number'] ?? 0),
    added_snapshot_id: snapshotIdOf(entry['added_snapshot_id']),
    added_files_count: countOf(entry, 'added', 'files'),
    existing_files_count: countOf(entry, 'existing', 'files'),
    deleted_files_count: countOf(entry, 'deleted', 'files'),
    added_rows_count: countOf(entry, 'added', 'rows'),
    existing_rows_count: countOf(entry, 'existing', 'rows'),
    deleted_rows_count: countOf(entry, 'deleted', 'rows'),
    partitions: (Array.isArray(entry['partitions']) ? entry['partitions'] : []).filter(isRecord).map((summary) => ({
      contains_null: summary['contains_null'] === true,
      contains_nan: summary['contains_nan'] === true,
      lower_bound: bytesOf(summary['lower_bound']),
      upper_bound: bytesOf(summary['upper_bound']),
    })),
  }))
}

/**
 * The live data files of a manifest.
 *
 * @throws if it is not valid, or lists more or fewer files than its snapshot gives for it: Avro has no checksums, so what is
 *   damaged may still be read.
 */
export function readManifest(bytes: Uint8Array, manifest: ManifestFile, metadata: TableMetadata): ListedFile[] {
  const { manifest_path, added_files_count, existing_files_count } = manifest
  const live = readAvroFile(manifest_path, bytes).filter(({ status }) => status !== ENTRY_DELETED)
  const expected = added_files_count + existing_files_count
  if (live.length !== expected)
    throw new Error(`it lists ${live.length} files, and its snapshot gives ${expected} for it`)
  return live.map((entry) => listedFile(entry, manifest, metadata))
}

function listedFile(entry: AvroRecordValue, manifest: ManifestFile, metadata: TableMetadata): ListedFile {
  const { data_file: file } = entry
  if (!isRecord(file)) throw new Error('an entry has no data file')
  const partition = isRecord(file['partition']) ? file['partition'] : {}
  const { fields } = specOf(metadata, manifest.partition_spec_id)
  // A file that its manifest has added has the manifest's own numbers.
  const isAdded = entry['status'] === ENTRY_ADDED
  return {
    key: keyOfPath(metadata.location, textOf(file['file_path'])),
    partition: fields.map(({ name }) => partitionValueOf(partition[name])),
    bytes: Number(file['file_size_in_bytes']),
    rows: Number(file['record_count']),
    snapshotId: snapshotIdOf(entry['snapshot_id'] ?? manifest.added_snapshot_id),
    sequenceNumber: Number((isAdded ? null : entry['sequence_number']) ?? manifest.sequence_number),
    file,
  }
}

/** Older versions of Iceberg's library have `added_data_files_count` and its like. A count may be missing. */
function countOf(entry: AvroRecordValue, change: string, counted: string): number {
  return Number(entry[`${change}_${counted}_count`] ?? entry[`${change}_data_${counted}_count`] ?? 0)
}

function snapshotIdOf(value: AvroValue | undefined): SnapshotId {
  if (typeof value === 'bigint') return String(value)
  if (typeof value === 'number' || typeof value === 'string') return value
  throw new Error('the id of a snapshot is missing')
}

/** Another writer's spec may have values of any type. They are compared only with each other. */
function partitionValueOf(value: AvroValue | undefined): PartitionValue {
  if (value === undefined || value === null) return null
  return typeof value === 'string' || typeof value === 'number' ? value : JSON.stringify(value, textOfLong)
}

function textOfLong(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}

function bytesOf(value: AvroValue | undefined): Uint8Array | null {
  return value instanceof Uint8Array ? value : null
}

function textOf(value: AvroValue | undefined): string {
  if (typeof value !== 'string') throw new Error('it names a file by something else than a text')
  return value
}

function isRecord(value: AvroValue | undefined): value is AvroRecordValue {
  return isObject(value) && !(value instanceof Uint8Array)
}
