// How the tests of vector stores reach them, and what a search must find, computed without the store's own code.

import { VectorStore } from 'durable-outbox'
import type { Embedding, VectorMetric, VectorStoreOptions } from 'durable-outbox/stores'
import type { Stores } from '../../worker.ts'
import { inObject } from '../in-stores.ts'

export interface Topic {
  topic?: string
  [field: string]: unknown
}

export type Vectors = VectorStore<Topic>

/** Runs code with a store of few dimensions, inside an object that is of this name. */
export function withVectors<T>(
  name: string,
  run: (vectors: Vectors, object: Stores) => T | Promise<T>,
  options: Partial<VectorStoreOptions<Topic>> = {},
): Promise<T> {
  return inObject(name, (object) =>
    run(new VectorStore<Topic>(object.ctx, 'vectors', { dimension: 3, ...options }), object),
  )
}

/** A document of the model: what a store must give back. */
export interface Point {
  readonly id: string
  readonly embedding: Embedding
}

/** Measures everything, sorts everything. */
export function nearestOf(points: Iterable<Point>, query: readonly number[], metric: VectorMetric): string[] {
  const to = query.map(Math.fround)
  const scores = Array.from(points, ({ id, embedding }) => ({
    id,
    score: scoreOf(Array.from(embedding, Math.fround), to, metric),
  }))
  return scores.toSorted((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1)).map(({ id }) => id)
}

function scoreOf(a: readonly number[], b: readonly number[], metric: VectorMetric): number {
  if (metric === 'l2') return -a.reduce((sum, number, index) => sum + (number - (b[index] ?? 0)) ** 2, 0)
  const dot = dotOf(a, b)
  if (metric === 'dot') return dot
  const lengths = Math.sqrt(dotOf(a, a) * dotOf(b, b))
  return lengths === 0 ? 0 : dot / lengths
}

function dotOf(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, number, index) => sum + number * (b[index] ?? 0), 0)
}
