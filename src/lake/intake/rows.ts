// The rows of what was taken in, with the time at which it came.

import type { EventRecord } from '../../event/record.ts'
import type { Row } from '../iceberg/schema.ts'
import { toRows } from '../table/stream.ts'

/** A clock that was ahead by more was wrong, and what comes later must not be. */
const CLOCK_STEP_MS_MAX = 86_400_000

/**
 * Times of arrival rise, although the clock may have stepped back: readers order the epochs of a log by them.
 *
 * @param afterMs the time of arrival of the rows before.
 * @returns the rows, and the last one's time.
 */
export function rowsInOrder(
  chunks: Iterable<{ readonly takenMs: number; readonly records: readonly EventRecord[] }>,
  afterMs: number,
): { rows: Row[]; latestMs: number } {
  let latestMs = afterMs
  const rows = [...chunks].flatMap(({ records, takenMs }) => {
    const hasSteppedBack = takenMs < latestMs && latestMs - takenMs < CLOCK_STEP_MS_MAX
    latestMs = hasSteppedBack ? latestMs + 1 : takenMs
    return toRows(records, latestMs)
  })
  return { rows, latestMs }
}
