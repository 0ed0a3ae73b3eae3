import { encodeTime, incrementBase32, TIME_LEN, ulid } from 'ulid'

/** Makes ULIDs (github.com/ulid/spec) that sort in the order of their making, also within one millisecond. */
export function createIdFactory(now: () => number): () => string {
  let lastMs = -1
  let time = ''
  let randomness = ''
  // As ulid's own monotonicFactory, which would encode the same millisecond anew for every event of a transaction.
  return () => {
    const ms = now()
    if (ms > lastMs) {
      lastMs = ms
      time = encodeTime(ms)
      randomness = ulid(ms).slice(TIME_LEN)
    } else randomness = incrementBase32(randomness)
    return time + randomness
  }
}
