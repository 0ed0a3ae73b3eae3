// durable-outbox subscriptions: how far the subscriptions of one object of a running Worker are, and what became of their last
// deliveries.

import * as z from 'zod'
import { CDCError } from '../error.ts'
import { type Command, type ExitCode, type IO, usage } from './command.ts'
import { act, parseOutboxLine, type Values } from './outbox.ts'
import { printFields } from './outbox/output.ts'
import { type Item, itemSchema } from './outbox/pages.ts'
import { printJSON, printTable } from './output.ts'
import { CONFIG_HELP } from './wrangler-config.ts'
import { DEFAULT_URL, parseTarget, readAnswer, type Target, TOKEN_HELP, WorkerClient } from './worker.ts'

const HELP = `Usage: durable-outbox subscriptions <class>/<object> [<action> <name>] [options]

How far the subscriptions of one object are, of a Worker that mounts outboxRoutes at /admin/outbox.
Without an action, all of them.

  show <name>          one of them, with its last deliveries
  pause <name>         stop delivering; its events are kept, up to maxLagMs and maxLagBytes
  resume <name>        deliver again, from where it stopped; also if it was disabled
  dead-letters <name>  the events that its target refused
  redrive <name>       deliver dead letters again: --id <id> (repeatable), a filter, or --all
  discard <name>       delete dead letters: --reason <text>, and a choice as for redrive
  drop <name>          delete what is kept of one that is no longer in the code

The options of dead-letters, redrive and discard are those of durable-outbox outbox.

  --url <url>       the Worker; default: where wrangler dev listens, ${DEFAULT_URL} or
                    its dev.port in the wrangler configuration
${TOKEN_HELP}
${CONFIG_HELP}
  --json            print the answer as JSON

Example: durable-outbox subscriptions customers/acme show billing
`

/** Actions of `durable-outbox outbox` that are about one subscription if they are given its name. */
const SHARED: readonly string[] = ['pause', 'resume', 'dead-letters', 'redrive', 'discard']

const COLUMNS = [
  'name',
  'status',
  'ackedLSN',
  'pendingEvents',
  'lagMs',
  'deliveredEvents',
  'missedEvents',
  'deadLetters',
]
const DELIVERY_COLUMNS = ['at', 'status', 'firstLSN', 'lastLSN', 'events', 'attempts', 'durationMs', 'reason']

const answerSchema = z.array(itemSchema)

export const subscriptionsCommand: Command = {
  name: 'subscriptions',
  summary: "an object's subscriptions: how far each is, its last deliveries, pause, resume, redrive",
  help: HELP,
  run: runSubscriptions,
}

async function runSubscriptions(args: readonly string[], io: IO): Promise<ExitCode> {
  const { values, positionals } = parseOutboxLine(args)
  const [place, action, name, ...operands] = positionals
  if (place === undefined) throw usage('give it an object: durable-outbox subscriptions customers/acme')
  if (values.subscription !== undefined)
    throw usage('subscriptions does not take --subscription; give the name after the action')
  const on = { client: WorkerClient.of(values, io), target: parseTarget(place), values, io }
  if (action === undefined) return list(on)
  if (name === undefined) throw usage(`${action} needs the name of a subscription`)
  if (SHARED.includes(action))
    return act({ place, name: action, operands, values: { ...values, subscription: name }, io })
  if (operands[0] !== undefined) throw usage(`${action} does not take "${operands[0]}"`)
  if (action === 'show') return show(on, name)
  if (action === 'drop') return drop(on, name)
  throw usage(`there is no ${action}; there are show, ${SHARED.join(', ')}, drop`)
}

interface Invocation {
  readonly client: WorkerClient
  readonly target: Target
  readonly values: Values
  readonly io: IO
}

async function list(on: Invocation): Promise<ExitCode> {
  const all = await read(on)
  if (on.values.json) printJSON(all, on.io)
  else await printItems(all, COLUMNS, on.io)
  return 0
}

async function show(on: Invocation, name: string): Promise<ExitCode> {
  const all = await read(on)
  const one = all.find((each) => each['name'] === name)
  if (one === undefined) throw new CDCError('not-found', `there is no subscription ${name}`)
  if (on.values.json) {
    printJSON(one, on.io)
    return 0
  }
  const { deliveries = [], ...fields } = one
  printFields(fields, on.io)
  await printItems(readAnswer(answerSchema, deliveries), DELIVERY_COLUMNS, on.io)
  return 0
}

async function drop({ client, target, values, io }: Invocation, subscription: string): Promise<ExitCode> {
  const answer = await client.call(target, 'drop', { subscription })
  if (values.json) printJSON(answer, io)
  else io.line('dropped')
  return 0
}

async function read({ client, target }: Invocation): Promise<Item[]> {
  return readAnswer(answerSchema, await client.call(target, 'subscriptions'))
}

async function printItems(items: readonly Item[], columns: readonly string[], io: IO): Promise<void> {
  async function* rows() {
    yield items.map((item) => columns.map((column) => item[column] ?? ''))
  }
  await printTable({ columns, rows }, io)
}
