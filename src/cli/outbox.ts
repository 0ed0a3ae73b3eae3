// durable-outbox outbox: inspects and controls the outbox of one object of a running Worker.

import * as z from 'zod'
import { CDCError } from '../error.ts'
import { type Command, type ExitCode, type IO, parseCommandLine, usage, wholeNumber } from './command.ts'
import { DEAD_LETTER_COLUMNS, EVENT_COLUMNS, printFields, printItems, printItemsAsJSON } from './outbox/output.ts'
import { InterruptedError, type Item, itemSchema, readPages, repeat } from './outbox/pages.ts'
import { printJSON } from './output.ts'
import { CONFIG_HELP } from './wrangler-config.ts'
import {
  DEFAULT_URL,
  parseTarget,
  readAnswer,
  RefusedError,
  type Target,
  TOKEN_HELP,
  WORKER_OPTIONS,
  WorkerClient,
} from './worker.ts'

const HELP = `Usage: durable-outbox outbox <class>/<object> <action> [options]

Inspects and controls the outbox of one object of a Worker that mounts outboxRoutes at
/admin/outbox. A call creates the object if it does not exist.

  stats             the state of the outbox and its relay
  list              its events, pending and delivered:
                    [filter] [--status pending|delivered] [--limit <n>] [--all-pages]
  get <lsn>         one event, whole
  pause             stop sending; events are still captured
  resume            start sending again
  flush             send now what is pending
  dead-letters      the events that the pipeline refused: [filter] [--limit <n>] [--all-pages]
  redrive           send dead letters again: --id <id> (repeatable), a filter, or --all;
                    [--limit <n>]
  discard           delete dead letters: --reason <text>, and a choice as for redrive
  snapshot <store>  emit all rows of a store or captured table, such as document/Customer:
                    [--chunk <n>]
  replay            send delivered events again: --from-lsn <lsn> --to-lsn <lsn>

pause, resume, dead-letters, redrive and discard are about the pipeline; with --subscription <name>
they are about a subscription (durable-outbox subscriptions --help).

A filter is any of --type, --store, --table, --key, and the LSNs --from and --to. list and
dead-letters print one page of --limit events (100, at most 1000), or all with --all-pages. redrive
and discard continue until everything chosen is done, or --limit of it.

  --url <url>       the Worker; default: where wrangler dev listens, ${DEFAULT_URL} or
                    its dev.port in the wrangler configuration
${TOKEN_HELP}
${CONFIG_HELP}
  --json            print the answer as JSON

Example: durable-outbox outbox customers/acme list --status pending --type Customer.created
`

const FILTER = ['type', 'store', 'table', 'key', 'from', 'to'] as const
const CHOICE = [...FILTER, 'id', 'all', 'limit', 'subscription'] as const
/** The options of every action. */
const COMMON: readonly string[] = ['url', 'token', 'config', 'env', 'json']

const OPTIONS = {
  ...WORKER_OPTIONS,
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
  subscription: { type: 'string' },
  json: { type: 'boolean' },
} as const

type OptionName = keyof typeof OPTIONS
export type Values = ReturnType<typeof parseOutboxLine>['values']

/** What an action gets: the outbox, its words of the command line, and where to print. */
interface Invocation {
  readonly client: WorkerClient
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
  ['stats', { options: [], run: stats }],
  [
    'list',
    { options: [...FILTER, 'status', 'limit', 'all-pages'], run: (on) => printPages(on, 'list', EVENT_COLUMNS) },
  ],
  ['get', { options: [], operand: 'lsn', run: get }],
  [
    'pause',
    { options: ['subscription'], run: (on) => order(on, 'pause', 'paused; events are still captured, and wait') },
  ],
  ['resume', { options: ['subscription'], run: (on) => order(on, 'resume', 'resumed') }],
  ['flush', { options: [], run: async (on) => printItem(on, await callForItem(on, 'flush')) }],
  [
    'dead-letters',
    {
      options: [...FILTER, 'limit', 'all-pages', 'subscription'],
      run: (on) => printPages(on, 'deadLetters', DEAD_LETTER_COLUMNS),
    },
  ],
  ['redrive', { options: CHOICE, run: (on) => settle(on, 'redrive', 'redriven') }],
  ['discard', { options: [...CHOICE, 'reason'], run: (on) => settle(on, 'discard', 'discarded') }],
  ['replay', { options: ['from-lsn', 'to-lsn'], run: replay }],
  ['snapshot', { options: ['chunk'], operand: 'store', run: snapshot }],
])

export const outboxCommand: Command = {
  name: 'outbox',
  summary: 'inspect and control the outbox of one object: stats, events, dead letters, replay',
  help: HELP,
  run: runOutbox,
}

async function runOutbox(args: readonly string[], io: IO): Promise<ExitCode> {
  const { values, positionals } = parseOutboxLine(args)
  const [place, name, ...operands] = positionals
  if (place === undefined || name === undefined)
    throw usage('give it an object and what to do: durable-outbox outbox customers/acme stats')
  return act({ place, name, operands, values, io })
}

/** The words of an action. */
interface Words {
  readonly place: string
  readonly name: string
  readonly operands: readonly string[]
  readonly values: Values
  readonly io: IO
}

/** Also of `durable-outbox subscriptions`. */
export async function act({ place, name, operands, values, io }: Words): Promise<ExitCode> {
  const action = actions.get(name)
  if (action === undefined) throw usage(`there is no ${name}; there are ${[...actions.keys()].join(', ')}`)
  checkWords(name, action, values, operands)
  const target = parseTarget(place)
  return action.run({ client: WorkerClient.of(values, io), target, values, operand: operands[0] ?? '', io })
}

export function parseOutboxLine(args: readonly string[]) {
  return parseCommandLine(args, OPTIONS)
}

/** An option that an action does not know would be ignored, and the user would not notice. */
function checkWords(name: string, action: Action, values: Values, operands: readonly string[]): void {
  const known = [...action.options, ...COMMON]
  const unknown = Object.keys(values).find((option) => !known.includes(option))
  if (unknown !== undefined) throw usage(`${name} does not take --${unknown}`)
  const expected = action.operand === undefined ? 0 : 1
  if (operands.length < expected) throw usage(`${name} needs one more word: ${name} <${action.operand}>`)
  if (operands.length > expected) throw usage(`${name} does not take "${operands[expected]}"`)
}

async function stats(on: Invocation): Promise<ExitCode> {
  const answer = await callForItem(on, 'stats')
  const { className, object } = on.target
  if (answer['lastLSN'] === 0)
    on.io.note(
      `${className}/${object} has never had an event in this epoch; if the name is wrong, this call has created the object`,
    )
  return printItem(on, answer)
}

async function callForItem({ client, target }: Invocation, method: 'stats' | 'flush'): Promise<Item> {
  return readAnswer(itemSchema, await client.call(target, method))
}

function printItem({ values, io }: Invocation, item: Item): ExitCode {
  if (values.json) printJSON(item, io)
  else printFields(item, io)
  return 0
}

async function order(on: Invocation, method: 'pause' | 'resume', done: string): Promise<ExitCode> {
  const { subscription } = on.values
  const answer = await on.client.call(on.target, method, subscription === undefined ? undefined : { subscription })
  if (on.values.json) printJSON(answer, on.io)
  else on.io.line(done)
  return 0
}

async function get(on: Invocation): Promise<ExitCode> {
  const { client, target, values, operand, io } = on
  const lsn = wholeNumber('<lsn>', operand)
  const event = readAnswer(itemSchema.nullable(), await client.call(target, 'get', lsn))
  if (event !== null) return printItem(on, event)
  if (values.json) printJSON(null, io)
  throw new CDCError('not-found', `there is no event with LSN ${lsn}, or it is no longer kept`)
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
    await printItemsAsJSON(pages, io)
    return 0
  }
  const nextLSN = await printItems(pages, columns, io)
  if (nextLSN !== undefined) io.note(`there may be more: --from ${nextLSN}, or --all-pages`)
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
    if (from === undefined) return client.call(target, method, choice).catch(explainChoice)
    return from > to || values.limit !== undefined ? undefined : client.call(target, method, { ...choice, from, to })
  })
}

/** The server asks for a choice in the words of its RPC; this adds those of the command line. */
function explainChoice(error: unknown): never {
  if (!(error instanceof RefusedError && error.message.includes('say which dead letters'))) throw error
  throw new Error(`${error.message} (here: --id <id>, --type and so on, or --all)`, { cause: error })
}

/**
 * Where the log ends now. A redriven event that is refused once more comes back as a dead letter with a higher LSN: this
 * is where to stop, so that it is not redriven for ever.
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
  if (values.json) printJSON(progress, io)
  else io.line(`started: ${progress.name}; "stats" shows its progress`)
  return 0
}

/** Repeats a call that comes in pages, and prints how many it did in all, even if it could not finish. */
async function countUp(
  { io, values }: Invocation,
  participle: string,
  call: (nextLSN: number | undefined) => Promise<unknown> | undefined,
): Promise<ExitCode> {
  try {
    const { done, nextLSN } = await repeat(participle, call)
    if (values.json) printJSON({ [participle]: done, ...(nextLSN !== undefined && { nextLSN }) }, io)
    else io.line(`${done} ${participle}`)
    return 0
  } catch (error) {
    if (!(error instanceof InterruptedError)) throw error
    const { done, nextLSN } = error.count
    io.note(`${done} ${participle}; it failed before LSN ${nextLSN}`)
    throw error.cause
  }
}

/** The fields of the RPC that the options set. */
function filterOf({ type, store, table, key, from, to, limit, subscription }: Values) {
  return {
    ...(subscription !== undefined && { subscription }),
    ...(type !== undefined && { type }),
    ...(store !== undefined && { store }),
    ...(table !== undefined && { table }),
    ...(key !== undefined && { key }),
    ...(from !== undefined && { from: wholeNumber('--from', from) }),
    ...(to !== undefined && { to: wholeNumber('--to', to) }),
    ...(limit !== undefined && { limit: wholeNumber('--limit', limit) }),
  }
}
