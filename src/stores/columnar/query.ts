// The queries of a columnar store and their results.

import type { ColumnType } from './column.ts'

export type ColumnName<T> = Extract<keyof T, string>

/** A column, or a path into a JSON column: `data.customer.name`. */
export type ColumnPath<T> = ColumnName<T> | `${ColumnName<T>}.${string}`

type JSONScalar = string | number | boolean

/** A value that must be equal, or `{ $gte: 10, $lt: 20 }`. `null` matches rows without a value. */
type Condition<V> = V | null | ColumnarComparison<V>

export interface ColumnarComparison<V> {
  $eq?: V | null
  $ne?: V | null
  $gt?: V
  $gte?: V
  $lt?: V
  $lte?: V
  $in?: readonly V[]
}

export type ColumnarWhere<T> = {
  [Name in ColumnName<T>]?: Condition<NonNullable<T[Name]>>
} & { [path: `${string}.${string}`]: Condition<JSONScalar> | undefined }

/** Which rows. They must meet all of these. */
export interface ColumnarSelection<T> {
  /** The value of the column named `type`: short for `where: { type }`. */
  type?: T extends { type: infer Type } ? Type : never
  /** The id of a partition. Default: all of them. */
  partition?: string
  where?: ColumnarWhere<T>
}

/** A page of results. */
export interface ColumnarPage {
  limit?: number
  /** How many to skip. */
  offset?: number
}

export interface ColumnarQuery<T, Path extends ColumnPath<T>> extends ColumnarSelection<T>, ColumnarPage {
  /** What each row has. Default: all columns. */
  columns?: readonly Path[]
  /** Default: partition by partition, in the order of insertion. Rows with equal values have this order, too. */
  orderBy?: ColumnPath<T>
  /** Default: `asc`. */
  order?: 'asc' | 'desc'
}

/** Metrics per group. Nulls are ignored, except by `count`. */
export type ColumnarMetric<T> = 'count' | `${'sum' | 'avg' | 'min' | 'max'}:${ColumnPath<T>}`

export interface ColumnarAggregation<T, M extends ColumnarMetric<T>> extends ColumnarSelection<T> {
  metrics: readonly M[]
}

export interface ColumnarGrouping<T, Path extends ColumnPath<T>> extends ColumnarPage {
  /** The rows of a group have the same values in all of these. Groups are in the order of these values. */
  groupBy: Path | readonly Path[]
}

/** The values that `findPartitions` looks for. */
export interface RangePredicate<V> {
  op: '=' | '>' | '>=' | '<' | '<='
  value: V
}

export interface ColumnarInsertResult {
  success: true
  count: number
  /** `<partition>/<number in it>` of each row, in the order of the batch. */
  ids: string[]
}

export interface ColumnarPartition {
  id: string
  /** Rows. */
  count: number
  /** Rows of SQLite that hold them. */
  chunks: number
}

/** The bounds of a column's values: null if there are none, or if they have no order, as in JSON. */
export interface ColumnarBounds<V> {
  min: V | null
  max: V | null
}

export interface ColumnStats<V> extends ColumnarBounds<V> {
  /** Rows, including those without a value. */
  count: number
  nullCount: number
  /** Distinct values. */
  cardinality: number
}

export interface ColumnarMeta {
  count: number
  partitions: number
  /** Rows of SQLite. */
  chunks: number
  columns: Record<string, ColumnType>
}

/** A value as it is returned: one that was left out is null. */
type Stored<V> = undefined extends V ? Exclude<V, undefined> | null : V

/** The type of what a row has at a path. */
export type At<T, Path> = Path extends keyof T ? Stored<T[Path]> : unknown

/** A row, or the columns of it that were queried. */
export type ColumnarRow<T, Path = keyof T> = { [Name in Path & string]: At<T, Name> }

/** The metrics of a group. */
export type ColumnarMetrics<T, M> = {
  [Name in M & string]: Name extends 'count' | `sum:${string}`
    ? number
    : Name extends `avg:${string}`
      ? number | null
      : Name extends `${string}:${infer Path}`
        ? At<T, Path> | null
        : never
}
