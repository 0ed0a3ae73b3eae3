// The object whose walks are counted: a graph in which each node follows a few others, at random.

import { CDCDurableObject, type CDCOptions, GraphStore } from 'durable-outbox'
import type { RelationshipKey } from 'durable-outbox/stores'
import { RowMeter } from './row-meter.ts'

export interface WalkTask {
  nodes: number
  relationships: number
  /** Of each walk. */
  depth: number
  walks: number
}

export interface WalkCounts {
  nodesFound: number
  rowsRead: number
  ms: number
}

const RELATIONSHIPS_PER_BATCH = 1_000

export class GraphObject extends CDCDurableObject {
  readonly #graph = new GraphStore(this.ctx, 'Social')

  protected override configure(): CDCOptions {
    return { retentionMs: 0 }
  }

  run(task: WalkTask): WalkCounts {
    this.#fill(task)
    const meter = new RowMeter(this.ctx.storage)
    const counts = { nodesFound: 0, rowsRead: 0, ms: 0 }
    for (let walk = 0; walk < task.walks; walk += 1) {
      const startMs = performance.now()
      const { nodes } = this.#graph.traverse({ start: `User/${walk}`, types: ['follows'], maxDepth: task.depth })
      counts.ms += performance.now() - startMs
      counts.nodesFound += nodes.length
      counts.rowsRead += meter.takeRead()
    }
    return counts
  }

  #fill({ nodes, relationships }: WalkTask): void {
    const pairs = new Map<string, RelationshipKey>()
    const random = randomNumbers()
    while (pairs.size < relationships) {
      const [from, to] = [`User/${random() % nodes}`, `User/${random() % nodes}`]
      pairs.set(`${from} ${to}`, { from, to, type: 'follows' })
    }
    const all = [...pairs.values()]
    for (let first = 0; first < all.length; first += RELATIONSHIPS_PER_BATCH)
      this.#graph.relateBatch(all.slice(first, first + RELATIONSHIPS_PER_BATCH))
  }
}

/** The same numbers each time (mulberry32), so that the figure is the same on every machine. */
function randomNumbers(): () => number {
  let state = 1
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
}
