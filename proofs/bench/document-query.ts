// Rows read by queries on indexed paths: proportional to what they find, however many documents there are.

import * as z from 'zod'
import type { Figure } from './figure.ts'
import { callWorker } from './workerd.ts'

const DOCUMENTS = 100_000

const costsSchema = z.array(
  z.object({ query: z.string(), documents: z.number().positive(), rowsRead: z.number().positive() }),
)

export const documentQueryFigures: readonly Figure[] = [
  {
    name: 'store.document.query.rows_read',
    unit: `rows read per document found on an indexed path, of ${DOCUMENTS} documents, by the worst of the queries`,
    goal: { atMost: 3 },
    measure: measureRowsRead,
  },
]

async function measureRowsRead(): Promise<number> {
  await callWorker('/documents/fill/films', DOCUMENTS)
  const costs = costsSchema.parse(await callWorker('/documents/query/films', null))
  for (const { query, documents, rowsRead } of costs)
    console.error(`store.document.query: ${rowsRead} rows read for ${documents} documents by ${query}`)
  return Math.max(...costs.map(({ documents, rowsRead }) => rowsRead / documents))
}
