// The proof. `durable-outbox verify` reads from the table alone that no LSN is missing or twice. Beside it, what landed is
// compared with what the stores hold and with their ledgers, which plain SQL wrote beside each mutation.

import { isDeepStrictEqual } from 'node:util'
import * as z from 'zod'
import { runCommand } from '../harness/command.ts'
import { type OpenTable, readObjects } from '../harness/table.ts'
import type { DatasetStore } from '../../examples/datasets.ts'
import type { Change, Client, Ledger, StoredFilm } from './client.ts'

/** The part of `durable-outbox verify --json` that the demo looks at. */
const logProofSchema = z.object({
  verdict: z.string(),
  isProven: z.boolean(),
  logs: z.number(),
  events: z.number(),
  missing: z.number(),
  doubled: z.number(),
  shown: z.array(
    z.object({
      source: z.string(),
      firstLSN: z.number(),
      lastLSN: z.number(),
      events: z.number(),
      missing: z.number(),
      doubled: z.number(),
    }),
  ),
})
export type LogProof = z.infer<typeof logProofSchema>

const CHANGES_SQL = `
SELECT ns, op, key, "after", correlation_id FROM events WHERE store = 'document' AND ns LIKE 'films-%' ORDER BY ns, lsn`

const filmChangeSchema = z.object({
  ns: z.string(),
  op: z.enum(['c', 'u', 'd']),
  key: z.string(),
  after: z.string().nullable(),
  correlation_id: z.string(),
})
type FilmChange = z.infer<typeof filmChangeSchema>

const DATASETS_SQL = `
SELECT ns, store, table_url, op, key, "after" FROM events WHERE source LIKE '%/DO/Datasets' AND op IS NOT NULL ORDER BY ns, lsn`

const datasetChangeSchema = z.object({
  ns: z.string(),
  store: z.string(),
  table_url: z.string(),
  op: z.enum(['c', 'u', 'd', 'r']),
  key: z.string(),
  after: z.string().nullable(),
})

/** I10: the LSNs of each (source, epoch) run from the first to the last without a gap, and each is one row. */
export async function proveLog(state: string): Promise<LogProof> {
  const { stdout, stderr } = await runCommand(['verify', '--state', state, '--json'])
  if (stdout === '') throw new Error(`demo: verify failed: ${stderr}`)
  return logProofSchema.parse(JSON.parse(stdout))
}

/** Compares every object with its events in the table. @returns what differs, in words. */
export async function compareWithStores(
  table: OpenTable,
  client: Client,
  objects: readonly string[],
): Promise<string[]> {
  const changes = Map.groupBy(await ask(table, CHANGES_SQL, filmChangeSchema), (change) => change.ns)
  const differences: string[] = []
  for (const object of objects) {
    const landed = changes.get(object) ?? []
    differences.push(...compareWithLedger(object, landed, await client.ledger(object)))
    differences.push(...compareWithFilms(object, landed, await client.films(object)))
  }
  return differences
}

/** Every committed mutation is one event, in commit order, and there are no others. */
function compareWithLedger(object: string, landed: readonly FilmChange[], ledger: Ledger): string[] {
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

/** Folding the log gives the store: the last `after` of each key that was not deleted. */
function compareWithFilms(object: string, landed: readonly FilmChange[], films: readonly StoredFilm[]): string[] {
  const folded = new Map<string, unknown>()
  for (const { op, key, after } of landed) {
    if (op === 'd') folded.delete(key)
    else folded.set(key, JSON.parse(after ?? 'null'))
  }
  const differing = films.filter((film) => !isDeepStrictEqual(folded.get(film.$id), film)).map((film) => film.$id)
  if (folded.size !== films.length) differing.push(`${folded.size} films in the log, ${films.length} in the store`)
  return differing.length === 0 ? [] : [`${object}: the log does not rebuild ${differing.join(', ')}`]
}

const STORES: readonly DatasetStore[] = ['people', 'airports', 'routes', 'flights', 'prices', 'penguins']

/** Folds the log of each data set, and compares with what its stores hold. @returns what differs, in words. */
export async function compareWithDatasets(
  table: OpenTable,
  client: Client,
  objects: readonly string[],
): Promise<string[]> {
  const landed = await ask(table, DATASETS_SQL, datasetChangeSchema)
  const differences: string[] = []
  for (const object of objects) {
    const changes = landed.filter(({ ns }) => ns === object).map((change) => toChange(change))
    const folded = foldRows(changes)
    const stored = foldRows((await Promise.all(STORES.map((store) => client.rows(object, store)))).flat())
    const differing = [...new Set([...folded.keys(), ...stored.keys()])].filter(
      (row) => !isDeepStrictEqual(folded.get(row), stored.get(row)),
    )
    if (stored.size === 0) differences.push(`${object}: its stores are empty`)
    if (differing.length > 0)
      differences.push(`${object}: the log does not rebuild ${differing.length} rows, such as ${differing[0]}`)
  }
  return differences
}

function toChange({ ns, table_url, after, ...change }: z.infer<typeof datasetChangeSchema>): Change {
  const table = table_url.slice(ns.length + 1)
  return { ...change, table, ...(after !== null && { after: JSON.parse(after) as Record<string, unknown> }) }
}

/** Rows by name: those of a columnar batch one by one, those of a time series by time. */
function foldRows(changes: readonly Change[]): Map<string, unknown> {
  const rows = new Map<string, unknown>()
  for (const { op, store, table, key, after } of changes) {
    const name = `${store} ${table} ${key}`
    if (store === 'columnar')
      for (const [row, value] of columnarRows(after)) rows.set(`${store} ${table} ${row}`, value)
    else if (op === 'd') rows.delete(name)
    else if (store === 'timeseries') rows.set(`${name} ${timeOf(after)}`, after)
    else rows.set(name, after)
  }
  return rows
}

const batchSchema = z.object({
  partition: z.string(),
  first: z.number(),
  count: z.number(),
  columns: z.record(z.string(), z.array(z.unknown())),
})

function columnarRows(after: unknown): [string, unknown][] {
  const { partition, first, count, columns } = batchSchema.parse(after)
  return Array.from({ length: count }, (_, index) => [
    `${partition}/${first + index}`,
    Object.entries(columns).map(([name, values]) => [name, values[index]]),
  ])
}

/** The time of a point, or the bucket of a rollup. */
function timeOf({ timestamp, bucket, bucketMs }: Record<string, unknown> = {}): string {
  return JSON.stringify([timestamp, bucket, bucketMs])
}

async function ask<Row>(table: OpenTable, sql: string, shape: z.ZodType<Row>): Promise<Row[]> {
  return z.array(shape).parse(await readObjects(await table.query(sql)))
}
