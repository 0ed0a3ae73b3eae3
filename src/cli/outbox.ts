// durable-outbox outbox: looks after the outbox of one object of a running Worker.

import * as z from 'zod'
import { CDCError } from '../error.ts'
import { AdminClient, readAnswer, RefusedError, type Target } from './admin-client.ts'
import { type Command, type ExitCode, type IO, parseCommandLine } from './command.ts'
import { DEAD_LETTER_COLUMNS, EVENT_COLUMNS, writeAnswer, writeFields } from './outbox-output.ts'
import { writeItems, writeItemsAsJSON } from './outbox-output.ts'
import { CutOffError, itemSchema, readPages, repeat } from './outbox-pages.ts'
import { printable } from './output.ts'

const DEFAULT_URL = 'http://localhost:8787'

const HELP = `Usage: durable-outbox outbox <class>/<object> <action> [options]

Looks after the outbox of one object of a Worker that mounts outboxRoutes at /admin/outbox.

  stats             where the outbox and its relay stand
  list              its events, pending and delivered: [filter] [--status pending|delivered] [--limit <n>] [--all-pages]
  get <lsn>         one event, whole
  pause             stop sending; events go on to be captured
  resume            go on sending
  flush             send now what is pending
  dead-letters      the events that the pipeline refused: [filter] [--limit <n>] [--all-pages]
  redrive           send dead letters again: --id <id> (repeatable), a filter, or --all; [--limit <n>]
  discard           drop dead letters for good: --reason <text>, and a choice as for redrive
  snapshot <store>  emit the present rows of a store or captured table, such as document/Customer: [--chunk <n>]
  replay            send delivered events again: --from-lsn <lsn> --to-lsn <lsn>

A filter is any of --type, --store, --table, --key, and --from and --to, which are LSNs. list and dead-letters print a
page of --limit events (100, at most 1000), or with --all-pages everything. redrive and discard go on until everything
chosen is done, or --limit of it.

  --url <url>       the Worker; without it, ${DEFAULT_URL} (npm run dev)
  --token <token>   the Worker's ADMIN_TOKEN; better in the environment, as ADMIN_TOKEN, where no list of processes shows it
  --json            print the answer as JSON

Example: durable-outbox outbox customers/acme list --status pending --type Customer.created
`

const FILTER = ['type', 'store', 'table', 'key', 'from', 'to'] as const
const CHOICE = [...FILTER, 'id', 'all', 'limit'] as const

const OPTIONS = {
  type: { type: 'string' },
  store: { type: 'string' },
  table: { type: 'string' },
  key: { type: 'string' },
  from: { type: 'string' },
  to: { type: 'string' },
  status: { type: 'string' },
  limit: { type: 'string' },
  'all-pages': { type: 'boolean' },
  id: { type: 'string', multiple: true },
  all: { type: 'boolean' },
  reason: { type: 'string' },
  'from-lsn': { type: 'string' },
  'to-lsn': { type: 'string' },
  chunk: { type: 'string' },
  url: { type: 'string' },
  token: { type: 'string' },
  json: { type: 'boolean' },
} as const

type OptionName = keyof typeof OPTIONS
type Values = ReturnType<typeof parseOptions>['values']

/** What an action is given: the outbox, its own words on the command line, and where to print. */
interface Invocation {
  readonly client: AdminClient
  readonly target: Target
  readonly values: Values
  readonly operand: string
  readonly io: IO
}

interface Action {
  readonly options: readonly OptionName[]
  /** The name of the one word that follows the action. */
  readonly operand?: string
  run(invocation: Invocation): Promise<ExitCode>
}

const actions: ReadonlyMap<string, Action> = new Map<string, Action>([
  ['stats', { options: [], run: (on) => printResult(on, 'stats') }],
  [
    'list',
    { options: [...FILTER, 'status', 'limit', 'all-pages'], run: (on) => printPages(on, 'list', EVENT_COLUMNS) },
  ],
  ['get', { options: [], operand: 'lsn', run: printEvent }],
  ['pause', { options: [], run: (on) => order(on, 'pause', 'paused; events go on to be captured, and wait') }],
  ['resume', { options: [], run: (on) => order(on, 'resume', 'resumed') }],
  ['flush', { options: [], run: (on) => printResult(on, 'flush') }],
  [
    'dead-letters',
    { options: [...FILTER, 'limit', 'all-pages'], run: (on) => printPages(on, 'deadLetters', DEAD_LETTER_COLUMNS) },
  ],
  ['redrive', { options: CHOICE, run: (on) => settle(on, 'redrive', 'redriven') }],
  ['discard', { options: [...CHOICE, 'reason'], run: (on) => settle(on, 'discard', 'discarded') }],
  ['replay', { options: ['from-lsn', 'to-lsn'], run: replay }],
  ['snapshot', { options: ['chunk'], operand: 'store', run: snapshot }],
])

export const outboxCommand: Command = {
  name: 'outbox',
  summary: 'look after the outbox of one object: stats, events, dead letters, replay',
  help: HELP,
  run: runOutbox,
}

async function runOutbox(args: readonly string[], io: IO): Promise<ExitCode> {
  const { values, positionals } = parseOptions(args)
  const [place, name, ...operands] = positionals
  if (place === undefined || name === undefined)
    throw usage('give it an object and what to do: durable-outbox outbox customers/acme stats')
  const action = actions.get(name)
  if (action === undefined) throw usage(`there is no ${name}; there are ${[...actions.keys()].join(', ')}`)
  checkWords(name, action, values, operands)
  const client = new AdminClient(
    values.url ?? DEFAULT_URL,
    (values.token ?? io.env['ADMIN_TOKEN'])?.trim() || undefined,
  )
  try {
    return await action.run({ client, target: parseTarget(place), values, operand: operands[0] ?? '', io })
  } catch (error) {
    throw error instanceof RefusedError ? new Error(explain(error), { cause: error }) : error
  }
}

function parseOptions(args: readonly string[]) {
  return parseCommandLine('outbox', args, OPTIONS)
}

/** An option that an action does not know would be ignored, and the user would think that it was not. */
function checkWords(name: string, action: Action, values: Values, operands: readonly string[]): void {
  const known: readonly string[] = [...action.options, 'url', 'token', 'json']
  const unknown = Object.keys(values).find((option) => !known.includes(option))
  if (unknown !== undefined) throw usage(`${name} does not take --${unknown}`)
  const expected = action.operand === undefined ? 0 : 1
  if (operands.length < expected) throw usage(`${name} needs one more word: ${name} <${action.operand}>`)
  if (operands.length > expected) throw usage(`${name} does not take "${operands[expected]}"`)
}

/** The object's name may hold slashes, the class's does not. */
function parseTarget(place: string): Target {
  const slash = place.indexOf('/')
  const target = { className: place.slice(0, Math.max(slash, 0)), object: place.slice(slash + 1) }
  if (target.className === '' || target.object === '')
    throw usage(`"${place}" is not <class>/<object>, such as customers/acme`)
  // A URL cannot hold a path segment of dots alone: it would mean the one above.
  for (const name of [target.className, target.object])
    if (/^\.\.?$/.test(name)) throw usage(`what is named "${name}" cannot be reached over HTTP`)
  return target
}

/** Puts the words of the command line beside those of the server, where the server speaks of its own. */
function explain({ code, message }: RefusedError): string {
  const hints: Readonly<Record<string, string>> = {
    unauthorized: 'give it the token of the Worker: ADMIN_TOKEN in the environment, or --token',
  }
  const hint = message.includes('say which dead letters') ? 'here: --id <id>, --type and so on, or --all' : hints[code]
  return printable(hint === undefined ? message : `${message} (${hint})`)
}

async function printResult({ client, target, values, io }: Invocation, method: 'stats' | 'flush'): Promise<ExitCode> {
  const answer = readAnswer(itemSchema, await client.call(target, method))
  if (values.json) writeAnswer(answer, io.stdout)
  else writeFields(answer, io.stdout)
  return 0
}

async function order(on: Invocation, method: 'pause' | 'resume', done: string): Promise<ExitCode> {
  const answer = await on.client.call(on.target, method)
  if (on.values.json) writeAnswer(answer, on.io.stdout)
  else on.io.stdout(`${done}\n`)
  return 0
}

async function printEvent({ client, target, values, operand, io }: Invocation): Promise<ExitCode> {
  const lsn = wholeNumber('<lsn>', operand)
  const event = readAnswer(itemSchema.nullable(), await client.call(target, 'get', lsn))
  if (values.json) writeAnswer(event, io.stdout)
  else if (event !== null) writeFields(event, io.stdout)
  if (event !== null) return 0
  io.stderr(`durable-outbox outbox: there is no event with LSN ${lsn}, or it is not kept any more\n`)
  return 1
}

async function printPages(
  { client, target, values, io }: Invocation,
  method: 'list' | 'deadLetters',
  columns: readonly string[],
): Promise<ExitCode> {
  const query = { ...filterOf(values), ...(values.status !== undefined && { status: values.status }) }
  const read = (from: number | undefined) =>
    client.call(target, method, { ...query, ...(from !== undefined && { from }) })
  const pages = readPages(read, values['all-pages'] ?? false)
  if (values.json) {
    await writeItemsAsJSON(pages, io.stdout)
    return 0
  }
  const nextLSN = await writeItems(pages, columns, io)
  if (nextLSN !== undefined) io.stderr(`there may be more: --from ${nextLSN}, or --all-pages\n`)
  return 0
}

async function settle(on: Invocation, method: 'redrive' | 'discard', participle: string): Promise<ExitCode> {
  const { client, target, values } = on
  if (method === 'discard' && values.reason === undefined) throw usage('discard needs --reason "<why>", which is kept')
  const choice = {
    ...filterOf(values),
    ...(values.id !== undefined && { ids: values.id }),
    ...(values.all && { all: true }),
    ...(values.reason !== undefined && { reason: values.reason }),
  }
  const lastLSN = await readLastLSN(on)
  const to = Math.min(choice.to ?? lastLSN, lastLSN)
  return countUp(on, participle, (from) => {
    if (from === undefined) return client.call(target, method, choice)
    return from > to || values.limit !== undefined ? undefined : client.call(target, method, { ...choice, from, to })
  })
}

/**
 * Where the log ends now. What is redriven and refused once more comes back as a dead letter with a higher LSN; this is
 * where to stop, not to redrive it for ever.
 */
async function readLastLSN({ client, target }: Invocation): Promise<number> {
  return readAnswer(z.object({ lastLSN: z.int() }), await client.call(target, 'stats')).lastLSN
}

async function replay(on: Invocation): Promise<ExitCode> {
  const { 'from-lsn': from, 'to-lsn': to } = on.values
  if (from === undefined || to === undefined) throw usage('replay needs --from-lsn <lsn> and --to-lsn <lsn>')
  const range = { fromLSN: wholeNumber('--from-lsn', from), toLSN: wholeNumber('--to-lsn', to) }
  return countUp(on, 'replayed', (fromLSN = range.fromLSN) =>
    on.client.call(on.target, 'replay', { ...range, fromLSN }),
  )
}

async function snapshot({ client, target, values, operand, io }: Invocation): Promise<ExitCode> {
  const { chunk } = values
  const argument = { store: operand, ...(chunk !== undefined && { chunk: wholeNumber('--chunk', chunk) }) }
  const progress = readAnswer(z.looseObject({ name: z.string() }), await client.call(target, 'snapshot', argument))
  if (values.json) writeAnswer(progress, io.stdout)
  else io.stdout(`begun: ${printable(progress.name)}; "stats" says how far it has come\n`)
  return 0
}

/** Repeats a call that comes in pages, and prints how many it did in all, also where it could not end. */
async function countUp(
  { io, values }: Invocation,
  participle: string,
  call: (nextLSN: number | undefined) => Promise<unknown> | undefined,
): Promise<ExitCode> {
  try {
    const { done, nextLSN } = await repeat(participle, call)
    if (values.json) writeAnswer({ [participle]: done, ...(nextLSN !== undefined && { nextLSN }) }, io.stdout)
    else io.stdout(`${done} ${participle}\n`)
    return 0
  } catch (error) {
    if (!(error instanceof CutOffError)) throw error
    const { done, nextLSN } = error.count
    io.stderr(`${done} ${participle}; it failed before LSN ${nextLSN}\n`)
    throw error.cause
  }
}

/** The fields of the RPC that the options say. */
function filterOf({ type, store, table, key, from, to, limit }: Values) {
  return {
    ...(type !== undefined && { type }),
    ...(store !== undefined && { store }),
    ...(table !== undefined && { table }),
    ...(key !== undefined && { key }),
    ...(from !== undefined && { from: wholeNumber('--from', from) }),
    ...(to !== undefined && { to: wholeNumber('--to', to) }),
    ...(limit !== undefined && { limit: wholeNumber('--limit', limit) }),
  }
}

function wholeNumber(what: string, text: string): number {
  const number = Number(text)
  if (/^\d+$/.test(text) && Number.isSafeInteger(number)) return number
  throw usage(`${what} is a whole number, not "${text}"`)
}

function usage(problem: string): CDCError {
  return new CDCError('invalid-argument', `outbox: ${problem}; see durable-outbox outbox --help`)
}
