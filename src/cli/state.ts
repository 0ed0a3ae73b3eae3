// durable-outbox state: the rows of a store, folded from its log.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CDCError } from '../error.ts'
import { quoteText } from '../sqlite/quote.ts'
import { type Command, type ExitCode, type IO, parseCommandLine } from './command.ts'
import { loadDuckDB, type QueryResult, runSQL } from './duckdb.ts'
import { type LocalTable, readLocalTable } from './local-lake.ts'
import { writeCsv, writeJSON, writeTable } from './output.ts'
import { isoTime, parseTime } from './values.ts'

const QUERIES = join(import.meta.dirname, '../../streams/queries')
/** More rows than anybody reads on a screen, and few enough to lay out at once. */
const TABLE_ROWS_MAX = 1_000
/** Stores of which each change holds one row, whole. */
const STORES = ['document', 'graph', 'relational', 'vector']

const HELP = `Usage: durable-outbox state <store>/<table> [--ns <ns>] [--as-of <time or lsn>] [--epoch <epoch>] [options]

Prints the rows of a store or a captured table as its log in the local lake has them: of each key the last change,
unless that is a delete. Without --ns those of every ns.

  --ns <ns>         the rows of this ns alone
  --as-of <time>    as they were at a time, such as 2026-11-22T12:00:00Z
  --as-of <lsn>     as they were after the event with this LSN; needs --ns, and --epoch where the log has several
  --epoch <epoch>   leave out the epochs before this one, as of an object that was emptied; with an LSN, the LSN's own
  --json            print a JSON array with an object per row
  --csv             print CSV (RFC 4180) with a header
  --state <dir>     the state directory of the lake, as for query
  --config <file>   the wrangler configuration, as for query

Example: durable-outbox state document/Customer --ns acme --as-of 2026-11-22T12:00:00Z
`

export const stateCommand: Command = {
  name: 'state',
  summary: 'the rows of a store, now or as of a time, folded from its log',
  help: HELP,
  run: runState,
}

/** The rows that are asked for. */
interface Question {
  readonly store: string
  readonly table: string
  readonly ns?: string | undefined
  readonly asOf?: AsOf | undefined
  readonly epoch?: string | undefined
}

type AsOf = { readonly lsn: string } | { readonly time: string }

async function runState(args: readonly string[], io: IO): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine('state', args, {
    ns: { type: 'string' },
    'as-of': { type: 'string' },
    epoch: { type: 'string' },
    json: { type: 'boolean' },
    csv: { type: 'boolean' },
    state: { type: 'string' },
    config: { type: 'string' },
  })
  const [place, more] = positionals
  if (place === undefined) throw usage('give it a store: durable-outbox state document/Customer')
  if (more !== undefined) throw usage(`one store was expected, and then "${more}"`)
  if (values.json && values.csv) throw usage('--json and --csv exclude each other')
  const { ns, epoch } = values
  const question = { ...parsePlace(place), ns, epoch, asOf: parseAsOf(values['as-of']) }
  if (question.asOf !== undefined && 'lsn' in question.asOf && ns === undefined)
    throw usage('an LSN is one of a log: say whose with --ns')
  const table = await readLocalTable({ state: values.state, config: values.config }, io)
  await checkEpochs(table, question)
  const result = await runSQL(await loadDuckDB(), table, await stateSQL(question))
  if (values.json) await writeJSON(result, io.stdout)
  else if (values.csv) await writeCsv(result, io.stdout)
  else await writeTable(result, io.stdout, { width: io.columns, maxRows: TABLE_ROWS_MAX })
  return 0
}

function parsePlace(place: string): { store: string; table: string } {
  const [, store = '', table = ''] = /^([^/]+)\/(.+)$/s.exec(place) ?? []
  if (table === '') throw usage(`"${place}" is not <store>/<table>, such as document/Customer`)
  if (STORES.includes(store)) return { store, table }
  throw usage(`the rows of ${STORES.join(', ')} can be told; a change of ${store} holds other than one row: use query`)
}

function parseAsOf(text: string | undefined): AsOf | undefined {
  if (text === undefined) return undefined
  if (/^[1-9]\d{0,15}$/.test(text)) return { lsn: text }
  const nanos = parseTime(text)
  if (nanos !== undefined) return { time: isoTime(nanos) }
  throw usage(`--as-of ${text} is neither a time such as 2026-11-22T12:00:00Z nor an LSN`)
}

/** An LSN names no event where there are several epochs to choose from. */
async function checkEpochs(table: LocalTable, question: Question): Promise<void> {
  const { asOf, epoch, ns = '' } = question
  if (asOf === undefined || 'time' in asOf || epoch !== undefined) return
  const sql = `SELECT DISTINCT epoch FROM cdc.events WHERE ns = ${quoteText(ns)} AND ${ofStore(question)} ORDER BY epoch`
  const epochs = await firstColumn(await runSQL(await loadDuckDB(), table, sql))
  if (epochs.length > 1)
    throw usage(`LSN ${asOf.lsn} is one of each of the epochs ${epochs.join(', ')}: choose with --epoch`)
}

async function firstColumn(result: QueryResult): Promise<string[]> {
  const values: string[] = []
  for await (const rows of result.rows()) for (const [value] of rows) if (typeof value === 'string') values.push(value)
  return values
}

/** The shipped query with the question in the place of its parameters. */
async function stateSQL(question: Question): Promise<string> {
  const { ns, asOf, epoch = '' } = question
  const file = asOf === undefined ? 'state-now' : 'state-as-of'
  const shipped = await readFile(join(QUERIES, `${file}.sql`), 'utf8')
  const isOfNs = ns === undefined ? '' : ` AND ns = ${quoteText(ns)}`
  const isOne = asOf !== undefined && 'lsn' in asOf && epoch !== ''
  return fill(shipped, [
    ["table_url = 'startups.studio/Customer'\n    AND store = 'document'", ofStore(question) + isOfNs],
    ...(asOf === undefined ? [] : [[`"timestamp" <= '2026-11-22T12:00:00Z'`, isUntil(asOf)] as const]),
    ["epoch >= ''", `epoch ${isOne ? '=' : '>='} ${quoteText(epoch)}`],
    ["\n    AND __ingest_ts >= '2026-01-01T00:00:00Z'", ''],
    ['\nLIMIT 10000', ''],
  ])
}

/** The place of a change is where it was committed, though it may have been redriven later. */
function isUntil(asOf: AsOf): string {
  return 'lsn' in asOf ? `place <= ${asOf.lsn}` : `"timestamp" <= ${quoteText(asOf.time)}`
}

function ofStore({ store, table }: Question): string {
  return `table_url = concat(ns, '/', ${quoteText(table)}) AND store = ${quoteText(store)}`
}

/** Puts values in the place of parameters, which are given in the order in which they stand in the query, once each. */
function fill(shipped: string, parameters: readonly (readonly [parameter: string, value: string])[]): string {
  let [filled, rest] = ['', shipped]
  for (const [parameter, value] of parameters) {
    const [before = '', after, ...more] = rest.split(parameter)
    if (after === undefined || more.length > 0)
      throw new CDCError('invalid-config', `state: the query of streams/queries does not have ${parameter} once`)
    filled += before + value
    rest = after
  }
  return filled + rest
}

function usage(problem: string): CDCError {
  return new CDCError('invalid-argument', `state: ${problem}; see durable-outbox state --help`)
}
