// Runs a script inside an object: a captured one, or its plain twin. What a user sees is noted line by line, so that the
// two can be compared; the captured one is also held against its own log.

import { eventRecordSchema, isCommitted, type EventRecord, type Pipeline } from 'durable-outbox'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import type { Stores } from '../../worker.ts'
import { isLater, mayNotBeCaptured, mayRefuse, type Modes, REFUSALS, saysIncomplete } from './documented.ts'
import type { Features } from './features.ts'
import { canonical, Fold, follow, type Followed, type LoggedEvent, noteColumns } from './fold.ts'
import { isSync, type Op, type SyncOp } from './plan.ts'
import type { By } from './script.ts'
import { quote } from './schema.ts'
import { describeTable, readRows, tableInfo, userSchema } from './table-rows.ts'

/** What went wrong, and at which operation. */
export interface Finding {
  readonly op: Op | undefined
  readonly kind: string
  readonly what: string
}

/** What was seen after an operation. */
export interface Line {
  readonly op: Op | undefined
  readonly kind: string
  readonly text: string
}

/**
 * Errors before which SQLite does not always roll back what the statement did: it does so where a trigger might raise an
 * error, as capture's do. What comes after one of them proves nothing.
 */
export const UNSURE = /too many levels of trigger recursion|cannot store .* value in/

const SNAPSHOT_ALARMS_MAX = 40
const EVENTS_PAGE = 1_000

/** The error that ends a transaction of a script on purpose. */
class Ended extends Error {}
/** A statement that the captured object refused: its twin is not given it. */
class Refused extends Error {}

/** What the two runs of a script share. */
export interface Shared {
  readonly features: Features
  /** What the captured object refused. */
  readonly refused: Map<Op, string>
  /** Modes of the tables that were captured when something was refused. */
  readonly modes: Map<string, Modes>
}

export abstract class Run {
  readonly lines: Line[] = []
  readonly findings: Finding[] = []
  protected readonly shared: Shared
  #storage: DurableObjectStorage | undefined
  #totalChanges = 0
  #isOver = false
  #hasDropped = false
  #hasCaptured = false
  /** Whether something failed inside the transaction that runs. */
  #hasFailedInside = false

  constructor(shared: Shared) {
    this.shared = shared
  }

  /** Runs operations up to the next wake; without an await where none of them needs one. */
  async take(object: unknown, state: DurableObjectState, ops: readonly Op[]): Promise<void> {
    this.#storage = state.storage
    this.woke(object)
    this.resync()
    for (const op of ops) {
      if (this.#isOver) return
      if (isSync(op)) {
        this.#takeSync(op)
        if (this.#hasDropped) this.settled(op)
        if (this.#hasDropped) this.resync()
        this.#hasDropped = false
      } else {
        if (op.do === 'delete all') this.#hasCaptured = false
        await this.takeAsync(op)
        this.resync()
      }
    }
    await this.storage.sync()
  }

  protected get storage(): DurableObjectStorage {
    if (this.#storage === undefined) throw new Error('a run has an object')
    return this.#storage
  }

  protected readonly exec: SqlStorage['exec'] = (query, ...bindings) => this.storage.sql.exec(query, ...bindings)

  protected abstract woke(object: unknown): void
  protected abstract takeAsync(op: Exclude<Op, SyncOp>): Promise<void>
  protected abstract capture(op: Extract<Op, { do: 'capture' }>): void
  protected abstract emit(): void
  protected abstract check(op: Op): void
  /** Called after each statement, and after one that failed. */
  protected abstract ran(): void
  protected abstract transaction(by: By, run: () => void): void
  /** Called after a table was dropped, by an operation that is not part of another. */
  protected abstract settled(op: SyncOp): void
  /** What became of an operation that may change the schema. */
  protected abstract changed(op: Extract<SyncOp, { do: 'sql' }>): void
  protected abstract refusal(op: Op, error: unknown): string | undefined
  /** Runs something that can be rolled back by an error; `savepoint` restores what a run knows beside. */
  protected abstract savepoint(): () => void

  protected note(op: Op | undefined, kind: string, what: string): void {
    this.lines.push({ op, kind, text: what })
  }

  protected find(op: Op | undefined, kind: string, what: string): void {
    this.findings.push({ op, kind, what })
  }

  /** Makes the counters of the connection the same in both objects, after what is not the user's. */
  protected resync(): void {
    if (!this.shared.features.counters) return
    this.exec('CREATE TABLE IF NOT EXISTS resync (id INTEGER PRIMARY KEY, n)')
    this.exec('REPLACE INTO resync (id, n) VALUES (7, 7)')
    this.#totalChanges = this.#counters()[1]
  }

  /** Runs operations that need no await. */
  protected takeAll(ops: readonly SyncOp[]): void {
    for (const op of ops) this.#takeSync(op)
  }

  /** Runs operations between which the object does something else. */
  protected takeApart(ops: readonly SyncOp[]): void {
    for (const op of ops) {
      this.resync()
      this.#takeSync(op)
    }
  }

  #takeSync(op: SyncOp): void {
    if (this.#isOver) return
    switch (op.do) {
      case 'sql':
        return this.#attempt(op, () => this.#run(op))
      case 'transaction':
        return this.#attempt(op, () => this.#transact(op))
      case 'emit':
        return this.emit()
      case 'capture':
        this.capture(op)
        this.#hasCaptured = true
        return this.resync()
      case 'check':
        this.check(op)
        this.#noteTables(op)
        return this.resync()
    }
  }

  /** An operation that fails is noted, and the script goes on: its caller caught the error. */
  #attempt(op: SyncOp, run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#noteError(op, error)
    }
  }

  #noteError(op: Op, error: unknown): void {
    if (error instanceof Ended) return
    if (error instanceof Refused) {
      this.note(op, 'refusal', 'refused')
      return this.resync()
    }
    this.ran()
    const message = messageOf(error)
    this.note(op, 'error', message)
    if (UNSURE.test(message)) this.#isOver = true
    this.#noteCounters(op, true)
    this.#hasFailedInside = true
  }

  #run(op: Extract<SyncOp, { do: 'sql' }>): void {
    const cursor = this.#guard(op, () => {
      const executed = this.exec(op.text, ...(op.bindings ?? []))
      return { executed, rows: [...executed.raw<SqlStorageValue[]>()] }
    })
    const { executed, rows } = cursor
    if (rows.length > 0) this.note(op, 'rows', canonical({ columns: executed.columnNames, rows: rows.map(showValues) }))
    if (op.isBeside === true) this.note(op, 'rowsWritten', `rowsWritten ${executed.rowsWritten}`)
    if (/\b(?:ALTER|CREATE|DROP)\b/.test(op.text)) this.changed(op)
    this.#hasDropped ||= op.drops !== undefined
    this.ran()
    // Of what has rows to return capture can't tell that a trigger has written them all (docs/capture.md).
    if (rows.length === 0 && op.text.includes(' RETURNING ')) return this.resync()
    this.#noteCounters(op)
  }

  /** Runs what may be refused. */
  #guard<T>(op: Op, run: () => T): T {
    if (this.shared.refused.has(op)) this.skip(op, run)
    try {
      return run()
    } catch (error) {
      const reason = this.refusal(op, error)
      if (reason !== undefined) {
        this.shared.refused.set(op, reason)
        throw new Refused(reason)
      }
      throw error
    }
  }

  /** Called for what the other object refused: throws `Refused`, unless this is the one that refuses. */
  protected abstract skip(op: Op, run: () => unknown): void

  #transact(op: Extract<SyncOp, { do: 'transaction' }>): void {
    const restore = this.savepoint()
    let isThrown = false
    this.#hasFailedInside = false
    try {
      this.#guard(op, () =>
        this.transaction(op.by, () => {
          try {
            this.#inside(op)
          } catch (error) {
            isThrown = true
            throw error
          }
        }),
      )
    } catch (error) {
      restore()
      this.#hasFailedInside = true
      if (isThrown && error instanceof Refused) this.note(op, 'refusal', 'refused inside')
      throw error
    } finally {
      this.#noteCounters(op, this.#hasFailedInside)
    }
  }

  #inside(op: Extract<SyncOp, { do: 'transaction' }>): void {
    for (const each of op.ops)
      if (op.isAtomic && each.do === 'sql') this.#run(each)
      else this.#takeSync(each)
    if (op.fails) throw new Ended()
    if (op.isGuarded === true && this.exec('PRAGMA foreign_key_check').toArray().length > 0) throw new Ended()
  }

  #noteCounters(op: Op, hasFailed = false): void {
    const { counters, totalChanges } = this.shared.features
    if (!counters) return
    if (!this.#hasCaptured && emits(op)) return this.resync()
    const [changes, total, rowid] = this.#counters()
    const more = totalChanges ? ` total_changes() +${total - this.#totalChanges}` : ''
    this.#totalChanges = total
    const told = hasFailed || this.#insertsNoRowid(op) ? '' : ` last_insert_rowid() ${rowid}`
    this.note(op, 'counters', `changes() ${changes}${told}${more}`)
    if (told === '') this.resync()
  }

  /** Statements that count as changes and may leave `last_insert_rowid()` alone: of these capture can't tell (docs/capture.md). */
  #insertsNoRowid(op: Op): boolean {
    if (op.do === 'transaction') return op.ops.some((each) => this.#insertsNoRowid(each))
    if (op.do !== 'sql') return false
    if (/ DO UPDATE /.test(op.text) || (/\b(?:INSERT|REPLACE)\b/.test(op.text) && / RETURNING /.test(op.text)))
      return true
    const others = this.exec<{ name: string }>(
      "SELECT name FROM pragma_table_list WHERE schema = 'main' AND (wr = 1 OR type = 'view')",
    ).toArray()
    const text = op.text.toLowerCase()
    return others.some(({ name }) => [name, quote(name)].some((each) => text.includes(each.toLowerCase())))
  }

  #counters(): [number, number, number] {
    const [row] = this.exec('SELECT changes(), total_changes(), last_insert_rowid()').raw<[number, number, number]>()
    if (row === undefined) throw new Error('SELECT has a row')
    return row
  }

  #noteTables(op: Op): void {
    for (const { type, name, sql } of userSchema(this.exec)) {
      this.note(op, 'schema', `${type} ${name}: ${sql}`)
      // What FTS5 keeps of a table, it writes as late as it may.
      if (type !== 'table' || name === 'resync' || name.startsWith('search_')) continue
      this.note(
        op,
        'table',
        `${name}:\n${describeTable(this.exec, name)
          .map((row) => `  ${row}`)
          .join('\n')}`,
      )
    }
  }
}

/** In an object that captures nothing, the counters may then tell of the event (docs/capture.md). */
function emits(op: Op): boolean {
  return op.do === 'emit' || (op.do === 'transaction' && op.ops.some(emits))
}

/** What an error says, without what is new each time. */
export function messageOf(error: unknown): string {
  return String(error).replace(/reference = \w+/, '')
}

/** Values of a result, with what JSON would hide. */
function showValues(row: SqlStorageValue[]): unknown[] {
  return row.map((value) => {
    if (value instanceof ArrayBuffer) return `x'${new Uint8Array(value).toHex()}'`
    return typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0))
      ? `number ${Object.is(value, -0) ? '-0' : value}`
      : value
  })
}

/** The object that captures. */
export class CapturedRun extends Run {
  /** How far the clock is off. */
  skewMs = 0
  readonly records: EventRecord[] = []
  readonly pipeline: Pipeline = {
    send: async (records) => {
      const sent = JSON.parse(JSON.stringify(records)) as EventRecord[]
      for (const record of sent) {
        const parsed = eventRecordSchema.safeParse(record)
        if (!parsed.success) throw Object.assign(new Error(String(parsed.error.issues[0]?.message)), { status: 422 })
      }
      this.records.push(...sent)
    },
  }
  #object: Stores | undefined
  #fold = new Fold()
  #followed = new Map<string, Followed>()
  #dropped = new Set<string>()
  #epochs: string[] = []
  #nextLSN = 1
  #isEmptied = false
  #called = new Set<string>()
  #events = new Map<number, LoggedEvent>()
  #emit: (() => void) | undefined

  protected get object(): Stores {
    if (this.#object === undefined) throw new Error('a run has an object')
    return this.#object
  }

  protected woke(object: unknown): void {
    this.#object = object as Stores
    this.#called.clear()
    // What was emptied and not made again is forgotten as it wakes.
    if (this.#isEmptied) for (const [table, { isGone }] of this.#followed) if (isGone) this.#followed.delete(table)
    this.#isEmptied = false
    this.#noteEpoch(undefined)
  }

  protected transaction(by: By, run: () => void): void {
    if (by === 'platform') return this.storage.transactionSync(run)
    const outer = this.#emit
    try {
      this.object.ctx.transactionSync((tx) => {
        this.#emit = () => void tx.emit({ type: 'Beside', data: {} })
        run()
      })
    } finally {
      this.#emit = outer
    }
  }

  protected emit(): void {
    this.#emit?.()
  }

  protected savepoint(): () => void {
    const followed = new Map(this.#followed)
    const dropped = new Set(this.#dropped)
    const restoreFold = this.#fold.savepoint()
    const nextLSN = this.#nextLSN
    return () => {
      restoreFold()
      this.#nextLSN = nextLSN
      this.#followed = followed
      this.#dropped = dropped
    }
  }

  /** What came until now under the name of a table that was dropped is not about the next one of that name. */
  protected settled(op: SyncOp): void {
    this.#readLog(op)
    for (const table of this.#dropped) this.#fold.clear(table)
    this.#dropped.clear()
  }

  protected skip(): void {}
  protected ran(): void {}

  protected refusal(_op: Op, error: unknown): string | undefined {
    if (!(error instanceof Error) || !('code' in error)) return undefined
    for (const [table, { modes }] of this.#followed) this.shared.modes.set(table, modes)
    return REFUSALS.includes(String(error.code)) ? `${String(error.code)}: ${error.message}` : undefined
  }

  protected capture(op: Extract<Op, { do: 'capture' }>): void {
    const { table, modes } = op
    const info = tableInfo(this.exec, table)
    try {
      this.object.ctx.capture(Object.keys(modes).length === 0 ? table : drizzleTable(table, info?.columns ?? [], modes))
    } catch (error) {
      if (info !== undefined && !mayNotBeCaptured(info)) this.find(op, 'capture', `capture throws: ${String(error)}`)
      return
    }
    if (info === undefined) return
    this.#called.add(table)
    const known = this.#followed.get(table)
    if (known !== undefined && !known.isGone) return
    this.#readLog(op)
    this.#begin(table, modes)
  }

  #begin(table: string, modes: Modes): void {
    const info = tableInfo(this.exec, table)
    if (info === undefined) return
    this.#fold.clear(table)
    this.#followed.set(table, follow(info.columns, modes, readRows(this.exec, table, info)))
  }

  protected changed(op: Extract<SyncOp, { do: 'sql' }>): void {
    const { drops, renames, creates } = op
    if (drops !== undefined) {
      this.#lose(drops)
      this.#dropped.add(drops)
    }
    if (renames !== undefined) this.#rename(renames.from, renames.to)
    const created = creates === undefined ? undefined : this.#followed.get(creates)
    if (creates !== undefined && created?.isGone === true) this.#begin(creates, created.modes)
    for (const [table, followed] of this.#followed) {
      if (followed.isGone) continue
      const info = tableInfo(this.exec, table)
      if (info !== undefined && info.columns.join('\n') !== followed.columns.join('\n'))
        this.#followed.set(table, noteColumns(followed, info.columns))
    }
  }

  #lose(table: string): void {
    const followed = this.#followed.get(table)
    if (followed !== undefined) this.#followed.set(table, { ...followed, isGone: true })
  }

  #rename(from: string, to: string): void {
    const before = this.#followed.get(from)
    const replaced = this.#followed.get(to)
    this.#followed.delete(from)
    const modes = before?.modes ?? (replaced?.isGone === true ? replaced.modes : undefined)
    if (this.#called.delete(from)) this.#called.add(to)
    if (modes !== undefined) this.#begin(to, modes)
  }

  protected check(op: Op): void {
    this.#noteEpoch(op)
    const stats = this.#read(op, 'stats', () => this.object.outbox.stats())
    if (stats === undefined || !this.#readLog(op)) return
    for (const [table, followed] of this.#followed) {
      const info = tableInfo(this.exec, table)
      if (followed.isGone || info === undefined || saysIncomplete(stats, table)) continue
      const status = stats.captured[table]
      if (this.#called.has(table) && status !== 'live') this.find(op, 'stats', `stats says of ${table}: ${status}`)
      const difference = this.#fold.difference(table, followed, readRows(this.exec, table, info), info)
      if (difference !== undefined) this.find(op, 'fold', difference)
    }
  }

  /** Takes what is new in the log into the fold. */
  #readLog(op: Op): boolean {
    for (let from: number | undefined = this.#nextLSN; from !== undefined;) {
      const at: number = from
      const page = this.#read(op, 'list', () => this.object.outbox.list({ from: at, limit: EVENTS_PAGE }))
      if (page === undefined) return false
      for (const event of page.items) {
        if (event.lsn !== this.#nextLSN) this.find(op, 'list', `LSN ${event.lsn} follows ${this.#nextLSN - 1}`)
        this.#nextLSN = event.lsn + 1
        this.#events.set(event.lsn, event)
        this.#fold.add(event)
      }
      from = page.nextLSN
    }
    return true
  }

  #read<T>(op: Op | undefined, what: string, read: () => T): T | undefined {
    try {
      return read()
    } catch (error) {
      this.find(op, what, `${what}() throws: ${String(error)}`)
      return undefined
    }
  }

  #noteEpoch(op: Op | undefined): void {
    const epoch = this.#read(op, 'stats', () => this.object.outbox.stats())?.epoch
    const latest = this.#epochs.at(-1)
    if (epoch === undefined || epoch === latest) return
    if (latest !== undefined && !isLater(epoch, latest))
      this.find(op, 'epoch', `the epoch ${epoch} follows ${latest}, and does not count as later`)
    this.#epochs.push(epoch)
    this.#nextLSN = 1
    this.#fold.clear()
    this.#events.clear()
    this.records.length = 0
  }

  protected async takeAsync(op: Exclude<Op, SyncOp>): Promise<void> {
    switch (op.do) {
      case 'wake':
        return
      case 'delete all':
        await this.storage.deleteAll()
        this.#isEmptied = true
        for (const table of this.#followed.keys()) this.#lose(table)
        this.#noteEpoch(op)
        return
      case 'flush':
        return this.#flush(op)
      case 'snapshot':
        return this.#snapshot(op)
    }
  }

  async #flush(op: Op): Promise<void> {
    try {
      const { pendingEvents, deadLetters, lastError } = await this.object.outbox.flush()
      if (pendingEvents > 0 || lastError !== undefined)
        this.find(op, 'flush', `after flush ${pendingEvents} events are pending: ${lastError ?? 'no error is told'}`)
      if (deadLetters > 0) {
        const [letter] = this.object.outbox.deadLetters().items
        this.find(
          op,
          'dead letter',
          `an event was refused by the pipeline: ${letter?.reason}\n  ${canonical(letter?.event)}`,
        )
      }
    } catch (error) {
      this.find(op, 'flush', `flush() throws: ${String(error)}`)
      return
    }
    if (!this.#readLog(op)) return
    for (const record of this.records.filter(isCommitted)) {
      const listed = this.#events.get(record.lsn)
      if (listed !== undefined && canonical(listed.after) !== canonical(record.after))
        this.find(
          op,
          'flush',
          `LSN ${record.lsn} was sent as ${canonical(record.after)} and is listed as ${canonical(listed.after)}`,
        )
    }
  }

  async #snapshot(op: Extract<Op, { do: 'snapshot' }>): Promise<void> {
    const followed = this.#followed.get(op.table)
    if (followed === undefined || followed.isGone || !this.#called.has(op.table)) return this.takeApart(op.ops)
    if (this.#read(op, 'snapshot', () => this.object.outbox.snapshot(op.table, { chunk: op.chunk })) === undefined)
      return this.takeApart(op.ops)
    for (const each of op.ops) {
      const run = this.object.alarm()
      this.resync()
      this.takeAll([each])
      await run
    }
    for (let alarms = 0; alarms < SNAPSHOT_ALARMS_MAX; alarms++) {
      const progress = this.object.outbox.stats().snapshots.find(({ name }) => name === `relational/${op.table}`)
      if (progress?.error !== undefined) return this.find(op, 'snapshot', `the snapshot ends with ${progress.error}`)
      if (progress?.endedAt !== undefined) {
        const latest = this.#followed.get(op.table)
        if (latest !== undefined) this.#followed.set(op.table, { ...latest, untold: new Map() })
        return
      }
      await this.object.alarm()
    }
    this.find(op, 'snapshot', `the snapshot does not end: ${this.object.outbox.stats().lastLSN} events`)
  }
}

/**
 * The same without capture. Some of what SQLite does depends on whether a table has triggers, whatever they do: with idle
 * ones in place of those of capture, it can be told from what capture does.
 */
export class PlainRun extends Run {
  /** Whether SQLite let a foreign key be broken, which it may report if other triggers are compiled with the statement. */
  hasBrokenKeys = false
  readonly #idleTriggers: readonly ('BEFORE' | 'AFTER')[]
  readonly #captured = new Set<string>()
  readonly #isRecursive: boolean

  constructor(shared: Shared, idleTriggers: readonly ('BEFORE' | 'AFTER')[] = [], isRecursive = false) {
    super(shared)
    this.#idleTriggers = idleTriggers
    this.#isRecursive = isRecursive
  }

  protected woke(): void {
    this.#setRecursion()
  }

  #setRecursion(): void {
    if (this.#isRecursive) this.exec('PRAGMA recursive_triggers = ON')
  }

  protected async takeAsync(op: Exclude<Op, SyncOp>): Promise<void> {
    if (op.do === 'snapshot') this.takeApart(op.ops)
    if (op.do !== 'delete all') return
    await this.storage.deleteAll()
    this.#setRecursion()
  }

  protected transaction(_by: By, run: () => void): void {
    this.storage.transactionSync(run)
  }

  protected capture({ table }: Extract<Op, { do: 'capture' }>): void {
    this.#captured.add(table)
    this.#putIdleTriggers('AFTER', table)
  }

  /** As those of capture: BEFORE triggers are older than the user's, and AFTER triggers newer. */
  protected changed({ creates, renames }: Extract<SyncOp, { do: 'sql' }>): void {
    if (renames !== undefined && this.#captured.delete(renames.from)) this.#captured.add(renames.to)
    const isRebuilt = renames?.from.startsWith('__new_') === true
    const made = isRebuilt ? renames.to : creates
    if (made !== undefined) this.#putIdleTriggers('BEFORE', made)
    for (const table of this.#captured) this.#putIdleTriggers('AFTER', table)
  }

  #putIdleTriggers(timing: 'BEFORE' | 'AFTER', table: string): void {
    if (!this.#idleTriggers.includes(timing) || tableInfo(this.exec, table) === undefined) return
    for (const on of ['INSERT', 'UPDATE', 'DELETE']) {
      const name = quote(`_cdc_idle_${table}_${timing}_${on}`)
      this.exec(`DROP TRIGGER IF EXISTS ${name}`)
      this.exec(
        `CREATE TRIGGER ${name} ${timing} ${on} ON ${quote(table)} WHEN 0 BEGIN SELECT RAISE(ABORT, 'never'); END`,
      )
    }
  }

  protected emit(): void {}
  protected settled(): void {}
  protected check(): void {}
  protected ran(): void {
    try {
      this.hasBrokenKeys ||= this.exec('PRAGMA foreign_key_check').toArray().length > 0
    } catch {
      // The schema itself is broken: the next statement says so.
    }
  }
  protected refusal(): undefined {}
  protected savepoint(): () => void {
    return () => undefined
  }

  /** Tries what the captured object refused, sees whether it may be, and rolls it back. */
  protected skip(op: Op, run: () => unknown): void {
    let isRight = false
    try {
      this.storage.transactionSync(() => {
        for (const [at, table] of [...this.shared.modes.keys()].entries()) this.#watch(`_cdc_probe_${at}`, table)
        try {
          run()
        } catch (error) {
          isRight = true
          throw error
        }
        isRight = [...this.shared.modes].some(([table, modes], at) => this.#hasBad(`_cdc_probe_${at}`, table, modes))
        throw new Ended()
      })
    } catch {
      // It was to be rolled back.
    }
    if (!isRight) this.find(op, 'refusal', `refused without a documented reason: ${this.shared.refused.get(op)}`)
    throw new Refused()
  }

  /** Has every row noted that is written, also one that the same statement writes again. */
  #watch(probe: string, table: string): void {
    const names = tableInfo(this.exec, table)?.columns.map(quote) ?? []
    if (names.length === 0) return
    this.exec(`CREATE TABLE ${probe} (${names.join(', ')})`)
    const values = names.map((name) => `NEW.${name}`).join(', ')
    for (const what of ['INSERT', 'UPDATE'])
      this.exec(
        `CREATE TRIGGER ${probe}_${what} AFTER ${what} ON ${quote(table)} BEGIN INSERT INTO ${probe} VALUES (${values}); END`,
      )
  }

  #hasBad(probe: string, table: string, modes: Modes): boolean {
    const info = tableInfo(this.exec, table)
    if (info === undefined) return false
    return readRows(this.exec, probe, info).some((row) => mayRefuse(row, { key: info.key, modes }))
  }
}

function drizzleTable(name: string, columns: readonly string[], modes: Modes) {
  const defined = columns.map((column) => {
    const mode = modes[column]
    if (mode === undefined) return [column, text(column)] as const
    return [column, mode === 'json' ? text(column, { mode }) : integer(column, { mode })] as const
  })
  return sqliteTable(name, Object.fromEntries(defined))
}
