import { describe, expect, it } from 'vitest'
import { dueMs, type Waiting } from '../../src/lake/schedule.ts'

const LIMITS = { rollMs: 2_000, rollEvents: 100, rollBytes: 10_000, holdMs: 60_000 }
const NOW_MS = 1_000_000
const YEAR_MS = 365 * 24 * 3_600_000

function waiting(fields: Partial<Waiting>): Waiting {
  return {
    buffered: { events: 0, bytes: 0 },
    oldestBufferedMs: undefined,
    oldestHeldMs: undefined,
    isInterrupted: false,
    hasUpkeep: false,
    upkeepDueMs: [],
    commitFromMs: 0,
    ...fields,
  }
}

function buffered(events: number, bytes: number, oldestBufferedMs: number): Waiting {
  return waiting({ buffered: { events, bytes }, oldestBufferedMs })
}

describe('the alarm of the lake', () => {
  it.each<[string, Waiting, number | undefined]>([
    ['is not needed if there is nothing to do', waiting({}), undefined],
    ['is due when the first event has waited for rollMs', buffered(9, 9, NOW_MS - 500), NOW_MS + 1_500],
    ['is due at once for as many as one commit may have', buffered(100, 100, NOW_MS), NOW_MS],
    ['is due at once for as many bytes', buffered(2, 10_000, NOW_MS), NOW_MS],
    ['is due now for what is overdue', buffered(9, 9, 0), NOW_MS],
    ['is due now for what came by a clock that was ahead', buffered(9, 9, NOW_MS + YEAR_MS), NOW_MS],
    ['is due at once if a commit was interrupted', waiting({ isInterrupted: true }), NOW_MS],
    ['is due when the oldest run was held for holdMs', waiting({ oldestHeldMs: NOW_MS - 1 }), NOW_MS + 59_999],
    ['is due now for what is held by a clock that was ahead', waiting({ oldestHeldMs: NOW_MS + YEAR_MS }), NOW_MS],
    ['is due after rollMs if upkeep has more to do', waiting({ hasUpkeep: true }), NOW_MS + 2_000],
    ['is due when upkeep is', waiting({ upkeepDueMs: [NOW_MS + 9, NOW_MS + 5] }), NOW_MS + 5],
    ['is due now for upkeep that is overdue', waiting({ upkeepDueMs: [0] }), NOW_MS],
    ['is not due before a catalog wants it', { ...buffered(100, 9, 0), commitFromMs: NOW_MS + 7 }, NOW_MS + 7],
    ['is not due for a catalog alone', waiting({ commitFromMs: NOW_MS + 7 }), undefined],
  ])('%s', (_, given, expected) => {
    expect(dueMs(given, LIMITS, NOW_MS)).toBe(expected)
  })
})
