// The object whose vector searches are timed.

import { CDCDurableObject, type CDCOptions, VectorStore } from 'durable-outbox'

export interface SearchLoad {
  vectors: number
  dimension: number
  limit: number
  rounds: number
  /** Searches of one round: enough for a clock that counts milliseconds. */
  searches: number
}

/** Milliseconds of a round's searches, and of single searches that find less in memory. */
export interface SearchTimes {
  rounds: { loop: number; search: number }[]
  afterChangeMs: number
  fromSQLiteMs: number
  filteredMs: number
}

/** Longer than any figure takes: the alarm must not run while something is timed. */
const NEVER_MS = 3_600_000
const VECTORS_PER_BATCH = 1_000

interface Scored {
  readonly row: number
  readonly score: number
}

export class SearchObject extends CDCDurableObject {
  protected override configure(): CDCOptions {
    return { lingerMs: NEVER_MS }
  }

  async run({ vectors, dimension, limit, rounds, searches }: SearchLoad): Promise<SearchTimes> {
    const store = new VectorStore(this.ctx, 'vectors', { dimension })
    const all = Float32Array.from({ length: vectors * dimension }, () => Math.random() - 0.5)
    const row = (index: number): Float32Array => all.subarray(index * dimension, (index + 1) * dimension)
    for (let from = 0; from < vectors; from += VECTORS_PER_BATCH) {
      const indexes = Array.from({ length: VECTORS_PER_BATCH }, (_, index) => from + index)
      store.insertBatch(
        indexes.map((index) => ({
          id: `v${index}`,
          content: '',
          embedding: row(index),
          metadata: { part: index % 10 },
        })),
      )
    }
    await this.ctx.storage.sync()
    const lengths = Float64Array.from({ length: vectors }, (_, index) => Math.hypot(...row(index)))
    const query = Float32Array.from({ length: dimension }, () => Math.random() - 0.5)
    const search = (): unknown => store.search({ embedding: query, limit })
    const loop = (): unknown => loopOver(all, lengths, query, limit)

    const fromSQLiteMs = time(search)
    const timeBoth = (): { loop: number; search: number } => {
      const times = { loop: 0, search: 0 }
      for (let turn = 0; turn < searches; turn += 1) {
        times.loop += time(loop)
        times.search += time(search)
      }
      return times
    }
    // After the first rounds the compiler has optimized both.
    timeBoth()
    timeBoth()
    const times = Array.from({ length: rounds }, timeBoth)
    let changed = 0
    const change = (): void => store.upsert({ id: `v${(changed += 1)}`, content: 'new', embedding: row(0) })
    const afterChangeMs = average(searches, () => (change(), time(search)))
    const filteredMs = average(searches, () =>
      time(() => store.search({ embedding: query, limit, filter: { part: 3 } })),
    )
    return { rounds: times, afterChangeMs, fromSQLiteMs, filteredMs }
  }
}

/** The cosine similarity to each, from known lengths, and the best matches. */
function loopOver(all: Float32Array, lengths: Float64Array, query: Float32Array, limit: number): Scored[] {
  const queryLength = Math.hypot(...query)
  let best: Scored[] = []
  for (let row = 0; row < lengths.length; row += 1) {
    let dot = 0
    for (let index = 0; index < query.length; index += 1)
      dot += (all[row * query.length + index] ?? 0) * (query[index] ?? 0)
    const score = dot / ((lengths[row] ?? 0) * queryLength)
    if (best.length < limit || score > (best.at(-1)?.score ?? 0))
      best = [...best, { row, score }].toSorted((a, b) => b.score - a.score).slice(0, limit)
  }
  return best
}

function time(work: () => unknown): number {
  const start = performance.now()
  work()
  return performance.now() - start
}

function average(times: number, measure: () => number): number {
  let sum = 0
  for (let count = 0; count < times; count += 1) sum += measure()
  return sum / times
}
