// Relational tables through drizzle. Every write is captured: by drizzle's builders, by raw SQL, by a cascade.

import type { InferInsertModel, InferSelectModel } from 'drizzle-orm'
import { drizzle, type DrizzleSqliteDODatabase } from 'drizzle-orm/durable-sqlite'
import { getTableConfig, type SQLiteColumn, type SQLiteTable } from 'drizzle-orm/sqlite-core'
import type { CaptureContext } from '../../capture/capture-context.ts'
import type { CaptureOptions } from '../../capture/captured-table.ts'
import { CDCError } from '../../error.ts'
import { migrate, type Migration } from '../../sqlite/migrate.ts'
import { invalid } from '../checks.ts'

/** drizzle-kit's `migrations.js` for the driver `durable-sqlite`. */
export interface DrizzleMigrations {
  readonly journal: { readonly entries: readonly { readonly idx: number; readonly tag: string }[] }
  readonly migrations: Readonly<Record<string, string>>
}

export interface RelationalStoreOptions<Tables> {
  /** What creates and changes the tables: drizzle-kit's output, or SQL texts, each of which runs once and in order. */
  readonly migrations?: DrizzleMigrations | readonly string[]
  /** What events show of each table. Default: all columns. */
  readonly capture?: { readonly [Name in keyof Tables]?: CaptureOptions }
}

type Database<Tables extends Record<string, unknown>> = DrizzleSqliteDODatabase<Tables>

const MIGRATIONS_TABLE = 'relational_migrations'

/**
 * @example
 * const airports = sqliteTable('airports', { code: text('code').primaryKey(), city: text('city').notNull() })
 * class Travel extends CDCDurableObject {
 *   tables = new RelationalStore(this.ctx, { airports }, { migrations: ['CREATE TABLE airports (…)'] })
 *   add(code: string, city: string) {
 *     return this.tables.insert(airports).values({ code, city }).returning().get()
 *   }
 * }
 */
export class RelationalStore<Tables extends Record<string, SQLiteTable>> {
  /** drizzle on the object's SQLite, with the tables as its schema. Use it synchronously: `.run()`, `.all()`, `.get()`. */
  readonly db: Database<Tables>

  /**
   * Runs the new migrations, and captures the tables.
   *
   * @throws {CDCError} `migration-failed` or `schema-newer`; `not-found` if a table does not exist afterwards;
   *   `invalid-argument` for capture options that do not fit the table.
   */
  constructor(ctx: CaptureContext, tables: Tables, options: RelationalStoreOptions<Tables> = {}) {
    this.db = drizzle(ctx.storage, { schema: tables })
    if (options.migrations !== undefined) migrate(ctx.storage, MIGRATIONS_TABLE, listMigrations(options.migrations))
    const captures = new Map(Object.entries<CaptureOptions | undefined>(options.capture ?? {}))
    for (const [name, table] of Object.entries(tables)) ctx.capture(table, captures.get(name))
  }

  get insert(): Database<Tables>['insert'] {
    return this.db.insert.bind(this.db)
  }

  get update(): Database<Tables>['update'] {
    return this.db.update.bind(this.db)
  }

  get delete(): Database<Tables>['delete'] {
    return this.db.delete.bind(this.db)
  }

  get select(): Database<Tables>['select'] {
    return this.db.select.bind(this.db)
  }

  /**
   * Inserts a row, or updates the one that has its primary key.
   *
   * @returns the row as it is now.
   * @throws {CDCError} `invalid-argument` if the table has no primary key.
   */
  upsert<Table extends Tables[keyof Tables]>(table: Table, row: InferInsertModel<Table>): InferSelectModel<Table> {
    const target = primaryKey(table)
    if (target.length === 0)
      throw invalid(`${getTableConfig(table).name}.upsert`, 'the table has no primary key; use insert')
    const rows: unknown = this.db.insert(table).values(row).onConflictDoUpdate({ target, set: row }).returning().all()
    // drizzle's types are lost for a table that is a type parameter.
    const [upserted] = rows as InferSelectModel<Table>[]
    if (upserted === undefined) throw new Error('upsert: SQLite did not return the row')
    return upserted
  }
}

function primaryKey(table: SQLiteTable): SQLiteColumn[] {
  const { columns, primaryKeys } = getTableConfig(table)
  return primaryKeys[0]?.columns ?? columns.filter((column) => column.primary)
}

function listMigrations(migrations: DrizzleMigrations | readonly string[]): Migration[] {
  if (isList(migrations)) return migrations.map((sql, index) => ({ name: `${index + 1}`, sql }))
  return migrations.journal.entries.map(({ idx, tag }) => {
    const sql = migrations.migrations[`m${String(idx).padStart(4, '0')}`]
    if (sql === undefined)
      throw new CDCError(
        'migration-failed',
        `RelationalStore: migration ${tag} is in the journal but not in migrations`,
      )
    return { name: tag, sql }
  })
}

function isList(migrations: DrizzleMigrations | readonly string[]): migrations is readonly string[] {
  return Array.isArray(migrations)
}
