// The proof. What landed is read from the Iceberg table alone; what should have landed is what the stores hold and what
// their ledgers say, which plain SQL wrote beside each mutation.

import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import type { Query } from './lake.ts'
import type { Client, Ledger, StoredFilm } from './client.ts'

/** The log of one outbox, as the table holds it. */
const sourceSchema = z.object({
  source: z.string(),
  ns: z.string(),
  min_lsn: z.number(),
  max_lsn: z.number(),
  events: z.number(),
  distinct_lsns: z.number(),
  gaps: z.number(),
  duplicates: z.number(),
})
export type SourceProof = z.infer<typeof sourceSchema>

/** I10: the LSNs of each (source, epoch) run from the first to the last without a gap, and each is one row. */
const PROOF_SQL = `
SELECT
  source, ns,
  min(lsn) AS min_lsn, max(lsn) AS max_lsn, count(*) AS events, count(DISTINCT lsn) AS distinct_lsns,
  max(lsn) - min(lsn) + 1 - count(DISTINCT lsn) AS gaps,
  count(*) - count(DISTINCT lsn) AS duplicates
FROM events
GROUP BY source, ns, epoch
ORDER BY source`

const CHANGES_SQL = `
SELECT ns, op, key, "after", correlation_id FROM events WHERE store = 'document' AND ns LIKE 'films-%' ORDER BY ns, lsn`

const changeSchema = z.object({
  ns: z.string(),
  op: z.enum(['c', 'u', 'd']),
  key: z.string(),
  after: z.string().nullable(),
  correlation_id: z.string(),
})
type Change = z.infer<typeof changeSchema>

export async function proveLog(query: Query): Promise<SourceProof[]> {
  return z.array(sourceSchema).parse(await query(PROOF_SQL))
}

/** Compares every object with its events in the table. @returns what differs, in words; nothing if all is well. */
export async function compareWithStores(query: Query, client: Client, objects: readonly string[]): Promise<string[]> {
  const changes = Map.groupBy(z.array(changeSchema).parse(await query(CHANGES_SQL)), (change) => change.ns)
  const differences: string[] = []
  for (const object of objects) {
    const landed = changes.get(object) ?? []
    differences.push(...compareWithLedger(object, landed, await client.ledger(object)))
    differences.push(...compareWithFilms(object, landed, await client.films(object)))
  }
  return differences
}

/** Every committed mutation is one event, in the order of the commits, and there is no other. */
function compareWithLedger(object: string, landed: readonly Change[], ledger: Ledger): string[] {
  const inTable = landed.map(({ op, key, correlation_id }) => `${op} ${key} by ${correlation_id}`)
  const inLedger = ledger.map(({ op, film, command }) => `${op} ${film} by ${command}`)
  if (isDeepStrictEqual(inTable, inLedger)) return []
  const index = inLedger.findIndex((entry, position) => entry !== inTable[position])
  const position = index === -1 ? inLedger.length : index
  return [
    `${object}: mutation ${position + 1} is "${inLedger[position] ?? 'none'}" in the ledger and ` +
      `"${inTable[position] ?? 'none'}" in the table`,
  ]
}

/** Folding the log gives the store: for each key its last `after`, and nothing after a delete. */
function compareWithFilms(object: string, landed: readonly Change[], films: readonly StoredFilm[]): string[] {
  const folded = new Map<string, unknown>()
  for (const { op, key, after } of landed) {
    if (op === 'd') folded.delete(key)
    else folded.set(key, JSON.parse(after ?? 'null'))
  }
  const differing = films.filter((film) => !isDeepStrictEqual(folded.get(film.$id), film)).map((film) => film.$id)
  if (folded.size !== films.length) differing.push(`${folded.size} films in the log, ${films.length} in the store`)
  return differing.length === 0 ? [] : [`${object}: the log does not rebuild ${differing.join(', ')}`]
}
