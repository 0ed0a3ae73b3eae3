// Values over time, by series, in the object's own SQLite. Each call is one transaction, or part of the open one, in which
// points and rollups commit together with their events.
//
// What its events say, by `op`, of the series that is their `key`:
//   c  a point is new:            after { timestamp, value }
//   u  a point has a new value:   before and after { timestamp, value }
//   r  a bucket was rolled up:    after { bucket, bucketMs, count, min, max, sum, avg }, of type `cdc.rollup`
//   d  points were pruned:        before { from, to, count }: all from one timestamp to another, both included
// Whoever folds them in the order of their LSNs, points by key and timestamp, rollups by key, bucketMs and bucket, has
// what the store has.

import type { AttachedStore, SnapshotPage, StoreContext, StoreSQL } from '../../store.ts'
import type { Transaction } from '../../transaction/transaction.ts'
import { CDCError } from '../../error.ts'
import type { Attribution, EventInput } from '../../event/unified-event.ts'
import { checkStoreName } from '../checks.ts'
import {
  type Aggregate,
  type AggregateQuery,
  aggregateSQL,
  type BasicMetric,
  BUCKETS_MAX,
  checkMetrics,
  checkRolledUp,
  type Metric,
} from './aggregate.ts'
import { checkKey, type Point, type PointInput, pointJSON, type StoredPoint, toPoint, toStored } from './point.ts'
import { createPoints, type PointRange, Points } from './points.ts'
import { createRollups, type Rollup, type RollupRow, Rollups, toRollup } from './rollups.ts'
import { type Duration, type Time, TIME_MS_MAX, toBucketMs, toDurationMs, toISO, toTimeMs } from './time.ts'

/** Points that one call of `putBatch` takes, at most. */
export const POINTS_PER_BATCH_MAX = 10_000

/** Points that `range`, and rollups that `rollups` holds at once, however many they go through. */
export const POINTS_PER_PAGE_MAX = 1_000

/** Buckets that are rolled up, and series that are pruned, in one transaction. What is more goes into the next one. */
const CHANGES_PER_TRANSACTION_MAX = 10_000

/** Points in one statement: each has three parameters, of which the platform allows a hundred. */
const POINTS_PER_STATEMENT = 33

export interface TimeSeriesOptions {
  /** For how long `prune` keeps points. */
  readonly retention?: Duration
  /** The clock, in milliseconds since 1970. */
  readonly now?: () => number
}

/** A stretch of time, both ends included. */
export interface TimeRange {
  /** Default: the beginning of time. */
  readonly start?: Time
  /** Default: the end of it. */
  readonly end?: Time
}

export interface RollupOptions {
  /** Only buckets that ended so long ago. */
  readonly olderThan: Duration
  readonly bucket: Duration
  /** What is needed of a rollup, to be sure that it keeps that. It keeps count, min, max, sum and avg in any case. */
  readonly aggregates?: readonly BasicMetric[]
}

/**
 * @example
 * metrics = new TimeSeriesStore(this.ctx, 'Metric', { retention: '7d' })
 * metrics.put('cpu', 0.75)
 * metrics.aggregate('cpu', { start: '2026-11-01', end: '2026-12-01', bucket: '1d', metrics: ['avg', 'max', 'p99'] })
 */
export class TimeSeriesStore<T = number> implements AttachedStore {
  readonly name: string
  readonly #ctx: StoreContext
  readonly #sql: StoreSQL
  readonly #type: string
  readonly #tables: { readonly points: string; readonly rollups: string }
  readonly #points: Points
  readonly #rollups: Rollups
  readonly #retention: Duration | undefined
  readonly #now: () => number

  /**
   * @param type what the points are, and the `table` of their events: letters, digits and `_`.
   * @throws {CDCError} `invalid-argument` for another name.
   */
  constructor(ctx: StoreContext, type: string, { retention, now = Date.now }: TimeSeriesOptions = {}) {
    checkStoreName('TimeSeriesStore', 'type', type)
    if (retention !== undefined) toDurationMs(retention, 'TimeSeriesStore: retention')
    this.name = `timeseries/${type}`
    this.#ctx = ctx
    this.#type = type
    // No type holds a $, so that no other store's points can be in the second one.
    this.#tables = { points: `"timeseries_${type}"`, rollups: `"timeseries_${type}$rollups"` }
    this.#retention = retention
    this.#now = now
    this.#sql = ctx.attach(this)
    this.#points = new Points(this.#sql, this.#tables.points)
    this.#rollups = new Rollups(this.#sql, this.#tables.rollups, this.#tables.points)
  }

  createTables(sql: SqlStorage): void {
    createPoints(sql, this.#tables.points)
    createRollups(sql, this.#tables.rollups)
  }

  readRows(after: string | undefined, maxRows: number): SnapshotPage {
    const place = after === undefined ? FIRST_POINT : (JSON.parse(after) as Place)
    return 'points' in place ? this.#readPoints(place.points, maxRows) : this.#readRollups(place.rollups, maxRows)
  }

  /**
   * Sets the value of a series at a time, which may lie before others that are there. Where that is what it has already,
   * nothing is written and no event is emitted.
   *
   * @param value a number, or any other JSON; `aggregate` and `rollup` go by the numbers alone.
   * @param timestamp default: now.
   * @throws {CDCError} `invalid-argument`, or `event-too-large` for a value that no event can carry.
   */
  put(key: string, value: T, timestamp: Time = this.#now(), attribution?: Attribution): void {
    const point = toStored({ key, value, timestamp }, `${this.#type}.put`)
    this.#ctx.transactionSync((tx) => this.#put(tx, point), attribution)
  }

  /**
   * Puts points, all or none of them, as `put` does: each has its own event, since SQL that reads the events can't look
   * into lists everywhere. Of two for one time of a series the later one counts.
   *
   * @throws {CDCError} like `put`, and `invalid-argument` beyond `POINTS_PER_BATCH_MAX`.
   */
  putBatch(points: readonly PointInput<T>[], attribution?: Attribution): void {
    const where = `${this.#type}.putBatch`
    if (points.length > POINTS_PER_BATCH_MAX)
      throw new CDCError(
        'invalid-argument',
        `${where}: ${points.length} points, the limit is ${POINTS_PER_BATCH_MAX}; put them in several batches`,
      )
    const now = this.#now()
    const stored = points.map(({ key, value, timestamp = now }, index) =>
      toStored({ key, value, timestamp }, `${where}: point ${index}`),
    )
    this.#ctx.transactionSync((tx) => {
      for (let first = 0; first < stored.length; first += POINTS_PER_STATEMENT) {
        const some = stored.slice(first, first + POINTS_PER_STATEMENT)
        if (this.#points.insertNew(some)) for (const point of some) this.#emit(tx, 'c', point)
        else for (const point of some) this.#put(tx, point)
      }
    }, attribution)
  }

  /** The latest value of a series, or nothing where it has none. */
  get(key: string): T | undefined {
    return this.#valueAt(checkKey(key, `${this.#type}.get`), TIME_MS_MAX)
  }

  /** The value that a series had at a time: that of its last point until then, or nothing where there was none. */
  getAsOf(key: string, timestamp: Time): T | undefined {
    const where = `${this.#type}.getAsOf`
    return this.#valueAt(checkKey(key, where), toTimeMs(timestamp, `${where}: timestamp`))
  }

  /** The points of a series in the order of time. They are read page by page, as one goes through them. */
  range(key: string, range: TimeRange = {}): IterableIterator<Point<T>> {
    const where = `${this.#type}.range`
    checkKey(key, where)
    const { startMs, endMs } = toRangeMs(range, where)
    const read = (fromMs: number): Point<T>[] =>
      this.#points.range(key, fromMs, endMs, POINTS_PER_PAGE_MAX).map(toPoint<T>)
    return inPages(startMs, read, (point) => point.timestamp)
  }

  /**
   * Metrics of a series, by buckets in the order of time; buckets without numbers are left out. Numbers that were rolled
   * up and then pruned still count, where the buckets asked for are whole multiples of those rolled up.
   *
   * @throws {CDCError} `invalid-argument`, also where there are more than `BUCKETS_MAX` buckets.
   */
  aggregate<Name extends Metric>(key: string, query: AggregateQuery<Name>): Aggregate<Name>[] {
    const where = `${this.#type}.aggregate`
    checkKey(key, where)
    checkMetrics(query.metrics, where)
    const rows = this.#sql
      .exec<{ bucket: number }>(
        aggregateSQL(this.#tables.points, this.#tables.rollups, query.metrics),
        toBucketMs(query.bucket, where),
        key,
        toTimeMs(query.start, `${where}: start`),
        toTimeMs(query.end, `${where}: end`),
      )
      .toArray()
    if (rows.length > BUCKETS_MAX)
      throw new CDCError(
        'invalid-argument',
        `${where}: more than ${BUCKETS_MAX} buckets; ask for longer ones, or for less time`,
      )
    return rows.map(({ bucket, ...metrics }) => ({ bucket: toISO(bucket), ...metrics }) as Aggregate<Name>)
  }

  /**
   * Adds up the numbers of each series in buckets that have ended, and keeps that beside the points. What was rolled up
   * before is brought up to date, where late points came in or numbers changed since. Only a bucket that changes by it has
   * an event. (A bucket in which no number is left, as other values took their places, stays as it was.)
   *
   * @returns how many buckets changed.
   * @throws {CDCError} `invalid-argument`.
   */
  rollup({ olderThan, bucket, aggregates = [] }: RollupOptions, attribution?: Attribution): number {
    const where = `${this.#type}.rollup`
    checkRolledUp(aggregates, where)
    const bucketMs = toBucketMs(bucket, where)
    const cutoffMs = this.#now() - toDurationMs(olderThan, `${where}: olderThan`)
    return this.#rollUp(bucketMs, Math.floor(cutoffMs / bucketMs) * bucketMs, attribution)
  }

  /** A series as it was last rolled up by buckets of a length: those that begin in a time, read page by page. */
  rollups(key: string, { bucket, ...range }: TimeRange & { readonly bucket: Duration }): IterableIterator<Rollup> {
    const where = `${this.#type}.rollups`
    checkKey(key, where)
    const bucketMs = toBucketMs(bucket, where)
    const { startMs, endMs } = toRangeMs(range, where)
    const read = (fromMs: number): Rollup[] =>
      this.#rollups.range({ key, bucketMs }, fromMs, endMs, POINTS_PER_PAGE_MAX).map(toRollup)
    return inPages(startMs, read, (rollup) => Date.parse(rollup.bucket))
  }

  /**
   * Deletes the points that are older than the retention. Their numbers first go into the rollups that there are, so that
   * `aggregate` and `rollup` go on counting them. A point that is put in the place of a pruned one counts as another.
   *
   * @param options `olderThan` in place of the store's `retention`.
   * @returns how many points it deleted.
   * @throws {CDCError} `invalid-argument` where neither is given.
   */
  prune({ olderThan = this.#retention }: { readonly olderThan?: Duration } = {}, attribution?: Attribution): number {
    const where = `${this.#type}.prune`
    if (olderThan === undefined)
      throw new CDCError('invalid-argument', `${where}: give olderThan, or the store a retention`)
    const cutoffMs = this.#now() - toDurationMs(olderThan, `${where}: olderThan`)
    for (const bucketMs of this.#rollups.lengths())
      this.#rollUp(bucketMs, Math.ceil(cutoffMs / bucketMs) * bucketMs, attribution)
    let deleted = 0
    let ranges: PointRange[]
    do {
      ranges = this.#ctx.transactionSync((tx) => this.#prune(tx, cutoffMs), attribution)
      for (const { count } of ranges) deleted += count
    } while (ranges.length === CHANGES_PER_TRANSACTION_MAX)
    return deleted
  }

  #put(tx: Transaction, point: StoredPoint): void {
    if (this.#points.insert(point)) return this.#emit(tx, 'c', point)
    const before = this.#points.lastUntil(point.key, point.timestamp)
    if (before === undefined || before.value === point.value) return
    this.#points.update(point)
    this.#emit(tx, 'u', point, pointJSON(before))
  }

  #emit(tx: Transaction, op: 'c' | 'u', point: StoredPoint, before?: string): void {
    tx.emitChange({ op, store: 'timeseries', table: this.#type, key: point.key, before, after: pointJSON(point) })
  }

  #valueAt(key: string, timeMs: number): T | undefined {
    const point = this.#points.lastUntil(key, timeMs)
    return point && toPoint<T>(point).value
  }

  #rollUp(bucketMs: number, beforeMs: number, attribution: Attribution | undefined): number {
    let changed = 0
    let rows: RollupRow[]
    do {
      rows = this.#ctx.transactionSync((tx) => {
        const updated = this.#rollups.update(bucketMs, beforeMs, CHANGES_PER_TRANSACTION_MAX)
        tx.emitBatch(updated.map((row) => this.#rollupEvent(row)))
        return updated
      }, attribution)
      changed += rows.length
    } while (rows.length === CHANGES_PER_TRANSACTION_MAX)
    return changed
  }

  #rollupEvent(row: RollupRow): EventInput {
    return {
      type: 'cdc.rollup',
      op: 'r',
      store: 'timeseries',
      table: this.#type,
      key: row.key,
      after: { ...toRollup(row) },
    }
  }

  /** Prunes the first series that have points before a time. */
  #prune(tx: Transaction, cutoffMs: number): PointRange[] {
    const ranges = this.#points.rangesBefore(cutoffMs, CHANGES_PER_TRANSACTION_MAX)
    const lastKey = ranges.at(-1)?.key
    if (lastKey === undefined) return []
    for (const bucketMs of this.#rollups.lengths()) this.#rollups.keepPruned(bucketMs, cutoffMs, lastKey)
    this.#points.deleteBefore(cutoffMs, lastKey)
    for (const { key, ...before } of ranges)
      tx.emitChange({ op: 'd', store: 'timeseries', table: this.#type, key, before: JSON.stringify(before) })
    return ranges
  }

  #readPoints([key, timestamp]: readonly [string, number], maxRows: number): SnapshotPage {
    const points = this.#points.after(key, timestamp, maxRows).map(toPoint)
    const last = points.at(-1)
    const isLast = points.length < maxRows || last === undefined
    return {
      events: points.map(({ key, ...after }) => ({ op: 'r', store: 'timeseries', table: this.#type, key, after })),
      next: JSON.stringify(isLast ? FIRST_ROLLUP : ({ points: [last.key, last.timestamp] } satisfies Place)),
    }
  }

  #readRollups([bucketMs, key, startMs]: readonly [number, string, number], maxRows: number): SnapshotPage {
    const rows = this.#rollups.after(bucketMs, key, startMs, maxRows)
    const last = rows.at(-1)
    const isLast = rows.length < maxRows || last === undefined
    return {
      events: rows.map((row) => this.#rollupEvent(row)),
      next: isLast ? undefined : JSON.stringify({ rollups: [last.bucket_ms, last.key, last.start] } satisfies Place),
    }
  }
}

/** Behind which row a page of the snapshot begins: first come the points, then the rollups. */
type Place = { points: [key: string, timestamp: number] } | { rollups: [bucketMs: number, key: string, start: number] }

/** No key is empty, and no bucket is of no length. */
const FIRST_POINT: Place = { points: ['', 0] }
const FIRST_ROLLUP: Place = { rollups: [0, '', 0] }

function toRangeMs({ start, end }: TimeRange, where: string): { startMs: number; endMs: number } {
  return {
    startMs: start === undefined ? -Infinity : toTimeMs(start, `${where}: start`),
    endMs: end === undefined ? Infinity : toTimeMs(end, `${where}: end`),
  }
}

/** All rows from a time on, read page by page; no two of them are of the same time. */
function* inPages<Row>(
  fromMs: number,
  read: (fromMs: number) => Row[],
  timeOf: (row: Row) => number,
): Generator<Row, undefined> {
  for (let next = fromMs; ;) {
    const rows = read(next)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined || rows.length < POINTS_PER_PAGE_MAX) return undefined
    next = timeOf(last) + 1
  }
}
