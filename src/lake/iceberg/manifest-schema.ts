// The Avro schemas of manifests and manifest lists in format version 2. Readers find fields by `field-id`, so these numbers
// are the format; the names of records are those that Iceberg's Java library writes.
// Format: https://iceberg.apache.org/spec/#manifests, https://iceberg.apache.org/spec/#manifest-lists

import type { AvroArray, AvroField, AvroPrimitive, AvroRecord, AvroSchema } from './avro.ts'
import type { PartitionField } from './partition.ts'

/** An entry of a manifest list: `manifest_file`. */
export const MANIFEST_FILE: AvroRecord = record('manifest_file', [
  required(500, 'manifest_path', 'string'),
  required(501, 'manifest_length', 'long'),
  required(502, 'partition_spec_id', 'int'),
  required(517, 'content', 'int'),
  required(515, 'sequence_number', 'long'),
  required(516, 'min_sequence_number', 'long'),
  required(503, 'added_snapshot_id', 'long'),
  required(504, 'added_files_count', 'int'),
  required(505, 'existing_files_count', 'int'),
  required(506, 'deleted_files_count', 'int'),
  required(512, 'added_rows_count', 'long'),
  required(513, 'existing_rows_count', 'long'),
  required(514, 'deleted_rows_count', 'long'),
  optional(507, 'partitions', list(508, fieldSummary())),
  optional(519, 'key_metadata', 'bytes'),
])

function fieldSummary(): AvroRecord {
  return record('r508', [
    required(509, 'contains_null', 'boolean'),
    optional(518, 'contains_nan', 'boolean'),
    optional(510, 'lower_bound', 'bytes'),
    optional(511, 'upper_bound', 'bytes'),
  ])
}

/** An entry of a manifest: `manifest_entry`. It depends on the partition spec, whose values each file carries. */
export function manifestEntrySchema(partition: readonly PartitionField[]): AvroRecord {
  return record('manifest_entry', [
    required(0, 'status', 'int'),
    optional(1, 'snapshot_id', 'long'),
    optional(3, 'sequence_number', 'long'),
    optional(4, 'file_sequence_number', 'long'),
    required(2, 'data_file', dataFileSchema(partition)),
  ])
}

function dataFileSchema(partition: readonly PartitionField[]): AvroRecord {
  return record('r2', [
    required(134, 'content', 'int'),
    required(100, 'file_path', 'string'),
    required(101, 'file_format', 'string'),
    required(102, 'partition', partitionSchema(partition)),
    required(103, 'record_count', 'long'),
    required(104, 'file_size_in_bytes', 'long'),
    optional(108, 'column_sizes', columnMap(117, 118, 'long')),
    optional(109, 'value_counts', columnMap(119, 120, 'long')),
    optional(110, 'null_value_counts', columnMap(121, 122, 'long')),
    optional(137, 'nan_value_counts', columnMap(138, 139, 'long')),
    optional(125, 'lower_bounds', columnMap(126, 127, 'bytes')),
    optional(128, 'upper_bounds', columnMap(129, 130, 'bytes')),
    optional(131, 'key_metadata', 'bytes'),
    optional(132, 'split_offsets', list(133, 'long')),
    optional(135, 'equality_ids', list(136, 'int')),
    optional(140, 'sort_order_id', 'int'),
  ])
}

function partitionSchema(partition: readonly PartitionField[]): AvroRecord {
  const fields = partition.map((field) =>
    optional(
      field['field-id'],
      field.name,
      field.transform === 'day' ? { type: 'int', logicalType: 'date' } : 'string',
    ),
  )
  return record('r102', fields)
}

/** A map from column id to value. Avro's own maps have string keys only, so this is an array of pairs. */
function columnMap(keyId: number, valueId: number, value: AvroPrimitive): AvroArray {
  const pair = record(`k${keyId}_v${valueId}`, [required(keyId, 'key', 'int'), required(valueId, 'value', value)])
  return { type: 'array', logicalType: 'map', items: pair }
}

function list(elementId: number, items: AvroSchema): AvroArray {
  return { type: 'array', items, 'element-id': elementId }
}

function record(name: string, fields: AvroField[]): AvroRecord {
  return { type: 'record', name, fields }
}

function required(id: number, name: string, type: AvroSchema): AvroField {
  return { name, type, 'field-id': id }
}

function optional(id: number, name: string, type: AvroSchema): AvroField {
  return { name, type: ['null', type], default: null, 'field-id': id }
}
