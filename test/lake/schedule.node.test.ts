import { describe, expect, it } from 'vitest'
import type { Amount } from '../../src/lake/intake/buffer.ts'
import { dueAfterCommit, dueAfterIntake, type Waiting } from '../../src/lake/schedule.ts'

const LIMITS = { rollMs: 2_000, rollEvents: 100, rollBytes: 10_000, holdMs: 60_000 }
const NOW_MS = 1_000_000

function amount(events: number, bytes = events): Amount {
  return { events, bytes }
}

function waiting(buffered: Amount, held = amount(0)): Waiting {
  return { buffered, held }
}

describe('after events were taken in, the alarm', () => {
  it.each([
    ['is due after rollMs for the first that waits', amount(0), waiting(amount(1)), NOW_MS + 2_000],
    ['is due already for those that follow', amount(1), waiting(amount(2)), undefined],
    ['is due at once for as many as one commit may have', amount(1), waiting(amount(100)), NOW_MS],
    ['is due at once for as many bytes', amount(1), waiting(amount(2, 10_000)), NOW_MS],
    ['is due already if there was enough before', amount(100), waiting(amount(101)), undefined],
    ['is due after holdMs for what is only held back', amount(0), waiting(amount(0), amount(1)), NOW_MS + 60_000],
    ['is not needed if nothing waits', amount(0), waiting(amount(0)), undefined],
  ])('%s', (_, before, now, dueMs) => {
    expect(dueAfterIntake(before, now, LIMITS, NOW_MS)).toBe(dueMs)
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
