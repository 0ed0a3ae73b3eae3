import { ColumnarStore } from 'durable-outbox'
import { type ColumnarQuery, type ColumnarSelection, type ColumnarComparison } from 'durable-outbox/stores'
import * as fc from 'fast-check'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { failureOf } from '../notes.ts'
import { inFreshObject } from './in-stores.ts'

const { limits } = ColumnarStore

interface Flight {
  tail: string
  origin: string
  delay?: number | null
  late?: boolean | null
  departed?: Date | null
  crew?: { size: number; lead?: string; 'a "b"'?: number } | null
}

const flights: Flight[] = [
  { tail: 'a', origin: 'ORD', delay: 12, late: true, departed: new Date('2001-01-01T00:47:00Z'), crew: { size: 4 } },
  { tail: 'b', origin: 'LAX', delay: -3.5, late: false, departed: new Date('2001-01-01T09:00:00Z') },
  { tail: 'c', origin: 'ORD', departed: new Date('2001-01-02T10:00:00Z'), crew: { size: 5, lead: "O'Hara" } },
  { tail: 'd', origin: 'ATL', delay: 0, late: false, crew: null },
]

/** Runs code on a store that holds `flights`. */
function inFlights<R>(run: (store: ColumnarStore<Flight>) => R | Promise<R>): Promise<R> {
  return inFreshObject(({ ctx }) => {
    const store = new ColumnarStore<Flight>(ctx, 'flights', { partitionBy: 'origin' })
    store.insertBatch(flights)
    return run(store)
  })
}

describe('query', () => {
  it.each<[ColumnarQuery<Flight, 'tail'>, string]>([
    [{}, 'dbac'],
    [{ partition: 'ORD' }, 'ac'],
    [{ partition: 'JFK' }, ''],
    [{ where: { delay: 12 } }, 'a'],
    [{ where: { delay: null } }, 'c'],
    [{ where: { delay: { $ne: null } } }, 'dba'],
    [{ where: { delay: { $ne: 0 } } }, 'bac'],
    [{ where: { delay: { $gt: -3.5 } } }, 'da'],
    [{ where: { delay: { $gte: -3.5, $lt: 12 } } }, 'db'],
    [{ where: { delay: { $lte: 0 }, late: false } }, 'db'],
    [{ where: { delay: { $in: [0, 12, 99] } } }, 'da'],
    [{ where: { delay: { $in: [] } } }, ''],
    [{ where: { late: true } }, 'a'],
    [{ where: { late: { $in: [false] } } }, 'db'],
    [{ where: { origin: 'ORD', tail: { $gt: 'a' } } }, 'c'],
    [{ where: { departed: new Date('2001-01-01T09:00:00Z') } }, 'b'],
    [{ where: { departed: { $gte: new Date('2001-01-01T09:00:00Z') } } }, 'bc'],
    [{ where: { crew: null } }, 'db'],
    [{ where: { 'crew.size': { $gt: 4 } } }, 'c'],
    [{ where: { 'crew.lead': "O'Hara" } }, 'c'],
    [{ where: { 'crew.lead': null } }, 'dba'],
    [{ where: { tail: "a' OR 1=1 --" } }, ''],
    [{ orderBy: 'tail' }, 'abcd'],
    [{ orderBy: 'delay' }, 'cbda'],
    [{ orderBy: 'delay', order: 'desc' }, 'adbc'],
    [{ orderBy: 'late' }, 'cdba'],
    [{ orderBy: 'departed', order: 'desc', limit: 2 }, 'cb'],
    [{ orderBy: 'crew.size', order: 'desc', limit: 2 }, 'ca'],
    [{ limit: 2, offset: 1 }, 'ba'],
    [{ offset: 4 }, ''],
  ])('finds by %j', async (query, tails) => {
    await inFlights((store) => {
      const found = store.query({ ...query, columns: ['tail'] })
      expect(found).toEqual(tails.split('').map((tail) => ({ tail })))
      const { partition, where } = query
      if (query.offset === undefined && query.limit === undefined)
        expect(store.count({ ...(partition !== undefined && { partition }), ...(where && { where }) })).toBe(
          tails.length,
        )
    })
  })

  it('returns the columns asked for, typed', async () => {
    await inFlights((store) => {
      const [row] = store.query({ columns: ['departed', 'crew', 'crew.size', 'late'], where: { tail: 'a' } })
      expect(row).toEqual({ departed: flights[0]?.departed, crew: { size: 4 }, 'crew.size': 4, late: true })
      expectTypeOf(row?.departed).toEqualTypeOf<Date | null | undefined>()
      expectTypeOf(row?.['crew.size']).toBeUnknown()
      const [whole] = store.query()
      expectTypeOf(whole?.tail).toEqualTypeOf<string | undefined>()
      // @ts-expect-error: there is no such column
      expect(store.query({ columns: ['wings'] })).toHaveLength(4)
    })
  })

  it('finds nothing in a store without rows, by any query', async () => {
    await inFreshObject(({ ctx }) => {
      const store = new ColumnarStore<Flight>(ctx, 'flights')
      const where = { delay: { $gt: 1 }, departed: { $lt: new Date() }, 'crew.size': 4, late: null }
      expect(store.query({ where, orderBy: 'tail', columns: ['crew'] })).toEqual([])
      expect(store.count({ where })).toBe(0)
      expect(store.aggregate({ where, metrics: ['count', 'sum:delay', 'avg:delay', 'max:tail'] })).toEqual({
        count: 0,
        'sum:delay': 0,
        'avg:delay': null,
        'max:tail': null,
      })
      expect(store.aggregate({ groupBy: 'origin', metrics: ['count'] })).toEqual([])
      expect(store.findPartitions('delay', { op: '>', value: 1 })).toEqual([])
      expect(store.columnStats('delay')).toEqual({ count: 0, nullCount: 0, min: null, max: null, cardinality: 0 })
    })
  })

  it.each<[string, unknown]>([
    ['no limit', { limit: 0 }],
    ['a limit beyond the limit', { limit: limits.pageRows + 1 }],
    ['half a row', { limit: 1.5 }],
    ['a negative offset', { offset: -1 }],
    ['an order that does not exist', { orderBy: 'tail', order: 'desc; DROP TABLE columnar_flights' }],
    ['an order of JSON', { orderBy: 'crew' }],
    ['an operator that does not exist', { where: { delay: { $regex: 'x' } } }],
    ['an operator that every object has', { where: { delay: { constructor: 1 } } }],
    ['an array to be equal to', { where: { delay: [1] } }],
    ['text for a number', { where: { delay: '12' } }],
    ['NaN', { where: { delay: { $lt: Number.NaN } } }],
    ['a number for text', { where: { tail: 1 } }],
    ['a number for a boolean', { where: { late: 1 } }],
    ['text for a time', { where: { departed: 'yesterday' } }],
    ['a comparison with JSON', { where: { crew: { $eq: { size: 4 } } } }],
    ['less than null', { where: { delay: { $lt: null } } }],
    ['a value that is not an array in $in', { where: { delay: { $in: 1 } } }],
    ['null in $in', { where: { delay: { $in: [null] } } }],
    ['too many values in $in', { where: { delay: { $in: Array.from({ length: limits.inValues + 1 }, () => 1) } } }],
    ['a quote in a path', { where: { 'crew.a "b"': 1 } }],
    ['a backslash in a path', { where: { 'crew.a\\b': 1 } }],
    ['too many conditions', { columns: Array.from({ length: 91 }, (_, index) => `crew.path ${index}`) }],
  ])('refuses %s', async (_, query) => {
    const failure = await inFlights((store) => failureOf(() => store.query(query as never)))
    expect(failure.code).toBe('invalid-argument')
    expect(failure.message).toMatch(/^flights\.query: /)
  })

  it('treats names that look like SQL as names', async () => {
    await inFreshObject(({ ctx }) => {
      const names = [`'`, `"`, '`', `x'); DROP TABLE columnar_things; --`, 'C0', 'c0', '$', 'a.b', 'from', '🛩', '__']
      const store = new ColumnarStore<Record<string, number>>(ctx, 'things')
      store.insertBatch([Object.fromEntries(names.map((name, index) => [name, index])), {}])
      for (const [index, name] of names.entries()) {
        const where = { [name]: index }
        expect(store.query({ columns: [name], where, orderBy: name })).toEqual([where])
        expect(store.aggregate({ groupBy: name, where, metrics: [`sum:${name}`] })).toEqual([
          { [name]: index, [`sum:${name}`]: index },
        ])
        expect(store.columnStats(name).max).toBe(index)
        expect(store.findPartitions(name, { op: '=', value: index })).toHaveLength(1)
      }
      for (const name of [`') OR 1=1 --`, 'c99', 'rowid', 'partition', 'statistics']) {
        expect(store.query({ where: { [name]: 1 }, orderBy: name })).toEqual([])
        expect(store.query({ columns: [name] })).toEqual([{ [name]: null }, { [name]: null }])
      }
    })
  })

  it('reads only the chunks that can have matching rows, and only the columns that it needs', async () => {
    await inFreshObject(async ({ ctx }) => {
      const store = new ColumnarStore<{ n: number; s: string; at: Date; other: string }>(ctx, 'things')
      const rowOf = (n: number) => ({ n, s: `s${n}`, at: new Date(n * 1_000), other: 'x' })
      store.insertBatch(Array.from({ length: 1_024 }, (_, index) => rowOf(1_000 + index)))
      // A broken value fails if it is read.
      ctx.storage.sql.exec(`UPDATE columnar_things SET c0 = '?', c1 = '?', c2 = '?' WHERE first = 0`)
      ctx.storage.sql.exec(`UPDATE columnar_things SET c3 = '?'`)
      const last = { n: 2_023, s: 's2023', at: new Date(2_023_000) }
      const columns = ['n', 's', 'at'] as const
      for (const where of [
        { n: { $gt: 2_022 } },
        { n: 2_023 },
        { n: { $in: [9, 2_023] } },
        { s: 's2023' },
        { at: last.at },
      ])
        expect(store.query({ columns, where })).toEqual([last])
      expect(store.aggregate({ where: { n: { $gte: 1_600 } }, metrics: ['count'] })).toEqual({ count: 424 })
      expect(store.count({ where: { n: { $lt: 1_000 } } })).toBe(0)
      expect(store.count()).toBe(1_024)
      expect(store.findPartitions('n', { op: '>', value: 2_000 })).toHaveLength(1)
      for (const where of [{ n: { $gte: 1_000 } }, { n: { $ne: 2_000 } }, { other: 'x' }])
        await expect(async () => store.count({ where })).rejects.toThrow('JSON')
    })
  })
})

describe('aggregate', () => {
  it('aggregates all rows, or groups of them', async () => {
    await inFlights((store) => {
      const all = store.aggregate({
        metrics: ['count', 'sum:delay', 'avg:delay', 'min:delay', 'max:delay', 'min:departed', 'max:late', 'min:tail'],
      })
      expect(all).toEqual({
        count: 4,
        'sum:delay': 8.5,
        'avg:delay': 8.5 / 3,
        'min:delay': -3.5,
        'max:delay': 12,
        'min:departed': flights[0]?.departed,
        'max:late': true,
        'min:tail': 'a',
      })
      expectTypeOf(all['sum:delay']).toBeNumber()
      expectTypeOf(all['min:departed']).toEqualTypeOf<Date | null>()
      const groups = store.aggregate({ groupBy: 'origin', metrics: ['count', 'sum:delay', 'avg:delay'] })
      expect(groups).toEqual([
        { origin: 'ATL', count: 1, 'sum:delay': 0, 'avg:delay': 0 },
        { origin: 'LAX', count: 1, 'sum:delay': -3.5, 'avg:delay': -3.5 },
        { origin: 'ORD', count: 2, 'sum:delay': 12, 'avg:delay': 12 },
      ])
      expectTypeOf(groups[0]?.origin).toEqualTypeOf<string | undefined>()
    })
  })

  it('groups by several columns, by values inside JSON, and by columns that do not exist', async () => {
    await inFlights((store) => {
      expect(
        store.aggregate({ groupBy: ['late', 'origin'], metrics: ['count'], where: { delay: { $ne: null } } }),
      ).toEqual([
        { late: false, origin: 'ATL', count: 1 },
        { late: false, origin: 'LAX', count: 1 },
        { late: true, origin: 'ORD', count: 1 },
      ])
      expect(store.aggregate({ groupBy: 'crew.size', metrics: ['count'], limit: 2 })).toEqual([
        { 'crew.size': null, count: 2 },
        { 'crew.size': 4, count: 1 },
      ])
      expect(store.aggregate({ groupBy: 'crew.size', metrics: ['max:crew.lead'], limit: 2, offset: 2 })).toEqual([
        { 'crew.size': 5, 'max:crew.lead': "O'Hara" },
      ])
      expect(store.aggregate({ groupBy: 'departed', metrics: ['sum:crew.size', 'sum:crew.lead'], limit: 2 })).toEqual([
        { departed: null, 'sum:crew.size': 0, 'sum:crew.lead': 0 },
        { departed: flights[0]?.departed, 'sum:crew.size': 4, 'sum:crew.lead': 0 },
      ])
    })
  })

  it('sums and compares beyond 53 and 64 bits', async () => {
    await inFreshObject(({ ctx }) => {
      const store = new ColumnarStore<{ n: number }>(ctx, 'things')
      store.insertBatch({ n: [2 ** 62, 2 ** 62, 2 ** 62] })
      expect(store.aggregate({ metrics: ['sum:n', 'max:n'] })).toEqual({ 'sum:n': 3 * 2 ** 62, 'max:n': 2 ** 62 })
      expect(store.count({ where: { n: 2 ** 62 } })).toBe(3)
      expect(store.count({ where: { n: { $gt: 2 ** 62 } } })).toBe(0)
    })
  })

  it.each<[string, unknown]>([
    ['no metric', { metrics: ['median:delay'] }],
    ['a metric without a column', { metrics: ['sum'] }],
    ['a sum of text', { metrics: ['sum:tail'] }],
    ['an average of times', { metrics: ['avg:departed'] }],
    ['the greatest JSON', { metrics: ['max:crew'] }],
    ['groups of JSON', { metrics: ['count'], groupBy: 'crew' }],
    ['too many groups', { metrics: ['count'], groupBy: 'tail', limit: limits.pageRows + 1 }],
  ])('refuses %s', async (_, aggregation) => {
    const failure = await inFlights((store) => failureOf(() => store.aggregate(aggregation as never)))
    expect(failure.code).toBe('invalid-argument')
  })
})

describe('statistics', () => {
  it('describe a column, in all partitions or in one', async () => {
    await inFlights((store) => {
      expect(store.columnStats('delay')).toEqual({ count: 4, nullCount: 1, min: -3.5, max: 12, cardinality: 3 })
      expect(store.columnStats('delay', { partition: 'ORD' })).toEqual({
        count: 2,
        nullCount: 1,
        min: 12,
        max: 12,
        cardinality: 1,
      })
      const departed = store.columnStats('departed')
      expect(departed).toMatchObject({ nullCount: 1, min: flights[0]?.departed, max: flights[2]?.departed })
      expectTypeOf(departed.min).toEqualTypeOf<Date | null>()
      expect(store.columnStats('late')).toMatchObject({ nullCount: 1, min: false, max: true, cardinality: 2 })
      expect(store.columnStats('crew')).toMatchObject({ nullCount: 2, min: null, max: null, cardinality: 2 })
      expect(store.columnStats('crew.size')).toMatchObject({ nullCount: 2, min: 4, max: 5, cardinality: 2 })
    })
  })

  it('list partitions, in pages, and those in which a value may be', async () => {
    await inFlights((store) => {
      const [atl, lax, ord] = [
        { id: 'ATL', count: 1, chunks: 1 },
        { id: 'LAX', count: 1, chunks: 1 },
        { id: 'ORD', count: 2, chunks: 1 },
      ]
      expect(store.partitions()).toEqual([atl, lax, ord])
      expect(store.partitions({ limit: 1, offset: 1 })).toEqual([lax])
      expect(store.findPartitions('delay', { op: '>=', value: 0 })).toEqual([
        { ...atl, min: 0, max: 0 },
        { ...ord, min: 12, max: 12 },
      ])
      expect(store.findPartitions('delay', { op: '=', value: 5 })).toEqual([])
      // Bounds are those of the values, even if a chunk began without any.
      store.insertBatch([{ tail: 'e', origin: 'JFK' }])
      store.insertBatch([{ tail: 'f', origin: 'JFK', delay: 5 }])
      expect(store.findPartitions('delay', { op: '=', value: 5 })).toEqual([
        { id: 'JFK', count: 2, chunks: 1, min: 5, max: 5 },
      ])
      const early = { op: '<', value: new Date('2001-01-01T01:00:00Z') } as const
      expect(store.findPartitions('departed', early)).toEqual([
        { ...ord, min: flights[0]?.departed, max: flights[2]?.departed },
      ])
    })
    const failure = await inFlights((store) =>
      failureOf(() => store.findPartitions('delay', { op: 'LIKE', value: 1 } as never)),
    )
    expect(failure.code).toBe('invalid-argument')
  })

  it('have no bounds for long strings, nor for those that SQLite orders differently, which are still found', async () => {
    await inFreshObject(({ ctx }) => {
      const store = new ColumnarStore<{ p: string; s: string }>(ctx, 'things', { partitionBy: 'p' })
      const [bmp, astral] = ['\ufffd', '\u{1f600}']
      store.insertBatch({ p: ['a', 'long', 'other', 'other'], s: ['a', 'x'.repeat(200), bmp, astral] })
      expect(store.query({ columns: ['s'], where: { s: { $gt: bmp } } })).toEqual([{ s: astral }])
      expect(store.query({ columns: ['s'], where: { s: { $gte: bmp } }, orderBy: 's' })).toEqual([
        { s: bmp },
        { s: astral },
      ])
      expect(store.count({ where: { s: { $gt: 'w' } } })).toBe(3)
      // What is not known rules nothing out.
      expect(store.findPartitions('s', { op: '=', value: 'y' })).toEqual([
        { id: 'long', count: 1, chunks: 1, min: null, max: null },
        { id: 'other', count: 2, chunks: 1, min: null, max: null },
      ])
    })
  })

  it('know the names that dotdo uses', async () => {
    await inFreshObject(async ({ ctx }) => {
      interface Thing {
        type: string
        data: { status?: string; total?: number; name?: string }
      }
      const store = new ColumnarStore<Thing>(ctx, 'things', { partitionBy: 'type' })
      const result = store.insertBatch([
        { type: 'Order', data: { status: 'paid', total: 10 } },
        { type: 'User', data: { name: 'Alice' } },
        { type: 'Order', data: { status: 'open', total: 5 } },
        { type: 'Order', data: { status: 'paid', total: 1 } },
      ])
      expect(result).toMatchObject({ success: true, count: 4 })
      expect(store.types()).toEqual(['Order', 'User'])
      expect(store.count({ type: 'Order' })).toBe(3)
      expect(store.count({ type: 'Order', where: { 'data.total': { $gt: 1 } } })).toBe(2)
      expect(
        store.query({ type: 'Order', columns: ['type', 'data.total'], orderBy: 'data.total', order: 'desc', limit: 1 }),
      ).toEqual([{ type: 'Order', 'data.total': 10 }])
      expect(
        store.aggregate({
          type: 'Order',
          groupBy: 'data.status',
          metrics: ['count', 'sum:data.total', 'avg:data.total'],
        }),
      ).toEqual([
        { 'data.status': 'open', count: 1, 'sum:data.total': 5, 'avg:data.total': 5 },
        { 'data.status': 'paid', count: 2, 'sum:data.total': 11, 'avg:data.total': 5.5 },
      ])
      expect(store.findPartitions('type', { op: '=', value: 'User' })).toMatchObject([{ id: 'User', min: 'User' }])
      expect(store.meta()).toEqual({ count: 4, partitions: 2, chunks: 2, columns: { type: 'string', data: 'json' } })
    })
  })
})

it('finds what a loop over all rows finds', async () => {
  type Row = { p: string; n: number | null; s: string | null; b: boolean | null; t: Date | null; rare?: number }
  const values = {
    n: fc.integer({ min: -3, max: 3 }).map((value) => value / 2),
    s: fc.constantFrom('', 'a', 'b', 'ab', 'é', '\ufffd', '\u{1f600}', 'x'.repeat(130)),
    b: fc.boolean(),
    t: fc.integer({ min: 0, max: 3 }).map((value) => new Date(value * 1_000)),
  }
  const nullable = <V>(value: fc.Arbitrary<V>) => fc.option(value, { nil: null, freq: 4 })
  const row: fc.Arbitrary<Row> = fc.record(
    {
      p: fc.constantFrom('x', 'y'),
      n: nullable(values.n),
      s: nullable(values.s),
      b: nullable(values.b),
      t: nullable(values.t),
      rare: fc.nat(2),
    },
    { requiredKeys: ['p', 'n', 's', 'b', 't'] },
  )
  const comparison = <V>(value: fc.Arbitrary<V>): fc.Arbitrary<ColumnarComparison<V>> =>
    fc.oneof(
      ...(['$eq', '$ne'] as const).map((operator) => nullable(value).map((operand) => ({ [operator]: operand }))),
      ...(['$gt', '$gte', '$lt', '$lte'] as const).map((operator) => value.map((operand) => ({ [operator]: operand }))),
      fc.array(value, { maxLength: 3 }).map(($in) => ({ $in })),
    )
  const where = fc.record(
    {
      n: comparison(values.n),
      s: comparison(values.s),
      b: comparison(values.b),
      t: comparison(values.t),
      rare: comparison(fc.nat(2)),
    },
    { requiredKeys: [] },
  )
  const batches = fc.array(fc.array(row, { minLength: 1, maxLength: 5 }), { maxLength: 5 })
  const orderBy = fc.constantFrom('n', 's', 'b', 't', 'rare', undefined)
  await fc.assert(
    fc.asyncProperty(
      batches,
      fc.array(fc.tuple(where, orderBy, fc.boolean()), { minLength: 5 }),
      async (given, questions) => {
        await inFreshObject(({ ctx }) => {
          const store = new ColumnarStore<Row>(ctx, 'things', { partitionBy: 'p' })
          for (const batch of given) store.insertBatch(batch)
          const rows = ['x', 'y'].flatMap((p) => given.flat().filter((candidate) => candidate.p === p))
          for (const [where, orderBy, isDescending] of questions) {
            const found = rows.filter((row) =>
              Object.entries(where).every(([name, condition]) => holds(row[name as keyof Row] ?? null, condition)),
            )
            const selection: ColumnarSelection<Row> = { where }
            expect(store.count(selection)).toBe(found.length)
            const direction = isDescending ? -1 : 1
            const ordered =
              orderBy === undefined
                ? found
                : found.toSorted((a, b) => direction * compare(a[orderBy] ?? null, b[orderBy] ?? null))
            const page = { limit: 7, offset: 1 }
            const sorting = orderBy === undefined ? {} : ({ orderBy, order: isDescending ? 'desc' : 'asc' } as const)
            expect(
              store.query({ ...selection, ...page, ...sorting, columns: ['p', 'n', 's', 'b', 't', 'rare'] }),
            ).toEqual(ordered.slice(1, 8).map((row) => ({ ...row, rare: row.rare ?? null })))
            expect(
              store.aggregate({ ...selection, groupBy: 'b', metrics: ['count', 'sum:n', 'min:s', 'max:t'] }),
            ).toEqual([null, false, true].flatMap((b) => summarize(b, found)))
          }
        })
      },
    ),
    { numRuns: 50 },
  )

  function summarize(b: boolean | null, found: readonly Row[]) {
    const group = found.filter((row) => row.b === b)
    if (group.length === 0) return []
    const texts = group.flatMap(({ s }) => s ?? []).toSorted(compare)
    const times = group.flatMap(({ t }) => t ?? []).toSorted(compare)
    const sum = group.reduce((total, { n }) => total + (n ?? 0), 0)
    return [{ b, count: group.length, 'sum:n': sum, 'min:s': texts[0] ?? null, 'max:t': times.at(-1) ?? null }]
  }
})

type Value = string | number | boolean | Date | null

function holds(value: Value, condition: ColumnarComparison<Value>): boolean {
  return Object.entries(condition).every(([operator, operand]) => {
    if (operator === '$in') return (operand as Value[]).some((one) => value !== null && compare(value, one) === 0)
    const order = compare(value, operand as Value)
    if (operator === '$eq') return order === 0
    if (operator === '$ne') return order !== 0
    if (value === null) return false
    return { $gt: order > 0, $gte: order >= 0, $lt: order < 0, $lte: order <= 0 }[operator]
  })
}

/** SQLite's order: nulls first, text by code points. */
function compare(a: Value, b: Value): number {
  const [x, y] = [a, b].map((value) => (value instanceof Date ? value.toISOString() : value))
  if (x === y) return 0
  if (x === null || y === null) return x === null ? -1 : 1
  if (typeof x === 'string' && typeof y === 'string') {
    const encode = (text: string): string => String.fromCharCode(...new TextEncoder().encode(text))
    return encode(x) < encode(y) ? -1 : 1
  }
  return Number(x) - Number(y)
}
