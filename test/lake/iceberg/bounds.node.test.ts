import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { boundsOf, compareValues, rangeOf } from '../../../src/lake/iceberg/bounds.ts'
import { encodeSingleValue } from '../../../src/lake/iceberg/single-value.ts'

/** Characters at which orders and lengths change: 1 to 4 bytes, beside the surrogates, and the last one. */
const edges = fc.constantFrom(
  'a',
  '\u007f',
  '\u0080',
  '\u07ff',
  '\u0800',
  '\ud7ff',
  '\ue000',
  '\uffff',
  '😀',
  '\u{10ffff}',
)
const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 24 }),
  fc.string({ unit: edges, maxLength: 20 }),
  fc.string({ unit: fc.constantFrom('\u{10ffff}', '\ud7ff'), minLength: 14, maxLength: 18 }),
)
/** Sorts after all texts here: it stands for a missing upper bound. */
const ENDLESS = '\u{10ffff}'.repeat(30)
const longs = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })

function compareBytes(left: string, right: string): number {
  return Math.sign(Buffer.compare(Buffer.from(left), Buffer.from(right)))
}

function upperOf(...values: (string | null)[]): string | bigint | undefined {
  return boundsOf(values)?.upper
}

describe('compareValues', () => {
  it('orders strings as their UTF-8 bytes', () => {
    fc.assert(
      fc.property(texts, texts, (left, right) => {
        expect(Math.sign(compareValues(left, right))).toBe(compareBytes(left, right))
      }),
      { numRuns: 2000 },
    )
  })

  it('puts U+FFFF before U+10000, unlike UTF-16', () => {
    expect(compareValues('\uffff', '\u{10000}')).toBeLessThan(0)
    expect(['\u{10000}', '\uffff'].toSorted()).toEqual(['\u{10000}', '\uffff'])
  })

  it('orders bigints by value', () => {
    expect([5n, -1n, 2n ** 60n].toSorted(compareValues)).toEqual([-1n, 5n, 2n ** 60n])
  })
})

describe('boundsOf', () => {
  it('bounds every string, in UTF-8 byte order, with at most 16 code points', () => {
    fc.assert(
      fc.property(fc.array(fc.option(texts)), texts, (others, text) => {
        const values = [...others, text]
        const [lower, upper] = [String(boundsOf(values)?.lower), String(upperOf(...values) ?? ENDLESS)]
        for (const value of values.filter((value) => value !== null)) {
          expect(compareBytes(lower, value)).toBeLessThanOrEqual(0)
          expect(compareBytes(upper, value)).toBeGreaterThanOrEqual(0)
        }
        expect(Array.from(lower).length).toBeLessThanOrEqual(16)
        expect(Array.from(upper.replace(ENDLESS, '')).length).toBeLessThanOrEqual(16)
        expect(lower.isWellFormed() && upper.isWellFormed()).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  it('leaves the upper bound out only if no 16 code points would do', () => {
    fc.assert(
      fc.property(texts, (text) => {
        expect(upperOf(text) === undefined).toBe(text.startsWith('\u{10ffff}'.repeat(16)) && text.length > 32)
      }),
      { numRuns: 2000 },
    )
  })

  it('keeps short strings and all integers exactly', () => {
    expect(boundsOf(['b', null, 'aaaaaaaaaaaaaaaa'])).toEqual({ lower: 'aaaaaaaaaaaaaaaa', upper: 'b' })
    fc.assert(
      fc.property(fc.array(longs, { minLength: 1 }), (values) => {
        const [lower, upper] = [values.toSorted(compareValues)[0], values.toSorted(compareValues).at(-1)]
        expect(boundsOf(values)).toEqual({ lower, upper })
      }),
    )
  })

  it('increments the last code point of a long upper bound', () => {
    expect(upperOf('customer-created-by-import')).toBe('customer-createe')
    expect(upperOf('😀'.repeat(17))).toBe('😀'.repeat(15) + '😁')
  })

  it('skips the surrogates when it increments', () => {
    expect(upperOf('a'.repeat(15) + '\ud7ffz')).toBe('a'.repeat(15) + '\ue000')
    expect(upperOf('a'.repeat(15) + '\uffffz')).toBe('a'.repeat(15) + '\u{10000}')
  })

  it('carries over code points that have no successor', () => {
    expect(upperOf('ab' + '\u{10ffff}'.repeat(15))).toBe('ac')
  })

  it('has no upper bound if no code point has a successor', () => {
    expect(boundsOf(['\u{10ffff}'.repeat(17)])).toEqual({ lower: '\u{10ffff}'.repeat(16) })
    expect(boundsOf(['\u{10ffff}'.repeat(16)])).toEqual({
      lower: '\u{10ffff}'.repeat(16),
      upper: '\u{10ffff}'.repeat(16),
    })
  })

  it('has no bounds if all values are null', () => {
    expect(boundsOf([])).toBeUndefined()
    expect(boundsOf([null, null])).toBeUndefined()
  })

  it('bounds empty strings', () => {
    expect(boundsOf(['', null])).toEqual({ lower: '', upper: '' })
  })
})

describe('rangeOf', () => {
  it('does not truncate', () => {
    const type = 'x'.repeat(1000)
    expect(rangeOf([type, null])).toEqual({ lower: type, upper: type })
  })
})

describe('encodeSingleValue', () => {
  it('encodes a string as bare UTF-8', () => {
    expect(encodeSingleValue('é')).toEqual(Uint8Array.of(0xc3, 0xa9))
  })

  it('encodes a date as 4 bytes and a long as 8, little-endian', () => {
    expect(encodeSingleValue(-2)).toEqual(Uint8Array.of(0xfe, 0xff, 0xff, 0xff))
    expect(encodeSingleValue(258n)).toEqual(Uint8Array.of(2, 1, 0, 0, 0, 0, 0, 0))
  })
})
