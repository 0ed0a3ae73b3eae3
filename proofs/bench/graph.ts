// What a walk through a graph reads: proportional to what it finds, however large the rest of the graph is.

import * as z from 'zod'
import type { Figure } from './figure.ts'
import type { WalkTask } from './graph-object.ts'
import { callWorker } from './workerd.ts'

const TASK: WalkTask = { nodes: 20_000, relationships: 100_000, depth: 3, walks: 50 }

const countsSchema = z.object({ nodesFound: z.number().positive(), rowsRead: z.number(), ms: z.number() })

export const graphFigures: readonly Figure[] = [
  {
    name: 'store.graph.traverse.rows_read',
    unit: 'rows read per node found, 3 steps into 100,000 relationships',
    // One for the relationship that leads to it, and the others for the list of nodes that were visited before.
    goal: { atMost: 4 },
    measure: measureRowsRead,
  },
]

async function measureRowsRead(): Promise<number> {
  const { nodesFound, rowsRead, ms } = countsSchema.parse(await callWorker('/graph/traverse', TASK))
  console.error(
    `store.graph.traverse: ${TASK.walks} walks found ${nodesFound} nodes, read ${rowsRead} rows and took ${ms.toFixed(1)} ms`,
  )
  return rowsRead / nodesFound
}
