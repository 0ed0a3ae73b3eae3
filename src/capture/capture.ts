// Capture of plain SQL: triggers on the user's own tables append to the log whatever is written, so that no statement
// can bypass it. What triggers can't do is done here, around each statement: the transaction's id, the alarm, the limits.

import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import { CDCError } from '../error.ts'
import { checkedAttribution } from '../event/create-event.ts'
import { capturedBeginning, installCaptured, RAISED } from '../outbox/captured.ts'
import { type Backlog, type BacklogLimits, checkBacklog, type Outbox } from '../outbox/outbox.ts'
import { checkTime } from '../outbox/identity.ts'
import type { OutboxTables } from '../outbox/tables.ts'
import { foldCase } from '../sqlite/quote.ts'
import { splitStatements } from '../sqlite/statements.ts'
import type { StoreSQL } from '../store.ts'
import type { FollowedStorage } from '../transaction/followed-storage.ts'
import type { CurrentTransaction, OutboxTransactions } from '../transaction/transactions.ts'
import { CapturedTable, type CaptureOptions, type Found, type StoredCapture, uninstall } from './captured-table.ts'
import { RowState } from './row-state.ts'
import { classify, type KnownTables, mentionsAny, type StatementKind } from './statement.ts'
import { IS_OUR_TRIGGER, type Surroundings } from './triggers.ts'

/** Statements after which the size of the backlog is read again while it grows. */
const UNREAD_STATEMENTS_MAX = 64
/** Statements whose kind is remembered. */
const KNOWN_STATEMENTS_MAX = 500
/** Type of the event that says what became of a table's capture. */
const CAPTURE_TYPE = 'cdc.capture'

/** Where snapshots are taken. */
interface CaptureSnapshots {
  attach(store: CapturedTable): void
  start(name: string): void
}

interface CapturePorts {
  readonly storage: FollowedStorage
  readonly tables: OutboxTables
  readonly outbox: Outbox
  readonly limits: BacklogLimits
  readonly now: () => number
  readonly transactions: OutboxTransactions
  /** Called if captured writes have made the backlog grow. */
  readonly committed: (before: Backlog, after: Backlog) => void
  /** Called after each statement that may have appended events. */
  readonly written: () => void
  readonly snapshots: CaptureSnapshots
}

/** A trigger of the user's, by the name of its table. */
type UserTrigger = { name: string; sql: string }

/** A captured table by the name that the schema has for it, of which `capture` may have been given letters in another case. */
interface NamedCapture {
  readonly captured: CapturedTable
  readonly name: string
}

/** What became of a table's capture, for people and programs that read the log. */
type CaptureChange = 'restored' | 'rebuilt' | 'renamed' | 'ended'

export class Capture {
  readonly #ports: CapturePorts
  /** The object's SQLite without what is done here around each statement. */
  readonly #exec: SqlStorage['exec']
  readonly #rawSQL: StoreSQL
  readonly #rows: RowState
  /** By name, as `foldCase` has it. Never changed, but replaced, so that a rollback can bring the former one back. */
  #tables: ReadonlyMap<string, CapturedTable> = new Map()
  /** None while no table is captured. */
  #known: KnownTables = { watched: [], blind: [] }
  /** What the triggers are made for. If they don't find what is replaced, a setting of the connection has SQLite tell. */
  #surroundings: Surroundings = { hasUserTriggers: false, notesReplaced: false }
  /** Whether a statement may replace rows without saying so. */
  #replacesAnywhere = false
  readonly #kinds = new Map<string, StatementKind>()
  /** What was last written to `_cdc_transaction`, and for which transaction. */
  #stamp = ''
  #stamped: CurrentTransaction | undefined
  #unread = 0
  #isWatching = false
  #isRecursive = false
  /** What the user has set it to. */
  #isRecursiveForUser = false
  /** Whether the statement that makes the backlog grow may have rows to return yet. */
  #isReturning = false
  /** Whether the schema was changed since the object woke. */
  #hasSchemaChanged = false

  constructor(ports: CapturePorts) {
    this.#ports = ports
    this.#exec = ports.storage.exec
    this.#rawSQL = { exec: this.#exec }
    this.#rows = new RowState(this.#exec)
    ports.storage.onBegin(() => {
      const tables = this.#tables
      return () => (this.#tables = tables)
    })
    this.#wake()
  }

  /**
   * Captures a table, from now on.
   *
   * @throws {CDCError} `not-found` if there is no such table, `invalid-argument` for options that don't fit it.
   */
  add(table: string | SQLiteTable, options: CaptureOptions): void {
    this.#ports.tables.open()
    const captured = CapturedTable.of(table, options)
    const isNew = !this.#tables.has(foldCase(captured.tableName))
    this.#ports.storage.storage.transactionSync(() => {
      const surroundings = this.#findSurroundings(captured)
      installCaptured(this.#rawSQL)
      const found = captured.install(this.#rawSQL, surroundings)
      if (found === 'no table')
        throw new CDCError('not-found', `capture: there is no table ${captured.tableName}; create it first`)
      if (!isNew) this.#report(captured, found)
      this.#know(captured)
      const { hasUserTriggers, notesReplaced } = this.#surroundings
      const isChanged = surroundings.hasUserTriggers !== hasUserTriggers || surroundings.notesReplaced !== notesReplaced
      if (isChanged) this.#install('altered')
    })
    this.#findWatched()
    this.#watch()
  }

  /** Ends the capture of a table, which the log is told. @throws {CDCError} `not-found` if it is not captured. */
  remove(tableName: string): void {
    const captured = this.#tables.get(foldCase(tableName))
    if (captured === undefined)
      throw new CDCError(
        'not-found',
        `uncapture: the table ${tableName} is not captured; captured are ${this.#names()}`,
      )
    this.#ports.transactions.transactionSync((tx) => {
      uninstall(this.#rawSQL, captured.tableName)
      this.#forget(captured)
      tx.emit({ type: CAPTURE_TYPE, data: { table: captured.tableName, change: 'ended' satisfies CaptureChange } })
    })
    this.#findWatched()
  }

  rolledBack(): void {
    // The note of the transaction may have been rolled back with it, and what was done to the schema.
    this.#forgetStamp()
    if (!this.#hasSchemaChanged) return
    this.#surroundings = this.#findSurroundings()
    this.#findWatched()
  }

  /** The connection is a new one, with its own settings. */
  emptied(): void {
    this.#forgetStamp()
    this.#isRecursive = false
    this.#isRecursiveForUser = false
    this.#kinds.clear()
  }

  /** To be called before the library or the platform writes, which SQLite counts as the latest statement. */
  beforeOwnWrite(): void {
    if (this.#isWatching) this.#rows.remember(this.#isReturning)
  }

  /** By captured table: `live`, or why its triggers are not what they must be. */
  status(): Record<string, string> {
    return Object.fromEntries(
      [...this.#tables.values()].map((table) => [
        table.tableName,
        table.problem(this.#rawSQL, this.#surroundings) ?? 'live',
      ]),
    )
  }

  /** Brings the capture back that the database remembers, before any code of the user's runs. */
  #wake(): void {
    const stored = this.#exec<StoredCapture>('SELECT * FROM _cdc_capture').toArray()
    for (const row of stored) this.#know(CapturedTable.stored(row))
    if (stored.length === 0) return
    this.#install('restored')
    this.#watch()
  }

  #know(captured: CapturedTable): void {
    this.#tables = new Map(this.#tables).set(foldCase(captured.tableName), captured)
    this.#ports.snapshots.attach(captured)
  }

  #forget({ tableName }: CapturedTable): void {
    this.#tables = new Map([...this.#tables].filter(([name]) => name !== foldCase(tableName)))
    this.#exec('DELETE FROM _cdc_capture WHERE name = ?', tableName)
  }

  #names(): string {
    return [...this.#tables.values()].map(({ tableName }) => tableName).join(', ') || 'none'
  }

  #watch(): void {
    if (this.#isWatching) return
    this.#isWatching = true
    this.#readRecursion()
    this.#ports.storage.interceptStatements((query, bindings) => this.#run(query, bindings))
    // What somebody writes past us needs a transaction to belong to as well, and one that the triggers can read.
    const noted = `SELECT 1 FROM _cdc_transaction WHERE fields LIKE '[{%'`
    if (this.#exec(noted).toArray().length === 0) this.#stampTransaction()
  }

  #run<Row extends Record<string, SqlStorageValue>>(query: string, bindings: unknown[]): SqlStorageCursor<Row> {
    const kind = this.#kindOf(query)
    if (kind.isOurs) return this.#exec<Row>(query, ...bindings)
    if (kind.isSplit) {
      const statements = splitStatements(query)
      const last = statements.pop()
      for (const statement of statements) this.#run(statement, []).toArray()
      if (statements.length > 0 && last !== undefined) return this.#run<Row>(last, bindings)
    }
    if (kind.isAboutRecursion) return this.#runAboutRecursion(query, bindings, kind)
    if (kind.isAlter) return this.#alter<Row>(query, bindings)
    const result = kind.mayWrite ? this.#write<Row>(query, bindings, kind) : this.#execute<Row>(query, bindings, kind)
    if (kind.changesSchema) this.#install('rebuilt')
    return result
  }

  /** Runs a statement of the user's as SQLite would run it if there were none of ours. */
  #execute<Row extends Record<string, SqlStorageValue>>(
    query: string,
    bindings: unknown[],
    kind: StatementKind,
  ): SqlStorageCursor<Row> {
    const text = kind.asksOfRows ? this.#rows.answer(query) : query
    const counts = kind.isDefinition ? kind.dropped !== undefined && this.#deletesFirst(kind.dropped) : !kind.isRead
    try {
      const result = this.#exec<Row>(text, ...bindings)
      if (counts) this.#rows.ran(kind, isOpen(result, kind))
      return result
    } catch (error) {
      if (counts) this.#rows.ran(kind, false)
      throw error
    }
  }

  /** Whether SQLite deletes, and counts, the rows of a table before it drops it: if foreign keys may then be broken. */
  #deletesFirst(tableName: string): boolean {
    const name = foldCase(tableName)
    const references = this.#references()
    if (references.some(({ parent }) => parent === name)) return true
    if (!references.some(({ child }) => child === name)) return false
    const isDeferred = `SELECT 1 FROM sqlite_master WHERE name = ? COLLATE NOCASE AND sql LIKE '%DEFERRED%'`
    return this.#exec(isDeferred, tableName).toArray().length > 0
  }

  #write<Row extends Record<string, SqlStorageValue>>(
    query: string,
    bindings: unknown[],
    kind: StatementKind,
  ): SqlStorageCursor<Row> {
    const { tables, outbox, limits, committed, written } = this.#ports
    if (!tables.exist()) this.#rows.remember(false)
    tables.open()
    const before = outbox.latestBacklog()
    checkBacklog(before, limits)
    this.#stampTransaction()
    const result = this.#executeCaptured<Row>(query, bindings, kind)
    written()
    this.#unread += 1
    // While events are pending an alarm is due, and how many they are need not be read after each statement.
    if (before.events > 0 && this.#unread < UNREAD_STATEMENTS_MAX) return result
    this.#unread = 0
    outbox.forgetBacklog()
    const after = outbox.latestBacklog()
    if (after.events === before.events) return result
    this.#isReturning = isOpen(result, kind)
    try {
      committed(before, after)
    } finally {
      this.#isReturning = false
    }
    return result
  }

  #executeCaptured<Row extends Record<string, SqlStorageValue>>(
    query: string,
    bindings: unknown[],
    kind: StatementKind,
  ): SqlStorageCursor<Row> {
    const { notesReplaced } = this.#surroundings
    this.#setRecursive(this.#isRecursiveForUser || !notesReplaced || this.#isBlindTo(kind))
    try {
      return this.#execute<Row>(query, bindings, kind)
    } catch (error) {
      throw raisedError(error) ?? error
    } finally {
      if (notesReplaced) this.#setRecursive(this.#isRecursiveForUser)
    }
  }

  /** Whether a statement may replace rows that our triggers don't find. */
  #isBlindTo({ mayReplace, mentionsBlind }: StatementKind): boolean {
    return mentionsBlind && (mayReplace || this.#replacesAnywhere)
  }

  /** Has SQLite fire the triggers of rows that `OR REPLACE` deletes, for which it has a setting of the connection. */
  #setRecursive(isOn: boolean): void {
    if (isOn === this.#isRecursive) return
    this.#exec(`PRAGMA recursive_triggers = ${isOn ? 'ON' : 'OFF'}`)
    this.#isRecursive = isOn
  }

  #readRecursion(): void {
    const { isOn } = this.#exec<{ isOn: number }>(
      'SELECT recursive_triggers AS isOn FROM pragma_recursive_triggers',
    ).one()
    this.#isRecursive = this.#isRecursiveForUser = isOn === 1
  }

  /** Lets the user see and set the setting as if nobody else did. */
  #runAboutRecursion<Row extends Record<string, SqlStorageValue>>(
    query: string,
    bindings: unknown[],
    kind: StatementKind,
  ): SqlStorageCursor<Row> {
    this.#setRecursive(this.#isRecursiveForUser)
    const result = this.#execute<Row>(query, bindings, kind)
    this.#readRecursion()
    return result
  }

  /** Changes a table without the triggers, which would not let it lose a column, and then puts them in again. */
  #alter<Row extends Record<string, SqlStorageValue>>(query: string, bindings: unknown[]): SqlStorageCursor<Row> {
    this.#rows.remember(false)
    return this.#ports.storage.storage.transactionSync(() => {
      const pages = this.#rootPages()
      const names = this.#capturedNames()
      for (const name of names) uninstall(this.#rawSQL, name)
      const result = this.#exec<Row>(query, ...bindings)
      this.#followRename(pages)
      this.#install('altered', names)
      return result
    })
  }

  /** The captured tables by where they are in the file, at which a table that is renamed stays. */
  #rootPages(): Map<number, NamedCapture> {
    const pages = new Map<number, NamedCapture>()
    for (const { name, page } of this.#tablesOfSchema()) {
      const captured = this.#tables.get(foldCase(name))
      if (captured !== undefined) pages.set(page, { captured, name })
    }
    return pages
  }

  #followRename(pages: ReadonlyMap<number, NamedCapture>): void {
    for (const { name, page } of this.#tablesOfSchema()) {
      const before = pages.get(page)
      if (before === undefined || before.name === name) continue
      const { captured } = before
      const renamed = captured.renamed(name)
      this.#forget(captured)
      this.#know(renamed)
      renamed.install(this.#rawSQL, this.#surroundings)
      this.#emit(renamed, 'renamed', { from: before.name })
    }
  }

  #tablesOfSchema(): { name: string; page: number }[] {
    return this.#exec<{ name: string; page: number }>(
      "SELECT name, rootpage AS page FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 4) <> '_cf_'",
    ).toArray()
  }

  /**
   * Brings the triggers in line with the tables as they are now.
   *
   * @param covered the tables whose triggers were only out of the way for a moment.
   */
  #install(occasion: 'restored' | 'rebuilt' | 'altered', covered: readonly string[] = []): void {
    const isCovered = new Set(covered.map(foldCase))
    this.#rows.remember(false)
    this.#hasSchemaChanged = true
    this.#ports.tables.open()
    this.#surroundings = this.#findSurroundings()
    installCaptured(this.#rawSQL)
    this.#ports.storage.storage.transactionSync(() => {
      for (const table of this.#tables.values()) {
        const found = table.install(this.#rawSQL, this.#surroundings)
        const isNew = found === 'missing' && !isCovered.has(foldCase(table.tableName))
        if (occasion !== 'altered' || isNew) this.#report(table, found, occasion)
      }
    })
    this.#findWatched()
  }

  /** Says in the log that changes may have been missed: a table has rows that no trigger of ours has seen. */
  #report(table: CapturedTable, found: Found, occasion: 'restored' | 'rebuilt' | 'altered' = 'rebuilt'): void {
    const isMissed = found === 'missing' || (found === 'out of date' && occasion === 'restored')
    if (!isMissed || !table.hasRows(this.#rawSQL)) return
    this.#emit(table, occasion === 'restored' ? 'restored' : 'rebuilt')
  }

  #emit(table: CapturedTable, change: CaptureChange, more: object = {}): void {
    this.#ports.transactions.transactionSync((tx) => {
      tx.emit({ type: CAPTURE_TYPE, data: { table: table.tableName, change, ...more } })
    })
    if (table.options.autoSnapshot === true) this.#ports.snapshots.start(table.name)
  }

  /** Notes which transaction the captured writes belong to from here on, unless that is noted already. */
  #stampTransaction(): void {
    const { tables, now, transactions } = this.#ports
    const current = transactions.current()
    if (current === this.#stamped) return
    this.#stamped = current
    const { txid, ...attribution } = current
    const beginning = capturedBeginning(txid, checkedAttribution(attribution))
    const stamp = txid + beginning
    if (stamp === this.#stamp) return
    tables.open()
    const timeMs = now()
    checkTime(timeMs)
    const values = [txid, timeMs, beginning, tables.envelopeBytes]
    // The row may be gone: an UPDATE that finds none keeps no answers.
    if (this.#stamp === '') this.#rows.remember(false)
    const { rowsWritten } = this.#exec(
      `UPDATE _cdc_transaction SET txid = ?, time = ?, fields = ?, envelope_bytes = ?, changes = ${this.#rows.changesSQL()}`,
      ...values,
    )
    if (rowsWritten === 0)
      this.#exec(
        'INSERT INTO _cdc_transaction (id, txid, time, fields, envelope_bytes) VALUES (1, ?, ?, ?, ?)',
        ...values,
      )
    this.#rows.stamped()
    this.#stamp = stamp
  }

  #forgetStamp(): void {
    this.#stamp = ''
    this.#stamped = undefined
  }

  #kindOf(query: string): StatementKind {
    const known = this.#kinds.get(query)
    if (known !== undefined) return known
    const kind = classify(query, this.#known)
    if (this.#kinds.size >= KNOWN_STATEMENTS_MAX) this.#kinds.clear()
    this.#kinds.set(query, kind)
    return kind
  }

  /** Finds the captured tables, and those from which a cascade or a trigger of the user's may reach them. */
  #findWatched(): void {
    const userTriggers = this.#userTriggers()
    this.#replacesAnywhere = this.#findReplacing(userTriggers)
    const reached = new Set([...this.#capturedNames(), ...this.#tables.keys()].map((name) => foldCase(name)))
    if (reached.size > 0) for (const { name } of userTriggers) reached.add(foldCase(name))
    const references = this.#references()
    for (let size = 0; size < reached.size;) {
      size = reached.size
      for (const { child, parent } of references) if (reached.has(child)) reached.add(parent)
    }
    this.#known = { watched: [...reached], blind: this.#findBlind(userTriggers) }
    this.#kinds.clear()
  }

  #findBlind(userTriggers: readonly UserTrigger[]): string[] {
    const tables = [...this.#tables.values()].filter((table) => !table.notesReplaced(this.#rawSQL))
    const blind = new Set(tables.map(({ tableName }) => foldCase(tableName)))
    for (let size = -1; size < blind.size;) {
      size = blind.size
      for (const { name, sql } of userTriggers) if (mentionsAny(foldCase(sql), [...blind])) blind.add(foldCase(name))
    }
    return [...blind]
  }

  /**
   * The setting is seen by triggers of the user's, as one that writes to its own table then fires itself; and with it SQLite
   * takes an `UPDATE OR REPLACE` of a table with more than one key for a conflict with the row that it writes.
   */
  #findSurroundings(added?: CapturedTable): Surroundings {
    const hasUserTriggers = this.#userTriggers().length > 0
    const tables = [...this.#tables.values(), ...(added === undefined ? [] : [added])]
    const notesReplaced = hasUserTriggers || tables.some((table) => table.hasSeveralKeys(this.#rawSQL))
    return { hasUserTriggers, notesReplaced }
  }

  #userTriggers(): UserTrigger[] {
    return this.#exec<UserTrigger>(
      `SELECT tbl_name AS name, sql FROM sqlite_master
       WHERE type = 'trigger' AND NOT ${IS_OUR_TRIGGER}`,
    ).toArray()
  }

  #findReplacing(userTriggers: readonly UserTrigger[]): boolean {
    if (userTriggers.some(({ sql }) => /replace/i.test(sql))) return true
    const tables = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND sql LIKE '%on%conflict%replace%'"
    return this.#exec(tables).toArray().length > 0
  }

  /** The foreign keys of all tables, with names by `foldCase`. */
  #references(): { child: string; parent: string }[] {
    return this.#tablesOfSchema().flatMap(({ name }) =>
      this.#exec<{ parent: string }>('SELECT DISTINCT "table" AS parent FROM pragma_foreign_key_list(?)', name)
        .toArray()
        .map(({ parent }) => ({ child: foldCase(name), parent: foldCase(parent) })),
    )
  }

  #capturedNames(): string[] {
    return this.#exec<{ name: string }>(
      `SELECT DISTINCT tbl_name AS name FROM sqlite_master
       WHERE type = 'trigger' AND substr(tbl_name, 1, 5) <> '_cdc_' AND ${IS_OUR_TRIGGER}`,
    )
      .toArray()
      .map(({ name }) => name)
  }
}

/** Whether a statement has rows to return: what has written none is at its end. */
function isOpen(result: { readonly rowsWritten: number }, { mayReturn }: StatementKind): boolean {
  return mayReturn && result.rowsWritten > 0
}

/** The error that a trigger of ours has raised, as one of ours. */
function raisedError(error: unknown): CDCError | undefined {
  const [, code, message] =
    new RegExp(`${RAISED}(event-too-large|event-invalid): ([^]*?)(: SQLITE_|$)`).exec(String(error)) ?? []
  if (code !== 'event-too-large' && code !== 'event-invalid') return undefined
  return new CDCError(code, `capture: ${message}`, { cause: error })
}
