/** The limits of `TimeSeriesStore`. */
export const limits = {
  /** Points that one call of `putBatch` takes. */
  batchPoints: 10_000,
  /** Points that `range`, and rollups that `rollups`, holds in memory at once. They go through any number of them. */
  pageRows: 1_000,

  /** Buckets that one call of `aggregate` returns. */
  aggregateBuckets: 10_000,
  /** Metrics that one call of `aggregate` computes. */
  aggregateMetrics: 20,

  /** Magnitude of a number. Below it, no sum of points leaves the range of a double. */
  magnitude: 1e290,
} as const
