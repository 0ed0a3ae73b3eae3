import { describe, expect, it } from 'vitest'
import { limitsFrom } from '../../src/lake/limits.ts'

describe('[I7] LAKE_LIMITS', () => {
  it('sets some limits, and leaves the others at their defaults', () => {
    const defaults = limitsFrom()
    expect(defaults).toMatchObject({ rollMs: 2_000, snapshotsKept: 100, holdMs: 60_000 })
    expect(limitsFrom('{"rollMs":500,"snapshotsKept":20}')).toEqual({ ...defaults, rollMs: 500, snapshotsKept: 20 })
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
    ['{"rollMs":120000}', 'freshnessMs is 120000, below rollMs + holdMs'],
  ])('is refused if it is not valid: %s', (json, problem) => {
    expect(() => limitsFrom(json)).toThrow(expect.objectContaining({ code: 'invalid-config' }))
    expect(() => limitsFrom(json)).toThrow(problem)
  })
})
