// The alarm of the lake's object. Keeps I6: whatever time is stored, it is never later than what is due, on waking and on each
// write.

import { endOfWait, needsAlarm, settableMs, willFireBy } from '../due.ts'

export class LakeAlarm {
  readonly #storage: DurableObjectStorage
  readonly #retryMs: number
  readonly #now: () => number
  /** When it is due, as far as known, so that a write need not ask the storage. */
  #atMs: number | undefined
  /** When the running alarm was due. */
  #runningMs = 0
  #isRunning = false
  /** After a failure nothing is tried again before this time, 0 after a success; and how far away that was when it was set. */
  #retryAtMs = 0
  #retryWaitMs = 0

  /** @param retryMs how long after the beginning of a run that fails the next one begins. */
  constructor(storage: DurableObjectStorage, retryMs: number, now: () => number) {
    this.#storage = storage
    this.#retryMs = retryMs
    this.#now = now
  }

  /** Makes it due at a time, unless it is due before. While it runs, its end sees to that. */
  async armBy(dueMs: number): Promise<void> {
    if (this.#isRunning) return
    const nowMs = this.#now()
    const atMs = Math.max(dueMs, nowMs, endOfWait(this.#retryAtMs, this.#retryWaitMs, nowMs))
    if (willFireBy(this.#atMs ?? null, atMs, nowMs)) return
    const storedMs = await this.#storage.getAlarm()
    this.#atMs = storedMs ?? undefined
    if (needsAlarm(storedMs, atMs, nowMs)) await this.#set(atMs)
  }

  /** To be called before a run does anything that can fail, with the time at which it was due. */
  async begin(scheduledMs: number): Promise<void> {
    this.#isRunning = true
    this.#runningMs = scheduledMs
    this.#retryWaitMs = this.#retryMs
    this.#retryAtMs = this.#now() + this.#retryWaitMs
    await this.#set(this.#retryAtMs)
  }

  /** To be called at the end of a run, with the time at which the next one is due, if there is anything to do. */
  async end(dueMs: number | undefined): Promise<void> {
    // Before anything is awaited: what is taken in from here on makes its own alarm due.
    this.#isRunning = false
    this.#retryAtMs = 0
    if (dueMs !== undefined) return this.#set(dueMs)
    this.#atMs = undefined
    await this.#storage.deleteAlarm()
  }

  /** To be called after a run that failed. @param fromMs nothing is to be tried before this time. */
  async fail(fromMs: number): Promise<void> {
    this.#isRunning = false
    if (fromMs <= this.#retryAtMs) return
    this.#retryWaitMs = fromMs - this.#now()
    this.#retryAtMs = fromMs
    await this.#set(fromMs)
  }

  async #set(atMs: number): Promise<void> {
    this.#atMs = settableMs(atMs, this.#runningMs)
    await this.#storage.setAlarm(this.#atMs)
  }
}
