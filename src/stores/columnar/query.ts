// What can be asked of a columnar store, and what it answers.

import type { ColumnType } from './column.ts'

/** Rows that one call of `query` returns, at most; and groups, or partitions, of the calls that return those. */
export const COLUMNAR_ROWS_PER_PAGE_MAX = 1_000

/** Values in one `$in`. */
export const COLUMNAR_IN_VALUES_MAX = 1_000

export type ColumnName<T> = Extract<keyof T, string>

/** A column, or a path into one of JSON: `data.customer.name`. */
export type ColumnPath<T> = ColumnName<T> | `${ColumnName<T>}.${string}`

type JSONScalar = string | number | boolean

/** A value that must be equal, or `{ $gte: 10, $lt: 20 }`. `null` finds rows without a value. */
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

/** Which rows. All that are given must hold. */
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
  /** How many to pass over. */
  offset?: number
}

export interface ColumnarQuery<T, Path extends ColumnPath<T>> extends ColumnarSelection<T>, ColumnarPage {
  /** What each row consists of. Default: all columns. */
  columns?: readonly Path[]
  /** Default: partition by partition, in the order in which the rows came. So follow rows of equal values, too. */
  orderBy?: ColumnPath<T>
  /** Default: `asc`. */
  order?: 'asc' | 'desc'
}

/** What is to be told of each group. Nulls don't count, but for `count`. */
export type ColumnarMetric<T> = 'count' | `${'sum' | 'avg' | 'min' | 'max'}:${ColumnPath<T>}`

export interface ColumnarAggregation<T, M extends ColumnarMetric<T>> extends ColumnarSelection<T> {
  metrics: readonly M[]
}

export interface ColumnarGrouping<T, Path extends ColumnPath<T>> extends ColumnarPage {
  /** Groups have the same values in all of these. They come in the order of these values. */
  groupBy: Path | readonly Path[]
}

/** What `findPartitions` looks for. */
export interface RangePredicate<V> {
  op: '=' | '>' | '>=' | '<' | '<='
  value: V
}

export interface ColumnarInsertResult {
  success: true
  count: number
  /** `<partition>/<number in it>` of each row, in the order in which they were given. */
  ids: string[]
}

export interface ColumnarPartition {
  id: string
  /** Rows. */
  count: number
  /** Rows of SQLite that hold them. */
  chunks: number
}

/** The bounds of a column's values: null where there are none, or they have no order, as in JSON. */
export interface ColumnarBounds<V> {
  min: V | null
  max: V | null
}

export interface ColumnStats<V> extends ColumnarBounds<V> {
  /** Rows, those without a value among them. */
  count: number
  nullCount: number
  /** Different values. */
  cardinality: number
}

export interface ColumnarMeta {
  count: number
  partitions: number
  /** Rows of SQLite. */
  chunks: number
  columns: Record<string, ColumnType>
}

/** A value as it comes back: one that was left out is null. */
type Stored<V> = undefined extends V ? Exclude<V, undefined> | null : V

/** What is at a path of a row. */
export type At<T, Path> = Path extends keyof T ? Stored<T[Path]> : unknown

/** A row, or what was asked of it. */
export type ColumnarRow<T, Path = keyof T> = { [Name in Path & string]: At<T, Name> }

/** What was told of a group. */
export type ColumnarMetrics<T, M> = {
  [Name in M & string]: Name extends 'count' | `sum:${string}`
    ? number
    : Name extends `avg:${string}`
      ? number | null
      : Name extends `${string}:${infer Path}`
        ? At<T, Path> | null
        : never
}
