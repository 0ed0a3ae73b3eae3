// One captured table: its triggers, put in and kept in line with its columns, and its rows for a snapshot.

import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import { getTableName } from 'drizzle-orm/table'
import { getTableColumns } from 'drizzle-orm/utils'
import type { AttachedStore, SnapshotPage, StoreSQL } from '../store.ts'
import { CDCError } from '../error.ts'
import { decodeRow } from '../outbox/log.ts'
import { quoteName } from '../sqlite/quote.ts'
import { type CapturedColumns, checkFunction, hasBlobSQL, keyColumns, keySQL, MASK, rowSQL } from './row-sql.ts'
import { type ColumnKind, readTable, type TableInfo } from './table.ts'
import { createTriggers, IS_OUR_TRIGGER, type Trigger } from './triggers.ts'

export interface CaptureOptions {
  /** The only columns that events show. Default: all. */
  readonly columns?: readonly string[]
  /** Columns that events don't show. */
  readonly exclude?: readonly string[]
  /**
   * What events show instead of a column's value: the result of a SQL function of one argument (`{ email: 'length' }`),
   * or `'***'` for `mask`. Applied by the trigger, so that the value itself never reaches the log.
   */
  readonly redact?: Readonly<Record<string, string>>
}

/** Characters of one statement, on the platform. */
const STATEMENT_LENGTH_MAX = 100_000

export class CapturedTable implements AttachedStore {
  readonly name: string
  readonly tableName: string
  readonly #options: CaptureOptions
  readonly #kinds: ReadonlyMap<string, ColumnKind>
  #sql: StoreSQL | undefined

  /** @throws {CDCError} `invalid-argument` for bad options. */
  constructor(table: string | SQLiteTable, options: CaptureOptions) {
    for (const redaction of Object.values(options.redact ?? {})) checkFunction(redaction)
    if (options.columns !== undefined && options.exclude !== undefined)
      throw new CDCError('invalid-argument', 'capture: columns and exclude say the same twice; give one of them')
    this.#options = options
    this.tableName = typeof table === 'string' ? table : getTableName(table)
    this.#kinds = typeof table === 'string' ? new Map() : kindsOf(table)
    this.name = `relational/${this.tableName}`
  }

  /** After `deleteAll` the table is the user's to make; its triggers come with it. */
  createTables(sql: SqlStorage): void {
    this.#sql = sql
  }

  /** Puts the triggers in where they are missing, or are not as they must be. @returns whether there is such a table. */
  install(sql: StoreSQL): boolean {
    const table = readTable(sql, this.tableName)
    if (table === undefined) return false
    const wanted = createTriggers(table, this.#columnsOf(table))
    if (this.#differs(sql, wanted) === undefined) return true
    for (const redaction of Object.values(this.#options.redact ?? {})) tryFunction(sql, redaction)
    uninstall(sql, table.name)
    for (const trigger of wanted) createTrigger(sql, trigger)
    return true
  }

  /** Why capture is not live, or nothing where it is. */
  problem(sql: StoreSQL): string | undefined {
    const table = readTable(sql, this.tableName)
    if (table === undefined) return 'there is no such table'
    const [pragma] = sql.exec<{ recursive_triggers: number }>('PRAGMA recursive_triggers').toArray()
    if (pragma?.recursive_triggers !== 1)
      return 'recursive_triggers is off: INSERT OR REPLACE would bypass the triggers'
    return this.#differs(sql, createTriggers(table, this.#columnsOf(table)))
  }

  readRows(after: string | undefined, maxRows: number): SnapshotPage {
    const table = this.#sql && readTable(this.#sql, this.tableName)
    if (this.#sql === undefined || table === undefined) return { events: [], next: undefined }
    const captured = this.#columnsOf(table)
    const name = quoteName(table.name)
    const key = keyColumns(name, { ...table, key: table.hasRowid ? [] : table.key })
    const position = key.map((_, index) => `json_extract(?1, '$[${index}]')`)
    const rows = this.#sql
      .exec<{ key: string; after: string; hasBlob: number; position: string }>(
        `SELECT ${keySQL(name, table, false)} AS key, ${rowSQL(name, captured)} AS after,
           ${hasBlobSQL([name], captured)} AS hasBlob, json_array(${key.join(', ')}) AS position
         FROM ${name} WHERE ?1 IS NULL OR (${key.join(', ')}) > (${position.join(', ')})
         ORDER BY ${key.join(', ')} LIMIT ?2`,
        after ?? null,
        maxRows,
      )
      .toArray()
    return {
      events: rows.map((row) => ({
        op: 'r',
        store: 'relational',
        table: table.name,
        key: row.key,
        after: parseRow(row.after, row.hasBlob === 1),
      })),
      next: rows.length < maxRows ? undefined : rows.at(-1)?.position,
    }
  }

  #differs(sql: StoreSQL, wanted: readonly Trigger[]): string | undefined {
    const present = new Map(
      sql
        .exec<{ name: string; sql: string }>(
          "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND lower(tbl_name) = lower(?)",
          this.tableName,
        )
        .toArray()
        .map((trigger) => [trigger.name, trigger.sql]),
    )
    const wrong = wanted.find((trigger) => present.get(trigger.name) !== trigger.sql)
    return wrong && `the trigger ${wrong.name} is ${present.has(wrong.name) ? 'out of date' : 'missing'}`
  }

  #columnsOf(table: TableInfo): CapturedColumns {
    const { columns: only, exclude = [], redact = {} } = this.#options
    const unknown = [...(only ?? []), ...exclude, ...Object.keys(redact)].find(
      (column) => !table.columns.includes(column),
    )
    if (unknown !== undefined)
      throw new CDCError(
        'invalid-argument',
        `capture: ${table.name} has no column ${unknown}; it has ${table.columns.join(', ')}`,
      )
    return {
      columns: table.columns.filter((column) => (only?.includes(column) ?? true) && !exclude.includes(column)),
      kinds: this.#kinds,
      redactions: new Map(Object.entries(redact)),
    }
  }
}

function createTrigger(sql: StoreSQL, trigger: Trigger): void {
  if (trigger.sql.length > STATEMENT_LENGTH_MAX)
    throw new CDCError(
      'invalid-argument',
      `capture: the trigger ${trigger.name} would be of ${trigger.sql.length} characters, the platform takes ` +
        `${STATEMENT_LENGTH_MAX}; capture fewer columns`,
    )
  sql.exec(trigger.sql)
}

/** A function that is not there would fail in the trigger, and with it the user's own write. */
function tryFunction(sql: StoreSQL, name: string): void {
  if (name === MASK) return
  try {
    sql.exec(`SELECT ${name}('text'), ${name}(1), ${name}(NULL)`).toArray()
  } catch (cause) {
    throw new CDCError('invalid-argument', `capture: redact by ${name} does not work: ${String(cause)}`, { cause })
  }
}

/** Takes a table's triggers away, if it has any. */
export function uninstall(sql: StoreSQL, tableName: string): void {
  const triggers = sql.exec<{ name: string }>(
    `SELECT name FROM sqlite_master
     WHERE type = 'trigger' AND lower(tbl_name) = lower(?) AND ${IS_OUR_TRIGGER}`,
    tableName,
  )
  for (const { name } of triggers.toArray()) sql.exec(`DROP TRIGGER ${quoteName(name)}`)
}

function parseRow(json: string, hasBlob: boolean): Record<string, unknown> {
  const row = JSON.parse(json) as Record<string, unknown>
  if (hasBlob) decodeRow(row)
  return row
}

/** What drizzle makes of a column's values in JavaScript, as JSON can say it. */
function kindsOf(table: SQLiteTable): Map<string, ColumnKind> {
  const kinds: Readonly<Record<string, ColumnKind>> = {
    SQLiteBoolean: 'boolean',
    SQLiteTextJson: 'json',
  }
  return new Map(
    Object.values(getTableColumns(table)).map((column) => {
      const isMilliseconds = 'mode' in column && column.mode === 'timestamp_ms'
      const time = isMilliseconds ? 'milliseconds' : 'seconds'
      return [column.name, column.columnType === 'SQLiteTimestamp' ? time : (kinds[column.columnType] ?? 'plain')]
    }),
  )
}
