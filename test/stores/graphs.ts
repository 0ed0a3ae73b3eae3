// Graphs of relationships of the type `t`, for the tests of walks.

import { GraphStore } from 'durable-outbox'
import type { RelationshipKey } from 'durable-outbox/stores'
import type { Stores } from '../worker.ts'
import { inFreshObject } from './in-stores.ts'

/** Runs code with a graph of relationships like `a-t>b`, in an object of its own. */
export function inGraph<T>(arrows: string, run: (graph: GraphStore, object: Stores) => T | Promise<T>): Promise<T> {
  return inFreshObject((object) => {
    const graph = new GraphStore(object.ctx, 'graph')
    graph.relateBatch(parse(arrows))
    return run(graph, object)
  })
}

function parse(arrows: string): RelationshipKey[] {
  return arrows
    .split(' ')
    .filter((arrow) => arrow !== '')
    .map((arrow) => {
      const [from = '', type = '', to = ''] = arrow.split(/[->]/)
      return { from, type, to }
    })
}

/** Relationships from each of the first ids to each of the second ones. */
export function allBetween(froms: readonly string[], tos: readonly string[]): RelationshipKey[] {
  return froms.flatMap((from) => tos.map((to) => ({ from, to, type: 't' })))
}

/** Relationships from each id to the next one. */
export function chainOf(ids: readonly string[]): RelationshipKey[] {
  return ids.slice(1).map((to, index) => ({ from: ids[index] ?? '', to, type: 't' }))
}

/** `n0`, `n1` … */
export function ids(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}${index}`)
}

export function relateAll(graph: GraphStore, relationships: readonly RelationshipKey[]): void {
  for (let first = 0; first < relationships.length; first += 5_000)
    graph.relateBatch(relationships.slice(first, first + 5_000))
}
