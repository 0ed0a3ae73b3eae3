// Migrates a Durable Object's tables to the version of the code. Our own migrator, because drizzle's hides the cause of a
// failure and orders by time of creation: this one numbers its steps, applies all or none, and keeps the cause.

import { CDCError } from '../error.ts'

/** One step. drizzle-kit separates its statements by `--> statement-breakpoint`. */
export interface Migration {
  readonly name: string
  readonly sql: string
}

/**
 * Applies the migrations that `table` does not list yet, in one transaction, and records them there.
 *
 * @throws {CDCError} `schema-newer` if the database has had a migration that this code does not know: an older version of
 *   the code must not write into it. `migration-failed`, with the cause, if a statement fails.
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
    // The row comes first: if two versions ever race, the second fails here and not halfway through.
    storage.sql.exec(`INSERT INTO ${table} (id, name) VALUES (?, ?)`, id, migration.name)
    for (const statement of migration.sql.split('--> statement-breakpoint')) storage.sql.exec(statement)
  } catch (cause) {
    throw new CDCError('migration-failed', `${table}: migration ${migration.name} failed: ${String(cause)}`, { cause })
  }
}
