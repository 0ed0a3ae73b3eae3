// Tells the fleet of this object: once in its life that it is there, and then only if it is in trouble, or no longer is. It is
// done by the object's alarm, after the relay, so that no request of a user's waits for it; and whatever becomes of it, the
// relay does not notice.

import { reasonOf } from '../error.ts'
import { within } from '../within.ts'
import type { Outbox } from '../outbox/outbox.ts'
import type { OutboxState } from '../outbox/state.ts'
import type { Fleet, Trouble } from './fleet.ts'

/** What is trouble: so many failures of one batch, or an event that has waited so long. */
const FAILURES_MIN = 3
const LAG_MS_MIN = 30_000
/** While it lasts, it is told again so often. */
const TELL_EVERY_MS = 60_000
/** How long the fleet may take to answer. */
const ANSWER_MS_MAX = 5_000

export interface MembershipPorts {
  readonly outbox: Outbox
  readonly fleet: Fleet
  readonly id: string
  readonly className: string
  readonly name: string | undefined
  readonly now: () => number
}

/** What the fleet knows of a member, as `_cdc_state` keeps it: nothing, or its epoch, with a mark if it was in trouble. */
type Known = string
const TROUBLED = '!'

export class Membership {
  readonly #ports: MembershipPorts
  /** When trouble was told last, since the object woke. */
  #toldMs = -Infinity

  constructor(ports: MembershipPorts) {
    this.#ports = ports
  }

  /** Never throws. */
  async tell(): Promise<void> {
    try {
      await this.#tell()
    } catch (error) {
      console.warn(`fleet: ${reasonOf(error)}`)
    }
  }

  async #tell(): Promise<void> {
    const { outbox, fleet, id, className, name, now } = this.#ports
    const state = outbox.state()
    if (state === undefined) return
    const { ns, source, epoch } = state
    const trouble = this.#trouble(state)
    const known: Known = trouble === undefined ? epoch : epoch + TROUBLED
    const isRecent = now() - this.#toldMs < TELL_EVERY_MS && now() >= this.#toldMs
    if (state.fleet === known && (trouble === undefined || isRecent)) return
    const member = { id, className, ...(name !== undefined && { name }), ns, source, epoch }
    await within(ANSWER_MS_MAX, fleet.report(member, trouble), () => new Error(`no answer in ${ANSWER_MS_MAX} ms`))
    this.#toldMs = trouble === undefined ? -Infinity : now()
    if (state.fleet !== known) outbox.noteFleet(epoch, known)
  }

  #trouble(state: OutboxState): Trouble | undefined {
    const { outbox, now } = this.#ports
    const oldestPendingMs = outbox.oldestPendingMs()
    const isLagging = oldestPendingMs !== undefined && now() - oldestPendingMs >= LAG_MS_MIN
    const hasDeadLetters = !outbox.deadLetters.isEmpty()
    if (!isLagging && !hasDeadLetters && state.attemptsEnded < FAILURES_MIN) return undefined
    return {
      pendingEvents: outbox.backlog().events,
      ...(oldestPendingMs !== undefined && { oldestPendingMs }),
      deadLetters: outbox.deadLetters.count(),
      failures: state.attemptsEnded,
      isPaused: state.isPaused,
      ...(state.lastError !== null && { lastError: state.lastError }),
    }
  }
}
