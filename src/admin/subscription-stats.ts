// What operators see of a subscription.

import type { DeliveryNote, SubscriptionState } from '../outbox/subscription-state.ts'

/** The state of a subscription. Times are ISO 8601, UTC. */
export interface SubscriptionStats {
  name: string
  /** `live`, `paused`, or why nothing is delivered. */
  status: string
  /** Everything up to this LSN was delivered, or is not for it. */
  ackedLSN: number
  /** Events after that, whether they are for it or not, and the age of the oldest. */
  pendingEvents: number
  lagMs: number
  deliveredEvents: number
  /** Events that were no longer kept when their turn came, and the LSN of the last of them. */
  missedEvents: number
  missedLSN?: number
  deadLetters: number
  lastError?: string
  /** When the next attempt is due after a failed one. */
  nextAttempt?: string
  /** The last deliveries, the newest first. */
  deliveries: SubscriptionDelivery[]
}

/** What became of a delivery: how many events it had, and how long its last attempt took. */
export interface SubscriptionDelivery extends Omit<DeliveryNote, 'atMs'> {
  at: string
}

/** What the log knows of a subscription's lag. */
interface Lag {
  readonly pendingEvents: number
  readonly lagMs: number
  readonly deadLetters: number
}

export function subscriptionStats(state: SubscriptionState, isInCode: boolean, lag: Lag): SubscriptionStats {
  const { name, ackedLSN, delivered, missed, missedLSN, lastError, nextAttemptMs, deliveries } = state
  return {
    name,
    status: subscriptionStatus(state, isInCode),
    ackedLSN,
    ...lag,
    deliveredEvents: delivered,
    missedEvents: missed,
    ...(missedLSN > 0 && { missedLSN }),
    ...(lastError !== null && { lastError }),
    ...(nextAttemptMs > 0 && { nextAttempt: timeOf(nextAttemptMs) }),
    deliveries: deliveries.map(({ atMs, ...note }) => ({ at: timeOf(atMs), ...note })).toReversed(),
  }
}

/** In words, the reason that weighs most. */
export function subscriptionStatus(state: SubscriptionState, isInCode: boolean): string {
  const { isPaused, disabledMs, lastError, failingMs } = state
  if (!isInCode) return 'not in the code: nothing is delivered until it is there again, or dropped'
  if (disabledMs > 0) return `disabled since ${timeOf(disabledMs)}: ${lastError}`
  if (isPaused) return 'paused'
  return failingMs > 0 ? `failing since ${timeOf(failingMs)}: ${lastError}` : 'live'
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString()
}
