// Values over time, by series, in the object's own SQLite. Each call is one transaction, or part of the open one, in which
// points and rollups commit together with their events.
//
// The `key` of an event is the series. By its `op` it reports:
//   c  a new point:                after { timestamp, value }
//   u  a new value of a point:     before and after { timestamp, value }
//   r  a bucket was rolled up:     after { bucket, bucketMs, count, min, max, sum, avg }, with the type `cdc.rollup`
//   d  points were pruned:         before { from, to, count }: all points from one timestamp to another, including both
// Folding the events in the order of their LSNs, points by key and timestamp, rollups by key, bucketMs and bucket, yields the
// content of the store.

import type { Attribution, EventInput } from '../../event/unified-event.ts'
import type { AttachedStore, SnapshotPage, StoreContext, StoreSQL } from '../../store.ts'
import type { Transaction } from '../../transaction/transaction.ts'
import { checkBatch, checkStoreName, invalid } from '../checks.ts'
import { pieces } from '../pieces.ts'
import { snapshotPage } from '../snapshot-page.ts'
import {
  type Aggregate,
  type AggregateQuery,
  aggregateSQL,
  type BasicMetric,
  checkMetrics,
  checkRolledUp,
  type Metric,
} from './aggregate.ts'
import { limits } from './limits.ts'
import { checkKey, type Point, type PointInput, pointJSON, type StoredPoint, toPoint, toStored } from './point.ts'
import { createPoints, type PointRange, Points, POINTS_PER_STATEMENT } from './points.ts'
import { createRollups, type Rollup, type RollupRow, Rollups, toRollup } from './rollups.ts'
import { type Duration, type Time, TIME_MS_MAX, toBucketMs, toDurationMs, toISO, toTimeMs } from './time.ts'

/** Buckets that are rolled up, and series that are pruned, in one transaction. More of them go into the next one. */
const CHANGES_PER_TRANSACTION_MAX = 10_000

export interface TimeSeriesStoreOptions {
  /** How long `prune` keeps points. */
  readonly retention?: Duration
  /** The clock, in milliseconds since 1970. */
  readonly now?: () => number
}

/** From one time to another, including both. */
export interface TimeRange {
  /** Default: the beginning of time. */
  readonly start?: Time
  /** Default: the end of time. */
  readonly end?: Time
}

export interface RollupOptions {
  /** Only buckets that ended this long ago. */
  readonly olderThan: Duration
  /** Length of a bucket. */
  readonly bucket: Duration
  /** The metrics that you need, to be told if a rollup does not keep one. It always keeps count, min, max, sum and avg. */
  readonly aggregates?: readonly BasicMetric[]
}

/**
 * @example
 * metrics = new TimeSeriesStore(this.ctx, 'Metric', { retention: '7d' })
 * metrics.put('cpu', 0.75)
 * metrics.aggregate('cpu', { start: '2026-11-01', end: '2026-12-01', bucket: '1d', metrics: ['avg', 'max', 'p99'] })
 */
export class TimeSeriesStore<T = number> implements AttachedStore {
  /** What one call may do. Beyond a limit it throws a `CDCError`, and nothing is written. */
  static readonly limits = limits

  readonly name: string
  readonly #ctx: StoreContext
  readonly #sql: StoreSQL
  readonly #table: string
  readonly #sqlTables: { readonly points: string; readonly rollups: string }
  readonly #points: Points
  readonly #rollups: Rollups
  readonly #retention: Duration | undefined
  readonly #now: () => number

  /**
   * @param name what the points are, and the `table` of their events: letters, digits and `_`.
   * @throws {CDCError} `invalid-argument` for a name that is not valid.
   */
  constructor(ctx: StoreContext, name: string, { retention, now = Date.now }: TimeSeriesStoreOptions = {}) {
    checkStoreName('TimeSeriesStore', name)
    if (retention !== undefined) toDurationMs(retention, 'TimeSeriesStore: retention')
    this.name = `timeseries/${name}`
    this.#ctx = ctx
    this.#table = name
    // No store's name has a $, so the second table can't be another store's first one.
    this.#sqlTables = { points: `"timeseries_${name}"`, rollups: `"timeseries_${name}$rollups"` }
    this.#retention = retention
    this.#now = now
    this.#sql = ctx.attach(this)
    this.#points = new Points(this.#sql, this.#sqlTables.points)
    this.#rollups = new Rollups(this.#sql, this.#sqlTables.rollups, this.#sqlTables.points)
  }

  createTables(sql: SqlStorage): void {
    createPoints(sql, this.#sqlTables.points)
    createRollups(sql, this.#sqlTables.rollups)
  }

  readRows(after: string | undefined, maxRows: number): SnapshotPage {
    const place = after === undefined ? FIRST_POINT : (JSON.parse(after) as Place)
    return 'points' in place ? this.#readPoints(place.points, maxRows) : this.#readRollups(place.rollups, maxRows)
  }

  /**
   * Sets the value of a series at a time, which may be before existing points. If it is the present value, nothing is written
   * and no event is emitted.
   *
   * @param value a number, or any other JSON; `aggregate` and `rollup` only use numbers.
   * @param timestamp default: now.
   * @throws {CDCError} `invalid-argument`, or `event-too-large` for a value that no event can hold.
   */
  put(key: string, value: T, timestamp: Time = this.#now(), attribution?: Attribution): void {
    const point = toStored({ key, value, timestamp }, this.#caller('put'))
    this.#ctx.transactionSync((tx) => this.#put(tx, point), attribution)
  }

  /**
   * Puts points, all or none, at most `limits.batchPoints`. Each has its own event, as `put` emits it, because not every SQL
   * engine can look into lists. Of two points of one series and time, the later one wins.
   *
   * @throws {CDCError} like `put`.
   */
  putBatch(points: readonly PointInput<T>[], attribution?: Attribution): void {
    const caller = this.#caller('putBatch')
    checkBatch(points.length, limits.batchPoints, 'points', caller)
    const now = this.#now()
    const stored = points.map(({ key, value, timestamp = now }, index) =>
      toStored({ key, value, timestamp }, `${caller}: point ${index}`),
    )
    this.#ctx.transactionSync((tx) => {
      for (const piece of pieces(stored, { maxItems: POINTS_PER_STATEMENT }))
        if (this.#points.insertNew(piece)) for (const point of piece) this.#emit(tx, 'c', point)
        else for (const point of piece) this.#put(tx, point)
    }, attribution)
  }

  /** The latest value of a series, or nothing if it has none. */
  get(key: string): T | undefined {
    return this.#valueAt(checkKey(key, this.#caller('get')), TIME_MS_MAX)
  }

  /** The value of a series at a time: that of its last point until then, or nothing if there is none. */
  asOf(key: string, timestamp: Time): T | undefined {
    const caller = this.#caller('asOf')
    return this.#valueAt(checkKey(key, caller), toTimeMs(timestamp, `${caller}: timestamp`))
  }

  /** The points of a series in the order of time. They are read page by page, as they are consumed. */
  range(key: string, range: TimeRange = {}): IterableIterator<Point<T>> {
    const caller = this.#caller('range')
    checkKey(key, caller)
    const { startMs, endMs } = toRangeMs(range, caller)
    const read = (fromMs: number): Point<T>[] => this.#points.range(key, fromMs, endMs, limits.pageRows).map(toPoint<T>)
    return inPages(startMs, read, (point) => point.timestamp)
  }

  /**
   * Metrics of a series, by buckets in the order of time; buckets without numbers are left out. Numbers that were rolled up
   * and then pruned still count, if the bucket is a whole multiple of the rollup's.
   *
   * @throws {CDCError} `invalid-argument`, also for more than `limits.aggregateBuckets` buckets.
   */
  aggregate<Name extends Metric>(key: string, query: AggregateQuery<Name>): Aggregate<Name>[] {
    const caller = this.#caller('aggregate')
    checkKey(key, caller)
    checkMetrics(query.metrics, caller)
    const rows = this.#sql
      .exec<{ bucket: number }>(
        aggregateSQL(this.#sqlTables.points, this.#sqlTables.rollups, query.metrics),
        toBucketMs(query.bucket, caller),
        key,
        toTimeMs(query.start, `${caller}: start`),
        toTimeMs(query.end, `${caller}: end`),
      )
      .toArray()
    if (rows.length > limits.aggregateBuckets)
      throw invalid(
        caller,
        `more than ${limits.aggregateBuckets} buckets, the limit; choose a longer bucket or a shorter time`,
      )
    return rows.map(({ bucket, ...metrics }) => ({ bucket: toISO(bucket), ...metrics }) as Aggregate<Name>)
  }

  /**
   * Adds up the numbers of each series in buckets that have ended, and keeps the totals beside the points. Buckets that were
   * rolled up before are updated if points arrived late or numbers changed since. Only a bucket that changes has an event. (A
   * bucket in which other values replaced all numbers keeps its totals.)
   *
   * @returns how many buckets changed.
   * @throws {CDCError} `invalid-argument`.
   */
  rollup({ olderThan, bucket, aggregates = [] }: RollupOptions, attribution?: Attribution): number {
    const caller = this.#caller('rollup')
    checkRolledUp(aggregates, caller)
    const bucketMs = toBucketMs(bucket, caller)
    const cutoffMs = this.#now() - toDurationMs(olderThan, `${caller}: olderThan`)
    return this.#rollUp(bucketMs, Math.floor(cutoffMs / bucketMs) * bucketMs, attribution)
  }

  /** The rollups of a series by buckets of a length, which begin in a range of time. They are read page by page. */
  rollups(key: string, { bucket, ...range }: TimeRange & { readonly bucket: Duration }): IterableIterator<Rollup> {
    const caller = this.#caller('rollups')
    checkKey(key, caller)
    const bucketMs = toBucketMs(bucket, caller)
    const { startMs, endMs } = toRangeMs(range, caller)
    const read = (fromMs: number): Rollup[] =>
      this.#rollups.range({ key, bucketMs }, fromMs, endMs, limits.pageRows).map(toRollup)
    return inPages(startMs, read, (rollup) => Date.parse(rollup.bucket))
  }

  /**
   * Deletes the points that are older than the retention. Their numbers first go into all existing rollups, so that `aggregate`
   * and `rollup` continue to count them. A later point of the same series and time counts as another one.
   *
   * @param options `olderThan` replaces the store's `retention`.
   * @returns how many points it deleted.
   * @throws {CDCError} `invalid-argument` if there is neither of the two.
   */
  prune({ olderThan = this.#retention }: { readonly olderThan?: Duration } = {}, attribution?: Attribution): number {
    const caller = this.#caller('prune')
    if (olderThan === undefined) throw invalid(caller, 'pass olderThan, or give the store a retention')
    const cutoffMs = this.#now() - toDurationMs(olderThan, `${caller}: olderThan`)
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
    tx.emitChange({ op, store: 'timeseries', table: this.#table, key: point.key, before, after: pointJSON(point) })
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
      table: this.#table,
      key: row.key,
      after: { ...toRollup(row) },
    }
  }

  /** Prunes the first series that have points before a time. @returns what it deleted. */
  #prune(tx: Transaction, cutoffMs: number): PointRange[] {
    const ranges = this.#points.rangesBefore(cutoffMs, CHANGES_PER_TRANSACTION_MAX)
    const lastKey = ranges.at(-1)?.key
    if (lastKey === undefined) return []
    for (const bucketMs of this.#rollups.lengths()) this.#rollups.keepPruned(bucketMs, cutoffMs, lastKey)
    this.#points.deleteBefore(cutoffMs, lastKey)
    for (const { key, ...before } of ranges)
      tx.emitChange({ op: 'd', store: 'timeseries', table: this.#table, key, before: JSON.stringify(before) })
    return ranges
  }

  #readPoints([key, timestamp]: readonly [string, number], maxRows: number): SnapshotPage {
    const { events, next } = snapshotPage(this.#points.after(key, timestamp, maxRows).map(toPoint), maxRows, {
      eventOf: ({ key, ...after }) => ({ op: 'r', store: 'timeseries', table: this.#table, key, after }),
      placeOf: (point) => placeText({ points: [point.key, point.timestamp] }),
    })
    return { events, next: next ?? placeText(FIRST_ROLLUP) }
  }

  #readRollups([bucketMs, key, startMs]: readonly [number, string, number], maxRows: number): SnapshotPage {
    return snapshotPage(this.#rollups.after(bucketMs, key, startMs, maxRows), maxRows, {
      eventOf: (row) => this.#rollupEvent(row),
      placeOf: (row) => placeText({ rollups: [row.bucket_ms, row.key, row.start] }),
    })
  }

  #caller(method: string): string {
    return `${this.#table}.${method}`
  }
}

/** The row after which a page of the snapshot begins: first come the points, then the rollups. */
type Place = { points: [key: string, timestamp: number] } | { rollups: [bucketMs: number, key: string, start: number] }

/** No key is empty, and no bucket has the length 0. */
const FIRST_POINT = { points: ['', 0] } satisfies Place
const FIRST_ROLLUP = { rollups: [0, '', 0] } satisfies Place

function placeText(place: Place): string {
  return JSON.stringify(place)
}

function toRangeMs({ start, end }: TimeRange, caller: string): { startMs: number; endMs: number } {
  return {
    startMs: start === undefined ? -Infinity : toTimeMs(start, `${caller}: start`),
    endMs: end === undefined ? Infinity : toTimeMs(end, `${caller}: end`),
  }
}

/** All rows from a time on, read page by page; no two of them have the same time. */
function* inPages<Row>(
  fromMs: number,
  read: (fromMs: number) => Row[],
  timeOf: (row: Row) => number,
): Generator<Row, undefined> {
  for (let next = fromMs; ;) {
    const rows = read(next)
    yield* rows
    const last = rows.at(-1)
    if (last === undefined || rows.length < limits.pageRows) return undefined
    next = timeOf(last) + 1
  }
}
