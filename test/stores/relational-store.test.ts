import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { eq, sql } from 'drizzle-orm'
import { integer, primaryKey, real, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { describe, expect, it } from 'vitest'
import { RelationalStore } from 'durable-outbox'
import { failureOf } from '../notes.ts'
import type { Stores } from '../worker.ts'

const airports = sqliteTable('airports', {
  code: text('code').primaryKey(),
  city: text('city').notNull(),
  latitude: real('latitude'),
  isOpen: integer('is_open', { mode: 'boolean' }).notNull().default(true),
})
const flights = sqliteTable(
  'flights',
  {
    origin: text('origin')
      .notNull()
      .references(() => airports.code, { onDelete: 'cascade' }),
    number: integer('number').notNull(),
  },
  (table) => [primaryKey({ columns: [table.origin, table.number] })],
)

const migrations = [
  'CREATE TABLE airports (code TEXT PRIMARY KEY, city TEXT NOT NULL, latitude REAL, is_open INTEGER NOT NULL DEFAULT 1)',
  `CREATE TABLE flights (origin TEXT NOT NULL REFERENCES airports (code) ON DELETE CASCADE, number INTEGER NOT NULL,
     PRIMARY KEY (origin, number)) WITHOUT ROWID`,
]

type Travel = RelationalStore<{ airports: typeof airports; flights: typeof flights }>

function withTravel<T>(name: string, run: (travel: Travel, object: Stores) => T | Promise<T>): Promise<T> {
  return runInDurableObject<Stores, T>(env.STORES.getByName(name), (object) =>
    run(new RelationalStore(object.ctx, { airports, flights }, { migrations }), object),
  )
}

/** The object's changes, in short. */
function changes(object: Stores): unknown[][] {
  return object.outbox
    .list({ limit: 1_000 })
    .items.map(({ op, table, key, before, after }) => [op, `${table} ${key}`, before ?? null, after ?? null])
}

const oslo = { code: 'OSL', city: 'Oslo', latitude: 60.19, is_open: true }

describe('RelationalStore', () => {
  it("[I1] emits an event for every row that drizzle's builders write", async () => {
    await withTravel('builders', (travel, object) => {
      const row = travel.insert(airports).values({ code: 'OSL', city: 'Oslo', latitude: 60.19 }).returning().get()
      expect(row).toEqual({ code: 'OSL', city: 'Oslo', latitude: 60.19, isOpen: true })
      travel.update(airports).set({ isOpen: false }).where(eq(airports.code, 'OSL')).run()
      travel
        .insert(flights)
        .values([{ origin: 'OSL', number: 7 }])
        .run()
      travel.delete(airports).run()
      expect(changes(object)).toEqual([
        ['c', 'airports OSL', null, oslo],
        ['u', 'airports OSL', oslo, { ...oslo, is_open: false }],
        ['c', 'flights ["OSL",7]', null, { origin: 'OSL', number: 7 }],
        ['d', 'flights ["OSL",7]', { origin: 'OSL', number: 7 }, null],
        ['d', 'airports OSL', { ...oslo, is_open: false }, null],
      ])
    })
  })

  it('reads with drizzle, including relations', async () => {
    await withTravel('reads', (travel) => {
      travel.insert(airports).values({ code: 'OSL', city: 'Oslo' }).run()
      expect(travel.select({ city: airports.city }).from(airports).all()).toEqual([{ city: 'Oslo' }])
      expect(travel.db.query.airports.findFirst().sync()).toMatchObject({ code: 'OSL', isOpen: true })
    })
  })

  it('upserts by the primary key, also a composite one', async () => {
    await withTravel('upserts', (travel, object) => {
      expect(travel.upsert(airports, { code: 'OSL', city: 'Christiania' }).city).toBe('Christiania')
      expect(travel.upsert(airports, { code: 'OSL', city: 'Oslo' }).city).toBe('Oslo')
      travel.upsert(flights, { origin: 'OSL', number: 7 })
      travel.upsert(flights, { origin: 'OSL', number: 7 })
      expect(changes(object).map(([op, key]) => [op, key])).toEqual([
        ['c', 'airports OSL'],
        ['u', 'airports OSL'],
        ['c', 'flights ["OSL",7]'],
      ])
    })
  })

  it('[I1] captures raw SQL as well, and all or none of a transaction', async () => {
    await withTravel('raw', async (travel, object) => {
      object.ctx.storage.sql.exec("INSERT INTO airports (code, city) VALUES ('OSL', 'Oslo')")
      travel.db.run(sql`UPDATE airports SET city = ${'Bergen'}`)
      await failureOf(() =>
        object.ctx.transactionSync((tx) => {
          tx.db.delete(airports).run()
          tx.execute(sql`INSERT INTO airports (code, city) VALUES (${'BGO'}, ${'Bergen'})`)
          throw new Error('on purpose')
        }),
      )
      await failureOf(() =>
        travel.db.transaction((tx) => {
          tx.delete(airports).run()
          throw new Error('on purpose')
        }),
      )
      expect(changes(object).map(([op, key]) => [op, key])).toEqual([
        ['c', 'airports OSL'],
        ['u', 'airports OSL'],
      ])
      expect(travel.select().from(airports).all()).toHaveLength(1)
    })
  })

  it('runs new migrations when the object wakes, including those that remove a captured column', async () => {
    await withTravel('migrates', (travel) => travel.insert(airports).values({ code: 'OSL', city: 'Oslo' }).run())
    await evictDurableObject(env.STORES.getByName('migrates'))
    await runInDurableObject<Stores, void>(env.STORES.getByName('migrates'), (object) => {
      const later = [
        ...migrations,
        'ALTER TABLE airports DROP COLUMN latitude',
        'ALTER TABLE airports ADD COLUMN iata TEXT',
      ]
      const travel = new RelationalStore(object.ctx, { airports }, { migrations: later })
      travel.db.run(sql`UPDATE airports SET iata = 'OSL'`)
      expect(changes(object).at(-1)?.[3]).toEqual({ code: 'OSL', city: 'Oslo', is_open: true, iata: 'OSL' })
    })
  })

  it("takes drizzle-kit's own bundle of migrations", async () => {
    await runInDurableObject<Stores, void>(env.STORES.getByName('bundle'), (object) => {
      const bundle = {
        journal: { entries: [{ idx: 0, tag: '0000_first', when: 1, breakpoints: true }] },
        migrations: { m0000: `${migrations[0]};--> statement-breakpoint\n${migrations[1]};` },
      }
      const travel = new RelationalStore(object.ctx, { airports, flights }, { migrations: bundle })
      expect(travel.select().from(flights).all()).toEqual([])
    })
  })

  it('refuses a table that does not exist', async () => {
    await runInDurableObject<Stores, void>(env.STORES.getByName('not-there'), async (object) => {
      const failure = await failureOf(() => new RelationalStore(object.ctx, { airports }))
      expect(failure).toMatchObject({ code: 'not-found', message: expect.stringContaining('airports') })
    })
  })
})
