import { ColumnarStore, eventLimits } from 'durable-outbox'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { RowMeter, totalRows } from '../../proofs/bench/row-meter.ts'
import { failureOf } from '../notes.ts'
import { contentOf, foldColumnar, plain } from './columnar-fold.ts'
import { inFreshObject, logOf, snapshotOf } from './in-stores.ts'

const { limits } = ColumnarStore

interface Flight {
  origin?: string | null
  delay?: number | null
  departed?: Date | null
  late?: boolean | null
  crew?: object | null
}

const flights: Flight[] = [
  { origin: 'ORD', delay: 12, departed: new Date('2001-01-01T00:47:00Z'), late: true },
  { origin: 'LAX', delay: -3, departed: new Date('2001-01-01T09:00:00.5Z'), late: false, crew: { size: 4 } },
  { origin: 'ORD', delay: null, departed: new Date('2001-01-02T23:59:59.999Z') },
]

describe('insertBatch', () => {
  it('[I1] emits an event for each partition: its rows column by column, and the types of the columns', async () => {
    const events = await inFreshObject((object) => {
      const store = new ColumnarStore<Flight>(object.ctx, 'flights', { partitionBy: 'origin' })
      store.insertBatch(flights, { actor: 'User/nathan', correlationId: 'request-1' })
      store.insertBatch([{ origin: 'ORD', delay: 7 }])
      return logOf(object)
    })
    const shared = { type: 'cdc.insert', op: 'c', store: 'columnar', table: 'flights' }
    const attribution = { actor: 'User/nathan', correlationId: 'request-1' }
    expect(events).toMatchObject([
      {
        ...shared,
        ...attribution,
        key: 'ORD/0',
        after: {
          partition: 'ORD',
          first: 0,
          count: 2,
          types: { origin: 'string', delay: 'number', departed: 'timestamp', late: 'boolean' },
          columns: {
            origin: ['ORD', 'ORD'],
            delay: [12, null],
            departed: ['2001-01-01T00:47:00.000Z', '2001-01-02T23:59:59.999Z'],
            late: [true, null],
          },
        },
      },
      {
        ...shared,
        ...attribution,
        key: 'LAX/0',
        after: { partition: 'LAX', first: 0, count: 1, types: { crew: 'json' }, columns: { crew: [{ size: 4 }] } },
      },
      {
        ...shared,
        key: 'ORD/2',
        after: {
          partition: 'ORD',
          first: 2,
          count: 1,
          types: { origin: 'string', delay: 'number' },
          columns: { origin: ['ORD'], delay: [7] },
        },
      },
    ])
    expect(events[0]?.txid).toBe(events[1]?.txid)
    expect(events[2]).not.toHaveProperty('actor')
  })

  it('returns the place of each row, in the order of the batch', async () => {
    const results = await inFreshObject((object) => {
      const store = new ColumnarStore<Flight>(object.ctx, 'flights', { partitionBy: 'origin' })
      return [store.insertBatch(flights), store.insertBatch(flights), store.insertBatch([])]
    })
    expect(results).toEqual([
      { success: true, count: 3, ids: ['ORD/0', 'LAX/0', 'ORD/1'] },
      { success: true, count: 3, ids: ['ORD/2', 'LAX/1', 'ORD/3'] },
      { success: true, count: 0, ids: [] },
    ])
  })

  it('takes columns like rows', async () => {
    const [rows, columns] = await inFreshObject((object) => {
      const byRows = new ColumnarStore<Flight>(object.ctx, 'a', { partitionBy: 'origin' })
      const byColumns = new ColumnarStore<Flight>(object.ctx, 'b', { partitionBy: ({ origin }) => origin ?? 'null' })
      byRows.insertBatch(flights)
      byColumns.insertBatch({
        origin: flights.map((flight) => flight.origin ?? null),
        delay: flights.map((flight) => flight.delay ?? null),
        departed: flights.map((flight) => flight.departed ?? null),
        late: flights.map((flight) => flight.late ?? null),
        crew: flights.map((flight) => flight.crew ?? null),
      })
      return [snapshotOf(byRows, 10), snapshotOf(byColumns, 10)]
    })
    expect(rows).toHaveLength(2)
    expect(columns).toEqual(rows?.map((event) => ({ ...event, table: 'b' })))
  })

  it('[I1] joins the open transaction, and leaves neither rows, columns nor events if it throws', async () => {
    await inFreshObject(async (object) => {
      const store = new ColumnarStore<{ value: string | number }>(object.ctx, 'things')
      store.insertBatch([{ value: 1 }])
      const other = new ColumnarStore<{ value: string | number }>(object.ctx, 'others')
      await failureOf(() =>
        object.ctx.transaction(async () => {
          store.insertBatch([{ value: 2 }, { value: 3 }])
          await Promise.resolve()
          other.insertBatch([{ value: 4 }])
          throw new Error('on purpose')
        }),
      )
      expect(store.query()).toEqual([{ value: 1 }])
      expect([other.count(), other.meta().columns]).toEqual([0, {}])
      // A column that was never committed has no type yet.
      object.ctx.transactionSync((tx) => {
        other.insertBatch([{ value: 'text' }])
        tx.emit({ type: 'Thing.announced' })
      })
      expect(other.query()).toEqual([{ value: 'text' }])
      const [first, second, third, ...more] = logOf(object)
      expect([first?.table, second?.table, third?.type, more]).toEqual(['things', 'others', 'Thing.announced', []])
      expect(second?.txid).toBe(third?.txid)
    })
  })

  it('emits and writes nothing for an empty batch', async () => {
    await inFreshObject((object) => {
      const store = new ColumnarStore<Flight>(object.ctx, 'flights')
      const meter = new RowMeter(object.ctx.storage)
      store.insertBatch([])
      store.insertBatch({})
      expect([logOf(object), totalRows(meter.take())]).toEqual([[], 0])
    })
  })

  it('writes some tens of rows for 20,000, and one for a small batch of one partition', async () => {
    await inFreshObject((object) => {
      const store = new ColumnarStore(object.ctx, 'flights')
      const rows = Array.from({ length: 20_000 }, (_, index) => ({ delay: index % 90, tail: `N${index}`, late: true }))
      store.insertBatch(rows.slice(0, 1))
      const meter = new RowMeter(object.ctx.storage)
      store.insertBatch(rows)
      expect(meter.take()).toEqual({ 'INSERT INTO "columnar_flights"': 40, 'INSERT INTO _cdc_outbox': 1 })
      store.insertBatch(rows.slice(0, 10))
      expect(meter.take()).toEqual({ 'UPDATE "columnar_flights"': 1, 'INSERT INTO _cdc_outbox': 1 })
      expect(store.meta()).toMatchObject({ count: 20_011, chunks: 41 })
    })
  })

  it('puts small batches into one chunk until that is full', async () => {
    await inFreshObject((object) => {
      const store = new ColumnarStore<{ value: number; odd?: boolean }>(object.ctx, 'things')
      object.ctx.transactionSync(() => {
        for (let value = 0; value < 600; value += 1) store.insertBatch([value % 2 ? { value, odd: true } : { value }])
      })
      expect(store.partitions()).toEqual([{ id: 'all', count: 600, chunks: 2 }])
      expect(foldColumnar(logOf(object))).toEqual(contentOf(store))
    })
  })

  it('[I7] splits what is too large for one event or one chunk', async () => {
    await inFreshObject((object) => {
      const store = new ColumnarStore<{ text: string; last?: number }>(object.ctx, 'things')
      // Each character is three bytes of UTF-8.
      const rows = Array.from({ length: 700 }, (_, index) => ({ text: '€'.repeat(1_000 + index) }))
      store.insertBatch([...rows, { text: '', last: 1 }])
      const events = logOf(object)
      expect(events.length).toBeGreaterThan(4)
      for (const event of [...events, ...snapshotOf(store, 100)])
        expect(new TextEncoder().encode(JSON.stringify(event)).byteLength).toBeLessThan(eventLimits.bytes)
      expect(foldColumnar(events)).toEqual(contentOf(store))
    })
  })

  it('keeps every value as it is', async () => {
    const rows = [
      { n: 0.1 + 0.2, s: '', t: new Date(0), b: false, j: { a: [1, null, 'x'], 'a "b" \\ c': {} } },
      { n: -1.5e300, s: 'null', t: new Date('9999-12-31T23:59:59.999Z'), b: true, j: ['"', ','] },
      { n: 2 ** 53 + 2, s: '1,2', t: new Date('0001-01-01T00:00:00Z'), b: null, j: 'scalar' },
      { n: 5e-324, s: '", \u0001 \u{1f600} €', t: null, b: null, j: 7 },
      { n: null, s: null, t: null, b: null, j: null },
    ]
    await inFreshObject((object) => {
      const store = new ColumnarStore<(typeof rows)[number]>(object.ctx, 'things')
      store.insertBatch(rows)
      expect(store.query()).toEqual(rows)
      for (const row of rows) store.insertBatch([row])
      expect(store.query()).toEqual([...rows, ...rows])
      expect(foldColumnar(logOf(object)).get('all')).toEqual([...rows, ...rows].map(plain))
    })
  })

  it('returns null for a column that came later, and for one that a row does not have', async () => {
    await inFreshObject((object) => {
      const store = new ColumnarStore<{ a?: number; b?: string; c?: boolean }>(object.ctx, 'things')
      store.insertBatch([{}])
      store.insertBatch([{ a: 1 }, {}])
      store.insertBatch([{ b: 'x' }])
      expect(store.query()).toEqual([
        { a: null, b: null },
        { a: 1, b: null },
        { a: null, b: null },
        { a: null, b: 'x' },
      ])
      expect(store.query({ columns: ['c'], limit: 1 })).toEqual([{ c: null }])
      expect(foldColumnar(logOf(object)).get('all')).toEqual([{}, { a: 1 }, {}, { b: 'x' }])
    })
  })

  it.each<[string, unknown]>([
    ['a number where there are strings', [{ name: 'x' }, { name: 1 }]],
    ['a string where there are numbers', [{ size: 1 }, { size: '1' }]],
    ['a Date where there are strings', { name: ['x', new Date(0)] }],
    ['text where there are booleans', [{ done: true }, { done: 'true' }]],
    ['NaN', [{ size: Number.NaN }]],
    ['Infinity', { size: [Infinity] }],
    ['a bigint', [{ size: 1n }]],
    ['a function', [{ size: () => 1 }]],
    ['a NUL', [{ name: 'a\0b' }]],
    ['half a surrogate pair', [{ name: '\ud800' }]],
    ['no time', [{ at: new Date(Number.NaN) }]],
    ['a time after the year 9999', [{ at: new Date('+010000-01-01T00:00:00Z') }]],
    ['microseconds', [{ at: new Date(0) }, { at: '2001-01-01T00:00:00.123456Z' }]],
    ['a day that there is not', [{ at: new Date(0) }, { at: '2001-02-30T00:00:00Z' }]],
    ['a time of some zone', [{ at: new Date(0) }, { at: '2001-01-01T00:00:00+01:00' }]],
    ['a Map', [{ more: new Map() }]],
    ['a Date inside JSON', [{ more: { at: new Date(0) } }]],
    ['JSON that is nested too deeply', [{ more: nested(62) }]],
    ['undefined in an array', [{ more: [undefined] }]],
    ['a Map for a row', [new Map([['a', 1]])]],
    ['null for a row', [null]],
    ['a hole for a row', Array.from({ length: 2 }).with(0, {})],
    ['columns of different lengths', { name: ['x'], size: [1, 2] }],
    ['a column that is no array', { name: 'x' }],
    ['text for a batch', 'x'],
    ['a name that every object has', [{ constructor: 1 }]],
    ['a column without a name', [{ '': 1 }]],
    ['a name with a NUL', [{ 'a\0b': 1 }]],
    [
      'too many columns',
      [Object.fromEntries(Array.from({ length: limits.columns + 1 }, (_, index) => [`c${index}`, 1]))],
    ],
    ['too many rows', { size: Array.from({ length: limits.batchRows + 1 }, () => 1) }],
    ['a row beyond the limit', [{ name: 'x' }, { name: 'x'.repeat(200_001) }]],
    ['a partition beyond the limit', [{ partition: 'x'.repeat(limits.partitionCharacters + 1) }]],
  ])('refuses %s and writes nothing', async (_, batch) => {
    await inFreshObject(async (object) => {
      const store = new ColumnarStore(object.ctx, 'things', { partitionBy: 'partition' })
      const failure = await failureOf(() => store.insertBatch(batch as never))
      expect(failure.code).toBe('invalid-argument')
      expect(failure.message).toMatch(/^things\.insertBatch: /)
      expect([store.meta(), logOf(object)]).toEqual([{ count: 0, partitions: 0, chunks: 0, columns: {} }, []])
    })
  })

  it('reports which row and column is wrong, and what to do', async () => {
    const messages = await inFreshObject(async (object) => {
      const store = new ColumnarStore(object.ctx, 'things')
      store.insertBatch([{ size: 1 }])
      const batches = [[{ size: 1 }, { size: 'large' }], [{ name: 'x'.repeat(300_000) }]]
      return Promise.all(batches.map(async (batch) => (await failureOf(() => store.insertBatch(batch))).message))
    })
    expect(messages).toEqual([
      'things.insertBatch: row 2: size must be a finite number, not "large"',
      'things.insertBatch: row 1 has more than 200000 characters of JSON; put large values into R2 and insert their keys',
    ])
  })

  it('is empty after deleteAll, and still works', async () => {
    await inFreshObject(async (object) => {
      const store = new ColumnarStore<{ value: unknown }>(object.ctx, 'things')
      store.insertBatch([{ value: 1 }])
      await object.ctx.storage.deleteAll()
      expect(store.count()).toBe(0)
      store.insertBatch([{ value: 'text' }])
      expect(store.query()).toEqual([{ value: 'text' }])
    })
  })

  it.each([[''], ['1st'], ['a b'], ['x"; DROP TABLE notes; --'], ['a'.repeat(65)]])(
    'refuses %j as the name of a table',
    async (table) => {
      const failure = await inFreshObject(({ ctx }) => failureOf(() => new ColumnarStore(ctx, table)))
      expect(failure.code).toBe('invalid-argument')
    },
  )
})

describe('partitionBy', () => {
  const rows = [
    { text: 'a/b', size: 1.5, done: true, at: new Date('2001-01-01T23:59:59Z') },
    { text: '', size: -2, done: false, at: new Date('2001-01-02T00:00:00Z') },
    {},
  ]

  it.each<['text' | 'size' | 'done' | 'at', string[]]>([
    ['text', ['', 'a/b', 'null']],
    ['size', ['-2', '1.5', 'null']],
    ['done', ['false', 'null', 'true']],
    ['at', ['2001-01-01', '2001-01-02', 'null']],
  ])('makes ids of the values of %s', async (partitionBy, ids) => {
    await inFreshObject((object) => {
      const store = new ColumnarStore<(typeof rows)[number]>(object.ctx, 'things', { partitionBy })
      store.insertBatch(rows)
      store.insertBatch(rows)
      expect(store.partitions().map(({ id }) => id)).toEqual(ids)
      expect(foldColumnar(logOf(object))).toEqual(contentOf(store))
      for (const maxRows of [1, 2, 10]) expect(foldColumnar(snapshotOf(store, maxRows))).toEqual(contentOf(store))
    })
  })

  it('takes a function of the row, which must give text', async () => {
    await inFreshObject(async (object) => {
      const partitionBy = ({ at }: { at?: Date }): string => at?.toISOString().slice(0, 7) as string
      const store = new ColumnarStore<{ at?: Date }>(object.ctx, 'things', { partitionBy })
      expect(store.insertBatch([{ at: new Date('2001-01-01T00:00:00Z') }]).ids).toEqual(['2001-01/0'])
      expect(await failureOf(() => store.insertBatch([{}]))).toMatchObject({ code: 'invalid-argument' })
    })
  })

  it('refuses a column of JSON', async () => {
    await inFreshObject(async (object) => {
      const store = new ColumnarStore<{ more: object }>(object.ctx, 'things', { partitionBy: 'more' })
      expect(await failureOf(() => store.insertBatch([{ more: {} }]))).toMatchObject({ code: 'invalid-argument' })
    })
  })
})

describe('schema', () => {
  const zodSchema = z.object({
    id: z.string().min(2),
    size: z.int(),
    weight: z.number().optional(),
    at: z.date().nullable(),
    tags: z.array(z.string()).default([]),
    color: z.enum(['red', 'green']).optional(),
  })
  const types = { id: 'string', size: 'integer', weight: 'number', at: 'timestamp', tags: 'json', color: 'string' }

  it('takes types by name', async () => {
    await inFreshObject(async (object) => {
      const schema = { size: 'integer', at: 'timestamp', 'any json': 'json' } as const
      const store = new ColumnarStore<{ size?: number; at?: Date; 'any json'?: object }>(object.ctx, 'things', {
        schema,
      })
      expect(store.meta().columns).toEqual(schema)
      store.insertBatch([{ size: 1, at: '2001-01-01T00:00:00Z' as never }, { 'any json': [1] }])
      expect(store.query()).toEqual([
        { size: 1, at: new Date('2001-01-01T00:00:00Z'), 'any json': null },
        { size: null, at: null, 'any json': [1] },
      ])
      for (const row of [{ size: 1.5 }, { size: 2 ** 53 }, { at: 'today' }, { other: 1 }])
        expect(await failureOf(() => store.insertBatch([row as never]))).toMatchObject({ code: 'invalid-argument' })
      expect(await failureOf(() => store.count({ where: { other: 1 } as never }))).toMatchObject({
        code: 'invalid-argument',
        message: 'things.count: the schema has no column "other"',
      })
    })
  })

  it('takes a zod object, which each row passes', async () => {
    await inFreshObject(async (object) => {
      const store = new ColumnarStore(object.ctx, 'things', { schema: zodSchema })
      expect(store.meta().columns).toEqual(types)
      const row: z.infer<typeof zodSchema> = { id: 'ab', size: 1, at: new Date(0), tags: ['x'] }
      store.insertBatch([row])
      store.insertBatch({ id: ['cd'], size: [2], at: [null], tags: [[]] })
      expect(store.query({ columns: ['id', 'at', 'tags', 'color'] })).toEqual([
        { id: 'ab', at: new Date(0), tags: ['x'], color: null },
        { id: 'cd', at: null, tags: [], color: null },
      ])
      const failure = await failureOf(() => store.insertBatch([row, { ...row, id: 'a' }]))
      expect(failure).toMatchObject({ code: 'invalid-argument' })
      expect(failure.message).toMatch(/^things\.insertBatch: row 2: id: /)
      expect(await failureOf(() => store.insertBatch([{ ...row, other: 1 } as never]))).toMatchObject({
        code: 'invalid-argument',
      })
      expect(store.count()).toBe(2)
    })
  })

  it('refuses another type for an existing column, and takes new columns', async () => {
    await inFreshObject(async (object) => {
      new ColumnarStore<{ a: number }>(object.ctx, 'things', { schema: { a: 'number' } }).insertBatch([{ a: 1 }])
      const failure = await failureOf(
        () => new ColumnarStore<{ a: string }>(object.ctx, 'things', { schema: { a: 'string' } }),
      )
      expect(failure).toMatchObject({ code: 'invalid-argument' })
      const wider = new ColumnarStore<{ a: number; b?: boolean }>(object.ctx, 'things', {
        schema: { a: 'number', b: 'boolean' },
      })
      wider.insertBatch([{ a: 2, b: true }])
      expect(wider.query()).toEqual([
        { a: 1, b: null },
        { a: 2, b: true },
      ])
    })
  })
})

describe('readRows', () => {
  it('continues after each page, even while rows and columns are added', async () => {
    await inFreshObject((object) => {
      const store = new ColumnarStore<{ day: string; value?: number; text?: string }>(object.ctx, 'things', {
        partitionBy: 'day',
      })
      store.insertBatch(Array.from({ length: 3_000 }, (_, value) => ({ day: `day ${value % 3}`, value })))
      const first = store.readRows(undefined, 2)
      expect(first.events.map(({ key }) => key)).toEqual(['day 0/0', 'day 0/512'])
      expect(first.next).toBe('day 0/512')
      store.insertBatch([{ day: 'day 0', text: 'new' }])
      store.insertBatch([{ day: 'day 2', text: 'new' }])
      const rest = snapshotOf(store, 2, first.next)
      // What was added behind the page that was read is in the log, after the events of the snapshot.
      const log = logOf(object)
      expect(foldColumnar([...log.slice(0, -2), ...first.events, ...rest, ...log.slice(-2)])).toEqual(contentOf(store))
      expect(foldColumnar([...log, ...snapshotOf(store, 3)])).toEqual(contentOf(store))
    })
  })
})

it('[I1] emits a log from which the store can be rebuilt, whatever calls are made', async () => {
  const text = fc.string({ unit: 'binary', maxLength: 5 }).filter((value) => !value.includes('\0'))
  const number = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => value + 0)
  const nullable = <V>(value: fc.Arbitrary<V>) => fc.option(value, { nil: null })
  const row = fc.record(
    {
      origin: nullable(fc.constantFrom('ORD', 'LAX', '')),
      text: nullable(text),
      number: nullable(number),
      late: nullable(fc.boolean()),
      at: nullable(
        fc.date({ min: new Date('0000-01-01T00:00:00Z'), max: new Date('9999-12-31'), noInvalidDate: true }),
      ),
      more: fc.jsonValue({ maxDepth: 2 }).map((value) => ({ value: withoutMinusZero(value) })),
      rare: fc.integer(),
    },
    { requiredKeys: [] },
  )
  type Row = Record<string, unknown>
  const rows = fc.array(row, { minLength: 1, maxLength: 4 })
  const actions = fc.array(
    fc.record({
      do: fc.constantFrom('insert', 'insert', 'columns', 'fail', 'refuse'),
      rows: fc.tuple(rows, fc.constantFrom(1, 1, 1, 200)).map(([some, times]) => repeat<Row>(some, times)),
    }),
    { maxLength: 8 },
  )
  await fc.assert(
    fc.asyncProperty(actions, async (script) => {
      const model = new Map<string, Row[]>()
      await inFreshObject(async (object) => {
        const store = new ColumnarStore<Row>(object.ctx, 'things', { partitionBy: 'origin' })
        for (const action of script) {
          if (action.do === 'insert') store.insertBatch(action.rows)
          if (action.do === 'columns') store.insertBatch(toColumns(action.rows))
          if (action.do === 'insert' || action.do === 'columns')
            for (const added of action.rows) {
              const id = typeof added['origin'] === 'string' ? added['origin'] : 'null'
              model.set(id, [...(model.get(id) ?? []), plain(added)])
            }
          if (action.do === 'refuse')
            await failureOf(() => store.insertBatch([...action.rows, { number: 1 }, { number: 'one' }]))
          if (action.do === 'fail')
            await failureOf(() =>
              object.ctx.transactionSync(() => {
                store.insertBatch(action.rows)
                throw new Error('on purpose')
              }),
            )
        }
        expect(foldColumnar(logOf(object))).toEqual(model)
        expect(sorted(contentOf(store))).toEqual(sorted(model))
        expect(sorted(foldColumnar(snapshotOf(store, 2)))).toEqual(sorted(model))
      })
    }),
    { numRuns: 40 },
  )
})

/** An array in an array in an array … */
function nested(levels: number): unknown[] {
  return levels === 1 ? [] : [nested(levels - 1)]
}

function repeat<V>(values: V[], times: number): V[] {
  return Array.from({ length: times }, () => values).flat()
}

function toColumns(rows: readonly Record<string, unknown>[]): Record<string, unknown[]> {
  const names = new Set(rows.flatMap((row) => Object.keys(row)))
  return Object.fromEntries([...names].map((name) => [name, rows.map((row) => row[name])]))
}

/** JSON has one zero. */
function withoutMinusZero(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value)) as unknown
}

function sorted<V>(map: Map<string, V>): [string, V][] {
  return [...map].toSorted(([a], [b]) => (a < b ? -1 : 1))
}
