// The object that `npm run demo` loads with everything that is no document: a graph, two tables, columns, time series and
// vectors, each with its store. A command is one transaction, and may arrive twice.

import {
  CDCDurableObject,
  ColumnarStore,
  GraphStore,
  RelationalStore,
  type SnapshotPage,
  TimeSeriesStore,
  VectorStore,
} from 'durable-outbox'
import { eq } from 'drizzle-orm'
import { integer, primaryKey, real, sqliteTable, text } from 'drizzle-orm/sqlite-core'

const airports = sqliteTable('airports', {
  iata: text('iata').primaryKey(),
  name: text('name').notNull(),
  city: text('city').notNull(),
  latitude: real('latitude').notNull(),
  longitude: real('longitude').notNull(),
})
const routes = sqliteTable(
  'routes',
  {
    origin: text('origin').notNull(),
    destination: text('destination').notNull(),
    flights: integer('flights').notNull(),
  },
  (table) => [primaryKey({ columns: [table.origin, table.destination] })],
)
const migrations = [
  `CREATE TABLE airports (iata TEXT PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL, latitude REAL NOT NULL,
     longitude REAL NOT NULL) WITHOUT ROWID`,
  `CREATE TABLE routes (origin TEXT NOT NULL, destination TEXT NOT NULL, flights INTEGER NOT NULL,
     PRIMARY KEY (origin, destination)) WITHOUT ROWID`,
]

type Airport = typeof airports.$inferInsert
type Route = typeof routes.$inferInsert
export type Flight = { date: string; delay: number; distance: number; origin: string; destination: string }
type Price = { key: string; timestamp: string; value: number }
export type Penguin = { id: string; content: string; embedding: number[]; metadata: Record<string, string | null> }
type Acquaintance = { from: string; to: string; type: string; data: { scenes: number } }

/** What a client asks for. The id is the client's own: a command that was carried out already changes nothing. */
export type DatasetCommand = { id: string } & (
  | { do: 'people'; people: { id: string; data: { group: number } }[] }
  | { do: 'acquaint'; acquaintances: Acquaintance[] }
  | { do: 'forget'; person: string }
  | { do: 'airports'; airports: Airport[] }
  | { do: 'routes'; routes: Route[] }
  | { do: 'rename'; iata: string; name: string }
  /** By plain SQL, which is captured as well. */
  | { do: 'close routes'; flightsBelow: number }
  | { do: 'flights'; flights: Flight[] }
  | { do: 'prices'; prices: Price[] }
  | { do: 'roll up'; bucketMs: number }
  | { do: 'penguins'; penguins: Penguin[] }
  | { do: 'release'; penguin: string }
)

/** The stores, by their names here. */
const DATASET_STORES = ['people', 'airports', 'routes', 'flights', 'prices', 'penguins'] as const
export type DatasetStore = (typeof DATASET_STORES)[number]

const ROWS_PER_PAGE = 500

export class Datasets extends CDCDurableObject {
  private readonly people = new GraphStore<{ group: number }, { scenes: number }>(this.ctx, 'Miserables')
  private readonly tables = new RelationalStore(this.ctx, { airports, routes }, { migrations })
  private readonly flights = new ColumnarStore<Flight>(this.ctx, 'flights', {
    partitionBy: ({ date }) => date.slice(0, 7),
  })
  private readonly prices = new TimeSeriesStore(this.ctx, 'prices')
  private readonly penguins = new VectorStore(this.ctx, 'penguins', { dimension: 4 })

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS done (command TEXT PRIMARY KEY) WITHOUT ROWID')
  }

  /** Carries out commands, each in its own transaction. */
  apply(commands: readonly DatasetCommand[]): void {
    for (const command of commands)
      this.ctx.transactionSync(
        (tx) => {
          const isNew = tx.execute('INSERT OR IGNORE INTO done VALUES (?) RETURNING 1', command.id).length > 0
          if (isNew) this.#carryOut(command)
        },
        { actor: 'User/nathan', correlationId: command.id },
      )
  }

  /** What a store holds, in pages of JSON: as the log would say it, had each row just been read. */
  page(store: string, after?: string): string {
    return JSON.stringify(this.#page(store, after))
  }

  #page(store: string, after: string | undefined): SnapshotPage {
    if (!isDatasetStore(store)) throw new Error(`there is no store ${store}`)
    const offset = Number(after ?? 0)
    if (store === 'airports') {
      const rows = this.tables.select().from(airports).orderBy(airports.iata).limit(ROWS_PER_PAGE).offset(offset).all()
      return pageOf(offset, rows, (row) => ({ table: store, key: row.iata, after: row }))
    }
    if (store === 'routes') {
      const sorted = this.tables.select().from(routes).orderBy(routes.origin, routes.destination)
      const rows = sorted.limit(ROWS_PER_PAGE).offset(offset).all()
      return pageOf(offset, rows, (row) => ({
        table: store,
        key: JSON.stringify([row.origin, row.destination]),
        after: row,
      }))
    }
    return this[store].readRows(after, ROWS_PER_PAGE)
  }

  #carryOut(command: DatasetCommand): void {
    switch (command.do) {
      case 'people':
        return void this.people.putBatch(command.people)
      case 'acquaint':
        return void this.people.relateBatch(command.acquaintances)
      case 'forget':
        return void this.people.delete(command.person)
      case 'airports':
        for (const airport of command.airports) this.tables.insert(airports).values(airport).run()
        return undefined
      case 'routes':
        for (const route of command.routes) this.tables.insert(routes).values(route).run()
        return undefined
      case 'rename':
        return void this.tables
          .update(airports)
          .set({ name: command.name })
          .where(eq(airports.iata, command.iata))
          .run()
      case 'close routes':
        return void this.ctx.storage.sql.exec('DELETE FROM routes WHERE flights < ?', command.flightsBelow)
      case 'flights':
        return void this.flights.insertBatch(command.flights)
      case 'prices':
        return this.prices.putBatch(command.prices)
      case 'roll up':
        return void this.prices.rollup({ olderThan: 0, bucket: command.bucketMs })
      case 'penguins':
        return this.penguins.insertBatch(command.penguins)
      case 'release':
        return void this.penguins.delete(command.penguin)
    }
  }
}

function isDatasetStore(name: string): name is DatasetStore {
  return DATASET_STORES.some((store) => store === name)
}

function pageOf<Row>(
  offset: number,
  rows: readonly Row[],
  describe: (row: Row) => { table: string; key: string; after: Record<string, unknown> },
): SnapshotPage {
  const events = rows.map((row) => ({ op: 'r' as const, store: 'relational' as const, ...describe(row) }))
  return { events, next: rows.length < ROWS_PER_PAGE ? undefined : String(offset + rows.length) }
}
