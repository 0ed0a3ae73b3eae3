// What can be asked about the points of a bucket, and the SQL that answers it.

import { CDCError } from '../../error.ts'
import { bucketOf, distinctCTE, IS_NUMBER } from './sql.ts'
import type { Duration, Time } from './time.ts'

/** Buckets that one call of `aggregate` returns, at most. */
export const BUCKETS_MAX = 10_000

/** Metrics that one call of `aggregate` computes, at most. */
export const METRICS_MAX = 20

/** What adds up: of two parts of a bucket one knows it of the whole. */
export type BasicMetric = keyof typeof BASIC_METRICS

/** `p1` to `p99` are percentiles, interpolated as PERCENTILE_CONT does. */
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

/** The metrics of one bucket. A percentile is `null` where points of the bucket were pruned: only they would tell. */
export type Aggregate<Name extends Metric> = {
  /** When the bucket begins: ISO 8601, UTC. */
  readonly bucket: string
} & { readonly [Each in Name]: Each extends `p${number}` ? number | null : number }

/** How each is computed from the parts of a bucket: that of the points, and those of rollups. */
const BASIC_METRICS = {
  count: 'sum(count)',
  min: 'min(min)',
  max: 'max(max)',
  sum: 'sum(sum)',
  avg: 'sum(sum) / sum(count)',
}

const PERCENTILE = /^p([1-9]\d?)$/

/** @throws {CDCError} `invalid-argument`, beginning with `where`. */
export function checkMetrics(metrics: readonly Metric[], where: string): void {
  if (metrics.length === 0 || metrics.length > METRICS_MAX)
    throw new CDCError('invalid-argument', `${where}: metrics must be 1 to ${METRICS_MAX} names, not ${metrics.length}`)
  const unknown = metrics.find((metric) => !isBasic(metric) && !PERCENTILE.test(metric))
  if (unknown !== undefined)
    throw new CDCError(
      'invalid-argument',
      `${where}: metrics are ${Object.keys(BASIC_METRICS).join(', ')} and p1 to p99; not ${JSON.stringify(unknown)}`,
    )
}

/** @throws {CDCError} `invalid-argument`, beginning with `where`, for a metric that no rollup keeps. */
export function checkRolledUp(metrics: readonly BasicMetric[], where: string): void {
  const missing = metrics.find((metric) => !isBasic(metric))
  if (missing !== undefined)
    throw new CDCError(
      'invalid-argument',
      `${where}: a rollup keeps ${Object.keys(BASIC_METRICS).join(', ')}; not ${JSON.stringify(missing)}`,
    )
}

/**
 * Selects a bucket's beginning and its metrics. Parameters: the bucket's length, key, start, end.
 *
 * It adds up the points that are there and what rollups know of those that were pruned. Only a rollup counts whose buckets
 * make up those that are asked for; of several the one that has seen most. That one has seen all that the others have,
 * because what is pruned goes into every rollup that there is.
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
    SELECT bucket${columns(metricSQL, metrics)} FROM parts GROUP BY bucket ORDER BY bucket LIMIT ${BUCKETS_MAX + 1}`
}

/**
 * A percentile lies at rank `last_rank * percent / 100`: there it is the value of that rank, and between two ranks it is
 * as far between their values.
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
