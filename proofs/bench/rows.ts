// Rows written per event, which is what the platform bills: everything that the outbox adds to the user's own rows,
// from the commit to the drained outbox, with the relay's state and the alarm.

import * as z from 'zod'
import type { Figure } from './figure.ts'
import { type RowCount, totalRows } from './row-meter.ts'
import type { Load } from './rows-object.ts'
import { callWorker } from './workerd.ts'

/** Enough for several segments. */
const ROUNDS = 30
/** How many transactions wait when the alarm fires: they leave as one batch. */
const TRANSACTIONS = 100

export const rowsFigures: readonly Figure[] = [
  {
    name: 'rows.single',
    unit: 'rows written per event, one event a transaction',
    goal: { atMost: 1.06 },
    measure: () => measureRows('rows.single', { transactions: TRANSACTIONS, rows: 1 }),
  },
  {
    name: 'rows.batch10',
    unit: 'rows written per event, ten events a transaction',
    goal: { atMost: 0.11 },
    measure: () => measureRows('rows.batch10', { transactions: TRANSACTIONS, rows: 10 }),
  },
  {
    name: 'rows.alone',
    unit: 'rows written per event, one event a transaction, which leaves alone',
    goal: { atMost: 6 },
    measure: () => measureRows('rows.alone', { transactions: 1, rows: 1 }),
  },
]

/** The rows of transactions with events, less those of the same transactions without, per event. */
async function measureRows(name: string, batch: Pick<Load, 'transactions' | 'rows'>): Promise<number> {
  const load = { rounds: ROUNDS, ...batch }
  const bare = await countRows(`${name}.bare`, { ...load, emits: false })
  const captured = await countRows(`${name}.captured`, { ...load, emits: true })
  const events = ROUNDS * batch.transactions * batch.rows
  console.error(
    `${name}: ${events} events in ${ROUNDS} batches; ${describe(captured)}; without events ${describe(bare)}`,
  )
  return (totalRows(captured) - totalRows(bare)) / events
}

async function countRows(object: string, load: Load): Promise<RowCount> {
  return z.record(z.string(), z.number()).parse(await callWorker(`/rows/${object}`, load))
}

function describe(count: RowCount): string {
  return Object.entries(count)
    .map(([name, rows]) => `${name} ${rows}`)
    .join(', ')
}
