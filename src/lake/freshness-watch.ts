// Tells the log that the promise of `freshnessMs` is broken, and why.

import { endOfWait } from '../due.ts'
import type { Intake } from './intake/intake.ts'

export interface FreshnessWatchPorts {
  readonly intake: Intake
  readonly freshnessMs: number
  readonly now: () => number
}

/** How often the log is told. */
const TELL_EVERY_MS = 60_000

export class FreshnessWatch {
  readonly #ports: FreshnessWatchPorts
  #toldMs = 0
  /** Why the last run of the alarm failed; missing after a success. */
  lastError: string | undefined

  constructor(ports: FreshnessWatchPorts) {
    this.#ports = ports
  }

  /** Tells it, once a minute. */
  tellIfBehind(): void {
    const { intake, freshnessMs, now } = this.#ports
    const nowMs = now()
    if (!intake.isBehind || endOfWait(this.#toldMs + TELL_EVERY_MS, TELL_EVERY_MS, nowMs) > nowMs) return
    this.#toldMs = nowMs
    const { events } = intake.buffered
    const reason = this.lastError === undefined ? '' : `; the last commit failed: ${this.lastError}`
    console.error(
      `lake: behind: the oldest of ${events} events has waited ${intake.lagMs()} ms, the limit is ` +
        `${freshnessMs} (freshnessMs); send is refused until it has landed${reason}`,
    )
  }
}
