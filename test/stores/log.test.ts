// The log of a store tells its content, whatever calls are made: batches that fail half-way, calls whose failure is
// caught in a transaction that continues, transactions that are nested, asynchronous or rolled back.

import { eq } from 'drizzle-orm'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import {
  type AttachedStore,
  type CaptureContext,
  ColumnarStore,
  DocumentStore,
  type EventInput,
  GraphStore,
  RelationalStore,
  TimeSeriesStore,
  VectorStore,
} from 'durable-outbox'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Stores } from '../worker.ts'
import { foldColumnar } from './columnar-fold.ts'
import { type FoldedTables, foldRows } from './fold.ts'
import { inFreshObject, logOf, snapshotOf } from './in-stores.ts'
import { foldTimeSeries } from './time-series.ts'

interface Call<Store> {
  readonly call: string
  readonly run: (store: Store) => unknown
}

interface Block<Store> {
  readonly steps: readonly Step<Store>[]
  readonly isRolledBack: boolean
}

type Step<Store> = Call<Store> | Block<Store>

interface Subject<Store> {
  readonly open: (ctx: CaptureContext) => Store
  readonly calls: readonly fc.Arbitrary<Call<Store>>[]
  readonly fold: (events: readonly EventInput[]) => unknown
  /** The rows of the store as events. */
  readonly read: (store: Store) => EventInput[]
}

/** No event can hold it, which is found when the rows before it are written. */
const TOO_LARGE = { text: 'x'.repeat(1_000_001) }

const id = fc.constantFrom('a', 'b', 'c')
const number = fc.integer({ min: 0, max: 3 })

function call<Store, Argument>(
  name: string,
  argument: fc.Arbitrary<Argument>,
  run: (store: Store, argument: Argument) => unknown,
): fc.Arbitrary<Call<Store>> {
  return argument.map((given) => ({
    call: `${name} ${JSON.stringify(given)}`.slice(0, 100),
    run: (store) => run(store, given),
  }))
}

/** Steps, a transaction of them among them, and so on. */
function stepsOf<Store>(calls: readonly fc.Arbitrary<Call<Store>>[]): fc.Arbitrary<Step<Store>[]> {
  const { steps } = fc.letrec<{ step: Step<Store>; steps: Step<Store>[] }>((tie) => ({
    step: fc.oneof({ depthSize: 'small' }, ...calls, fc.record({ steps: tie('steps'), isRolledBack: fc.boolean() })),
    steps: fc.array(tie('step'), { maxLength: 6 }),
  }))
  return steps
}

/** Takes a step, and continues if a call is refused. Nothing may fail in another way. */
function take<Store>(object: Stores, store: Store, step: Step<Store>): void {
  try {
    if ('call' in step) return void step.run(store)
    object.ctx.transactionSync(() => {
      for (const inner of step.steps) take(object, store, inner)
      if (step.isRolledBack) throw new Error('rolled back')
    })
  } catch (error) {
    expect(String(error)).toMatch(/^CDCError: |^Error: rolled back$|UNIQUE constraint failed/)
  }
}

/** Takes a step in a transaction with an await in it. */
async function takeAsync<Store>(object: Stores, store: Store, { steps, isRolledBack }: Block<Store>): Promise<void> {
  const transaction = object.ctx.transaction(async () => {
    for (const step of steps) {
      take(object, store, step)
      await Promise.resolve()
    }
    if (isRolledBack) throw new Error('rolled back')
  })
  await transaction.catch((error: unknown) => expect(String(error)).toBe('Error: rolled back'))
}

/** The rows of each table that has any. */
function foldTables(events: readonly EventInput[]): FoldedTables {
  return new Map([...foldRows(events)].filter(([, rows]) => rows.size > 0))
}

function readSnapshot(store: AttachedStore): EventInput[] {
  return snapshotOf(store, 3)
}

async function expectLogToTell<Store>(subject: Subject<Store>): Promise<void> {
  const script = fc.array(
    fc.record({ steps: stepsOf(subject.calls), isRolledBack: fc.boolean(), isAsync: fc.boolean() }),
    {
      maxLength: 4,
    },
  )
  await fc.assert(
    fc.asyncProperty(script, (blocks) =>
      inFreshObject(async (object) => {
        const store = subject.open(object.ctx)
        for (const { isAsync, ...block } of blocks)
          if (isAsync) await takeAsync(object, store, block)
          else for (const step of block.steps) take(object, store, step)
        const log = logOf(object)
        expect(log.map(({ lsn }) => lsn)).toEqual(log.map((_, index) => index + 1))
        expect(subject.fold(log)).toEqual(subject.fold(subject.read(store)))
      }),
    ),
    { numRuns: 40 },
  )
}

function documents(): Promise<void> {
  interface Note {
    stars?: number
    text?: string
  }
  type Store = DocumentStore<Note>
  const note = fc.record({ stars: number }, { requiredKeys: [] })
  const notes = fc.array(
    fc.tuple(id, note).map(([$id, given]) => ({ $id, ...given })),
    { maxLength: 4 },
  )
  const where = fc.oneof(fc.record({ stars: number }), fc.constant({}))
  return expectLogToTell<Store>({
    open: (ctx) => new DocumentStore(ctx, 'Note', { indexes: ['stars'] }),
    fold: foldTables,
    read: readSnapshot,
    calls: [
      call('create', fc.tuple(id, note), (store: Store, [$id, given]) => store.create({ $id, ...given })),
      call('createBatch', notes, (store: Store, given) => store.createBatch(given)),
      call('create of too much', notes, (store: Store, given) => store.createBatch([...given, TOO_LARGE])),
      call('update', fc.tuple(id, note), (store: Store, [$id, given]) => store.update($id, given)),
      call('replace', fc.tuple(id, note), (store: Store, [$id, given]) => store.replace($id, given)),
      call('upsert', fc.tuple(id, note), (store: Store, [$id, given]) => store.upsert($id, given)),
      call('updateIfVersion', fc.tuple(id, note), (store: Store, [$id, given]) => store.updateIfVersion($id, given, 1)),
      call('updateBatch', fc.tuple(where, number), (store: Store, [filter, stars]) =>
        store.updateBatch(filter, { stars }),
      ),
      call('delete', id, (store: Store, $id) => store.delete($id)),
      call('deleteIfVersion', id, (store: Store, $id) => store.deleteIfVersion($id, 2)),
      call('deleteBatch', where, (store: Store, filter) => store.deleteBatch(filter)),
    ],
  })
}

function graph(): Promise<void> {
  const node = fc.record({ id, data: fc.record({ n: number }) })
  const relationship = fc.record({ from: id, to: id, type: fc.constantFrom('t', 'u'), data: fc.record({ n: number }) })
  const nodes = fc.array(node, { maxLength: 4 })
  const relationships = fc.array(relationship, { maxLength: 4 })
  return expectLogToTell<GraphStore>({
    open: (ctx) => new GraphStore(ctx, 'Social'),
    fold: foldTables,
    read: readSnapshot,
    calls: [
      call('put', node, (store: GraphStore, given) => store.put(given)),
      call('putBatch', nodes, (store: GraphStore, given) => store.putBatch(given)),
      call('putBatch of too much', nodes, (store: GraphStore, given) =>
        store.putBatch([...given, { id: 'a', data: TOO_LARGE }]),
      ),
      call('relate', relationship, (store: GraphStore, given) => store.relate(given)),
      call('relateBatch', relationships, (store: GraphStore, given) => store.relateBatch(given)),
      call('relateBatch of too much', relationships, (store: GraphStore, given) =>
        store.relateBatch([...given, { from: 'd', to: 'd', type: 't', data: TOO_LARGE }]),
      ),
      call('updateRelationship', relationship, (store: GraphStore, { from, to, type, data }) =>
        store.updateRelationship(from, to, type, { data }),
      ),
      call('unrelate', relationship, (store: GraphStore, { from, to, type }) => store.unrelate(from, to, type)),
      call('delete', id, (store: GraphStore, given) => store.delete(given)),
    ],
  })
}

function tables(): Promise<void> {
  const tasks = sqliteTable('tasks', { id: text('id').primaryKey(), stars: integer('stars').unique() })
  type Store = RelationalStore<{ tasks: typeof tasks }>
  const row = fc.record({ id, stars: number })
  const rows = fc.array(row, { minLength: 1, maxLength: 4 })
  return expectLogToTell<Store>({
    open: (ctx) =>
      new RelationalStore(ctx, { tasks }, { migrations: ['CREATE TABLE tasks (id TEXT PRIMARY KEY, stars UNIQUE)'] }),
    fold: foldTables,
    read: (store) =>
      store
        .select()
        .from(tasks)
        .all()
        .map((after) => ({ op: 'r', store: 'relational', table: 'tasks', key: after.id, after })),
    calls: [
      call('insert', rows, (store: Store, given) => store.insert(tasks).values(given).run()),
      call('insert or ignore', rows, (store: Store, given) =>
        store.insert(tasks).values(given).onConflictDoNothing().run(),
      ),
      call('upsert', row, (store: Store, given) => store.upsert(tasks, given)),
      call('update', row, (store: Store, { id: given, stars }) =>
        store.update(tasks).set({ stars }).where(eq(tasks.id, given)).run(),
      ),
      call('update of all', number, (store: Store, stars) => store.update(tasks).set({ stars }).run()),
      call('delete', id, (store: Store, given) => store.delete(tasks).where(eq(tasks.id, given)).run()),
    ],
  })
}

function columns(): Promise<void> {
  type Store = ColumnarStore
  const row = fc.record({ part: id, n: number, s: id, j: fc.record({ n: number }) }, { requiredKeys: ['part'] })
  const rows = fc.array(row, { maxLength: 4 })
  return expectLogToTell<Store>({
    open: (ctx) => new ColumnarStore(ctx, 'rows', { partitionBy: 'part' }),
    fold: foldColumnar,
    read: readSnapshot,
    calls: [
      call('insertBatch', rows, (store: Store, given) => store.insertBatch(given)),
      call('insertBatch of many', row, (store: Store, given) =>
        store.insertBatch(Array.from({ length: 600 }, () => given)),
      ),
      call('insertBatch of columns', fc.tuple(id, number), (store: Store, [part, n]) =>
        store.insertBatch({ part: [part, 'a'], n: [n, null] }),
      ),
      call('insertBatch with a wrong value', rows, (store: Store, given) =>
        store.insertBatch([...given, { part: 'a', n: 1, new: 1 }, { part: 'b', n: 'text' }]),
      ),
      call('insertBatch of too much', rows, (store: Store, given) =>
        store.insertBatch([...given, { part: 'd', ...TOO_LARGE }]),
      ),
    ],
  })
}

function series(): Promise<void> {
  type Store = TimeSeriesStore<unknown>
  const value = fc.oneof(number, fc.constantFrom('text', null, { deep: [1] }))
  const point = fc.record({ key: id, value, timestamp: fc.integer({ min: 0, max: 20 }) })
  const points = fc.array(point, { maxLength: 40 })
  const duration = fc.constantFrom(0, 5, 10, 20)
  const bucket = fc.constantFrom(5, 10)
  return expectLogToTell<Store>({
    open: (ctx) => new TimeSeriesStore<unknown>(ctx, 'Load', { now: () => 20 }),
    fold: foldTimeSeries,
    read: readSnapshot,
    calls: [
      call('put', point, (store: Store, { key, value, timestamp }) => store.put(key, value, timestamp)),
      call('putBatch', points, (store: Store, given) => store.putBatch(given)),
      call('putBatch of too much', points, (store: Store, given) =>
        store.putBatch([...given, { key: 'a', value: TOO_LARGE, timestamp: 1 }]),
      ),
      call('rollup', fc.tuple(duration, bucket), (store: Store, [olderThan, bucket]) =>
        store.rollup({ olderThan, bucket }),
      ),
      call('prune', duration, (store: Store, olderThan) => store.prune({ olderThan })),
    ],
  })
}

function vectors(): Promise<void> {
  const document = fc.record({
    id,
    content: fc.constantFrom('', 'text'),
    embedding: fc.tuple(number, number),
    metadata: fc.record({ n: number }, { requiredKeys: [] }),
  })
  const documents = fc.array(document, { maxLength: 4 })
  return expectLogToTell<VectorStore>({
    open: (ctx) => new VectorStore(ctx, 'vectors', { dimension: 2 }),
    fold: foldTables,
    read: readSnapshot,
    calls: [
      call('insert', document, (store: VectorStore, given) => store.insert(given)),
      call('insertBatch', documents, (store: VectorStore, given) => store.insertBatch(given)),
      call('insertBatch of too much', documents, (store: VectorStore, given) =>
        store.insertBatch([...given, { id: 'd', content: '', embedding: [0, 0], metadata: TOO_LARGE }]),
      ),
      call('upsert', document, (store: VectorStore, given) => store.upsert(given)),
      call('delete', id, (store: VectorStore, given) => store.delete(given)),
      call('search', fc.constant([0, 1]), (store: VectorStore, embedding) => store.search({ embedding })),
    ],
  })
}

it.each([
  ['documents of a DocumentStore', documents],
  ['nodes and relationships of a GraphStore', graph],
  ['rows of a RelationalStore', tables],
  ['rows of a ColumnarStore', columns],
  ['points and rollups of a TimeSeriesStore', series],
  ['documents of a VectorStore', vectors],
])('[I1] [I11] tells the %s', async (_, check) => {
  await expect(check()).resolves.toBeUndefined()
})
