// Exact search: every embedding is measured, and the nearest ones are kept in order.

import { type Block, squareOf } from './block.ts'

/** How similar two embeddings are: by their angle, their dot product, or the distance between their ends. */
export type VectorMetric = 'cosine' | 'dot' | 'l2'

export interface Measured {
  readonly id: string
  /** More is nearer. */
  readonly similarity: number
  /** Less is nearer. */
  readonly distance: number
}

interface Query {
  readonly embedding: Float32Array
  readonly square: number
}

interface Metric {
  /** What embeddings are ranked by; more is nearer. */
  score(block: Block, row: number, query: Query): number
  express(score: number): Omit<Measured, 'id'>
}

const METRICS: Readonly<Record<VectorMetric, Metric>> = {
  cosine: {
    score(block, row, { embedding, square }) {
      const lengths = Math.sqrt(block.square(row) * square)
      // A vector of length 0 has no direction, and is similar to nothing.
      return lengths === 0 ? 0 : Math.max(-1, Math.min(1, block.dot(row, embedding) / lengths))
    },
    express: (score) => ({ similarity: score, distance: 1 - score }),
  },
  dot: {
    score: (block, row, { embedding }) => block.dot(row, embedding),
    express: (score) => ({ similarity: score, distance: 0 - score }),
  },
  l2: {
    score: (block, row, { embedding }) => 0 - block.distanceSquared(row, embedding),
    express(score) {
      const distance = Math.sqrt(0 - score)
      return { similarity: 1 / (1 + distance), distance }
    },
  },
}

export function isMetric(name: string): name is VectorMetric {
  return Object.hasOwn(METRICS, name)
}

export interface NearestQuery {
  readonly embedding: Float32Array
  readonly metric: VectorMetric
  readonly limit: number
}

/** The nearest embeddings, nearest first; equally near ones in the order of their ids as JavaScript strings. */
export function findNearest(blocks: Iterable<Block>, { embedding, metric, limit }: NearestQuery): Measured[] {
  const measure = METRICS[metric]
  const query = { embedding, square: squareOf(embedding) }
  const ranking = new Ranking(limit)
  for (const block of blocks)
    for (let row = 0; row < block.ids.length; row++) {
      const score = measure.score(block, row, query)
      if (score >= ranking.minScore) ranking.offer(block.ids[row] ?? '', score)
    }
  return ranking.ranked.map((entry) => ({ id: entry.id, ...measure.express(entry.score) }))
}

interface Ranked {
  readonly id: string
  readonly score: number
}

class Ranking {
  readonly ranked: Ranked[] = []
  /** A score below this is not ranked. */
  minScore = Number.NEGATIVE_INFINITY
  readonly #limit: number

  constructor(limit: number) {
    this.#limit = limit
  }

  offer(id: string, score: number): void {
    const { ranked } = this
    const offered = { id, score }
    let from = 0
    let to = ranked.length
    while (from < to) {
      const middle = (from + to) >> 1
      const other = ranked[middle]
      if (other !== undefined && isBefore(other, offered)) from = middle + 1
      else to = middle
    }
    ranked.splice(from, 0, offered)
    if (ranked.length > this.#limit) ranked.pop()
    if (ranked.length === this.#limit) this.minScore = ranked.at(-1)?.score ?? this.minScore
  }
}

function isBefore(a: Ranked, b: Ranked): boolean {
  return a.score === b.score ? a.id < b.id : a.score > b.score
}
