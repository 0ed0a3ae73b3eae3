// durable-outbox state: the rows of a store, folded from its log by the shipped query.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CDCError } from '../error.ts'
import { type Command, type ExitCode, type IO, parseCommandLine, usage } from './command.ts'
import { runOnTable } from './damaged-table.ts'
import type { Parameters, QueryResult } from './duckdb.ts'
import { LAKE_HELP, LAKE_OPTIONS, readLocalTable } from './local-lake.ts'
import type { LocalTable } from './local-table.ts'
import { checkFormat, FORMAT_HELP, FORMAT_OPTIONS, printRows } from './output.ts'
import { fillParameters } from './sql-tokens.ts'
import { isoTime } from '../event/iso-time.ts'
import { parseTime } from './values.ts'

const STATE_AS_OF = join(import.meta.dirname, '../../streams/queries/state-as-of.sql')
/** Stores of which each change holds one row, whole. */
const STORES = ['document', 'graph', 'relational', 'vector']
/** Above every LSN and every number of rows. */
const UNLIMITED = BigInt(Number.MAX_SAFE_INTEGER)
/** Names of stores that an error lists. */
const NAMES_SHOWN_MAX = 20

const HELP = `Usage: durable-outbox state <store>/<table> [options]

Prints the rows of a store or a captured table as its log in the local lake has them: for each key
the last change, unless that is a delete. It exits with 1 if the log has no such store.

  --ns <ns>         the rows of this ns only; default: those of every ns
  --as-of <time>    as they were at a time, such as 2026-11-22T12:00:00Z
  --as-of <lsn>     as they were after the event with this LSN; needs --ns, and --epoch if the log
                    has several epochs
  --epoch <epoch>   leave out earlier epochs, such as those of an object that was emptied since;
                    with an LSN, the epoch that the LSN is in
${FORMAT_HELP}
${LAKE_HELP}

Example: durable-outbox state document/Customer --ns acme --as-of 2026-11-22T12:00:00Z
`

export const stateCommand: Command = {
  name: 'state',
  summary: 'print the rows of a store, now or as of a time, folded from its log',
  help: HELP,
  run: runState,
}

/** Which rows are asked for. */
interface Question {
  readonly store: string
  readonly table: string
  readonly ns?: string | undefined
  readonly asOf?: AsOf | undefined
  readonly epoch?: string | undefined
}

type AsOf = { readonly lsn: string } | { readonly time: string }

async function runState(args: readonly string[], io: IO): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, {
    ...FORMAT_OPTIONS,
    ...LAKE_OPTIONS,
    ns: { type: 'string' },
    'as-of': { type: 'string' },
    epoch: { type: 'string' },
  })
  const [place, more] = positionals
  if (place === undefined) throw usage('give it a store: durable-outbox state document/Customer')
  if (more !== undefined) throw usage(`one store was expected, and then "${more}"`)
  checkFormat(values)
  const { ns, epoch } = values
  const question = { ...parsePlace(place), ns, epoch, asOf: parseAsOf(values['as-of']) }
  if (lsnOf(question) !== undefined && ns === undefined) throw usage('an LSN is one of a log: name its ns with --ns')
  const log = await openLog(await readLocalTable(values, io))
  await checkEpochs(question, log)
  await printRows(await log(...(await stateQuery(question))), values, io)
  return 0
}

function parsePlace(place: string): { store: string; table: string } {
  const [, store = '', table = ''] = /^([^/]+)\/(.+)$/s.exec(place) ?? []
  if (table === '') throw usage(`"${place}" is not <store>/<table>, such as document/Customer`)
  if (STORES.includes(store)) return { store, table }
  throw usage(`a change of ${store} is not one row, so query it; state can fold ${STORES.join(', ')}`)
}

function parseAsOf(text: string | undefined): AsOf | undefined {
  if (text === undefined) return undefined
  if (/^[1-9]\d{0,15}$/.test(text)) return { lsn: text }
  const nanos = parseTime(text)
  if (nanos !== undefined) return { time: isoTime(nanos) }
  throw usage(`--as-of ${text} is neither a time such as 2026-11-22T12:00:00Z nor an LSN`)
}

function lsnOf({ asOf }: Question): string | undefined {
  return asOf !== undefined && 'lsn' in asOf ? asOf.lsn : undefined
}

type Log = (sql: string, parameters: Parameters) => Promise<QueryResult>

async function openLog(table: LocalTable): Promise<Log> {
  return (sql, parameters) => runOnTable(table, sql, parameters)
}

/** @throws {CDCError} `not-found` if the log has no such store, `invalid-argument` if an LSN could be one of several. */
async function checkEpochs(question: Question, log: Log): Promise<void> {
  const { ns = null, store, table, epoch } = question
  const sql = `SELECT DISTINCT epoch FROM events
    WHERE ns = coalesce($ns, ns) AND table_url = concat(ns, '/', $table) AND store = $store ORDER BY epoch`
  const epochs = await firstColumn(await log(sql, { ns, table, store }))
  if (epochs.length === 0) throw await unknownStore(question, log)
  const lsn = lsnOf(question)
  if (lsn !== undefined && epoch === undefined && epochs.length > 1)
    throw usage(`LSN ${lsn} is one of each of the epochs ${epochs.join(', ')}: choose with --epoch`)
}

async function unknownStore({ store, table, ns }: Question, log: Log): Promise<CDCError> {
  const sql = `SELECT DISTINCT concat(store, '/', substr(table_url, length(ns) + 2)) AS name FROM events
    WHERE ns = coalesce($ns, ns) AND table_url IS NOT NULL AND store IS NOT NULL
    ORDER BY name LIMIT ${NAMES_SHOWN_MAX + 1}`
  const names = await firstColumn(await log(sql, { ns: ns ?? null }))
  const shown = names.length > NAMES_SHOWN_MAX ? [...names.slice(0, NAMES_SHOWN_MAX), '…'] : names
  const place = ns === undefined ? 'the log' : `the log of ${ns}`
  const rest = shown.length === 0 ? 'has no store at all' : `has ${shown.join(', ')}`
  return new CDCError('not-found', `${place} has no ${store}/${table}; it ${rest}`)
}

async function firstColumn(result: QueryResult): Promise<string[]> {
  const values: string[] = []
  for await (const rows of result.rows()) for (const [value] of rows) if (typeof value === 'string') values.push(value)
  return values
}

/** The shipped query, which marks its parameters, and a value for each. */
async function stateQuery(question: Question): Promise<[sql: string, parameters: Parameters]> {
  const { ns = null, store, table, epoch, asOf } = question
  const lsn = lsnOf(question)
  const values = {
    ns,
    table,
    store,
    time: asOf !== undefined && 'time' in asOf ? asOf.time : 'infinity',
    firstEpoch: epoch ?? '',
    // An LSN is one of the epoch that was named, or of the only one.
    epoch: lsn === undefined ? '' : (epoch ?? ''),
    since: '-infinity',
    lsn: lsn === undefined ? UNLIMITED : BigInt(lsn),
    limit: UNLIMITED,
  }
  const places = Object.fromEntries(Object.keys(values).map((name) => [name, `$${name}`]))
  const shipped = await readFile(STATE_AS_OF, 'utf8')
  return [fillParameters(shipped, { ...places, ns: 'coalesce($ns, ns)' }), values]
}
