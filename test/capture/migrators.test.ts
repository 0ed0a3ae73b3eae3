// Real migrators change captured tables: what the log is told of it, and that it folds to the table.

import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { drizzle } from 'drizzle-orm/durable-sqlite'
import { migrate } from 'drizzle-orm/durable-sqlite/migrator'
import { Kysely, sql as kyselySQL } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { expect, it } from 'vitest'
import { ObjectDialect } from '../object-dialect.ts'
import type { Stores } from '../worker.ts'
import { events, folded } from './log.ts'

/** As drizzle-kit 0.31 writes them: the second rebuilds the table for a column that becomes NOT NULL. */
const DRIZZLE_MIGRATIONS = {
  m0000: 'CREATE TABLE `users` (`id` integer PRIMARY KEY NOT NULL, `name` text, `email` text);',
  m0001: [
    'PRAGMA foreign_keys=OFF;',
    "CREATE TABLE `__new_users` (`id` integer PRIMARY KEY NOT NULL, `name` text DEFAULT 'nobody' NOT NULL, `email` text);",
    'INSERT INTO `__new_users`("id", "name", "email") SELECT "id", "name", lower("email") FROM `users`;',
    'DROP TABLE `users`;',
    'ALTER TABLE `__new_users` RENAME TO `users`;',
    'PRAGMA foreign_keys=ON;',
    'CREATE UNIQUE INDEX `users_email` ON `users` (`email`);',
  ].join('--> statement-breakpoint\n'),
}

function drizzleMigrations(count: number) {
  const entries = Object.keys(DRIZZLE_MIGRATIONS)
    .slice(0, count)
    .map((tag, idx) => ({ idx, when: idx + 1, tag, breakpoints: true }))
  return { journal: { entries }, migrations: DRIZZLE_MIGRATIONS }
}

const KYSELY_MIGRATIONS: Record<string, Migration> = {
  '1_create': {
    async up(db) {
      await db.schema
        .createTable('users')
        .addColumn('id', 'integer', (column) => column.primaryKey())
        .addColumn('name', 'text')
        .execute()
    },
  },
  '2_rename': {
    async up(db) {
      await db.schema.alterTable('users').addColumn('email', 'text').execute()
      await db.schema.alterTable('users').renameTo('people').execute()
      await kyselySQL`UPDATE people SET email = lower(name)`.execute(db)
    },
  },
}

async function migrateByKysely(state: DurableObjectState, names: readonly string[]): Promise<void> {
  const db = new Kysely<unknown>({ dialect: new ObjectDialect({ ctx: state }) })
  const migrations = Object.fromEntries(Object.entries(KYSELY_MIGRATIONS).filter(([name]) => names.includes(name)))
  const { error } = await new Migrator({ db, provider: { getMigrations: async () => migrations } }).migrateToLatest()
  if (error !== undefined) throw error
}

function changes(object: Stores): unknown[] {
  return events(object)
    .filter(({ type }) => type === 'cdc.capture')
    .map(({ data }) => data)
}

it.each(['in the same wake', 'in the next wake, before capture is called'])(
  '[I11] follows a table that the migrator of drizzle rebuilds %s',
  async (when) => {
    const stub = env.STORES.getByName(`drizzle ${when}`)
    const insert = "INSERT INTO users (id, name, email) VALUES (1, 'ann', 'Ann@X'), (2, 'bob', 'b@x')"
    await runInDurableObject<Stores, void>(stub, async (object, { storage }) => {
      await migrate(drizzle(storage), drizzleMigrations(1))
      object.ctx.capture('users', { autoSnapshot: true })
      storage.sql.exec(insert)
    })
    if (when !== 'in the same wake') await evictDurableObject(stub)
    await runInDurableObject<Stores, void>(stub, async (object, { storage }) => {
      await migrate(drizzle(storage), drizzleMigrations(2))
      object.ctx.capture('users', { autoSnapshot: true })
      storage.sql.exec("UPDATE users SET name = 'bo' WHERE id = 2")
      expect(changes(object)).toEqual([{ table: 'users', change: 'rebuilt' }])
      expect(object.outbox.stats().captured).toEqual({ users: 'live' })
      // The snapshot that started by itself tells what the copy changed.
      while (object.outbox.stats().snapshots.some(({ endedAt }) => endedAt === undefined)) await object.alarm()
      expect(folded(object, 'users')).toEqual({
        '1': { id: 1, name: 'ann', email: 'ann@x' },
        '2': { id: 2, name: 'bo', email: 'b@x' },
      })
    })
  },
)

it.each(['in the same wake', 'in the next wake, before capture is called'])(
  '[I11] follows a table that the migrator of Kysely alters and renames %s',
  async (when) => {
    const stub = env.STORES.getByName(`kysely ${when}`)
    await runInDurableObject<Stores, void>(stub, async (object, state) => {
      await migrateByKysely(state, ['1_create'])
      object.ctx.capture('users')
      state.storage.sql.exec("INSERT INTO users (id, name) VALUES (1, 'Ann'), (2, 'Bob')")
    })
    if (when !== 'in the same wake') await evictDurableObject(stub)
    await runInDurableObject<Stores, void>(stub, async (object, state) => {
      await migrateByKysely(state, ['1_create', '2_rename'])
      expect(changes(object)).toEqual([{ table: 'people', change: 'renamed', from: 'users' }])
      object.ctx.capture('people')
      expect(object.outbox.stats().captured).toEqual({ people: 'live' })
      expect(folded(object, 'people')).toEqual({
        '1': { id: 1, name: 'Ann', email: 'ann' },
        '2': { id: 2, name: 'Bob', email: 'bob' },
      })
    })
  },
)
