// Types that come with the store classes, which the package's root exports: their options, their queries and the results.

export type { DrizzleMigrations, RelationalStoreOptions } from './relational/relational-store.ts'

export type { DocumentChanges } from './document/changes.ts'
export type { Document, DocumentFields } from './document/document.ts'
export type { DocumentStoreOptions } from './document/document-store.ts'
export type { DocumentPath } from './document/path.ts'
export type { DocumentQuery } from './document/query.ts'
export type { DocumentComparison, DocumentWhere } from './document/where.ts'

export type { GraphStoreOptions } from './graph/graph-store.ts'
export type { GraphDirection, RelationshipQuery } from './graph/query.ts'
export type { GraphNode, Relationship, RelationshipInput, RelationshipKey } from './graph/rows.ts'
export type { PathOptions, TraversedNode, TraverseOptions } from './graph/walk.ts'

export type { Aggregate, AggregateQuery, BasicMetric, Metric } from './timeseries/aggregate.ts'
export type { Point, PointInput } from './timeseries/point.ts'
export type { Rollup } from './timeseries/rollups.ts'
export type { Duration, Time } from './timeseries/time.ts'
export type { RollupOptions, TimeRange, TimeSeriesStoreOptions } from './timeseries/time-series-store.ts'

export type { ColumnType } from './columnar/column.ts'
export type { ColumnarBatch, ColumnarStoreOptions } from './columnar/columnar-store.ts'
export type {
  ColumnarAggregation,
  ColumnarComparison,
  ColumnarGrouping,
  ColumnarInsertResult,
  ColumnarMeta,
  ColumnarMetric,
  ColumnarMetrics,
  ColumnarPage,
  ColumnarPartition,
  ColumnarQuery,
  ColumnarRow,
  ColumnarSelection,
  ColumnarWhere,
  ColumnStats,
  RangePredicate,
} from './columnar/query.ts'
export type { ColumnarSchema } from './columnar/schema.ts'

export type { VectorFilter } from './vector/filter.ts'
export type { VectorMetric } from './vector/nearest.ts'
export type { Embedding, StoredVector, VectorDocument } from './vector/vector.ts'
export type { VectorMatch, VectorSearch, VectorStoreOptions } from './vector/vector-store.ts'
