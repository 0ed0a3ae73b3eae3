// One captured table: its triggers, kept in line with its columns, and its rows for a snapshot.

import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import { getTableName } from 'drizzle-orm/table'
import { getTableColumns } from 'drizzle-orm/utils'
import { CDCError } from '../error.ts'
import { checked, name } from '../event/kinds.ts'
import { showKey, showRow } from '../outbox/captured-values.ts'
import { textOf } from '../sqlite/bytes.ts'
import { quoteName } from '../sqlite/quote.ts'
import type { AttachedStore, SnapshotPage, StoreSQL } from '../store.ts'
import { type CapturedColumns, checkFunction, keySQL, literalSQL, MASK, rowSQL } from './row-sql.ts'
import { type ColumnKind, readTable, type TableInfo } from './table.ts'
import {
  canNoteReplaced,
  createTriggers,
  IS_OUR_TRIGGER,
  type Surroundings,
  type Trigger,
  triggerName,
} from './triggers.ts'

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
  /** Whether a snapshot starts by itself if changes may have been missed, as after the table was rebuilt. Default: false. */
  readonly autoSnapshot?: boolean
}

/** What the database remembers of a table's capture: a row of `_cdc_capture`. */
export type StoredCapture = { name: string; options: string; columns: string }

type StoredOptions = CaptureOptions & { readonly kinds?: Readonly<Record<string, ColumnKind>> }

/** What was found as the triggers were looked after. */
export type Found = 'as they must be' | 'no table' | 'missing' | 'out of date'

/** Characters of one statement, on the platform. */
const STATEMENT_LENGTH_MAX = 100_000

export class CapturedTable implements AttachedStore {
  readonly name: string
  readonly tableName: string
  readonly options: CaptureOptions
  readonly #kinds: ReadonlyMap<string, ColumnKind>
  #sql: StoreSQL | undefined

  /** @throws {CDCError} `invalid-argument` for bad options. */
  static of(table: string | SQLiteTable, options: CaptureOptions): CapturedTable {
    if (typeof table === 'string') return new CapturedTable(table, options, new Map())
    return new CapturedTable(getTableName(table), options, kindsOf(table))
  }

  /** The capture that the database remembers. */
  static stored({ name, options }: StoredCapture): CapturedTable {
    const { kinds = {}, ...rest } = JSON.parse(options) as StoredOptions
    return new CapturedTable(name, rest, new Map(Object.entries(kinds)))
  }

  constructor(tableName: string, options: CaptureOptions, kinds: ReadonlyMap<string, ColumnKind>) {
    for (const redaction of Object.values(options.redact ?? {})) checkFunction(redaction)
    if (options.columns !== undefined && options.exclude !== undefined)
      throw new CDCError('invalid-argument', 'capture: columns and exclude say the same twice; give one of them')
    checked(name, tableName, 'capture: the table', 'invalid-argument')
    this.options = options
    this.tableName = tableName
    this.#kinds = kinds
    this.name = `relational/${tableName}`
  }

  /** The same capture of the table under another name. */
  renamed(tableName: string): CapturedTable {
    return new CapturedTable(tableName, this.options, this.#kinds)
  }

  /** After `deleteAll` the table is the user's to make; its triggers come with it. */
  createTables(sql: SqlStorage): void {
    this.#sql = sql
  }

  /** Puts the triggers in if they are missing or not as they must be. */
  install(sql: StoreSQL, surroundings: Surroundings): Found {
    const table = readTable(sql, this.tableName)
    if (table === undefined) {
      // What is left of its triggers would make SQLite refuse the next change of the schema.
      uninstall(sql, this.tableName)
      return 'no table'
    }
    const wanted = this.#triggersOf(table, surroundings)
    const present = presentTriggers(sql, this.tableName)
    if (problemOf(present, wanted) === undefined) {
      this.#remember(sql, table)
      return 'as they must be'
    }
    for (const redaction of Object.values(this.options.redact ?? {})) tryFunction(sql, redaction)
    uninstall(sql, table.name)
    const [oldest, newest] = [
      wanted.filter(({ age }) => age === 'oldest'),
      wanted.filter(({ age }) => age === 'newest'),
    ]
    for (const trigger of oldest) createTrigger(sql, trigger)
    if (oldest.length > 0) for (const trigger of present) if (!trigger.isOurs) renew(sql, trigger)
    for (const trigger of newest) createTrigger(sql, trigger)
    const isKnown = this.#remember(sql, table)
    if (!present.some(({ isOurs }) => isOurs)) return 'missing'
    return isKnown ? 'as they must be' : 'out of date'
  }

  /** Why capture is not live, or undefined if it is. */
  problem(sql: StoreSQL, surroundings: Surroundings): string | undefined {
    const table = readTable(sql, this.tableName)
    if (table === undefined) return 'there is no such table'
    return problemOf(presentTriggers(sql, this.tableName), this.#triggersOf(table, surroundings))
  }

  /** Whether what a statement replaces is seen without a setting of the connection. */
  notesReplaced(sql: StoreSQL): boolean {
    const table = readTable(sql, this.tableName)
    return table === undefined || canNoteReplaced(table)
  }

  /** Whether a row can be in the way of more than one other row. */
  hasSeveralKeys(sql: StoreSQL): boolean {
    const table = readTable(sql, this.tableName)
    if (table === undefined) return false
    return table.uniques === undefined || table.uniques.length + (table.isKeyedByRowid ? 1 : 0) > 1
  }

  /** Whether there are rows of which the log may not know. */
  hasRows(sql: StoreSQL): boolean {
    return sql.exec(`SELECT 1 FROM ${quoteName(this.tableName)} LIMIT 1`).toArray().length > 0
  }

  readRows(after: string | undefined, maxRows: number): SnapshotPage {
    const table = this.#sql && readTable(this.#sql, this.tableName)
    if (this.#sql === undefined || table === undefined) return { events: [], next: undefined }
    const order = table.rowid === undefined ? table.key.map(({ name }) => `r.${quoteName(name)}`) : [`r.${table.rowid}`]
    const rows = this.#sql
      .exec<{ key: ArrayBuffer; after: ArrayBuffer; position: string }>(
        `SELECT CAST(${keySQL('r', table)} AS BLOB) AS key, CAST(${rowSQL('r', table, this.#columnsOf(table))} AS BLOB) AS after,
           json_array(${order.map(literalSQL).join(', ')}) AS position
         FROM ${quoteName(table.name)} AS r ${after === undefined ? '' : `WHERE ${isAfter(order, after)}`}
         ORDER BY ${order.join(', ')} LIMIT ?`,
        maxRows,
      )
      .toArray()
    return {
      events: rows.map((row) => ({
        op: 'r',
        store: 'relational',
        table: table.name,
        key: showKey(textOf(new Uint8Array(row.key))),
        after: shownRow(textOf(new Uint8Array(row.after))),
      })),
      next: rows.length < maxRows ? undefined : rows.at(-1)?.position,
    }
  }

  /** @returns whether the table's columns are as they were when its triggers were made last. */
  #remember(sql: StoreSQL, table: TableInfo): boolean {
    const columns = JSON.stringify(table.columns)
    const options = JSON.stringify({ ...this.options, kinds: Object.fromEntries(this.#kinds) })
    const [stored] = sql.exec<StoredCapture>('SELECT * FROM _cdc_capture WHERE name = ?', this.tableName).toArray()
    if (stored?.columns !== columns || stored.options !== options)
      sql.exec(
        'INSERT OR REPLACE INTO _cdc_capture (name, options, columns) VALUES (?, ?, ?)',
        this.tableName,
        options,
        columns,
      )
    return stored === undefined || stored.columns === columns
  }

  #triggersOf(table: TableInfo, surroundings: Surroundings): Trigger[] {
    return createTriggers(table, this.#columnsOf(table), surroundings)
  }

  #columnsOf(table: TableInfo): CapturedColumns {
    const { columns: only, exclude = [], redact = {} } = this.options
    const names = table.columns.map(({ name }) => name)
    const unknown = [...(only ?? []), ...exclude, ...Object.keys(redact)].find((column) => !names.includes(column))
    if (unknown !== undefined)
      throw new CDCError(
        'invalid-argument',
        `capture: ${table.name} has no column ${unknown}; it has ${names.join(', ')}`,
      )
    return {
      columns: names.filter((column) => (only?.includes(column) ?? true) && !exclude.includes(column)),
      kinds: this.#kinds,
      redactions: new Map(Object.entries(redact)),
    }
  }
}

interface PresentTrigger extends Omit<Trigger, 'age'> {
  readonly isOurs: boolean
  /** Its place in the schema, the newest last. */
  readonly place: number
}

function presentTriggers(sql: StoreSQL, tableName: string): PresentTrigger[] {
  return sql
    .exec<{ name: string; sql: string; isOurs: number; place: number }>(
      `SELECT name, sql, ${IS_OUR_TRIGGER} AS isOurs, rowid AS place FROM sqlite_master
       WHERE type = 'trigger' AND (lower(tbl_name) = lower(?) OR lower(name) = lower(?)) ORDER BY rowid`,
      tableName,
      triggerName(tableName, 'replaced'),
    )
    .toArray()
    .map((trigger) => ({ ...trigger, isOurs: trigger.isOurs === 1 }))
}

function problemOf(present: readonly PresentTrigger[], wanted: readonly Trigger[]): string | undefined {
  const byName = new Map(present.map((trigger) => [trigger.name, trigger]))
  const wrong = wanted.find(({ name, sql }) => byName.get(name)?.sql !== sql)
  if (wrong !== undefined) return `the trigger ${wrong.name} is ${byName.has(wrong.name) ? 'out of date' : 'missing'}`
  const places = (of: Trigger['age']): number[] =>
    wanted.filter(({ age }) => age === of).map(({ name }) => byName.get(name)?.place ?? 0)
  const newer = present.find(({ isOurs, place }) => !isOurs && place > Math.min(...places('newest')))
  if (newer !== undefined) return `the trigger ${newer.name} is newer than those of capture`
  const older = present.find(({ isOurs, place }) => !isOurs && place < Math.max(...places('oldest')))
  return older && `the trigger ${older.name} is older than those of capture`
}

/** What comes after a position in the order of a snapshot. A position is the SQL of its values, made by `literalSQL`. */
function isAfter(order: readonly string[], position: string): string {
  const values = JSON.parse(position) as string[]
  return order.length === 1 ? `${order[0]} > ${values[0]}` : `(${order.join(', ')}) > (${values.join(', ')})`
}

function shownRow(json: string): Record<string, unknown> {
  const row = JSON.parse(json) as Record<string, unknown>
  showRow(row)
  return row
}

/** Makes a trigger the newest. */
function renew(sql: StoreSQL, trigger: PresentTrigger): void {
  sql.exec(`DROP TRIGGER ${quoteName(trigger.name)}`)
  sql.exec(trigger.sql)
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
  for (const { name, isOurs } of presentTriggers(sql, tableName))
    if (isOurs) sql.exec(`DROP TRIGGER ${quoteName(name)}`)
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
