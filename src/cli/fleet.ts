// durable-outbox fleet: all objects with an outbox, how each is, and one call of many of them.

import * as z from 'zod'
import { type Command, type ExitCode, type IO, parseCommandLine, usage, wholeNumber } from './command.ts'
import { parseDuration } from './fleet/duration.ts'
import { printTable } from './output.ts'
import { count, safeJSON } from './values.ts'
import { CONFIG_HELP } from './wrangler-config.ts'
import { DEFAULT_URL, readAnswer, TOKEN_HELP, WORKER_OPTIONS, WorkerClient } from './worker.ts'

const HELP = `Usage: durable-outbox fleet [<action>] [options]

Lists the objects of a Worker that have emitted events, also those of which nothing has landed, or
has each of them do something. The Worker exports OutboxFleet, binds it as OUTBOX_FLEET, and mounts
fleetRoutes at /admin/fleet.

  list               who there is, and how each is (default)
  pause              stop sending; events are still captured
  resume             start sending again
  flush              send now what is pending
  redrive            send all dead letters again
  snapshot <store>   emit all rows of a store or captured table
  replay             send delivered events again: --from-lsn <lsn> --to-lsn <lsn>

  --class <name>     only objects of a class, as the Worker exports it
  --ns <ns>          only objects of an ns
  --lagging <time>   only objects whose oldest pending event is so old: 500ms, 60s, 5min, 2h
  --troubled         only objects that have said that they are in trouble
  --known            list without asking the objects, which wakes them
  --dry-run          tell which objects an action would reach
  --url <url>        the Worker; default: where wrangler dev listens, ${DEFAULT_URL} or
                     its dev.port in the wrangler configuration
${TOKEN_HELP}
${CONFIG_HELP}
  --json             print the answer as JSON, a line for each object

The exit code is 1 if an object could not be asked, or an action failed.

Example: durable-outbox fleet --lagging 60s
`

const OPTIONS = {
  ...WORKER_OPTIONS,
  class: { type: 'string' },
  ns: { type: 'string' },
  lagging: { type: 'string' },
  troubled: { type: 'boolean' },
  known: { type: 'boolean' },
  'dry-run': { type: 'boolean' },
  'from-lsn': { type: 'string' },
  'to-lsn': { type: 'string' },
  json: { type: 'boolean' },
} as const

type Values = ReturnType<typeof parse>['values']

const statsSchema = z.looseObject({
  pendingEvents: z.int(),
  lagMs: z.number(),
  lastLSN: z.int(),
  ackedLSN: z.int(),
  deadLetters: z.int(),
  isPaused: z.boolean(),
  epoch: z.string(),
})
const memberSchema = z.looseObject({
  id: z.string(),
  className: z.string(),
  name: z.string().optional(),
  ns: z.string(),
  source: z.string(),
  epoch: z.string(),
  trouble: z.looseObject({ pendingEvents: z.int(), deadLetters: z.int() }).optional(),
  result: z.unknown().optional(),
  error: z.string().optional(),
})
const pageSchema = z.object({ members: z.array(memberSchema), next: z.string().optional() })
type Member = z.infer<typeof memberSchema>
/** A member that was asked for its `stats`, if it could be. */
type AskedMember = Member & { readonly stats: z.infer<typeof statsSchema> | undefined }

/** The argument of an action's call, from the command line. */
type ArgumentOf = (values: Values, operand: string) => object | undefined
const ACTIONS: ReadonlyMap<string, { operand?: string; argument: ArgumentOf }> = new Map([
  ['pause', { argument: () => undefined }],
  ['resume', { argument: () => undefined }],
  ['flush', { argument: () => undefined }],
  ['redrive', { argument: () => ({ all: true }) }],
  ['snapshot', { operand: 'store', argument: (_: Values, store: string) => ({ store }) }],
  ['replay', { argument: rangeOf }],
])

export const fleetCommand: Command = {
  name: 'fleet',
  summary: 'list all objects with an outbox, and pause, resume, redrive … many at once',
  help: HELP,
  run: runFleet,
}

async function runFleet(args: readonly string[], io: IO): Promise<ExitCode> {
  const { values, positionals } = parse(args)
  const [action = 'list', ...operands] = positionals
  const client = WorkerClient.of(values, io)
  if (action === 'list') {
    if (operands.length > 0) throw usage(`list does not take "${operands.join(' ')}"`)
    return list(client, values, io)
  }
  const known = ACTIONS.get(action)
  if (known === undefined) throw usage(`there is no ${action}; there are list, ${[...ACTIONS.keys()].join(', ')}`)
  if (values.known) throw usage(`${action} does not take --known`)
  if (operands.length !== (known.operand === undefined ? 0 : 1))
    throw usage(known.operand === undefined ? `${action} takes no other word` : `${action} needs a <${known.operand}>`)
  if (values['dry-run']) return list(client, values, io)
  return callAll(client, { method: action, argument: known.argument(values, operands[0] ?? '') }, values, io)
}

function parse(args: readonly string[]) {
  return parseCommandLine(args, OPTIONS)
}

async function list(client: WorkerClient, values: Values, io: IO): Promise<ExitCode> {
  const isAsked = values.known !== true
  let [listed, unanswered] = [0, 0]
  async function* rows() {
    for await (const members of pages((after) => client.fleet('list', { ...requestOf(values), isAsked, after }))) {
      listed += members.length
      unanswered += members.filter(({ error }) => error !== undefined).length
      if (listed > members.length) io.note(`${count(listed, 'object', 'objects')} …`)
      yield members.map(asAsked)
    }
  }
  if (values.json)
    for await (const members of rows()) for (const member of members) io.data(`${safeJSON(jsonOf(member))}\n`)
  else {
    const shown = async function* () {
      for await (const members of rows()) yield members.map(isAsked ? askedRow : knownRow)
    }
    await printTable({ columns: isAsked ? ASKED_COLUMNS : KNOWN_COLUMNS, rows: shown }, io)
  }
  return unanswered === 0 ? 0 : 1
}

async function callAll(
  client: WorkerClient,
  { method, argument }: { method: string; argument: object | undefined },
  values: Values,
  io: IO,
): Promise<ExitCode> {
  let [done, failed] = [0, 0]
  const call = (after: string | undefined) => client.fleet('call', { ...requestOf(values), method, argument, after })
  for await (const members of pages(call)) {
    for (const member of members) {
      if (member.error === undefined) done += 1
      else failed += 1
      if (values.json) io.data(`${safeJSON(member)}\n`)
      else if (member.error !== undefined) io.line(`${nameOf(member)}: ${member.error}`)
    }
    if (done + failed > members.length) io.note(`${method}: ${count(done, 'object', 'objects')} …`)
  }
  if (!values.json) io.line(`${method}: ${count(done, 'object', 'objects')}${failed === 0 ? '' : `, ${failed} failed`}`)
  return failed === 0 ? 0 : 1
}

async function* pages(read: (after: string | undefined) => Promise<unknown>): AsyncGenerator<Member[]> {
  let after: string | undefined
  do {
    const { members, next } = readAnswer(pageSchema, await read(after))
    yield members
    after = next
  } while (after !== undefined)
}

function requestOf({ class: className, ns, lagging, troubled }: Values) {
  return {
    ...(className !== undefined && { className }),
    ...(ns !== undefined && { ns }),
    ...(troubled && { isTroubled: true }),
    ...(lagging !== undefined && { laggingMs: parseDuration('--lagging', lagging) }),
  }
}

function rangeOf({ 'from-lsn': from, 'to-lsn': to }: Values): object {
  if (from === undefined || to === undefined) throw usage('replay needs --from-lsn <lsn> and --to-lsn <lsn>')
  return { fromLSN: wholeNumber('--from-lsn', from), toLSN: wholeNumber('--to-lsn', to) }
}

function asAsked(member: Member): AskedMember {
  return { ...member, stats: statsSchema.safeParse(member.result).data }
}

function jsonOf(member: AskedMember): object {
  return { ...member, result: undefined }
}

const ASKED_COLUMNS = ['class', 'object', 'ns', 'lag', 'pending', 'lastLSN', 'ackedLSN', 'deadLetters', 'state']
const KNOWN_COLUMNS = ['class', 'object', 'ns', 'source', 'epoch', 'pending', 'deadLetters', 'state']

function askedRow(member: AskedMember) {
  const { className, ns, stats, error } = member
  if (stats === undefined) return [className, objectOf(member), ns, '', '', '', '', '', error ?? 'gives no stats']
  const { lagMs, pendingEvents, lastLSN, ackedLSN, deadLetters, isPaused } = stats
  const lag = lagMs < 1_000 ? `${Math.round(lagMs)} ms` : `${Math.round(lagMs / 1_000)} s`
  const state = isPaused ? 'paused' : stateOf(member)
  return [className, objectOf(member), ns, lag, pendingEvents, lastLSN, ackedLSN, deadLetters, state]
}

function knownRow(member: Member) {
  const { className, ns, source, epoch, trouble } = member
  const [pending, letters] = [trouble?.pendingEvents ?? '', trouble?.deadLetters ?? '']
  return [className, objectOf(member), ns, source, epoch, pending, letters, stateOf(member)]
}

function stateOf({ trouble }: Member): string {
  return trouble === undefined ? 'ok' : 'in trouble'
}

function nameOf(member: Member): string {
  return `${member.className}/${objectOf(member)}`
}

/** An object that was never reached by a name has only its id. */
function objectOf({ name, id }: Member): string {
  return name ?? id
}
