export type { AlarmHandler, Alarms, NamedAlarmInfo } from './durable-object/alarms.ts'
export { CDCDurableObject, type CDCState } from './durable-object/cdc-durable-object.ts'
export type { AttachedStore, SnapshotPage, StoreSQL } from './durable-object/attached-stores.ts'
export {
  type Consumption,
  ExactlyOnceContext,
  type Processed,
  type StoreContext,
  type SyncResult,
  type Transactions,
} from './durable-object/exactly-once-context.ts'
export { INBOX_RANGES_PER_LOG_MAX, type NamedEvent } from './inbox/inbox.ts'
export type { CDCOptions } from './durable-object/options.ts'
export {
  type DeadLetterChoice,
  type FlushOutcome,
  type ListedDeadLetter,
  type ListedEvent,
  OutboxAdmin,
  type OutboxMatch,
  type OutboxQuery,
  type OutboxStats,
  type Page,
  PAGE_EVENTS_MAX,
  type RPCEvent,
} from './durable-object/outbox-admin.ts'
export type { Transaction } from './durable-object/transaction.ts'
export { CDCError, type CDCErrorCode } from './error.ts'
export { sql } from 'drizzle-orm'
export { EVENT_BYTES_MAX, EVENT_DEPTH_MAX, NAME_LENGTH_MAX } from './event/limits.ts'
export { type CommittedRecord, type EventRecord, eventRecordSchema, isCommitted } from './event/record.ts'
export {
  type Attribution,
  type CommittedEvent,
  type EventInput,
  type Operation,
  type StoreType,
  type UnifiedEvent,
  unifiedEventSchema,
} from './event/unified-event.ts'
export { CDCEmitter, type CDCEmitterOptions, UnsentError } from './pipeline/cdc-emitter.ts'
export type { Pipeline } from './pipeline/pipeline.ts'
export type { CaptureOptions } from './capture/captured-table.ts'
export { SNAPSHOT_CHUNK_MAX, type SnapshotProgress } from './durable-object/snapshots.ts'
export {
  type DrizzleMigrations,
  type RelationalOptions,
  RelationalStore,
} from './stores/relational/relational-store.ts'
export type { DocumentChanges } from './stores/document/changes.ts'
export type { Document, DocumentFields } from './stores/document/document.ts'
export { DocumentStore, type DocumentStoreOptions } from './stores/document/document-store.ts'
export {
  BATCH_CHARACTERS_MAX,
  DOCUMENT_BYTES_MAX,
  DOCUMENTS_PER_BATCH_MAX,
  DOCUMENTS_PER_PAGE_MAX,
} from './stores/document/limits.ts'
export type { DocumentPath } from './stores/document/path.ts'
export type { DocumentQuery } from './stores/document/query.ts'
export type { Comparison, DocumentWhere } from './stores/document/where.ts'
export { GRAPH_ROWS_PER_BATCH_MAX, GraphStore, RELATIONSHIPS_PER_DELETE_MAX } from './stores/graph/graph-store.ts'
export { type GraphDirection, RELATIONSHIPS_PER_PAGE_MAX, type RelationshipQuery } from './stores/graph/query.ts'
export {
  type GraphNode,
  type GraphSchemas,
  NODE_ID_LENGTH_MAX,
  type Relationship,
  type RelationshipInput,
  type RelationshipKey,
  RELATIONSHIP_TYPE_LENGTH_MAX,
} from './stores/graph/rows.ts'
export {
  type PathOptions,
  type TraversedNode,
  type TraverseOptions,
  WALK_DEPTH_MAX,
  WALK_NODES_MAX,
  WALK_ROWS_READ_MAX,
} from './stores/graph/walk.ts'
export {
  type Aggregate,
  type AggregateQuery,
  type BasicMetric,
  BUCKETS_MAX,
  type Metric,
  METRICS_MAX,
} from './stores/timeseries/aggregate.ts'
export { type Point, type PointInput, VALUE_MAX } from './stores/timeseries/point.ts'
export type { Rollup } from './stores/timeseries/rollups.ts'
export type { Duration, Time } from './stores/timeseries/time.ts'
export {
  POINTS_PER_BATCH_MAX,
  POINTS_PER_PAGE_MAX,
  type RollupOptions,
  type TimeRange,
  type TimeSeriesOptions,
  TimeSeriesStore,
} from './stores/timeseries/time-series-store.ts'
export { COLUMNAR_BATCH_ROWS_MAX } from './stores/columnar/batch.ts'
export type { ColumnType } from './stores/columnar/column.ts'
export { type ColumnarBatch, type ColumnarOptions, ColumnarStore } from './stores/columnar/columnar-store.ts'
export { COLUMNAR_PARTITION_LENGTH_MAX } from './stores/columnar/partition.ts'
export {
  COLUMNAR_IN_VALUES_MAX,
  COLUMNAR_ROWS_PER_PAGE_MAX,
  type ColumnarAggregation,
  type ColumnarBounds,
  type ColumnarComparison,
  type ColumnarGrouping,
  type ColumnarInsertResult,
  type ColumnarMeta,
  type ColumnarMetric,
  type ColumnarMetrics,
  type ColumnarPage,
  type ColumnarPartition,
  type ColumnarQuery,
  type ColumnarRow,
  type ColumnarSelection,
  type ColumnarWhere,
  type ColumnStats,
  type RangePredicate,
} from './stores/columnar/query.ts'
export { COLUMNAR_COLUMNS_MAX, type ColumnarSchema, type ColumnTypes } from './stores/columnar/schema.ts'
export {
  VECTOR_CONTENT_BYTES_MAX,
  VECTOR_DIMENSION_MAX,
  VECTOR_MEMORY_BYTES,
  VECTOR_SEARCH_TEXT_MAX,
  VECTORS_PER_BATCH_MAX,
  VECTORS_PER_SEARCH_MAX,
} from './stores/vector/limits.ts'
export type { VectorFilter, VectorFilterValue } from './stores/vector/filter.ts'
export type { VectorMetric } from './stores/vector/nearest.ts'
export type { Embedding, StoredVector, VectorDocument } from './stores/vector/vector.ts'
export {
  type VectorMatch,
  type VectorSearch,
  VectorStore,
  type VectorStoreOptions,
} from './stores/vector/vector-store.ts'
