// The platform gives an object one alarm. Each user of it has a claim, and the alarm is due when the first claim is.

import { settableMs, willFireBy } from '../due.ts'
import type { AlarmMethods } from '../transaction/followed-storage.ts'

/** One user of the alarm. */
export interface AlarmClaim {
  /** Makes the alarm due at a time, or earlier if another claim is. Part of the open transaction, if there is one. */
  arm(atMs: number): void
  /** Makes the alarm due when the first claim is. To be called when the due time of this claim has changed. */
  rearm(): void
  /** When the platform's alarm is due, in milliseconds since 1970. */
  get(): Promise<number | null>
  /** Whether it was set to just this time, as far as it is known without asking the storage. */
  isSetTo(atMs: number): boolean
  /** Whether it is certainly due at a time or earlier, as far as it is known without asking the storage. */
  isDueBy(atMs: number, nowMs: number): boolean
}

/** In place of the platform's methods, which fail where there is no alarm. */
export const NO_ALARM: AlarmMethods = {
  getAlarm: () => Promise.resolve(null),
  setAlarm: () => Promise.resolve(),
  deleteAlarm: () => Promise.resolve(),
}

export class SharedAlarm {
  readonly #platform: AlarmMethods
  readonly #claims: (() => number | undefined)[] = []
  readonly #beforeChange: (() => void)[] = []
  /** When the running alarm was due. */
  #runningMs = 0
  /** When the platform's alarm is due, as far as known; null if that is not known, or if there is none. */
  #atMs: number | null = null

  /** @param platform the platform's own methods, and not what others see of them. */
  constructor(platform: AlarmMethods) {
    this.#platform = platform
  }

  /** Calls the listener before the platform's alarm is set or deleted, which writes to the object's database. */
  onChange(listener: () => void): void {
    this.#beforeChange.push(listener)
  }

  /** @param dueMs when this user needs the alarm, in milliseconds since 1970; undefined while it does not. */
  claim(dueMs: () => number | undefined): AlarmClaim {
    this.#claims.push(dueMs)
    return {
      arm: (atMs) => this.#set(Math.min(atMs, this.#earliest(dueMs) ?? Infinity)),
      rearm: () => this.#rearm(),
      get: async () => (this.#atMs = await this.#platform.getAlarm()),
      isSetTo: (atMs) => this.#atMs === settableMs(atMs, this.#runningMs),
      isDueBy: (atMs, nowMs) => willFireBy(this.#atMs, atMs, nowMs),
    }
  }

  /** To be called when a transaction was rolled back, or the storage emptied: the alarm may be another one then. */
  forget(): void {
    this.#atMs = null
  }

  /** To be called when the alarm fires, with the time at which it was due. */
  begin(scheduledMs: number): void {
    this.#runningMs = scheduledMs
    this.#atMs = null
  }

  #rearm(): void {
    const dueMs = this.#earliest()
    if (dueMs !== undefined) return this.#set(dueMs)
    for (const listener of this.#beforeChange) listener()
    this.#atMs = null
    void this.#platform.deleteAlarm()
  }

  #earliest(except?: () => number | undefined): number | undefined {
    const times = this.#claims.filter((dueMs) => dueMs !== except).map((dueMs) => dueMs())
    const known = times.filter((time) => time !== undefined)
    return known.length === 0 ? undefined : Math.min(...known)
  }

  #set(atMs: number): void {
    const settable = settableMs(atMs, this.#runningMs)
    // Setting it is a billed row, and several users may ask for the same time in one turn.
    if (settable === this.#atMs) return
    for (const listener of this.#beforeChange) listener()
    this.#atMs = settable
    // Not awaited: inside a synchronous transaction it is written at once, and if it fails, the commit fails.
    void this.#platform.setAlarm(this.#atMs)
  }
}
