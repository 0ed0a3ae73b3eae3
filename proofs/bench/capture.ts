// What capture adds to plain SQL: the time of the same statement on the same table without it, and the rows that are billed.

import * as z from 'zod'
import type { CaptureLoad } from './capture-object.ts'
import type { Figure } from './figure.ts'
import { measureRatio } from './stores.ts'
import { callWorker } from './workerd.ts'

const ROWS_PER_STATEMENT = 1_000
const rowsLoad: CaptureLoad = { transactions: 100, rows: 100 }

export const captureFigures: readonly Figure[] = [
  {
    name: 'capture.insert',
    unit: '× the time of the same INSERT of a row into a table that is not captured',
    goal: { atMost: 2 },
    measure: () => measureRatio('capture.insert', 'single'),
  },
  {
    name: 'capture.update',
    unit: '× the time of the same UPDATE of a row of a table that is not captured',
    goal: { atMost: 2.2 },
    measure: () => measureRatio('capture.update', 'single'),
  },
  {
    // A trigger that does nothing is at 1.6 to 2.4 already, and one that only inserts the row's JSON at 3.2: see docs/costs.md.
    name: 'capture.bulk',
    unit: `× the time of the same INSERT of ${ROWS_PER_STATEMENT} rows into a table that is not captured`,
    goal: { atMost: 1.6 },
    measure: () =>
      measureRatio('capture.insert', 'batch', { rows: 2 * ROWS_PER_STATEMENT, rowsPerBatch: ROWS_PER_STATEMENT }),
  },
  {
    name: 'rows.captured',
    unit: `rows written for each captured row beside itself, until the commit, ${rowsLoad.rows} rows a transaction`,
    goal: { atMost: 1.1 },
    measure: measureRows,
  },
]

async function measureRows(): Promise<number> {
  const rowsWritten = z.number().parse(await callWorker('/capture/rows', rowsLoad))
  const rows = rowsLoad.transactions * rowsLoad.rows
  console.error(`rows.captured: ${rows} rows in ${rowsLoad.transactions} transactions; ${rowsWritten} rows written`)
  return (rowsWritten - rows) / rows
}
