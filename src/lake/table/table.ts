// The table cdc.events: its columns and its partitions. A column's id never changes and is never reused.

import { columnsByName, evolveSchema, metricsOf, type TableMetadata } from '../iceberg/metadata.ts'
import type { PartitionField } from '../iceberg/partition.ts'
import type { Column } from '../iceberg/schema.ts'

/** Columns of `cdc.events`. `before`, `after`, `data` and `_meta` hold JSON text: Iceberg v2 has no type for JSON. */
export const EVENTS_COLUMNS: readonly Column[] = [
  { id: 1, name: 'id', type: 'string', required: true },
  { id: 2, name: 'type', type: 'string', required: true },
  { id: 3, name: 'timestamp', type: 'timestamptz', required: true },
  { id: 4, name: 'ns', type: 'string', required: true },
  { id: 5, name: 'source', type: 'string', required: false },
  { id: 6, name: 'table_url', type: 'string', required: false },
  { id: 7, name: 'op', type: 'string', required: false },
  { id: 8, name: 'store', type: 'string', required: false },
  { id: 9, name: 'key', type: 'string', required: false },
  { id: 10, name: 'before', type: 'string', required: false, bounds: false },
  { id: 11, name: 'after', type: 'string', required: false, bounds: false },
  { id: 12, name: 'actor', type: 'string', required: false },
  { id: 13, name: 'data', type: 'string', required: false, bounds: false },
  { id: 14, name: 'correlation_id', type: 'string', required: false },
  { id: 15, name: 'txid', type: 'string', required: false },
  { id: 16, name: 'epoch', type: 'string', required: false },
  { id: 17, name: 'lsn', type: 'long', required: false },
  { id: 18, name: 'visibility', type: 'string', required: false },
  { id: 19, name: '_meta', type: 'string', required: false, bounds: false },
  // When the lake took the event in. Basin's tables have this column too, and readers bound their queries by it.
  { id: 20, name: '__ingest_ts', type: 'timestamptz', required: false },
]

/** Partitions: `data/type=Customer.created/dt=2026-11-22/…`. */
export const EVENTS_PARTITION: readonly PartitionField[] = [
  { 'source-id': 2, 'field-id': 1000, name: 'type', transform: 'identity' },
  { 'source-id': 3, 'field-id': 1001, name: 'dt', transform: 'day' },
]

/**
 * A table's metadata with all columns of `cdc.events`.
 *
 * @param isShared whether others may have given ids to columns of theirs: then ours are found by name.
 * @throws {CDCError} `invalid-argument` if a column of the table does not fit.
 */
export function withEventsColumns(metadata: TableMetadata, isShared: boolean): TableMetadata {
  if (!isShared) return evolveSchema(metadata, EVENTS_COLUMNS)
  const evolved = evolveSchema(metadata, columnsByName(metadata, EVENTS_COLUMNS))
  return { ...evolved, properties: { ...metricsOf(EVENTS_COLUMNS), ...evolved.properties } }
}
