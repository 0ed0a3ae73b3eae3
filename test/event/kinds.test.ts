import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonProblem } from '../../src/event/json.ts'
import { timestamp } from '../../src/event/kinds.ts'
import { timestampSchema } from './oracle.ts'

describe('a timestamp', () => {
  const two = (max: number) => fc.integer({ min: 0, max }).map((part) => String(part).padStart(2, '0'))
  const year = fc.integer({ min: 0, max: 9_999 }).map((part) => String(part).padStart(4, '0'))
  const fraction = fc.oneof(
    fc.constantFrom('', '.0', '.000000', '.'),
    fc.nat(10_000_000).map((part) => `.${part}`),
  )

  it('fits its pattern if and only if it is a time of at most microseconds', () => {
    const parts = fc.tuple(year, two(13), two(32), two(25), two(61), two(61), fraction)
    fc.assert(
      fc.property(parts, ([year, month, day, hour, minute, second, fraction]) => {
        const text = `${year}-${month}-${day}T${hour}:${minute}:${second}${fraction}Z`
        expect([text, timestamp.problem(text) === undefined]).toEqual([text, timestampSchema.safeParse(text).success])
      }),
      { numRuns: 5_000, examples: [[['2026', '02', '29', '24', '00', '00', '.0']]] },
    )
  })

  it.each(['0000-00-00T00:00:00Z', '2026-00-10T00:00:00Z', '2026-01-01T24:00:01Z', '2026-01-01T00:00:60Z'])(
    'has a pattern that %s does not fit, which is not a time',
    (text) => {
      expect(new RegExp(String(timestamp.json['pattern'])).test(text)).toBe(false)
    },
  )
})

describe('a number in JSON', () => {
  it('is refused if it is too large, in words that a sender understands who wrote 1e999', () => {
    expect(jsonProblem(JSON.parse('{"a":[1,1e999]}'))).toBe(
      'a[1] is Infinity: a number in JSON is a double, up to 1.8e308; send a larger one as a string',
    )
  })
})
