import { describe, expect, it } from 'vitest'
import { type LakeLimits, limitsFrom } from '../../src/lake/limits.ts'

describe('[I7] LAKE_LIMITS', () => {
  it('sets some limits, and leaves the others at their defaults', () => {
    const defaults = limitsFrom()
    expect(defaults).toMatchObject({ rollMs: 2_000, snapshotsKept: 100, holdMs: 60_000 })
    expect(limitsFrom('{"rollMs":500,"snapshotsKept":20}')).toEqual({ ...defaults, rollMs: 500, snapshotsKept: 20 })
  })

  const HOUR_MS = 3_600_000
  const DAY_MS = 24 * HOUR_MS

  it.each<[keyof LakeLimits, number, number]>([
    ['rollMs', 0, HOUR_MS],
    ['rollEvents', 1, 10_000_000],
    ['rollBytes', 1, 1_000_000_000],
    ['freshnessMs', 62_000, DAY_MS],
    ['commitMs', 0, HOUR_MS],
    ['bucketMs', 1, 600_000],
    ['snapshotsKept', 1, 10_000],
    ['maxCommitPartitions', 1, 10_000],
    ['maxCompactFiles', 2, 10_000],
    ['graceMs', 0, 366 * DAY_MS],
  ])('has a smallest and a largest value: %s', (name, min, max) => {
    // Long enough for the longest of the others.
    const others = name === 'freshnessMs' ? {} : { freshnessMs: DAY_MS }
    const take = (value: number) => limitsFrom(JSON.stringify({ ...others, [name]: value }))[name]
    expect([take(min), take(max)]).toEqual([min, max])
    for (const value of [min - 1, max + 1, min + 0.5]) expect(() => take(value)).toThrow(name)
  })

  it.each([
    ['{"rollMs":-1}', 'rollMs'],
    ['{"snapshotsKept":0}', 'snapshotsKept'],
    ['{"rollMS":1}', 'rollMS'],
    ['{"rollMs":"1"}', 'rollMs'],
    ['[]', 'LAKE_LIMITS'],
    ['rollMs=1', 'not valid JSON'],
    ['{"rollMs":1e12}', 'rollMs: must be a whole number, 0 to 3600000'],
    ['{"sweepMs":1e12}', 'sweepMs'],
    ['{"maxBufferBytes":1e15}', 'maxBufferBytes'],
    ['{"freshnessMs":60000}', 'freshnessMs is 60000, below rollMs + holdMs, which is 62000'],
    ['{"commitMs":100000}', 'freshnessMs is 120000, below commitMs + holdMs, which is 160000; raise it'],
    ['{"rollMS":1}', 'rollMS: is not a limit of the lake'],
    ['{"rollMs":120000}', 'freshnessMs is 120000, below rollMs + holdMs'],
  ])('is refused if it is not valid: %s', (json, problem) => {
    expect(() => limitsFrom(json)).toThrow(expect.objectContaining({ code: 'invalid-config' }))
    expect(() => limitsFrom(json)).toThrow(problem)
  })
})
