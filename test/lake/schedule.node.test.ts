import { describe, expect, it } from 'vitest'
import { dueAfterCommit, dueAfterIntake } from '../../src/lake/schedule.ts'

const LIMITS = { rollMs: 2_000, rollEvents: 100, rollBytes: 10_000, holdMs: 60_000 }
const NOW_MS = 1_000_000

function amount(events: number, bytes = events) {
  return { events, bytes }
}

describe('after events were taken in, the alarm', () => {
  it.each([
    ['is due after rollMs for the first that waits', 0, amount(1), amount(0), NOW_MS + 2_000],
    ['is due already for those that follow', 1, amount(2), amount(0), undefined],
    ['is due at once for as many as one commit may have', 1, amount(100), amount(0), NOW_MS],
    ['is due at once for as many bytes', 1, amount(2, 10_000), amount(0), NOW_MS],
    ['is due already once it was full before', 100, amount(101), amount(0), undefined],
    ['is due after holdMs for what is only held back', 0, amount(0), amount(1), NOW_MS + 60_000],
    ['is not needed for nothing', 0, amount(0), amount(0), undefined],
  ])('%s', (_, before, buffered, held, dueMs) => {
    expect(dueAfterIntake(amount(before), { buffered, held }, LIMITS, NOW_MS)).toBe(dueMs)
  })
})

describe('after a commit, the alarm', () => {
  const nothing = { hasMore: false, oldestHeldMs: undefined, upkeepDueMs: [] }

  it.each([
    ['is not needed if nothing is left', nothing, undefined],
    ['is due after rollMs if there is more to do', { ...nothing, hasMore: true }, NOW_MS + 2_000],
    ['is due when the oldest run was held for holdMs', { ...nothing, oldestHeldMs: NOW_MS - 1 }, NOW_MS + 59_999],
    ['is due when upkeep is', { ...nothing, upkeepDueMs: [NOW_MS + 9, NOW_MS + 5] }, NOW_MS + 5],
    ['is due now for what is overdue', { ...nothing, upkeepDueMs: [0] }, NOW_MS],
  ])('%s', (_, remaining, dueMs) => {
    expect(dueAfterCommit(remaining, LIMITS, NOW_MS)).toBe(dueMs)
  })
})
