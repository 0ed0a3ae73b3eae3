import { drizzle } from 'drizzle-orm/durable-sqlite'
import { integer, real, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { type CaptureContext, RelationalStore } from 'durable-outbox'
import type { Side, StoreLoad } from './load.ts'

const columns = {
  code: text('code').primaryKey(),
  name: text('name').notNull(),
  city: text('city').notNull(),
  state: text('state').notNull(),
  latitude: real('latitude').notNull(),
  longitude: real('longitude').notNull(),
  flights: integer('flights').notNull(),
}
const bareAirports = sqliteTable('bare_airports', columns)
const airports = sqliteTable('airports', columns)

export function relationalLoad(ctx: CaptureContext): StoreLoad {
  const { sql } = ctx.storage
  sql.exec(createTable('bare_airports'))
  const store = new RelationalStore(ctx, { airports }, { migrations: [createTable('airports')] })
  const bare = drizzle(ctx.storage)
  return {
    bare: sideOf(
      (index) => void bare.insert(bareAirports).values(airportOf(index)).run(),
      (work) => ctx.storage.transactionSync(work),
    ),
    captured: sideOf(
      (index) => void store.insert(airports).values(airportOf(index)).run(),
      (work) => ctx.transactionSync(work),
    ),
    clear: () => {
      sql.exec('DELETE FROM bare_airports')
      sql.exec('DELETE FROM airports')
    },
  }
}

function sideOf(insert: (index: number) => void, transaction: (work: () => void) => void): Side {
  return {
    single: (index) => transaction(() => insert(index)),
    batch: (index, rows) =>
      transaction(() => {
        for (let row = 0; row < rows; row += 1) insert(index + row)
      }),
  }
}

function airportOf(index: number): typeof airports.$inferInsert {
  return {
    code: `A${index}`,
    name: 'Thigpen',
    city: 'Bay Springs',
    state: 'MS',
    latitude: 31.95376472,
    longitude: -89.23450472,
    flights: index % 1_000,
  }
}

function createTable(name: string): string {
  return `CREATE TABLE IF NOT EXISTS ${name} (code TEXT PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL,
    state TEXT NOT NULL, latitude REAL NOT NULL, longitude REAL NOT NULL, flights INTEGER NOT NULL) WITHOUT ROWID`
}
