import { inFreshObject, logOf } from './in-stores.ts'
import { TimeSeriesStore } from 'durable-outbox'
import type { Metric } from 'durable-outbox/stores'
import * as fc from 'fast-check'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { failureOf } from '../notes.ts'
import type { Stores } from '../worker.ts'
import { contentOf, foldTimeSeries } from './time-series.ts'

const { limits } = TimeSeriesStore

const HOUR = 3_600_000
const NOON = Date.parse('2026-11-22T12:00:00Z')

/** Runs a test with a store of its own, whose clock stands at noon. */
function inStore<T>(run: (store: TimeSeriesStore, object: Stores) => T | Promise<T>): Promise<T> {
  return inFreshObject((object) => run(new TimeSeriesStore(object.ctx, 'Reading', { now: () => NOON }), object))
}

/** A reading each ten minutes, from 06:00 until noon: 0, 1, 2 … */
function fill(store: TimeSeriesStore, key = 'cpu'): void {
  store.putBatch(
    Array.from({ length: 36 }, (_, index) => ({ key, value: index, timestamp: NOON - 6 * HOUR + index * 600_000 })),
  )
}

function newEvents(object: Stores, run: () => unknown) {
  const before = object.outbox.stats().lastLSN
  run()
  return logOf(object).slice(before)
}

const DAY = { start: '2026-11-22', end: '2026-11-23' } as const

describe('rollup', () => {
  it('[I1] emits each bucket that changed, and only those', () =>
    inStore((store, object) => {
      fill(store)
      const first = newEvents(object, () => expect(store.rollup({ olderThan: '4h', bucket: '1h' })).toBe(2))
      expect(first).toMatchObject([
        {
          type: 'cdc.rollup',
          op: 'r',
          store: 'timeseries',
          table: 'Reading',
          key: 'cpu',
          after: { bucket: '2026-11-22T06:00:00.000Z', bucketMs: HOUR, count: 6, min: 0, max: 5, sum: 15, avg: 2.5 },
        },
        { after: { bucket: '2026-11-22T07:00:00.000Z', bucketMs: HOUR, count: 6, min: 6, max: 11, sum: 51, avg: 8.5 } },
      ])
      expect(newEvents(object, () => expect(store.rollup({ olderThan: '4h', bucket: '1h' })).toBe(0))).toEqual([])

      store.put('cpu', 100, NOON - 6 * HOUR + 1)
      const late = newEvents(object, () => store.rollup({ olderThan: '4h', bucket: '1h' }))
      expect(late).toMatchObject([{ after: { bucket: '2026-11-22T06:00:00.000Z', count: 7, max: 100, sum: 115 } }])

      store.put('cpu', 0, NOON - 6 * HOUR + 1)
      const changed = newEvents(object, () => store.rollup({ olderThan: '4h', bucket: '60m' }))
      expect(changed).toMatchObject([{ after: { bucket: '2026-11-22T06:00:00.000Z', count: 7, max: 5, sum: 15 } }])
      expect([...store.range('cpu')]).toHaveLength(37)
    }))

  it('leaves out buckets that ended too recently', () =>
    inStore((store) => {
      fill(store)
      store.rollup({ olderThan: '90m', bucket: '1h' })
      expect([...store.rollups('cpu', { bucket: '1h' })].at(-1)?.bucket).toBe('2026-11-22T09:00:00.000Z')
      expect(store.rollup({ olderThan: 0, bucket: '1d' })).toBe(0)
      expect([...store.rollups('cpu', { bucket: '1d' })]).toEqual([])
    }))

  it('returns the rollups of one length that begin in a range', () =>
    inStore((store) => {
      fill(store)
      fill(store, 'disk')
      store.rollup({ olderThan: 0, bucket: '1h' })
      store.rollup({ olderThan: 0, bucket: '3h' })
      const range = { start: '2026-11-22T07:00:00Z', end: '2026-11-22T09:00:00Z' }
      expect([...store.rollups('cpu', { bucket: '1h', ...range })].map(({ min }) => min)).toEqual([6, 12, 18])
      expect([...store.rollups('cpu', { bucket: '3h', ...range })].map(({ min }) => min)).toEqual([18])
    }))

  it('continues in another transaction if there is too much for one', () =>
    inStore((store, object) => {
      for (const key of ['a', 'b'])
        store.putBatch(Array.from({ length: 6_000 }, (_, timestamp) => ({ key, value: timestamp, timestamp })))
      const events = newEvents(object, () => expect(store.rollup({ olderThan: 0, bucket: 1 })).toBe(12_000))
      expect(events).toHaveLength(12_000)
      expect(new Set(events.map(({ txid }) => txid)).size).toBe(2)
      expect([...store.rollups('b', { bucket: 1 })]).toHaveLength(6_000)
    }))

  it('checks that it keeps the metrics asked for, and refuses others', () =>
    inStore(async (store) => {
      fill(store)
      store.rollup({ olderThan: '1h', bucket: '1h', aggregates: ['min', 'max', 'avg', 'count', 'sum'] })
      // @ts-expect-error because a percentile cannot be kept
      const failure = await failureOf(() => store.rollup({ olderThan: '1h', bucket: '1h', aggregates: ['avg', 'p99'] }))
      expect(failure).toEqual({
        code: 'invalid-argument',
        message: 'Reading.rollup: a rollup keeps count, min, max, sum, avg; not "p99"',
      })
    }))
})

describe('prune', () => {
  it('[I1] emits what it removed from each series', () =>
    inStore((store, object) => {
      fill(store)
      fill(store, 'disk')
      store.put('young', 1, NOON)
      const events = newEvents(object, () => expect(store.prune({ olderThan: '5h' })).toBe(12))
      const before = { from: NOON - 6 * HOUR, to: NOON - 5 * HOUR - 600_000, count: 6 }
      const shared = { type: 'cdc.delete', op: 'd', store: 'timeseries', table: 'Reading', before }
      expect(events).toMatchObject([
        { ...shared, key: 'cpu' },
        { ...shared, key: 'disk' },
      ])
      expect(events[0]?.txid).toBe(events[1]?.txid)
      expect(newEvents(object, () => expect(store.prune({ olderThan: '5h' })).toBe(0))).toEqual([])
      expect(foldTimeSeries(logOf(object))).toEqual(contentOf(store, ['cpu', 'disk', 'young'], []))
    }))

  it('uses the retention of the store, and refuses to prune without one', () =>
    inFreshObject(async ({ ctx }) => {
      const kept = new TimeSeriesStore(ctx, 'Kept', { retention: '2h', now: () => NOON })
      fill(kept)
      expect(kept.prune()).toBe(24)
      expect([...kept.range('cpu')][0]?.timestamp).toBe(NOON - 2 * HOUR)
      const failure = await failureOf(() => new TimeSeriesStore(ctx, 'Endless').prune())
      expect(failure).toMatchObject({ code: 'invalid-argument', message: /give olderThan/ })
    }))

  it('first rolls up the points, so that buckets still count them', () =>
    inStore((store, object) => {
      fill(store)
      store.rollup({ olderThan: '5h', bucket: '1h' })
      const events = newEvents(object, () => store.prune({ olderThan: '210m' }))
      expect(events.map(({ op, after, before }) => [op, after?.['bucket'] ?? before?.['count']])).toEqual([
        ['r', '2026-11-22T07:00:00.000Z'],
        ['r', '2026-11-22T08:00:00.000Z'],
        ['d', 15],
      ])
      expect(store.aggregate('cpu', { ...DAY, bucket: '2h', metrics: ['count', 'min', 'max', 'sum'] })).toEqual([
        { bucket: '2026-11-22T06:00:00.000Z', count: 12, min: 0, max: 11, sum: 66 },
        { bucket: '2026-11-22T08:00:00.000Z', count: 12, min: 12, max: 23, sum: 210 },
        { bucket: '2026-11-22T10:00:00.000Z', count: 12, min: 24, max: 35, sum: 354 },
      ])
    }))

  it('counts a point that comes after the others of its bucket were pruned, once', () =>
    inStore((store, object) => {
      fill(store)
      store.rollup({ olderThan: '4h', bucket: '1h' })
      store.prune({ olderThan: '4h' })
      store.put('cpu', 1_000, NOON - 6 * HOUR)
      const late = newEvents(object, () => store.rollup({ olderThan: '4h', bucket: '1h' }))
      expect(late).toMatchObject([{ after: { count: 7, min: 0, max: 1_000, sum: 1_015 } }])
      expect(store.rollup({ olderThan: '4h', bucket: '1h' })).toBe(0)
      store.prune({ olderThan: '4h' })
      expect(store.rollup({ olderThan: '4h', bucket: '1h' })).toBe(0)
      expect([...store.rollups('cpu', { bucket: '1h' })][0]).toMatchObject({ count: 7, sum: 1_015 })
    }))

  it('continues in another transaction if there are too many series for one', () =>
    inStore((store, object) => {
      for (const half of ['a', 'b'])
        store.putBatch(
          Array.from({ length: 6_000 }, (_, index) => ({ key: `${half}${index}`, value: 1, timestamp: 0 })),
        )
      store.put('a0', 2, NOON)
      const events = newEvents(object, () => expect(store.prune({ olderThan: '1d' })).toBe(12_000))
      expect(events).toHaveLength(12_000)
      expect(new Set(events.map(({ txid }) => txid)).size).toBe(2)
      expect(foldTimeSeries(logOf(object)).points).toEqual({ a0: { [NOON]: 2 } })
      expect(store.get('b5999')).toBeUndefined()
    }))
})

describe('aggregate', () => {
  it('returns the metrics asked for, of the points from start on and before end', () =>
    inStore((store) => {
      fill(store)
      const query = { start: '2026-11-22T06:10:00Z', end: '2026-11-22T08:00:00Z', bucket: '1h' } as const
      const buckets = store.aggregate('cpu', { ...query, metrics: ['min', 'max', 'avg', 'count', 'sum', 'p50', 'p75'] })
      expect(buckets).toEqual([
        { bucket: '2026-11-22T06:00:00.000Z', min: 1, max: 5, avg: 3, count: 5, sum: 15, p50: 3, p75: 4 },
        { bucket: '2026-11-22T07:00:00.000Z', min: 6, max: 11, avg: 8.5, count: 6, sum: 51, p50: 8.5, p75: 9.75 },
      ])
      const [first] = store.aggregate('cpu', { ...query, metrics: ['avg', 'p50'] })
      expectTypeOf(first?.avg).toEqualTypeOf<number | undefined>()
      expectTypeOf(first?.p50).toEqualTypeOf<number | null | undefined>()
      // @ts-expect-error because it was not asked for
      expect(first?.sum).toBeUndefined()
      expect(store.aggregate('nobody', { ...query, metrics: ['count'] })).toEqual([])
    }))

  it('computes percentiles as PERCENTILE_CONT does', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: -1_000, max: 1_000 }), { minLength: 1, maxLength: 50 }),
        fc.integer({ min: 1, max: 99 }),
        (numbers, percent) =>
          inStore((store) => {
            store.putBatch(numbers.map((value, timestamp) => ({ key: 'a', value, timestamp })))
            const metric: Metric = `p${percent}`
            const [bucket] = store.aggregate('a', { start: 0, end: 1_000, bucket: '1s', metrics: [metric] })
            expect(bucket?.[metric]).toBeCloseTo(percentile(numbers, percent), 9)
          }),
      ),
      { numRuns: 50 },
    ))

  it('returns null for a percentile of points that are gone', () =>
    inStore((store) => {
      fill(store)
      store.rollup({ olderThan: 0, bucket: '1h' })
      store.prune({ olderThan: '5h' })
      const [pruned, whole] = store.aggregate('cpu', { ...DAY, bucket: '1h', metrics: ['sum', 'p50'] })
      expect(pruned).toEqual({ bucket: '2026-11-22T06:00:00.000Z', sum: 15, p50: null })
      expect(whole).toEqual({ bucket: '2026-11-22T07:00:00.000Z', sum: 51, p50: 8.5 })
    }))

  it('counts pruned points if whole rollups make up the buckets, and no part of a rollup', () =>
    inStore((store) => {
      fill(store)
      store.rollup({ olderThan: 0, bucket: '2h' })
      store.prune({ olderThan: 0 })
      const counts = (start: string, end: string, bucket: '1h' | '2h' | '4h' | '1d') =>
        store
          .aggregate('cpu', { start: `2026-11-22T${start}Z`, end: `2026-11-22T${end}Z`, bucket, metrics: ['count'] })
          .map(({ count }) => count)
      expect(counts('00:00', '23:00', '1h')).toEqual([])
      expect(counts('00:00', '23:00', '2h')).toEqual([12, 12, 12])
      expect(counts('00:00', '23:00', '4h')).toEqual([12, 24])
      expect(counts('07:00', '12:00', '1d')).toEqual([24])
      expect(counts('06:00', '11:00', '1d')).toEqual([24])
    }))

  it.each<[string, readonly string[]]>([
    ['no metric', []],
    ['too many', Array.from({ length: limits.aggregateMetrics + 1 }, (_, index) => `p${index + 1}`)],
    ['an unknown one', ['median']],
    ['one that every object has', ['constructor']],
    ['a percentile that is none', ['p0']],
    ['another', ['p100']],
    ['a percentile with something behind it', ['p50 FROM _cdc_outbox; --']],
  ])('refuses %s', (_, metrics) =>
    inStore(async (store) => {
      const failure = await failureOf(() =>
        store.aggregate('a', { ...DAY, bucket: '1h', metrics: metrics as readonly Metric[] }),
      )
      expect(failure.code).toBe('invalid-argument')
    }),
  )

  it('answers with as many buckets as its limit allows, and refuses more', () =>
    inStore(async (store) => {
      const points = Array.from({ length: limits.aggregateBuckets }, (_, timestamp) => ({
        key: 'a',
        value: 1,
        timestamp,
      }))
      store.putBatch(points)
      store.put('a', 1, limits.aggregateBuckets)
      const query = { start: 0, bucket: 1, metrics: ['count'] } as const
      expect(store.aggregate('a', { ...query, end: limits.aggregateBuckets })).toHaveLength(limits.aggregateBuckets)
      const failure = await failureOf(() => store.aggregate('a', { ...query, end: limits.aggregateBuckets + 1 }))
      expect(failure).toMatchObject({ code: 'invalid-argument', message: /more than 10000 buckets/ })
    }))
})

/** Between the two values that are nearest to it in rank. */
function percentile(numbers: readonly number[], percent: number): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const rank = ((sorted.length - 1) * percent) / 100
  const below = sorted[Math.floor(rank)] ?? Number.NaN
  const above = sorted[Math.ceil(rank)] ?? Number.NaN
  return below + (above - below) * (rank - Math.floor(rank))
}
