// Brings a Durable Object's tables to the version that the code wants. drizzle's own migrator hides the cause of a
// failure and decides by time of creation, so this one is ours: numbered, all or nothing, the cause kept.

import { CDCError } from '../error.ts'

/** One step, in the order of the list; drizzle-kit separates its statements by `--> statement-breakpoint`. */
export interface Migration {
  readonly name: string
  readonly sql: string
}

/**
 * Applies the migrations that `table` does not list yet, in one transaction, and notes them there.
 *
 * @throws {CDCError} `schema-newer` where the database has seen a migration that this code does not know: an older
 *   version of the code must not write into it. `migration-failed`, with the cause, where a statement fails.
 */
export function migrate(storage: DurableObjectStorage, table: string, migrations: readonly Migration[]): void {
  storage.sql.exec(`CREATE TABLE IF NOT EXISTS ${table} (id INTEGER PRIMARY KEY, name TEXT NOT NULL)`)
  const [newest] = storage.sql.exec<{ id: number }>(`SELECT id FROM ${table} ORDER BY id DESC LIMIT 1`).toArray()
  const applied = newest?.id ?? 0
  if (applied > migrations.length)
    throw new CDCError(
      'schema-newer',
      `${table}: the database is at version ${applied}, this code knows ${migrations.length}; ` +
        'deploy a version of durable-outbox at least as new as the one that wrote it',
    )
  if (applied === migrations.length) return
  storage.transactionSync(() => {
    for (const [index, migration] of migrations.entries())
      if (index >= applied) apply({ storage, table, id: index + 1, migration })
  })
}

interface Step {
  storage: DurableObjectStorage
  table: string
  id: number
  migration: Migration
}

function apply({ storage, table, id, migration }: Step): void {
  try {
    // The row goes first: should two versions ever race, the second fails here and not halfway through.
    storage.sql.exec(`INSERT INTO ${table} (id, name) VALUES (?, ?)`, id, migration.name)
    for (const statement of migration.sql.split('--> statement-breakpoint')) storage.sql.exec(statement)
  } catch (cause) {
    throw new CDCError('migration-failed', `${table}: migration ${migration.name} failed: ${String(cause)}`, { cause })
  }
}
