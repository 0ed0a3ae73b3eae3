// The stores of the conformance suite: for each, every method that changes something, and what it emits.

import { eq } from 'drizzle-orm'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import {
  ColumnarStore,
  DocumentStore,
  GraphStore,
  RelationalStore,
  type CaptureContext,
  TimeSeriesStore,
  VectorStore,
} from 'durable-outbox'

/** One call that changes something. */
interface Mutation<Store> {
  /** The method, and what is special about the call. */
  readonly title: string
  /** What must be there before. */
  readonly prepare?: (store: Store) => unknown
  readonly run: (store: Store) => unknown
  /** The changes that it emits, in their order: `<op> <table> <key>`. */
  readonly emits: readonly string[]
}

/** A mutation of an object's store. */
interface Case {
  readonly title: string
  readonly emits: readonly string[]
  /** Makes the store, as an object's constructor does. */
  readonly open: (ctx: CaptureContext) => { readonly prepare: () => void; readonly run: () => void }
}

export interface Subject {
  readonly name: string
  /** The store's name for a snapshot. */
  readonly store: string
  readonly cases: readonly Case[]
}

function subject<Store>(
  name: string,
  store: string,
  create: (ctx: CaptureContext) => Store,
  mutations: readonly Mutation<Store>[],
): Subject {
  return {
    name,
    store,
    cases: mutations.map(({ title, prepare, run, emits }) => ({
      title,
      emits,
      open: (ctx) => {
        const created = create(ctx)
        return { prepare: () => void prepare?.(created), run: () => void run(created) }
      },
    })),
  }
}

const tasks = sqliteTable('tasks', { id: integer('id').primaryKey(), title: text('title').notNull() })
type Tasks = RelationalStore<{ tasks: typeof tasks }>

interface Task {
  title: string
  done?: boolean
}

const addDocument = (store: DocumentStore<Task>): unknown => store.create({ $id: 't1', title: 'Write' })
const addRow = (store: Tasks): unknown => store.insert(tasks).values({ id: 1, title: 'Write' }).run()
const addPlain = (sql: SqlStorage): unknown => sql.exec("INSERT INTO plain VALUES ('a', 1), ('b', 2)")

const addNode = (store: GraphStore): unknown => store.put({ id: 'a', data: { name: 'Alice' } })
const addEdges = (store: GraphStore): unknown =>
  store.relateBatch([
    { from: 'a', to: 'b', type: 'knows', data: { since: 2024 } },
    { from: 'b', to: 'a', type: 'knows' },
  ])
const addPoints = (store: TimeSeriesStore): unknown =>
  store.putBatch([
    { key: 'cpu', value: 0.5, timestamp: 1_000 },
    { key: 'cpu', value: 0.7, timestamp: 2_000 },
  ])
const addFlights = (store: ColumnarStore<Flight>): unknown =>
  store.insertBatch([
    { origin: 'OSL', delay: 1 },
    { origin: 'BGO', delay: 2 },
    { origin: 'OSL', delay: 3 },
  ])

const vector = { id: 'v1', content: 'one', embedding: [1, 2], metadata: { lang: 'en' } }
const addVector = (store: VectorStore): unknown => store.insert(vector)

type Flight = { origin: string; delay: number }

export const subjects: readonly Subject[] = [
  subject('DocumentStore', 'document/Task', (ctx) => new DocumentStore<Task>(ctx, 'Task'), [
    { title: 'create', run: addDocument, emits: ['c Task t1'] },
    { title: 'update', prepare: addDocument, run: (store) => store.update('t1', { done: true }), emits: ['u Task t1'] },
    {
      title: 'update that changes nothing',
      prepare: addDocument,
      run: (store) => store.update('t1', { title: 'Write' }),
      emits: [],
    },
    { title: 'delete', prepare: addDocument, run: (store) => store.delete('t1'), emits: ['d Task t1'] },
    { title: 'delete of nothing', run: (store) => store.delete('t1'), emits: [] },
  ]),
  subject(
    'RelationalStore',
    'relational/tasks',
    (ctx): Tasks =>
      new RelationalStore(
        ctx,
        { tasks },
        { migrations: ['CREATE TABLE tasks (id INTEGER PRIMARY KEY, title TEXT NOT NULL)'] },
      ),
    [
      { title: 'insert', run: addRow, emits: ['c tasks 1'] },
      {
        title: 'update',
        prepare: addRow,
        run: (store) => store.update(tasks).set({ title: 'Read' }).where(eq(tasks.id, 1)).run(),
        emits: ['u tasks 1'],
      },
      {
        title: 'update that changes nothing',
        prepare: addRow,
        run: (store) => store.update(tasks).set({ title: 'Write' }).run(),
        emits: [],
      },
      {
        title: 'upsert',
        prepare: addRow,
        run: (store) => store.upsert(tasks, { id: 1, title: 'Read' }),
        emits: ['u tasks 1'],
      },
      { title: 'delete', prepare: addRow, run: (store) => store.delete(tasks).run(), emits: ['d tasks 1'] },
    ],
  ),
  subject(
    'a captured table',
    'relational/plain',
    (ctx) => {
      const { sql } = ctx.storage
      sql.exec('CREATE TABLE IF NOT EXISTS plain (id TEXT PRIMARY KEY, n INTEGER) WITHOUT ROWID')
      ctx.capture('plain')
      return sql
    },
    [
      { title: 'INSERT', run: addPlain, emits: ['c plain a', 'c plain b'] },
      { title: 'UPDATE', prepare: addPlain, run: (sql) => sql.exec('UPDATE plain SET n = 2'), emits: ['u plain a'] },
      { title: 'UPDATE of nothing', prepare: addPlain, run: (sql) => sql.exec('UPDATE plain SET n = n'), emits: [] },
      {
        title: 'INSERT OR REPLACE',
        prepare: addPlain,
        run: (sql) => sql.exec("INSERT OR REPLACE INTO plain VALUES ('a', 3)"),
        emits: ['d plain a', 'c plain a'],
      },
      {
        title: 'DELETE',
        prepare: addPlain,
        run: (sql) => sql.exec('DELETE FROM plain'),
        emits: ['d plain a', 'd plain b'],
      },
    ],
  ),
  subject('GraphStore', 'graph/Social', (ctx) => new GraphStore(ctx, 'Social'), [
    { title: 'put', run: addNode, emits: ['c Social.nodes a'] },
    { title: 'put of the same', prepare: addNode, run: addNode, emits: [] },
    {
      title: 'put of another value',
      prepare: addNode,
      run: (store) => store.put({ id: 'a', data: { name: 'Ann' } }),
      emits: ['u Social.nodes a'],
    },
    {
      title: 'putBatch',
      run: (store) =>
        store.putBatch([
          { id: 'a', data: {} },
          { id: 'b', data: {} },
        ]),
      emits: ['c Social.nodes a', 'c Social.nodes b'],
    },
    {
      title: 'relateBatch',
      run: addEdges,
      emits: ['c Social.relationships a|b|knows', 'c Social.relationships b|a|knows'],
    },
    {
      title: 'updateRelationship',
      prepare: addEdges,
      run: (store) => store.updateRelationship('a', 'b', 'knows', { data: { since: 2025 } }),
      emits: ['u Social.relationships a|b|knows'],
    },
    {
      title: 'unrelate',
      prepare: addEdges,
      run: (store) => store.unrelate('a', 'b', 'knows'),
      emits: ['d Social.relationships a|b|knows'],
    },
    {
      title: 'delete, with its relationships',
      prepare: (store) => [addNode(store), addEdges(store)],
      run: (store) => store.delete('a'),
      emits: ['d Social.relationships a|b|knows', 'd Social.relationships b|a|knows', 'd Social.nodes a'],
    },
  ]),
  subject('TimeSeriesStore', 'timeseries/Metric', (ctx) => new TimeSeriesStore(ctx, 'Metric', { now: () => 10_000 }), [
    { title: 'putBatch', run: addPoints, emits: ['c Metric cpu', 'c Metric cpu'] },
    { title: 'put', run: (store) => store.put('cpu', 1, 1_000), emits: ['c Metric cpu'] },
    {
      title: 'put of another value',
      prepare: addPoints,
      run: (store) => store.put('cpu', 1, 1_000),
      emits: ['u Metric cpu'],
    },
    { title: 'put of the same', prepare: addPoints, run: (store) => store.put('cpu', 0.5, 1_000), emits: [] },
    {
      title: 'rollup',
      prepare: addPoints,
      run: (store) => store.rollup({ olderThan: 0, bucket: 5_000 }),
      emits: ['r Metric cpu'],
    },
    { title: 'prune', prepare: addPoints, run: (store) => store.prune({ olderThan: 100 }), emits: ['d Metric cpu'] },
  ]),
  subject(
    'ColumnarStore',
    'columnar/flights',
    (ctx) => new ColumnarStore<Flight>(ctx, 'flights', { partitionBy: 'origin' }),
    [
      { title: 'insertBatch', run: addFlights, emits: ['c flights OSL/0', 'c flights BGO/0'] },
      {
        title: 'insertBatch of columns',
        prepare: addFlights,
        run: (store) => store.insertBatch({ origin: ['OSL'], delay: [4] }),
        emits: ['c flights OSL/2'],
      },
    ],
  ),
  subject('VectorStore', 'vector/vectors', (ctx) => new VectorStore(ctx, 'vectors', { dimension: 2 }), [
    { title: 'insert', run: addVector, emits: ['c vectors v1'] },
    {
      title: 'insertBatch',
      run: (store) =>
        store.insertBatch([
          { id: 'v1', content: 'one', embedding: [1, 2] },
          { id: 'v2', content: 'two', embedding: [3, 4], metadata: { lang: 'en' } },
        ]),
      emits: ['c vectors v1', 'c vectors v2'],
    },
    {
      title: 'upsert',
      prepare: addVector,
      run: (store) => store.upsert({ id: 'v1', content: 'one', embedding: [2, 1] }),
      emits: ['u vectors v1'],
    },
    { title: 'upsert of the same', prepare: addVector, run: (store) => store.upsert(vector), emits: [] },
    { title: 'delete', prepare: addVector, run: (store) => store.delete('v1'), emits: ['d vectors v1'] },
  ]),
]
