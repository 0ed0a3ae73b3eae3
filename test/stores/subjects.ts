// The stores that the conformance suite runs over: for each, every method that changes something, and what it emits.

import { eq } from 'drizzle-orm'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { DocumentStore, RelationalStore, type StoreContext } from 'durable-outbox'

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
export interface Case {
  readonly title: string
  readonly emits: readonly string[]
  /** Makes the store, as an object's constructor does. */
  readonly open: (ctx: StoreContext) => { readonly prepare: () => void; readonly run: () => void }
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
  create: (ctx: StoreContext) => Store,
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
]
