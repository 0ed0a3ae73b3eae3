import { incrementBase32, ulid } from 'ulid'

/** Crockford's base 32, the digits of a ULID. */
const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
/** The last three characters are a counter, with so many values. */
const COUNTED = 32 ** 3

/**
 * Makes ULIDs (github.com/ulid/spec) that sort in the order in which they were made, also within one millisecond.
 *
 * It does what ulid's own monotonicFactory does, which goes through all the characters for every event of a transaction.
 */
export function createIdFactory(now: () => number): () => string {
  let lastMs = -1
  let beginning = ''
  let count = 0
  return () => {
    const ms = now()
    if (ms > lastMs) {
      lastMs = ms
      const id = ulid(ms)
      beginning = id.slice(0, -3)
      count = Array.from(id.slice(-3)).reduce((sum, digit) => sum * DIGITS.length + DIGITS.indexOf(digit), 0)
    } else if (++count === COUNTED) {
      beginning = incrementBase32(beginning)
      count = 0
    }
    return beginning + DIGITS.charAt(count >> 10) + DIGITS.charAt((count >> 5) & 31) + DIGITS.charAt(count & 31)
  }
}
