// When the lake's alarm must run: pure. Times are in milliseconds since 1970.

import { endOfWait } from '../due.ts'
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

/** What the lake has to do. */
export interface Waiting {
  readonly buffered: Amount
  /** When the oldest event came of those that are buffered, and of those that wait for LSNs before them. */
  readonly oldestBufferedMs: number | undefined
  readonly oldestHeldMs: number | undefined
  /** Whether a commit was interrupted. */
  readonly isInterrupted: boolean
  /** Whether upkeep has more to do now, and when it has to do something later. */
  readonly hasUpkeep: boolean
  readonly upkeepDueMs: readonly number[]
  /** Before this time nothing is to be committed. */
  readonly commitFromMs: number
}

/** When the alarm must run next; nothing if there is nothing to do. Asking again does not put it off. */
export function dueMs(waiting: Waiting, limits: ScheduleLimits, nowMs: number): number | undefined {
  const { buffered, oldestBufferedMs, oldestHeldMs, isInterrupted, hasUpkeep, upkeepDueMs, commitFromMs } = waiting
  const { rollMs, holdMs } = limits
  const due = [
    ...(isInterrupted || isFull(buffered, limits) ? [nowMs] : []),
    ...(oldestBufferedMs === undefined ? [] : [endOfWait(oldestBufferedMs + rollMs, rollMs, nowMs)]),
    ...(oldestHeldMs === undefined ? [] : [endOfWait(oldestHeldMs + holdMs, holdMs, nowMs)]),
    ...(hasUpkeep ? [nowMs + rollMs] : []),
    ...upkeepDueMs,
  ]
  return due.length === 0 ? undefined : Math.max(Math.min(...due), nowMs, commitFromMs)
}

function isFull({ events, bytes }: Amount, { rollEvents, rollBytes }: RollLimits): boolean {
  return events >= rollEvents || bytes >= rollBytes
}
