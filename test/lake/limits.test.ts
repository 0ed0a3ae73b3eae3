import { describe, expect, it } from 'vitest'
import { limitsFrom } from '../../src/lake/limits.ts'

describe('LAKE_LIMITS', () => {
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
  ])('is refused if it is not valid: %s', (json, problem) => {
    expect(() => limitsFrom(json)).toThrow(expect.objectContaining({ code: 'invalid-config' }))
    expect(() => limitsFrom(json)).toThrow(problem)
  })
})
