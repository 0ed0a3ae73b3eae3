// Rollups: totals of buckets of points, in a table of their own, in which they outlive the points.

import type { StoreSQL } from '../../store.ts'
import { bucketOf, distinctCTE, IS_NUMBER } from './sql.ts'
import { toISO } from './time.ts'

/** The numbers of a bucket when it was last rolled up, including those that were pruned since. */
export interface Rollup {
  /** When the bucket begins: ISO 8601, UTC. */
  readonly bucket: string
  /** Its length. */
  readonly bucketMs: number
  readonly count: number
  readonly min: number
  readonly max: number
  readonly sum: number
  readonly avg: number
}

/** A row of the table; `start` is the time when the bucket begins, in milliseconds since 1970. */
export type RollupRow = {
  bucket_ms: number
  key: string
  start: number
  count: number
  min: number
  max: number
  sum: number
}

const COLUMNS = 'bucket_ms, key, start, count, min, max, sum'
const TOTALS = 'count(*) AS count, min(value) AS min, max(value) AS max, sum(value) AS sum'

/** The rollups of one store. */
export class Rollups {
  readonly #sql: StoreSQL
  readonly #table: string
  readonly #points: string

  constructor(sql: StoreSQL, table: string, points: string) {
    this.#sql = sql
    this.#table = table
    this.#points = points
  }

  /** The lengths of the buckets that have rollups. */
  lengths(): number[] {
    return this.#sql
      .exec<{ ms: number }>(
        `WITH RECURSIVE ${distinctCTE('lengths', 'bucket_ms', this.#table)}
         SELECT bucket_ms AS ms FROM lengths WHERE bucket_ms IS NOT NULL`,
      )
      .toArray()
      .map(({ ms }) => ms)
  }

  /** Rolls up the points before a time, at which a bucket must end. @returns the rollups that changed, at most `maxRows`. */
  update(bucketMs: number, beforeMs: number, maxRows: number): RollupRow[] {
    return this.#sql
      .exec<RollupRow>(
        `INSERT INTO ${this.#table} (${COLUMNS})
         WITH RECURSIVE ${distinctCTE('series', 'key', this.#points)},
         present AS (
           SELECT points.key, ${bucketOf('timestamp')} AS start, ${TOTALS}
           FROM series CROSS JOIN ${this.#points} AS points ON points.key = series.key
           WHERE timestamp < ?2 AND ${IS_NUMBER}
           GROUP BY 1, 2
         ),
         total AS (
           SELECT present.key, present.start,
             present.count + coalesce(pruned_count, 0) AS count,
             min(present.min, coalesce(pruned_min, present.min)) AS min,
             max(present.max, coalesce(pruned_max, present.max)) AS max,
             present.sum + coalesce(pruned_sum, 0) AS sum
           FROM present LEFT JOIN ${this.#table} AS known
             ON known.bucket_ms = ?1 AND known.key = present.key AND known.start = present.start
         )
         SELECT ?1, * FROM total
         WHERE NOT EXISTS (
           SELECT 1 FROM ${this.#table}
           WHERE bucket_ms = ?1 AND key = total.key AND start = total.start
             AND (count, min, max, sum) = (total.count, total.min, total.max, total.sum)
         )
         LIMIT ?3
         ON CONFLICT DO UPDATE SET count = excluded.count, min = excluded.min, max = excluded.max, sum = excluded.sum
         RETURNING ${COLUMNS}`,
        bucketMs,
        beforeMs,
        maxRows,
      )
      .toArray()
  }

  /**
   * Notes that the points before a time are about to be pruned, in all series up to a key. They must have been rolled up, so
   * that every row that the statement would insert exists.
   */
  keepPruned(bucketMs: number, beforeMs: number, lastKey: string): void {
    this.#sql.exec(
      `INSERT INTO ${this.#table} (${COLUMNS})
       WITH RECURSIVE ${distinctCTE('series', 'key', this.#points)}
       SELECT ?1, points.key, ${bucketOf('timestamp')} AS start, ${TOTALS}
       FROM series CROSS JOIN ${this.#points} AS points ON points.key = series.key
       WHERE series.key <= ?3 AND timestamp < ?2 AND ${IS_NUMBER}
       GROUP BY 2, 3
       ON CONFLICT DO UPDATE SET
         pruned_count = pruned_count + excluded.count,
         pruned_min = min(excluded.min, coalesce(pruned_min, excluded.min)),
         pruned_max = max(excluded.max, coalesce(pruned_max, excluded.max)),
         pruned_sum = pruned_sum + excluded.sum`,
      bucketMs,
      beforeMs,
      lastKey,
    )
  }

  /** The first rollups of a series by buckets of a length, which begin from one time to another, including both. */
  range(series: { key: string; bucketMs: number }, startMs: number, endMs: number, maxRows: number): RollupRow[] {
    return this.#sql
      .exec<RollupRow>(
        `SELECT ${COLUMNS} FROM ${this.#table}
         WHERE bucket_ms = ? AND key = ? AND start BETWEEN ? AND ? ORDER BY start LIMIT ?`,
        series.bucketMs,
        series.key,
        startMs,
        endMs,
        maxRows,
      )
      .toArray()
  }

  /** All rollups in the order of length, series and time, after one of them. */
  after(bucketMs: number, key: string, startMs: number, maxRows: number): RollupRow[] {
    return this.#sql
      .exec<RollupRow>(
        `SELECT ${COLUMNS} FROM ${this.#table}
         WHERE (bucket_ms, key, start) > (?, ?, ?) ORDER BY bucket_ms, key, start LIMIT ?`,
        bucketMs,
        key,
        startMs,
        maxRows,
      )
      .toArray()
  }
}

/** A row holds its totals, and the part of them that comes from pruned points: the rest can be computed again. */
export function createRollups(sql: SqlStorage, table: string): void {
  sql.exec(`CREATE TABLE IF NOT EXISTS ${table} (
    bucket_ms INTEGER, key TEXT, start INTEGER,
    count INTEGER NOT NULL, min REAL NOT NULL, max REAL NOT NULL, sum REAL NOT NULL,
    pruned_count INTEGER NOT NULL DEFAULT 0, pruned_min REAL, pruned_max REAL, pruned_sum REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket_ms, key, start)
  ) WITHOUT ROWID`)
}

export function toRollup({ bucket_ms: bucketMs, start, count, min, max, sum }: RollupRow): Rollup {
  return { bucket: toISO(start), bucketMs, count, min, max, sum, avg: sum / count }
}
