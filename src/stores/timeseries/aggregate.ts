// The metrics of buckets of points, and the SQL that computes them.

import { describe, invalid } from '../checks.ts'
import { limits } from './limits.ts'
import { bucketOf, distinctCTE, IS_NUMBER } from './sql.ts'
import type { Duration, Time } from './time.ts'

/** A metric that can be combined: from its values for parts of a bucket follows its value for the whole. */
export type BasicMetric = keyof typeof BASIC_METRICS

/** `p1` to `p99` are percentiles, interpolated as by PERCENTILE_CONT. */
export type Metric = BasicMetric | `p${number}`

export interface AggregateQuery<Name extends Metric = Metric> {
  /** Points from this time on. */
  readonly start: Time
  /** Points before this time. */
  readonly end: Time
  /** Length of a bucket. Buckets begin at whole multiples of it since 1970. */
  readonly bucket: Duration
  readonly metrics: readonly Name[]
}

/** The metrics of one bucket. A percentile is `null` if points of the bucket were pruned, as only they could tell it. */
export type Aggregate<Name extends Metric> = {
  /** When the bucket begins: ISO 8601, UTC. */
  readonly bucket: string
} & { readonly [Each in Name]: Each extends `p${number}` ? number | null : number }

/** How each is computed from the parts of a bucket: one for its points, and one for what was pruned. */
const BASIC_METRICS = {
  count: 'sum(count)',
  min: 'min(min)',
  max: 'max(max)',
  sum: 'sum(sum)',
  avg: 'sum(sum) / sum(count)',
}

const PERCENTILE = /^p([1-9]\d?)$/

/** @throws {CDCError} `invalid-argument`, beginning with `caller`. */
export function checkMetrics(metrics: readonly Metric[], caller: string): void {
  if (metrics.length === 0 || metrics.length > limits.aggregateMetrics)
    throw invalid(caller, `metrics must be 1 to ${limits.aggregateMetrics} names, not ${metrics.length}`)
  const unknown = metrics.find((metric) => !isBasic(metric) && !PERCENTILE.test(metric))
  if (unknown !== undefined)
    throw invalid(
      caller,
      `metrics are ${Object.keys(BASIC_METRICS).join(', ')} and p1 to p99; not ${describe(unknown)}`,
    )
}

/** @throws {CDCError} `invalid-argument`, beginning with `caller`, for a metric that no rollup keeps. */
export function checkRolledUp(metrics: readonly BasicMetric[], caller: string): void {
  const missing = metrics.find((metric) => !isBasic(metric))
  if (missing !== undefined)
    throw invalid(caller, `a rollup keeps ${Object.keys(BASIC_METRICS).join(', ')}; not ${describe(missing)}`)
}

/**
 * Selects the start of each bucket and its metrics. Parameters: the bucket's length, key, start, end.
 *
 * It combines the points with what rollups know of pruned points. Only rollups count whose buckets make up those of the
 * query; of several, the one that has seen the most points. It has seen all that the others have, because pruned points go
 * into every rollup that exists.
 */
export function aggregateSQL(points: string, rollups: string, metrics: readonly Metric[]): string {
  const percentiles = [...new Set(metrics)].filter((metric) => !isBasic(metric))
  const columns = (column: (metric: Metric) => string, of: readonly Metric[] = percentiles): string =>
    of.map((metric) => `, ${column(metric)} AS ${metric}`).join('')
  return `
    WITH RECURSIVE ${distinctCTE('lengths', 'bucket_ms', rollups)},
    numbers AS (
      SELECT ${bucketOf('timestamp')} AS bucket, value FROM ${points}
      WHERE key = ?2 AND timestamp >= ?3 AND timestamp < ?4 AND ${IS_NUMBER}
    ),
    ranked AS (
      SELECT *, row_number() OVER (PARTITION BY bucket ORDER BY value) - 1 AS rank,
        count(*) OVER (PARTITION BY bucket) - 1 AS last_rank
      FROM numbers
    ),
    pruned AS (
      SELECT * FROM ${rollups}
      WHERE bucket_ms IN lengths AND ?1 % bucket_ms = 0 AND key = ?2 AND start BETWEEN ?3 AND ?4 - bucket_ms
        AND pruned_count > 0
    ),
    parts AS (
      SELECT bucket, count(*) AS count, min(value) AS min, max(value) AS max, sum(value) AS sum,
        0 AS is_pruned${columns(percentileSQL)}
      FROM ${percentiles.length > 0 ? 'ranked' : 'numbers'} GROUP BY bucket
      UNION ALL
      SELECT ${bucketOf('start')}, pruned_count, pruned_min, pruned_max, pruned_sum, 1${columns(() => 'NULL')}
      FROM pruned
      WHERE bucket_ms = (SELECT bucket_ms FROM pruned GROUP BY bucket_ms ORDER BY sum(pruned_count) DESC LIMIT 1)
    )
    SELECT bucket${columns(metricSQL, metrics)} FROM parts GROUP BY bucket ORDER BY bucket LIMIT ${limits.aggregateBuckets + 1}`
}

/**
 * A percentile lies at rank `last_rank * percent / 100`: it is the value of that rank or, between two ranks, as far between
 * their values.
 */
function percentileSQL(metric: Metric): string {
  const [, percent = ''] = PERCENTILE.exec(metric) ?? []
  const below = `max(value) FILTER (WHERE rank * 100 <= last_rank * ${percent})`
  const above = `min(value) FILTER (WHERE rank * 100 >= last_rank * ${percent})`
  return `${below} + (${above} - ${below}) * (max(last_rank) * ${percent} % 100) / 100`
}

function metricSQL(metric: Metric): string {
  return isBasic(metric) ? BASIC_METRICS[metric] : `iif(max(is_pruned), NULL, max(${metric}))`
}

function isBasic(metric: Metric): metric is BasicMetric {
  return Object.hasOwn(BASIC_METRICS, metric)
}
