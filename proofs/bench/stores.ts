// Time of a store's mutations against the same SQL without events, and the rows that they write.

import * as z from 'zod'
import type { Figure } from './figure.ts'
import type { StoreTask } from './stores-object.ts'
import { callWorker } from './workerd.ts'
import { median } from './quantile.ts'

const STORES = ['document', 'graph', 'relational', 'columnar', 'timeseries', 'vector']

const LOAD = { rounds: 9, turns: 5, rows: 300, rowsPerBatch: 100 }
const sidesSchema = z.object({ bare: z.number().nonnegative(), captured: z.number().positive() })
const timesSchema = z.object({ rounds: z.array(sidesSchema), rowsWritten: sidesSchema })

export const storesFigures: readonly Figure[] = STORES.flatMap((store): Figure[] => [
  {
    name: `store.${store}.single.ratio`,
    unit: '× the time of the same SQL without events, one row a transaction',
    goal: { atMost: 2 },
    measure: () => measureRatio(store, 'single'),
  },
  {
    name: `store.${store}.batch.ratio`,
    unit: `× the time of the same SQL without events, ${LOAD.rowsPerBatch} rows a transaction`,
    goal: { atMost: 1.6 },
    measure: () => measureRatio(store, 'batch'),
  },
])

/** The median over the rounds of one side's time against the other's. */
export async function measureRatio(
  store: string,
  kind: StoreTask['kind'],
  rows: Pick<StoreTask, 'rows' | 'rowsPerBatch'> = LOAD,
): Promise<number> {
  const task: StoreTask = { ...LOAD, ...rows, store, kind }
  const { rounds, rowsWritten } = timesSchema.parse(await callWorker(`/stores/${store}-${kind}`, task))
  const ratios = rounds.map(({ bare, captured }) => captured / bare)
  const perRow = (side: 'bare' | 'captured'): string =>
    `${((median(rounds.map((times) => times[side])) * 1_000) / (task.turns * task.rows)).toFixed(1)} µs and ${rowsWritten[side].toFixed(2)} rows written a row`
  console.error(
    `${store}.${kind}: ratios ${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)}; ${perRow('captured')}; without events ${perRow('bare')}`,
  )
  return median(ratios)
}
