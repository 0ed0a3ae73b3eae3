// When the lake's alarm must run: pure. Times are in milliseconds since 1970.

import type { Amount } from './intake/buffer.ts'

/** When what is buffered is committed: so long after the first of it came, or once it is so much. */
export interface RollLimits {
  readonly rollMs: number
  readonly rollEvents: number
  readonly rollBytes: number
}

export interface ScheduleLimits extends RollLimits {
  /** How long events are held back because LSNs before them are missing. */
  readonly holdMs: number
}

/** What waits: to be committed, and for LSNs before it. */
export interface Waiting {
  readonly buffered: Amount
  readonly held: Amount
}

/** When the alarm must run for what was just taken in; nothing if it is due for it already. @param before what was buffered. */
export function dueAfterIntake(
  before: Amount,
  { buffered, held }: Waiting,
  limits: ScheduleLimits,
  nowMs: number,
): number | undefined {
  if (isFull(buffered, limits) && !isFull(before, limits)) return nowMs
  if (buffered.events > 0 && before.events === 0) return nowMs + limits.rollMs
  if (held.events > 0 && buffered.events === 0) return nowMs + limits.holdMs
  return undefined
}

function isFull({ events, bytes }: Amount, { rollEvents, rollBytes }: RollLimits): boolean {
  return events >= rollEvents || bytes >= rollBytes
}

/** What is left to do once all was committed that could be. */
export interface Remaining {
  /** Whether upkeep has more to do, or more has come meanwhile. */
  readonly hasMore: boolean
  /** When the oldest event came that is held back. */
  readonly oldestHeldMs: number | undefined
  readonly upkeepDueMs: readonly number[]
}

/** When the alarm must run next; nothing if there is nothing to do. */
export function dueAfterCommit(
  { hasMore, oldestHeldMs, upkeepDueMs }: Remaining,
  { rollMs, holdMs }: ScheduleLimits,
  nowMs: number,
): number | undefined {
  const dueMs = [
    ...(hasMore ? [nowMs + rollMs] : []),
    ...(oldestHeldMs === undefined ? [] : [oldestHeldMs + holdMs]),
    ...upkeepDueMs,
  ]
  return dueMs.length === 0 ? undefined : Math.max(Math.min(...dueMs), nowMs)
}
