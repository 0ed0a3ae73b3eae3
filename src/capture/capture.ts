// Capture of plain SQL: triggers on the user's own tables append to the log whatever is written, so that no statement
// can bypass it. What triggers can't do is done here, around each statement: the transaction's id, the alarm, the limits.

import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import type { AttachedStore, StoreSQL } from '../store.ts'
import type { FollowedStorage } from '../transaction/followed-storage.ts'
import type { CurrentTransaction } from '../transaction/transactions.ts'
import { CDCError } from '../error.ts'
import { checkedAttribution } from '../event/create-event.ts'
import { RAISED } from '../outbox/captured.ts'
import { type Backlog, type BacklogLimits, checkBacklog, type Outbox } from '../outbox/outbox.ts'
import type { OutboxTables } from '../outbox/tables.ts'
import { CapturedTable, type CaptureOptions, uninstall } from './captured-table.ts'
import { classify, type StatementKind } from './statement.ts'
import { IS_OUR_TRIGGER } from './triggers.ts'

/** Statements after which the size of the backlog is read again while it grows. */
const UNREAD_STATEMENTS_MAX = 64
/** Statements whose kind is remembered. */
const KNOWN_STATEMENTS_MAX = 500

interface CapturePorts {
  readonly storage: FollowedStorage
  readonly tables: OutboxTables
  readonly outbox: Outbox
  readonly limits: BacklogLimits
  readonly now: () => number
  readonly transaction: () => CurrentTransaction
  /** Called if captured writes have made the backlog grow. */
  readonly committed: (before: Backlog, after: Backlog) => void
  readonly attach: (store: AttachedStore) => void
}

export class Capture {
  readonly #ports: CapturePorts
  /** The object's SQLite without what is done here around each statement. */
  readonly #exec: SqlStorage['exec']
  readonly #rawSQL: StoreSQL
  readonly #tables = new Map<string, CapturedTable>()
  /** Names, in lower case, of the tables to which a write may fire a trigger of ours; none while none is captured. */
  #watched: readonly string[] = []
  readonly #kinds = new Map<string, StatementKind>()
  /** What was last written to `_cdc_transaction`. */
  #stamp = ''
  #unread = 0
  #isWatching = false

  constructor(ports: CapturePorts) {
    this.#ports = ports
    this.#exec = ports.storage.exec
    this.#rawSQL = { exec: this.#exec }
    // Triggers outlive the code that made them; what they append needs its transaction and its alarm nevertheless.
    if (this.#capturedNames().length > 0) this.#watch()
  }

  /**
   * Captures a table, from now on.
   *
   * @throws {CDCError} `not-found` where there is no such table, `invalid-argument` for options that don't fit it.
   */
  add(table: string | SQLiteTable, options: CaptureOptions): void {
    const captured = new CapturedTable(table, options)
    this.#ports.storage.storage.transactionSync(() => {
      if (!captured.install(this.#rawSQL))
        throw new CDCError('not-found', `capture: there is no table ${captured.tableName}; create it first`)
    })
    this.#tables.set(captured.tableName.toLowerCase(), captured)
    this.#ports.attach(captured)
    this.#watch()
  }

  /** To be called when something was rolled back: the note of the transaction may have been with it. */
  rolledBack(): void {
    this.#stamp = ''
  }

  /** By captured table: `live`, or why its triggers are not what they must be. */
  status(): Record<string, string> {
    return Object.fromEntries(
      [...this.#tables.values()].map((table) => [table.tableName, table.problem(this.#rawSQL) ?? 'live']),
    )
  }

  #watch(): void {
    // Else an INSERT OR REPLACE would delete the row that it replaces without a trigger. Holds for this connection.
    this.#exec('PRAGMA recursive_triggers = ON')
    this.#findWatched()
    if (this.#isWatching) return
    this.#isWatching = true
    this.#ports.storage.interceptStatements((query, bindings) => this.#run(query, bindings))
    this.#stampTransaction()
  }

  #run<Row extends Record<string, SqlStorageValue>>(query: string, bindings: unknown[]): SqlStorageCursor<Row> {
    const { mayWrite, changesSchema, isAlter } = this.#kindOf(query)
    if (isAlter) return this.#alter<Row>(query, bindings)
    const result = mayWrite ? this.#write<Row>(query, bindings) : this.#exec<Row>(query, ...bindings)
    if (changesSchema) this.#install()
    return result
  }

  #write<Row extends Record<string, SqlStorageValue>>(query: string, bindings: unknown[]): SqlStorageCursor<Row> {
    const { outbox, limits, committed } = this.#ports
    const before = outbox.latestBacklog()
    checkBacklog(before, limits)
    this.#stampTransaction()
    const result = this.#execRaising<Row>(query, bindings)
    this.#unread += 1
    // While events are pending an alarm is due, and how many they are need not be read after each statement.
    if (before.events > 0 && this.#unread < UNREAD_STATEMENTS_MAX) return result
    this.#unread = 0
    outbox.forgetBacklog()
    const after = outbox.latestBacklog()
    if (after.events > before.events) committed(before, after)
    return result
  }

  /** Changes a table without the triggers, which would not let it lose a column, and then puts them in again. */
  #alter<Row extends Record<string, SqlStorageValue>>(query: string, bindings: unknown[]): SqlStorageCursor<Row> {
    return this.#ports.storage.storage.transactionSync(() => {
      for (const name of this.#capturedNames()) uninstall(this.#rawSQL, name)
      const result = this.#exec<Row>(query, ...bindings)
      this.#install()
      return result
    })
  }

  /** Brings the triggers in line with the tables as they are now. */
  #install(): void {
    for (const table of this.#tables.values()) table.install(this.#rawSQL)
    this.#findWatched()
  }

  /** Notes which transaction the captured writes belong to from here on, unless that is noted already. */
  #stampTransaction(): void {
    const { tables, now, transaction } = this.#ports
    const { txid, ...attribution } = transaction()
    const fields = checkedAttribution(attribution)
    const stamp = txid + fields
    if (stamp === this.#stamp) return
    tables.open()
    this.#exec(
      'INSERT OR REPLACE INTO _cdc_transaction (id, txid, time, fields, envelope_bytes) VALUES (1, ?, ?, ?, ?)',
      txid,
      now(),
      fields,
      tables.envelopeBytes,
    )
    this.#stamp = stamp
  }

  #execRaising<Row extends Record<string, SqlStorageValue>>(query: string, bindings: unknown[]): SqlStorageCursor<Row> {
    try {
      return this.#exec<Row>(query, ...bindings)
    } catch (error) {
      throw raisedError(error) ?? error
    }
  }

  #kindOf(query: string): StatementKind {
    const known = this.#kinds.get(query)
    if (known !== undefined) return known
    const kind = classify(query, this.#watched)
    if (this.#kinds.size >= KNOWN_STATEMENTS_MAX) this.#kinds.clear()
    this.#kinds.set(query, kind)
    return kind
  }

  /** Finds the captured tables, and those from which a cascade or a trigger of the user's may reach them. */
  #findWatched(): void {
    const reached = new Set(this.#capturedNames().map((name) => name.toLowerCase()))
    if (reached.size > 0)
      for (const { name } of this.#exec<{ name: string }>(
        `SELECT tbl_name AS name FROM sqlite_master WHERE type = 'trigger' AND NOT ${IS_OUR_TRIGGER}`,
      ))
        reached.add(name.toLowerCase())
    const references = this.#references()
    for (let size = 0; size < reached.size;) {
      size = reached.size
      for (const { child, parent } of references) if (reached.has(child)) reached.add(parent)
    }
    for (const name of this.#tables.keys()) reached.add(name)
    this.#watched = [...reached]
    this.#kinds.clear()
  }

  /** The foreign keys of all tables, with names in lower case. */
  #references(): { child: string; parent: string }[] {
    const tables = this.#exec<{ name: string }>(
      "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 4) <> '_cf_'",
    ).toArray()
    return tables.flatMap(({ name }) =>
      this.#exec<{ parent: string }>('SELECT DISTINCT lower("table") AS parent FROM pragma_foreign_key_list(?)', name)
        .toArray()
        .map(({ parent }) => ({ child: name.toLowerCase(), parent })),
    )
  }

  #capturedNames(): string[] {
    return this.#exec<{ name: string }>(
      `SELECT DISTINCT tbl_name AS name FROM sqlite_master WHERE type = 'trigger' AND ${IS_OUR_TRIGGER}`,
    )
      .toArray()
      .map(({ name }) => name)
  }
}

/** The error that a trigger of ours has raised, as one of ours. */
function raisedError(error: unknown): CDCError | undefined {
  const [, code, message] =
    new RegExp(`${RAISED}(event-too-large|event-invalid): ([^]*?)(: SQLITE_|$)`).exec(String(error)) ?? []
  if (code !== 'event-too-large' && code !== 'event-invalid') return undefined
  return new CDCError(code, `capture: ${message}`, { cause: error })
}
