import { incrementBase32, ulid } from 'ulid'

/** Crockford's base 32, of which a ULID's characters are. */
const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
/** The last three characters count. */
const COUNTED = 32 ** 3

/**
 * Makes ULIDs (github.com/ulid/spec) that sort in the order of their making, also within one millisecond.
 *
 * As ulid's own monotonicFactory, which would go through all the characters anew for every event of a transaction.
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
