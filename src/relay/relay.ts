// How events leave: alarm → take a batch → send → acknowledge → next. Keeps I3 (nothing leaves before the pipeline
// accepted it), I4 (one batch in flight, a retry is the same batch) and I6 (an alarm is due while anything is pending).

import { CDCError } from '../error.ts'
import type { Batch, BatchLimits, Outbox } from '../outbox/outbox.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import { type BackoffLimits, retryDelayMs } from './backoff.ts'

/** The relay's share of the object's options. Times are in milliseconds. */
export interface RelayLimits extends BatchLimits, BackoffLimits {
  /** How long a first event waits for others to travel with it. */
  readonly lingerMs: number
  /** How long the pipeline may take to answer before the outcome counts as unknown. */
  readonly sendTimeoutMs: number
  /** How soon an alarm comes back whose run was cut off by the end of the runtime. */
  readonly recoveryMs: number
}

export interface RelayParts {
  readonly storage: DurableObjectStorage
  readonly outbox: Outbox
  readonly pipeline: Pipeline
  readonly limits: RelayLimits
  readonly now: () => number
  readonly random: () => number
}

export class Relay {
  readonly #parts: RelayParts

  constructor(parts: RelayParts) {
    this.#parts = parts
  }

  /** Makes the alarm due for the first pending event. Part of the transaction that is open, so both happen or neither. */
  schedule(): void {
    const { storage, limits, now } = this.#parts
    // Not awaited: inside a synchronous transaction it is written at once, and its failure is the commit's failure.
    void storage.setAlarm(now() + limits.lingerMs)
  }

  /** Makes an alarm due where events are pending and none is, whatever has happened before (I6). */
  async heal(): Promise<void> {
    const { storage, outbox, now } = this.#parts
    if (outbox.pendingEvents === 0) return
    const alarm = await storage.getAlarm()
    // An alarm in the past counts as missing: the platform has one case in which such an alarm never fires.
    if (alarm === null || alarm <= now()) await storage.setAlarm(now())
  }

  /**
   * Drains the outbox. Never throws: the platform drops an alarm for good after seven failed runs.
   *
   * @param scheduledTime when this alarm was due, as the platform says, in milliseconds since 1970.
   */
  async run(scheduledTime: number): Promise<void> {
    const { storage, limits, now } = this.#parts
    // Armed before anything can fail. Never for the very millisecond of the running alarm: that one would be lost.
    await storage.setAlarm(Math.max(now() + limits.recoveryMs, scheduledTime + 1))
    const delayMs = await this.#drain()
    if (delayMs === undefined) await this.#rest()
    else await storage.setAlarm(Math.max(now() + delayMs, scheduledTime + 1))
  }

  /** @returns the delay until the next attempt, or nothing once the outbox is empty. */
  async #drain(): Promise<number | undefined> {
    const { outbox, limits, random } = this.#parts
    let failures = 1
    try {
      for (let batch = outbox.takeBatch(limits); batch !== undefined; batch = outbox.takeBatch(limits)) {
        failures = batch.retries + 1
        await this.#send(batch)
        outbox.acknowledge(batch)
      }
      return undefined
    } catch (error) {
      // The outcome is unknown, whatever the error says: the pipeline may have accepted. The same batch goes again.
      console.warn(`relay: attempt ${failures} failed: ${error instanceof Error ? error.message : String(error)}`)
      return retryDelayMs(failures, random(), limits)
    }
  }

  async #rest(): Promise<void> {
    const { storage, outbox } = this.#parts
    // Nothing is awaited between the look and the deletion, so no commit can come between them.
    if (outbox.pendingEvents === 0) await storage.deleteAlarm()
    else await storage.setAlarm(this.#parts.now() + this.#parts.limits.lingerMs)
  }

  async #send(batch: Batch): Promise<void> {
    const { pipeline, limits } = this.#parts
    const { promise: timeout, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      reject(
        new CDCError('pipeline-timeout', `relay: no answer to ${batch.key} in ${limits.sendTimeoutMs} ms`, {
          retryable: true,
        }),
      )
    }, limits.sendTimeoutMs)
    try {
      await Promise.race([pipeline.send(batch.records), timeout])
    } finally {
      clearTimeout(timer)
    }
  }
}
