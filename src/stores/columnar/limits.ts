/** The limits of `ColumnarStore`. */
export const limits = {
  /** Rows that one call of `insertBatch` takes. */
  batchRows: 100_000,
  /** UTF-16 units of one row as JSON. */
  rowCharacters: 200_000,

  /** Columns of a store. SQLite allows 100 in a table, and a chunk needs five for itself. */
  columns: 90,
  /** UTF-16 units of a column's name. */
  columnNameCharacters: 128,
  /** UTF-16 units of a partition's id. */
  partitionCharacters: 1_000,

  /** Rows that one call of `query` returns, groups that `aggregate` returns, and partitions or types that the others do. */
  pageRows: 1_000,
  /** Values in one `$in`. */
  inValues: 1_000,
  /** Values that a query compares with, together with its paths inside JSON. A statement has at most 100 parameters. */
  queryParameters: 90,
} as const
