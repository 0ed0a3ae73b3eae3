import { inFreshObject, logOf, snapshotOf } from './in-stores.ts'
import { TimeSeriesStore } from 'durable-outbox'
import type { Duration, Point } from 'durable-outbox/stores'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../notes.ts'
import type { Stores } from '../worker.ts'
import { contentOf, foldTimeSeries } from './time-series.ts'

const { limits } = TimeSeriesStore

/** Runs a test with a store of its own. */
function inStore<T, Value = number>(
  run: (store: TimeSeriesStore<Value>, object: Stores) => T | Promise<T>,
  now = () => 1_000,
): Promise<T> {
  return inFreshObject((object) => run(new TimeSeriesStore<Value>(object.ctx, 'Reading', { now }), object))
}

describe('TimeSeriesStore', () => {
  it('[I1] emits each new point, and each new value of a point with the one before', () =>
    inStore((store, object) => {
      store.put('cpu', 0.5, 10)
      store.put('cpu', 0.75, 10)
      store.put('cpu', 0.75, 10)
      store.put('disk', -3)
      const shared = { store: 'timeseries', table: 'Reading' }
      const events = logOf(object)
      expect(events).toMatchObject([
        { ...shared, type: 'cdc.insert', op: 'c', key: 'cpu', after: { timestamp: 10, value: 0.5 } },
        {
          ...shared,
          type: 'cdc.update',
          op: 'u',
          key: 'cpu',
          before: { timestamp: 10, value: 0.5 },
          after: { timestamp: 10, value: 0.75 },
        },
        { ...shared, op: 'c', key: 'disk', after: { timestamp: 1_000, value: -3 } },
      ])
      expect(new Set(events.map(({ txid }) => txid)).size).toBe(3)
    }))

  it('[I1] emits a batch in one transaction, an event for each point that it changes', () =>
    inStore((store, object) => {
      store.put('a', 1, 1)
      store.put('a', 2, 2)
      store.putBatch([
        { key: 'a', value: 1, timestamp: 1 },
        { key: 'a', value: 20, timestamp: 2 },
        { key: 'b', value: 3, timestamp: 2 },
        { key: 'b', value: 4 },
      ])
      const batch = logOf(object).slice(2)
      expect(batch).toMatchObject([
        { op: 'u', key: 'a', lsn: 3, before: { timestamp: 2, value: 2 }, after: { timestamp: 2, value: 20 } },
        { op: 'c', key: 'b', lsn: 4, after: { timestamp: 2, value: 3 } },
        { op: 'c', key: 'b', lsn: 5, after: { timestamp: 1_000, value: 4 } },
      ])
      expect(new Set(batch.map(({ txid }) => txid)).size).toBe(1)
    }))

  it('writes one row for each point, and one for its transaction', () =>
    inStore((store, { ctx }) => {
      let written = 0
      const { sql } = ctx.storage
      const exec = sql.exec.bind(sql)
      sql.exec = <Row extends Record<string, SqlStorageValue>>(query: string, ...bindings: unknown[]) => {
        const cursor = exec<Row>(query, ...bindings)
        written += cursor.rowsWritten
        return cursor
      }
      const rowsOf = (write: () => void): number => {
        written = 0
        write()
        return written
      }
      store.put('warm up', 1)
      expect(rowsOf(() => store.put('a', 1))).toBe(2)
      expect(rowsOf(() => store.put('a', 2))).toBe(2)
      expect(rowsOf(() => store.put('a', 2))).toBe(0)
      expect(rowsOf(() => store.putBatch(hundredPoints('b')))).toBe(101)
      expect(rowsOf(() => store.putBatch(hundredPoints('b')))).toBe(0)
      expect(rowsOf(() => store.rollup({ olderThan: 0, bucket: 10 }))).toBe(11)
      expect(rowsOf(() => store.rollup({ olderThan: 0, bucket: 10 }))).toBe(0)
    }))

  it('joins the open transaction, and takes the actor from it or from the call', () =>
    inStore((store, object) => {
      object.ctx.transactionSync(
        (tx) => {
          store.put('a', 1, 1)
          store.put('a', 2, 2, { actor: 'User/bob' })
          store.putBatch([{ key: 'a', value: 3, timestamp: 3 }], { correlationId: 'request-2' })
          store.rollup({ olderThan: 0, bucket: 1_000 }, { actor: 'Service/rollup' })
          store.prune({ olderThan: 0 }, { actor: 'Service/prune' })
          tx.emit({ type: 'Reading.done' })
        },
        { actor: 'User/alice', correlationId: 'request-1' },
      )
      const events = logOf(object)
      expect(events.map(({ op, actor, correlationId }) => [op, actor, correlationId])).toEqual([
        ['c', 'User/alice', 'request-1'],
        ['c', 'User/bob', 'request-1'],
        ['c', 'User/alice', 'request-2'],
        ['r', 'Service/rollup', 'request-1'],
        ['d', 'Service/prune', 'request-1'],
        [undefined, 'User/alice', 'request-1'],
      ])
      expect(new Set(events.map(({ txid }) => txid)).size).toBe(1)
    }))

  it('[I1] leaves neither points, rollups nor events if the transaction around it throws', () =>
    inStore(async (store, object) => {
      store.putBatch(hundredPoints('kept'))
      const before = contentOf(store, ['kept', 'lost'], [10])
      const lastLSN = object.outbox.stats().lastLSN
      const failure = await failureOf(() =>
        object.ctx.transaction(async () => {
          store.put('kept', -1, 5)
          store.putBatch(hundredPoints('lost'))
          await Promise.resolve()
          store.rollup({ olderThan: 0, bucket: 10 })
          store.prune({ olderThan: 0 })
          throw new Error('on purpose')
        }),
      )
      expect(failure.message).toBe('on purpose')
      expect(contentOf(store, ['kept', 'lost'], [10])).toEqual(before)
      expect(object.outbox.stats().lastLSN).toBe(lastLSN)
    }))

  it('puts nothing of a batch if one of its points is not valid', () =>
    inStore(async (store, object) => {
      const points = [...hundredPoints('a'), { key: 'a', value: Number.NaN, timestamp: 100 }]
      const failure = await failureOf(() => store.putBatch(points))
      expect(failure).toEqual({
        code: 'invalid-argument',
        message: `Reading.putBatch: point 100: a number must be between ±${limits.magnitude}, not NaN`,
      })
      expect([...store.range('a')]).toEqual([])
      expect(logOf(object)).toEqual([])
    }))

  it('keeps the last of two points that a batch has for one time', () =>
    inStore((store, object) => {
      store.putBatch([
        { key: 'a', value: 1, timestamp: 1 },
        { key: 'a', value: 2, timestamp: 1 },
      ])
      expect([...store.range('a')]).toEqual([{ key: 'a', value: 2, timestamp: 1 }])
      expect(foldTimeSeries(logOf(object)).points).toEqual({ a: { 1: 2 } })
    }))

  it('takes batches up to a limit', () =>
    inStore(async (store, object) => {
      const points = Array.from({ length: limits.batchPoints }, (_, timestamp) => ({ key: 'a', value: 1, timestamp }))
      store.putBatch(points)
      store.putBatch([])
      expect(object.outbox.stats().lastLSN).toBe(limits.batchPoints)
      const failure = await failureOf(() => store.putBatch([...points, { key: 'b', value: 1 }]))
      expect(failure).toMatchObject({ code: 'invalid-argument', message: /10001 points, the limit is 10000/ })
    }))

  it('has its tables again after deleteAll', () =>
    inStore(async (store, object) => {
      store.put('a', 1, 1)
      store.rollup({ olderThan: 0, bucket: 10 })
      await object.ctx.storage.deleteAll()
      expect(contentOf(store, ['a'], [10])).toEqual({ points: {}, rollups: {} })
      store.put('a', 2, 2)
      expect(store.get('a')).toBe(2)
    }))

  it.each([[''], ['1st'], ['a b'], ['a$rollups'], ['x"; DROP TABLE _cdc_outbox; --'], ['a'.repeat(65)]])(
    'refuses %j as a type of points',
    async (type) => {
      const failure = await inFreshObject((object) => failureOf(() => new TimeSeriesStore(object.ctx, type)))
      expect(failure.code).toBe('invalid-argument')
    },
  )
})

describe('reading', () => {
  it('returns points in the order of their time, whenever they came', () =>
    inStore((store) => {
      for (const timestamp of [30, -5, 20, 10]) store.put('a', timestamp * 2, timestamp)
      store.put('ab', 0, 15)
      expect([...store.range('a')].map(({ timestamp }) => timestamp)).toEqual([-5, 10, 20, 30])
      expect([...store.range('a', { start: 10, end: 20 })]).toEqual([
        { key: 'a', value: 20, timestamp: 10 },
        { key: 'a', value: 40, timestamp: 20 },
      ])
      expect([...store.range('a', { start: 21, end: 29 })]).toEqual([])
      expect([...store.range('nobody')]).toEqual([])
    }))

  it('reads a range page by page, as it is consumed', () =>
    inStore((store) => {
      const points = Array.from({ length: 2_500 }, (_, timestamp) => ({ key: 'a', value: timestamp, timestamp }))
      store.putBatch(points)
      expect([...store.range('a')]).toEqual(points)
      const range = store.range('a')
      range.next()
      store.put('a', -1, 2_000)
      expect([...range][1_999]).toEqual({ key: 'a', value: -1, timestamp: 2_000 })
    }))

  it('returns the latest value, and the one that was the latest at a time', () =>
    inStore((store) => {
      expect(store.get('a')).toBeUndefined()
      store.putBatch([
        { key: 'a', value: 2, timestamp: '2026-11-22T10:00:00Z' },
        { key: 'a', value: 1, timestamp: '2026-11-21T10:00:00Z' },
      ])
      expect(store.get('a')).toBe(2)
      expect(store.asOf('a', '2026-11-22T09:59:59.999Z')).toBe(1)
      expect(store.asOf('a', '2026-11-22T11:00:00+01:00')).toBe(2)
      expect(store.asOf('a', '2026-11-21')).toBeUndefined()
    }))

  it('returns every row to a snapshot, in pages of any size', () =>
    inStore((store) => {
      store.putBatch([...hundredPoints('a'), ...hundredPoints('b')])
      store.rollup({ olderThan: 0, bucket: 10 })
      store.rollup({ olderThan: 0, bucket: 50 })
      store.prune({ olderThan: 950 })
      const content = contentOf(store, ['a', 'b'], [10, 50])
      for (const maxRows of [1, 7, 100, 1_000]) {
        const rows = snapshotOf(store, maxRows)
        expect(rows.every(({ op }) => op === 'r')).toBe(true)
        expect(foldTimeSeries(rows)).toEqual(content)
      }
    }))
})

describe('values', () => {
  it('keeps every number as it is, in its event too', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ min: -limits.magnitude, max: limits.magnitude, noNaN: true }), {
          minLength: 1,
          maxLength: 40,
        }),
        (numbers) =>
          inStore((store, object) => {
            // JSON has no negative zero.
            const kept = numbers.map((value) => value + 0)
            store.putBatch(numbers.map((value, timestamp) => ({ key: 'batch', value, timestamp })))
            for (const [timestamp, value] of numbers.entries()) store.put('single', value, timestamp)
            expect([...store.range('batch')].map(({ value }) => value + 0)).toEqual(kept)
            expect([...store.range('single')].map(({ value }) => value + 0)).toEqual(kept)
            const { points } = foldTimeSeries(logOf(object))
            expect(points['batch']).toEqual(points['single'])
            expect(Object.values(points['batch'] ?? {})).toEqual(kept)
          }),
      ),
      { numRuns: 50 },
    ))

  it('keeps any other JSON as it is, distinct from the numbers that it looks like', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            fc
              .jsonValue({ stringUnit: 'grapheme' })
              .map((value) => JSON.parse(JSON.stringify(value)) as unknown)
              .filter((value) => typeof value !== 'number' || Math.abs(value) <= limits.magnitude),
            fc.constantFrom('5', '1e3', 'Infinity', '', ' 7', 'null', null, true, [], {}, { a: undefined }),
          ),
          { minLength: 1, maxLength: 10 },
        ),
        (given) =>
          inStore<void, unknown>((store, object) => {
            store.putBatch(given.map((value, timestamp) => ({ key: 'a', value, timestamp })))
            expect([...store.range('a')].map(({ value }) => value)).toEqual(given)
            expect(Object.values(foldTimeSeries(logOf(object)).points['a'] ?? {})).toEqual(given)
          }),
      ),
      { numRuns: 50 },
    ))

  it('adds up only numbers', () =>
    inStore<void, unknown>((store) => {
      for (const [timestamp, value] of [1, '2', null, true, [3], { four: 4 }, 5].entries())
        store.put('a', value, timestamp)
      const query = { start: 0, end: 1_000, bucket: '1s', metrics: ['count', 'sum', 'p50'] } as const
      expect(store.aggregate('a', query)).toEqual([{ bucket: '1970-01-01T00:00:00.000Z', count: 2, sum: 6, p50: 3 }])
      store.rollup({ olderThan: 0, bucket: '1s' })
      expect([...store.rollups('a', { bucket: '1s' })]).toMatchObject([{ count: 2, sum: 6, min: 1, max: 5, avg: 3 }])
    }))

  it.each<[string, unknown]>([
    ['NaN', Number.NaN],
    ['infinity', -Infinity],
    ['a number whose sums could be infinite', 1e291],
    ['a bigint', 5n],
    ['a Date', new Date(0)],
    ['nothing', undefined],
    ['a function', () => 1],
    ['a Map', new Map()],
    ['an array with a hole', [1, undefined]],
    ['an array of NaN', [Number.NaN]],
    ['half a surrogate pair', '\ud800'],
    ['nesting beyond what an event may have', JSON.parse(`${'['.repeat(64)}${']'.repeat(64)}`)],
  ])('refuses %s and writes nothing', (_, value) =>
    inStore<void, unknown>(async (store, object) => {
      const failures = [
        await failureOf(() => store.put('a', value, 1)),
        await failureOf(() => store.putBatch([{ key: 'a', value, timestamp: 1 }])),
      ]
      expect(failures.map(({ code }) => code)).toEqual(['invalid-argument', 'invalid-argument'])
      expect(store.get('a')).toBeUndefined()
      expect(logOf(object)).toEqual([])
    }),
  )

  it.each([[999_900], [1_000_001], [5_000_000]])(
    'refuses a value of %d characters, which no event can carry',
    (length) =>
      inStore<void, string>(async (store, object) => {
        const failure = await failureOf(() => store.put('a', 'x'.repeat(length), 1))
        expect(failure.code).toBe('event-too-large')
        expect(store.get('a')).toBeUndefined()
        expect(logOf(object)).toEqual([])
      }),
  )
})

describe('arguments', () => {
  it.each([["a'); DROP TABLE timeseries_Reading; --"], ['a"b'], ['ключ'], ['a%_?1'], ['x'.repeat(1_024)]])(
    'takes %j for a key',
    (key) =>
      inStore((store, object) => {
        store.putBatch([
          { key, value: 1, timestamp: 1 },
          { key, value: 2, timestamp: 2 },
        ])
        store.rollup({ olderThan: 0, bucket: 10 })
        store.prune({ olderThan: 999 })
        expect(store.get(key)).toBe(2)
        expect(store.aggregate(key, { start: 0, end: 10, bucket: 10, metrics: ['sum'] })).toMatchObject([{ sum: 3 }])
        expect(foldTimeSeries(logOf(object))).toEqual(contentOf(store, [key], [10]))
      }),
  )

  it.each([[''], ['x'.repeat(1_025)], ['a\0b'], ['\udc00'], [5]])('refuses %j as a key', (key) =>
    inStore(async (store, object) => {
      const text = key as string
      const query = { start: 0, end: 1, bucket: 1, metrics: ['sum'] } as const
      for (const call of [
        () => store.put(text, 1),
        () => store.putBatch([{ key: text, value: 1 }]),
        () => store.get(text),
        () => store.asOf(text, 0),
        () => store.range(text),
        () => store.rollups(text, { bucket: 1 }),
        () => store.aggregate(text, query),
      ])
        expect((await failureOf(call)).code).toBe('invalid-argument')
      expect(logOf(object)).toEqual([])
    }),
  )

  it.each<[Date | string | number, string]>([
    [0, '1970-01-01T00:00:00.000Z'],
    [-1, '1969-12-31T23:59:59.999Z'],
    [new Date(5), '1970-01-01T00:00:00.005Z'],
    ['2026-11-22', '2026-11-22T00:00:00.000Z'],
    ['2026-11-22T10:00Z', '2026-11-22T10:00:00.000Z'],
    ['2026-11-22T10:00:00.5+05:30', '2026-11-22T04:30:00.500Z'],
    ['0000-01-01', '0000-01-01T00:00:00.000Z'],
    ['9999-12-31T23:59:59.999Z', '9999-12-31T23:59:59.999Z'],
  ])('takes %j as the time %s', (time, iso) =>
    inStore((store) => {
      store.put('a', 1, time)
      expect([...store.range('a')].map(({ timestamp }) => new Date(timestamp).toISOString())).toEqual([iso])
      expect([...store.range('a', { start: time, end: time })]).toHaveLength(1)
    }),
  )

  it.each<[unknown]>([
    [0.5],
    [Number.NaN],
    [Infinity],
    [Date.now() * 1_000],
    [new Date('x')],
    ['yesterday'],
    ['2026-11-22T10:00:00'],
    ['2026-02-30T10:00:00Z'],
    ['2026-11-22T10:00:00.123456Z'],
    ['2026-11-22T25:00:00Z'],
    ['1700000000000'],
    [null],
    [1n],
    [{}],
  ])('refuses %o as a time', (value) =>
    inStore(async (store, object) => {
      const time = value as number
      for (const call of [
        () => store.put('a', 1, time),
        () => store.putBatch([{ key: 'a', value: 1, timestamp: time }]),
        () => store.asOf('a', time),
        () => store.range('a', { start: time }),
        () => store.range('a', { end: time }),
        () => store.aggregate('a', { start: 0, end: time, bucket: 1, metrics: ['sum'] }),
      ])
        expect((await failureOf(call)).code).toBe('invalid-argument')
      expect(logOf(object)).toEqual([])
    }),
  )

  it.each<[unknown]>([
    [-1],
    [0.5],
    [Number.NaN],
    [1e300],
    ['1.5h'],
    ['-1h'],
    ['1 h'],
    ['5'],
    ['h'],
    ['1y'],
    [''],
    [null],
  ])('refuses %j as a duration', (value) =>
    inStore(async (store, { ctx }) => {
      const duration = value as Duration
      for (const call of [
        () => store.prune({ olderThan: duration }),
        () => store.rollup({ olderThan: duration, bucket: 1 }),
        () => store.rollup({ olderThan: 0, bucket: duration }),
        () => store.rollups('a', { bucket: duration }),
        () => store.aggregate('a', { start: 0, end: 1, bucket: duration, metrics: ['sum'] }),
        () => new TimeSeriesStore(ctx, 'Other', { retention: duration }),
      ])
        expect((await failureOf(call)).code).toBe('invalid-argument')
    }),
  )
})

function hundredPoints(key: string): Point<number>[] {
  return Array.from({ length: 100 }, (_, timestamp) => ({ key, value: timestamp / 7, timestamp }))
}
