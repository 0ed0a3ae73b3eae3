// The platform gives an object one alarm. The relay needs it, and users need alarms too: so they have names here, a row
// each, and the platform's alarm is due when the first of all is.

import { CDCError, messageOf } from '../error.ts'
import { isCleanText } from '../event/json.ts'
import { NAME_LENGTH_MAX } from '../event/limits.ts'
import type { RelayAlarm } from '../relay/relay.ts'

/** What a named alarm's handler is told, as the platform tells `alarm()`. */
export interface NamedAlarmInfo {
  /** When it was to run, in milliseconds since 1970. */
  readonly scheduledTime: number
  readonly retryCount: number
  readonly isRetry: boolean
}

export type AlarmHandler = (name: string, info: NamedAlarmInfo) => void | Promise<void>

type AlarmRow = { name: string; due: number; scheduled: number; retries: number }

/** As the platform does: six retries, after 2 s, 4 s, … 64 s, and then the alarm is dropped. */
const RETRIES_MAX = 6
const RETRY_DELAY_MS = 2_000
/** Alarms that one object may have, and that are run at once. */
const ALARMS_MAX = 1_000
const ALARMS_AT_ONCE = 100
/** What the names of the library's own alarms begin with. */
export const OWN_PREFIX = 'cdc.'

export interface AlarmsParts {
  readonly storage: DurableObjectStorage
  readonly now: () => number
  readonly handler: AlarmHandler
  /** How soon an alarm comes back whose run was cut off, in milliseconds. */
  readonly recoveryMs: number
  /** When the relay needs the platform's alarm, in milliseconds since 1970. */
  readonly relayDueMs: () => number | undefined
  /** Makes the tables where they are not there, as after `deleteAll`. */
  readonly openTables: () => void
}

/** Alarms by name, beside the relay's: `this.alarms.set('trial-ends', date)`, and then `onAlarm('trial-ends')`. */
export class Alarms {
  readonly #parts: AlarmsParts
  /** Whether there is anything to wake for. */
  get isEmpty(): boolean {
    return this.#nextDueMs() === undefined
  }

  /** Makes the platform's alarm due where named ones are set and it is missing, or stuck in the past. */
  async heal(): Promise<void> {
    const alarmMs = await this.#parts.storage.getAlarm()
    if (!this.isEmpty && (alarmMs === null || alarmMs <= this.#parts.now())) this.#rearm()
  }

  /** When the alarm that runs now was due. */
  #runningMs = 0

  constructor(parts: AlarmsParts) {
    this.#parts = parts
  }

  /**
   * Sets an alarm, or sets it anew. Inside a transaction it is part of it.
   *
   * @param when a time, or milliseconds since 1970. One in the past runs at once.
   * @throws {CDCError} `invalid-argument` for a bad name or time, or beyond 1,000 alarms.
   */
  set(name: string, when: Date | number): void {
    const due = Number(when)
    if (name === '' || name.length > NAME_LENGTH_MAX || !isCleanText(name) || name.startsWith(OWN_PREFIX))
      throw new CDCError(
        'invalid-argument',
        `alarms.set: a name has 1 to ${NAME_LENGTH_MAX} characters, no NUL, and does not begin with ${OWN_PREFIX}`,
      )
    if (!Number.isSafeInteger(due) || due < 0)
      throw new CDCError('invalid-argument', `alarms.set: ${String(when)} is not a time; give a Date or milliseconds`)
    this.#set(name, due)
  }

  /** Sets an alarm of the library's own, which nobody else sees. */
  setOwn(name: string, due: number): void {
    this.#set(OWN_PREFIX + name, due)
  }

  #set(name: string, due: number): void {
    this.#parts.storage.transactionSync(() => {
      this.#parts.openTables()
      this.#sql('INSERT OR REPLACE INTO _cdc_alarm (name, due, scheduled, retries) VALUES (?, ?, ?, 0)', name, due, due)
      if (this.#count() > ALARMS_MAX)
        throw new CDCError('invalid-argument', `alarms.set: an object has at most ${ALARMS_MAX} alarms; delete some`)
      this.#rearm()
    })
  }

  /** When the alarm was set to run; nothing where there is none of this name. */
  get(name: string): Date | undefined {
    this.#parts.openTables()
    const [row] = this.#sql<AlarmRow>('SELECT * FROM _cdc_alarm WHERE name = ?', name)
    return row && new Date(row.scheduled)
  }

  /** @returns whether there was such an alarm. */
  delete(name: string): boolean {
    return this.#parts.storage.transactionSync(() => {
      const existed = this.get(name) !== undefined
      this.#sql('DELETE FROM _cdc_alarm WHERE name = ?', name)
      if (existed) this.#rearm()
      return existed
    })
  }

  /** All alarms, the next first. */
  list(): { name: string; time: Date; retryCount: number }[] {
    this.#parts.openTables()
    return this.#sql<AlarmRow>('SELECT * FROM _cdc_alarm ORDER BY due, name')
      .filter((row) => !row.name.startsWith(OWN_PREFIX))
      .map((row) => ({
        name: row.name,
        time: new Date(row.scheduled),
        retryCount: row.retries,
      }))
  }

  /** The platform's alarm for the relay: due when the relay says, or earlier where a named one is. */
  get forRelay(): RelayAlarm {
    return {
      arm: (atMs) => this.#setPlatformAlarm(Math.min(atMs, this.#nextDueMs() ?? Infinity)),
      disarm: () => this.#armFor(this.#nextDueMs()),
      get: () => this.#parts.storage.getAlarm(),
    }
  }

  /** When the alarm that runs now was due, in milliseconds since 1970, as the platform says. */
  begin(scheduledMs: number): void {
    this.#runningMs = scheduledMs
  }

  /** Runs the named alarms that are due, all at once, each at least once. Never rejects. @returns nothing if none is. */
  runDue(): Promise<void> | undefined {
    if (this.isEmpty) return undefined
    const { storage, now, recoveryMs } = this.#parts
    const rows = this.#sql<AlarmRow>(
      'SELECT * FROM _cdc_alarm WHERE due <= ? ORDER BY due, name LIMIT ?',
      now(),
      ALARMS_AT_ONCE,
    )
    if (rows.length === 0) return undefined
    storage.transactionSync(() => {
      // Should the runtime end while they run, they are due again soon.
      for (const row of rows) this.#postpone(row, now() + recoveryMs)
      this.#rearm()
    })
    return Promise.all(rows.map((row) => this.#runOne(row))).then(() => undefined)
  }

  async #runOne(row: AlarmRow): Promise<void> {
    const { handler } = this.#parts
    try {
      await handler(row.name, { scheduledTime: row.scheduled, retryCount: row.retries, isRetry: row.retries > 0 })
      this.#settle(row, () => this.#sql('DELETE FROM _cdc_alarm WHERE name = ?', row.name))
    } catch (error) {
      console.error(`alarm ${row.name}: ${messageOf(error)}`)
      this.#settle(row, () => this.#retry(row))
    }
  }

  #retry(row: AlarmRow): void {
    if (row.retries >= RETRIES_MAX) this.#sql('DELETE FROM _cdc_alarm WHERE name = ?', row.name)
    else this.#postpone({ ...row, retries: row.retries + 1 }, this.#parts.now() + RETRY_DELAY_MS * 2 ** row.retries)
  }

  /** Does what the end of a run means, unless its handler has set or deleted the alarm itself. */
  #settle(row: AlarmRow, change: () => void): void {
    this.#parts.storage.transactionSync(() => {
      const [current] = this.#sql<AlarmRow>('SELECT * FROM _cdc_alarm WHERE name = ?', row.name)
      if (current?.scheduled === row.scheduled && current.retries === row.retries && current.due > row.due) change()
      this.#rearm()
    })
  }

  #postpone({ name, retries }: AlarmRow, due: number): void {
    this.#sql('UPDATE _cdc_alarm SET due = ?, retries = ? WHERE name = ?', due, retries, name)
  }

  #rearm(): void {
    const times = [this.#nextDueMs(), this.#parts.relayDueMs()].filter((time) => time !== undefined)
    this.#armFor(times.length === 0 ? undefined : Math.min(...times))
  }

  #armFor(atMs: number | undefined): void {
    if (atMs === undefined) void this.#parts.storage.deleteAlarm()
    else this.#setPlatformAlarm(atMs)
  }

  #nextDueMs(): number | undefined {
    if (this.#sql("SELECT 1 FROM sqlite_master WHERE name = '_cdc_alarm'").length === 0) return undefined
    const [row] = this.#sql<{ due: number | null }>('SELECT min(due) AS due FROM _cdc_alarm')
    return row?.due ?? undefined
  }

  #count(): number {
    return this.#sql<{ count: number }>('SELECT count(*) AS count FROM _cdc_alarm')[0]?.count ?? 0
  }

  #setPlatformAlarm(atMs: number): void {
    // Never for the very millisecond of the running alarm: the platform would lose that one. Not awaited: inside a
    // synchronous transaction it is written at once, and its failure is the commit's failure.
    void this.#parts.storage.setAlarm(Math.max(atMs, this.#runningMs + 1))
  }

  #sql<Row extends Record<string, SqlStorageValue>>(statement: string, ...params: SqlStorageValue[]): Row[] {
    return this.#parts.storage.sql.exec<Row>(statement, ...params).toArray()
  }
}
