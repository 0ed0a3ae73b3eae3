// What comes with the stores beside their classes: the types of queries and options, and limits.

export { type DrizzleMigrations, type RelationalOptions, RelationalStore } from './relational/relational-store.ts'
export type { DocumentChanges } from './document/changes.ts'
export type { Document, DocumentFields } from './document/document.ts'
export { DocumentStore, type DocumentStoreOptions } from './document/document-store.ts'
export {
  BATCH_CHARACTERS_MAX,
  DOCUMENT_BYTES_MAX,
  DOCUMENTS_PER_BATCH_MAX,
  DOCUMENTS_PER_PAGE_MAX,
} from './document/limits.ts'
export type { DocumentPath } from './document/path.ts'
export type { DocumentQuery } from './document/query.ts'
export type { Comparison, DocumentWhere } from './document/where.ts'
export { GRAPH_ROWS_PER_BATCH_MAX, GraphStore, RELATIONSHIPS_PER_DELETE_MAX } from './graph/graph-store.ts'
export { type GraphDirection, RELATIONSHIPS_PER_PAGE_MAX, type RelationshipQuery } from './graph/query.ts'
export {
  type GraphNode,
  type GraphSchemas,
  NODE_ID_LENGTH_MAX,
  type Relationship,
  type RelationshipInput,
  type RelationshipKey,
  RELATIONSHIP_TYPE_LENGTH_MAX,
} from './graph/rows.ts'
export {
  type PathOptions,
  type TraversedNode,
  type TraverseOptions,
  WALK_DEPTH_MAX,
  WALK_NODES_MAX,
  WALK_ROWS_READ_MAX,
} from './graph/walk.ts'
export {
  type Aggregate,
  type AggregateQuery,
  type BasicMetric,
  BUCKETS_MAX,
  type Metric,
  METRICS_MAX,
} from './timeseries/aggregate.ts'
export { type Point, type PointInput, VALUE_MAX } from './timeseries/point.ts'
export type { Rollup } from './timeseries/rollups.ts'
export type { Duration, Time } from './timeseries/time.ts'
export {
  POINTS_PER_BATCH_MAX,
  POINTS_PER_PAGE_MAX,
  type RollupOptions,
  type TimeRange,
  type TimeSeriesOptions,
  TimeSeriesStore,
} from './timeseries/time-series-store.ts'
export { COLUMNAR_BATCH_ROWS_MAX } from './columnar/batch.ts'
export type { ColumnType } from './columnar/column.ts'
export { type ColumnarBatch, type ColumnarOptions, ColumnarStore } from './columnar/columnar-store.ts'
export { COLUMNAR_PARTITION_LENGTH_MAX } from './columnar/partition.ts'
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
} from './columnar/query.ts'
export { COLUMNAR_COLUMNS_MAX, type ColumnarSchema, type ColumnTypes } from './columnar/schema.ts'
export {
  VECTOR_CONTENT_BYTES_MAX,
  VECTOR_DIMENSION_MAX,
  VECTOR_MEMORY_BYTES,
  VECTOR_SEARCH_TEXT_MAX,
  VECTORS_PER_BATCH_MAX,
  VECTORS_PER_SEARCH_MAX,
} from './vector/limits.ts'
export type { VectorFilter, VectorFilterValue } from './vector/filter.ts'
export type { VectorMetric } from './vector/nearest.ts'
export type { Embedding, StoredVector, VectorDocument } from './vector/vector.ts'
export { type VectorMatch, type VectorSearch, VectorStore, type VectorStoreOptions } from './vector/vector-store.ts'
