import { describe, expect, it } from 'vitest'
import { endOfWait, needsAlarm, settableMs, willFireBy } from '../src/due.ts'

const NOW_MS = 1_000_000
const WAIT_MS = 5_000

describe('the end of a wait', () => {
  it.each([
    ['is over', NOW_MS - 1, NOW_MS - 1],
    ['has just begun', NOW_MS + WAIT_MS, NOW_MS + WAIT_MS],
    ['is further away than the wait is long', NOW_MS + WAIT_MS + 1, NOW_MS],
  ])('[I6] of one that %s', (_, storedMs, endMs) => {
    expect(endOfWait(storedMs, WAIT_MS, NOW_MS)).toBe(endMs)
  })
})

describe('an alarm', () => {
  it.each<[string, number | null, number, boolean]>([
    ['is missing', null, NOW_MS + 10, true],
    ['is stuck in the past', NOW_MS - 1, NOW_MS + 10, true],
    ['is stuck at this moment', NOW_MS, NOW_MS + 10, true],
    ['is due before', NOW_MS + 9, NOW_MS + 10, false],
    ['is due with it', NOW_MS + 10, NOW_MS + 10, false],
    ['is due after it', NOW_MS + 11, NOW_MS + 10, true],
  ])('[I6] must be set for something if it %s', (_, alarmMs, dueMs, isNeeded) => {
    expect(needsAlarm(alarmMs, dueMs, NOW_MS)).toBe(isNeeded)
  })

  it.each<[string, number | null, number, boolean]>([
    ['is missing', null, NOW_MS, false],
    ['is late by less than a second', NOW_MS - 999, NOW_MS, true],
    ['is late by a second', NOW_MS - 1_000, NOW_MS, false],
    ['is due after it', NOW_MS + 11, NOW_MS + 10, false],
  ])('[I6] counts as one that will fire by a time, or not, if it %s', (_, alarmMs, dueMs, willFire) => {
    expect(willFireBy(alarmMs, dueMs, NOW_MS)).toBe(willFire)
  })

  it('[I6] is never set to the millisecond at which the running one was due', () => {
    expect(settableMs(NOW_MS, NOW_MS)).toBe(NOW_MS + 1)
    expect(settableMs(NOW_MS, NOW_MS + 1)).toBe(NOW_MS)
    expect(settableMs(NOW_MS, undefined)).toBe(NOW_MS)
  })
})
