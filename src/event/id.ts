import { monotonicFactory } from 'ulid'

/** Makes ULIDs (github.com/ulid/spec) that sort in the order of their making, also within one millisecond. */
export function createIdFactory(now: () => number): () => string {
  const next = monotonicFactory()
  return () => next(now())
}
