// When a wait is over, although clocks go wrong: pure, and in milliseconds since 1970. A time that was stored while the clock
// was ahead, or while a limit was larger, would otherwise stop its work until that time comes (I6).

/**
 * The end of a wait, from the end that was stored.
 *
 * An end that is further away than the wait is long comes from another clock or another limit. Then the wait is over: counted
 * from now, it would be longer each time that somebody asks.
 */
export function endOfWait(storedMs: number, waitMs: number, nowMs: number): number {
  return storedMs > nowMs + waitMs ? nowMs : storedMs
}

/**
 * Whether the platform's alarm must be set for something that is due at a time. An alarm in the past counts as none, because
 * in one case the platform never fires it.
 */
export function needsAlarm(alarmMs: number | null, dueMs: number, nowMs: number): boolean {
  return alarmMs === null || alarmMs <= nowMs || alarmMs > dueMs
}

/**
 * How late an alarm may fire: that of a busy object waits for its turn. To set it again with each write would bill a row each
 * time, and keep it from firing. One that is later counts as lost.
 */
const LATE_MS = 1_000

/** Whether an alarm that this object has set, or seen when it woke, will fire for something that is due at a time. */
export function willFireBy(alarmMs: number | null, dueMs: number, nowMs: number): boolean {
  return !needsAlarm(alarmMs, dueMs, nowMs - LATE_MS)
}

/**
 * The time to set the platform's alarm to, for something that is due at a time. Never the very millisecond at which the running
 * alarm was due: the platform's scheduler would not learn of it, and it would never fire (measured on workerd 2026-08-15 and
 * 2026-11-17).
 */
export function settableMs(dueMs: number, runningMs: number | undefined): number {
  return dueMs === runningMs ? dueMs + 1 : dueMs
}
