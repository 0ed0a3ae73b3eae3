// The platform gives an object one alarm, and the relay needs it. So users' alarms have names here, with a row each, and the
// platform's alarm is due when the first of all is.

import { needsAlarm } from '../due.ts'
import { CDCError, reasonOf } from '../error.ts'
import { isCleanText } from '../event/json.ts'
import { NAME_LENGTH_MAX } from '../event/limits.ts'
import type { OutboxTables } from '../outbox/tables.ts'
import type { AlarmMethods } from '../transaction/followed-storage.ts'
import type { AlarmClaim, SharedAlarm } from './shared-alarm.ts'

/** What the handler of a named alarm receives, like `alarm()` of the platform. */
export interface NamedAlarmInfo {
  /** When it was set to run, in milliseconds since 1970. */
  readonly scheduledTime: number
  readonly retryCount: number
  readonly isRetry: boolean
}

export type AlarmHandler = (name: string, info: NamedAlarmInfo) => void | Promise<void>

/** Runs the one alarm that the class of the object, or its base, has of its own. */
export type BaseAlarm = (info: NamedAlarmInfo) => void | Promise<void>

type AlarmRow = { name: string; due: number; scheduled: number; retries: number }

/** Like the platform: six retries, after 2 s, 4 s, … 64 s; then the alarm is dropped. */
const RETRIES_MAX = 6
const RETRY_DELAY_MS = 2_000
const RETRY_DELAY_MS_MAX = RETRY_DELAY_MS * 2 ** (RETRIES_MAX - 1)
/** How many alarms one object may have, and how many run at once. */
const ALARMS_MAX = 1_000
const ALARMS_AT_ONCE = 100
/** Prefix of the library's own alarms. */
const OWN_PREFIX = 'cdc.'
/** The name of the alarm of the object's own class, which no user can give. */
const BASE = ''
/**
 * When an alarm is due. A user may set one for any time. But one of ours, or one that is tried again, waits for a limited
 * time, given as ?2. If it is further away from now, ?1, it was set by a clock that was ahead, and is due now.
 */
const DUE = `
  iif(due <= ?1 + ?2, due, iif(name GLOB '${OWN_PREFIX}*', ?1, iif(due > scheduled, max(scheduled, ?1), due)))`

interface AlarmsPorts {
  readonly storage: DurableObjectStorage
  readonly tables: OutboxTables
  readonly alarm: SharedAlarm
  readonly hasAlarm: boolean
  readonly now: () => number
  /** Runs the user's alarms. */
  readonly handler: AlarmHandler
  /** Runs the alarm of the object's own class, if that has one. */
  readonly baseAlarm: BaseAlarm | undefined
  /** How soon an alarm is due again if its run is interrupted, in milliseconds. */
  readonly recoveryMs: number
}

/** Alarms by name, beside the relay's: `this.alarms.set('trial-ends', date)`, and then `onAlarm('trial-ends')`. */
export class Alarms {
  readonly #ports: AlarmsPorts
  readonly #claim: AlarmClaim
  /** The handlers of the library's own alarms, by full name. */
  readonly #ownHandlers = new Map<string, () => Promise<void>>()
  /** The alarm of the object's own class that runs now, until it sets another. */
  #runningBase: AlarmRow | undefined

  constructor(ports: AlarmsPorts) {
    this.#ports = ports
    this.#claim = ports.alarm.claim(() => this.#nextDueMs())
  }

  /** Whether no alarm is set. */
  get isEmpty(): boolean {
    return this.#nextDueMs() === undefined
  }

  /** Makes the platform's alarm due if named ones are set and it is missing, stuck in the past, or far ahead. */
  async heal(): Promise<void> {
    const alarmMs = await this.#claim.get()
    const dueMs = this.#nextDueMs()
    if (dueMs !== undefined && needsAlarm(alarmMs, dueMs, this.#ports.now())) this.#claim.rearm()
  }

  /**
   * Sets an alarm, or replaces the one of that name. Inside a transaction it is part of it.
   *
   * @param when a `Date`, or milliseconds since 1970. If that is in the past, the alarm runs at once.
   * @throws {CDCError} `invalid-argument` if the name or the time is not valid, or beyond 1,000 alarms.
   */
  set(name: string, when: Date | number): void {
    const due = Number(when)
    if (name === '' || name.length > NAME_LENGTH_MAX || !isCleanText(name) || name.startsWith(OWN_PREFIX))
      throw new CDCError(
        'invalid-argument',
        `alarms.set: the name is not valid; it needs 1 to ${NAME_LENGTH_MAX} characters, no NUL, and no prefix ${OWN_PREFIX}`,
      )
    if (!Number.isSafeInteger(due) || due < 0)
      throw new CDCError('invalid-argument', `alarms.set: ${String(when)} is not a time; give a Date or milliseconds`)
    this.#set(name, due)
  }

  /**
   * An alarm of the library, which the user does not see. It is tried again until it succeeds, and is never set for a time that
   * is more than a minute ahead.
   */
  own(name: string, run: () => Promise<void>): { setAt(atMs: number): void; isSet(): boolean } {
    const fullName = OWN_PREFIX + name
    this.#ownHandlers.set(fullName, run)
    return { setAt: (atMs) => this.#set(fullName, atMs), isSet: () => this.get(fullName) !== undefined }
  }

  /** The platform's alarm as the object's own class sees it: its own, without ours. */
  readonly base: AlarmMethods = {
    getAlarm: async () => {
      this.#ports.tables.open()
      const row = this.#row(BASE)
      // As on the platform, an alarm that runs is no longer set.
      return row === undefined || (this.#runningBase !== undefined && isRunOf(row, this.#runningBase)) ? null : row.due
    },
    setAlarm: async (scheduledTime) => {
      const due = Number(scheduledTime)
      if (!Number.isFinite(due)) throw new TypeError(`setAlarm: ${String(scheduledTime)} is not a time`)
      this.#set(BASE, Math.max(0, Math.floor(due)))
    },
    deleteAlarm: async () => void this.delete(BASE),
  }

  /**
   * Takes the platform's alarm for the one of the object's own class, which may have set it before there was an outbox. To be
   * called while nothing of ours needs it.
   */
  async adopt(): Promise<void> {
    const alarmMs = await this.#claim.get()
    if (alarmMs !== null) this.#set(BASE, alarmMs)
  }

  #set(name: string, due: number): void {
    if (!this.#ports.hasAlarm)
      throw new CDCError(
        'invalid-config',
        'an object with hasAlarm: false has neither named alarms nor table snapshots',
      )
    this.#ports.storage.transactionSync(() => {
      this.#ports.tables.open()
      this.#sql('INSERT OR REPLACE INTO _cdc_alarm (name, due, scheduled, retries) VALUES (?, ?, ?, 0)', name, due, due)
      if (this.#count() > ALARMS_MAX)
        throw new CDCError('invalid-argument', `alarms.set: an object has at most ${ALARMS_MAX} alarms; delete some`)
      this.#claim.rearm()
    })
  }

  /** When an alarm is set to run; undefined if there is none of this name. */
  get(name: string): Date | undefined {
    this.#ports.tables.open()
    const row = this.#row(name)
    return row && new Date(row.scheduled)
  }

  /** @returns whether there was such an alarm. */
  delete(name: string): boolean {
    return this.#ports.storage.transactionSync(() => {
      const existed = this.get(name) !== undefined
      this.#sql('DELETE FROM _cdc_alarm WHERE name = ?', name)
      if (existed) this.#claim.rearm()
      return existed
    })
  }

  /** All alarms, the next one first. */
  list(): { name: string; time: Date; retryCount: number }[] {
    this.#ports.tables.open()
    return this.#sql<AlarmRow>('SELECT * FROM _cdc_alarm ORDER BY due, name')
      .filter((row) => row.name !== BASE && !row.name.startsWith(OWN_PREFIX))
      .map((row) => ({
        name: row.name,
        time: new Date(row.scheduled),
        retryCount: row.retries,
      }))
  }

  /** Runs all named alarms that are due, each at least once. Never rejects. @returns undefined if none is due. */
  runDue(): Promise<void> | undefined {
    if (this.isEmpty) return undefined
    const { storage, now, recoveryMs } = this.#ports
    const rows = this.#sql<AlarmRow>(
      `SELECT name, ${DUE} AS due, scheduled, retries FROM _cdc_alarm WHERE ${DUE} <= ?1 ORDER BY 2, name LIMIT ?3`,
      now(),
      this.#waitMsMax(),
      ALARMS_AT_ONCE,
    )
    if (rows.length === 0) return undefined
    storage.transactionSync(() => {
      // If the runtime ends while they run, they are due again soon.
      for (const row of rows) this.#postpone(row, now() + recoveryMs)
      this.#claim.rearm()
    })
    // The platform does not run an alarm twice at once. One that takes long is postponed, in case that the runtime ends.
    const startable = rows.filter((row) => row.name !== BASE || this.#runningBase === undefined)
    return Promise.all(startable.map((row) => this.#runOne(row))).then(() => undefined)
  }

  async #runOne(row: AlarmRow): Promise<void> {
    const { handler, baseAlarm } = this.#ports
    try {
      const info = { scheduledTime: row.scheduled, retryCount: row.retries, isRetry: row.retries > 0 }
      const own = this.#ownHandlers.get(row.name)
      if (own !== undefined) await own()
      else if (row.name === BASE) await this.#runBase(row, () => baseAlarm?.(info))
      else await handler(row.name, info)
      this.#settle(row, () => this.#sql('DELETE FROM _cdc_alarm WHERE name = ?', row.name))
    } catch (error) {
      console.error(`alarm ${row.name === BASE ? 'of the class' : row.name}: ${reasonOf(error)}`)
      this.#settle(row, () => this.#retry(row))
    }
  }

  async #runBase(row: AlarmRow, run: () => void | Promise<void>): Promise<void> {
    this.#runningBase = row
    try {
      await run()
    } finally {
      this.#runningBase = undefined
    }
  }

  #retry(row: AlarmRow): void {
    // What the library has begun never stops in silence.
    const isDropped = row.retries >= RETRIES_MAX && !this.#ownHandlers.has(row.name)
    if (isDropped) return void this.#sql('DELETE FROM _cdc_alarm WHERE name = ?', row.name)
    const delayMs = Math.min(RETRY_DELAY_MS_MAX, RETRY_DELAY_MS * 2 ** row.retries)
    this.#postpone({ ...row, retries: row.retries + 1 }, this.#ports.now() + delayMs)
  }

  /** How long an alarm waits at most that was not set by the user for just that time. */
  #waitMsMax(): number {
    return Math.max(RETRY_DELAY_MS_MAX, this.#ports.recoveryMs)
  }

  /** Applies the result of a run, unless the handler has set or deleted the alarm itself. */
  #settle(row: AlarmRow, change: () => void): void {
    this.#ports.storage.transactionSync(() => {
      const current = this.#row(row.name)
      if (current !== undefined && isRunOf(current, row)) change()
      this.#claim.rearm()
    })
  }

  #postpone({ name, retries }: AlarmRow, due: number): void {
    this.#sql('UPDATE _cdc_alarm SET due = ?, retries = ? WHERE name = ?', due, retries, name)
  }

  #nextDueMs(): number | undefined {
    if (!this.#ports.tables.exist()) return undefined
    const [row] = this.#sql<{ due: number | null }>(
      `SELECT min(${DUE}) AS due FROM _cdc_alarm`,
      this.#ports.now(),
      this.#waitMsMax(),
    )
    return row?.due ?? undefined
  }

  #row(name: string): AlarmRow | undefined {
    return this.#sql<AlarmRow>('SELECT * FROM _cdc_alarm WHERE name = ?', name)[0]
  }

  #count(): number {
    return this.#sql<{ count: number }>('SELECT count(*) AS count FROM _cdc_alarm')[0]?.count ?? 0
  }

  #sql<Row extends Record<string, SqlStorageValue>>(statement: string, ...params: SqlStorageValue[]): Row[] {
    return this.#ports.storage.sql.exec<Row>(statement, ...params).toArray()
  }
}

/** Whether a row is still the one that a run began with, postponed meanwhile: nobody has set the alarm again. */
function isRunOf(current: AlarmRow, begun: AlarmRow): boolean {
  return current.scheduled === begun.scheduled && current.retries === begun.retries && current.due > begun.due
}
