import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  common,
  contains,
  type LSNRange,
  overlaps,
  touches,
  unite,
  watermark,
  without,
} from '../../../src/lake/intake/ranges.ts'

const ranges = fc.array(
  fc
    .record({ first: fc.integer({ min: 1, max: 60 }), length: fc.integer({ min: 1, max: 12 }) })
    .map(({ first, length }): LSNRange => ({ first, last: first + length - 1 })),
)

function members(all: readonly LSNRange[]): Set<number> {
  return new Set(all.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, n) => first + n)))
}

describe('ranges', () => {
  it('[I5] hold exactly the LSNs that went in, sorted, and never two that touch', () => {
    fc.assert(
      fc.property(ranges, (all) => {
        const united = unite(all)
        expect(members(united)).toEqual(members(all))
        for (const [index, range] of united.entries()) {
          const next = united[index + 1]
          if (next !== undefined) expect(next.first).toBeGreaterThan(range.last + 1)
        }
        for (let lsn = 0; lsn <= 80; lsn++) expect(contains(united, lsn)).toBe(members(all).has(lsn))
      }),
    )
  })

  it('[I5] without others, and in common with them, hold exactly the right LSNs', () => {
    fc.assert(
      fc.property(ranges, ranges, (all, others) => {
        expect(members(without(all, others))).toEqual(members(all).difference(members(others)))
        expect(members(common(all, others))).toEqual(members(all).intersection(members(others)))
      }),
    )
  })

  it('[I5] overlap a range if they have an LSN of it, and touch it also if they have its neighbour', () => {
    fc.assert(
      fc.property(ranges, ranges, (all, others) => {
        for (const range of others) {
          expect(overlaps(all, range)).toBe(members(all).intersection(members([range])).size > 0)
          const wider = { first: range.first - 1, last: range.last + 1 }
          expect(touches(all, range)).toBe(members(all).intersection(members([wider])).size > 0)
        }
      }),
    )
  })

  it('have their watermark where the first gap begins', () => {
    expect(watermark([])).toBeUndefined()
    expect(
      watermark([
        { first: 5, last: 7 },
        { first: 1, last: 4 },
      ]),
    ).toBe(7)
    expect(
      watermark([
        { first: 1, last: 4 },
        { first: 6, last: 7 },
      ]),
    ).toBe(4)
  })
})
