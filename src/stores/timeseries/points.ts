// The points of one store: a table of values by series and time.

import type { StoreSQL } from '../../store.ts'
import type { StoredPoint, StoredValue } from './point.ts'
import { distinctCTE } from './sql.ts'

/** All points of one series from one time to another, including both. */
export type PointRange = { key: string; from: number; to: number; count: number }

type PointRow = { key: string; timestamp: number; value: StoredValue }

/** Points in one statement: each has three of the 100 parameters that the platform allows. */
export const POINTS_PER_STATEMENT = 33

export class Points {
  readonly #sql: StoreSQL
  readonly #table: string

  constructor(sql: StoreSQL, table: string) {
    this.#sql = sql
    this.#table = table
  }

  /** @returns whether it is new; otherwise the series has a point of that time already, and keeps it. */
  insert({ key, timestamp, value }: StoredPoint): boolean {
    const insert = `INSERT INTO ${this.#table} VALUES (?, ?, ?) ON CONFLICT DO NOTHING`
    return this.#sql.exec(insert, key, timestamp, value).rowsWritten > 0
  }

  /**
   * Inserts points if all of them are new, at most `POINTS_PER_STATEMENT`. Their values are bound, because SQLite reads very
   * small and very large numbers in JSON slightly differently than they were written.
   *
   * @returns whether all of them were new; otherwise nothing was inserted.
   */
  insertNew(points: readonly StoredPoint[]): boolean {
    try {
      this.#sql.exec(
        `INSERT INTO ${this.#table} VALUES ${points.map(() => '(?, ?, ?)').join()}`,
        ...points.flatMap(({ key, timestamp, value }) => [key, timestamp, value]),
      )
      return true
    } catch {
      // Any other failure shows again when the points are inserted one by one.
      return false
    }
  }

  update({ key, timestamp, value }: StoredPoint): void {
    this.#sql.exec(`UPDATE ${this.#table} SET value = ? WHERE key = ? AND timestamp = ?`, value, key, timestamp)
  }

  /** The last point of a series at or before a time. */
  lastUntil(key: string, timeMs: number): PointRow | undefined {
    return this.#sql
      .exec<PointRow>(
        `SELECT * FROM ${this.#table} WHERE key = ? AND timestamp <= ? ORDER BY timestamp DESC LIMIT 1`,
        key,
        timeMs,
      )
      .toArray()[0]
  }

  /** The first points of a series from one time to another, including both. */
  range(key: string, startMs: number, endMs: number, maxRows: number): PointRow[] {
    return this.#sql
      .exec<PointRow>(
        `SELECT * FROM ${this.#table} WHERE key = ? AND timestamp BETWEEN ? AND ? ORDER BY timestamp LIMIT ?`,
        key,
        startMs,
        endMs,
        maxRows,
      )
      .toArray()
  }

  /** All points in the order of series and time, after one of them. */
  after(key: string, timestamp: number, maxRows: number): PointRow[] {
    return this.#sql
      .exec<PointRow>(
        `SELECT * FROM ${this.#table} WHERE (key, timestamp) > (?, ?) ORDER BY key, timestamp LIMIT ?`,
        key,
        timestamp,
        maxRows,
      )
      .toArray()
  }

  /** The points before a time, by series: of the series that have any, the first ones in the order of their keys. */
  rangesBefore(timeMs: number, maxRows: number): PointRange[] {
    return this.#sql
      .exec<PointRange>(
        `WITH RECURSIVE ${distinctCTE('series', 'key', this.#table)}
         SELECT points.key, min(timestamp) AS "from", max(timestamp) AS "to", count(*) AS count
         FROM series CROSS JOIN ${this.#table} AS points ON points.key = series.key
         WHERE timestamp < ? GROUP BY 1 ORDER BY 1 LIMIT ?`,
        timeMs,
        maxRows,
      )
      .toArray()
  }

  /** Deletes the points before a time of all series up to a key. */
  deleteBefore(timeMs: number, lastKey: string): void {
    this.#sql.exec(
      `WITH RECURSIVE ${distinctCTE('series', 'key', this.#table)}
       DELETE FROM ${this.#table} WHERE key IN series AND key <= ? AND timestamp < ?`,
      lastKey,
      timeMs,
    )
  }
}

export function createPoints(sql: SqlStorage, table: string): void {
  // Points are only ever looked up by the key, which WITHOUT ROWID is the table itself: one billed row for each point.
  sql.exec(`CREATE TABLE IF NOT EXISTS ${table} (
    key TEXT, timestamp INTEGER, value REAL NOT NULL, PRIMARY KEY (key, timestamp)
  ) WITHOUT ROWID`)
}
