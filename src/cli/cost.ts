// durable-outbox cost: estimates from an object's own log what its outbox costs.

import * as z from 'zod'
import { type Command, type ExitCode, type IO, parseCommandLine, usage, wholeNumber } from './command.ts'
import { type CostEstimate, estimateCost, type LoggedEvent } from './cost/estimate.ts'
import { printJSON } from './output.ts'
import { readPages } from './outbox/pages.ts'
import { count } from './values.ts'
import {
  DEFAULT_URL,
  parseTarget,
  readAnswer,
  type Target,
  TOKEN_HELP,
  WORKER_OPTIONS,
  WorkerClient,
} from './worker.ts'
import { CONFIG_HELP } from './wrangler-config.ts'

/** As the outbox has them if `configure()` says nothing else. */
const LINGER_MS = 100
const BATCH_EVENTS = 1_000
const EVENTS = 10_000
const PAGE_EVENTS = 1_000
const MONTH_MS = 30 * 24 * 3_600_000

const HELP = `Usage: durable-outbox cost <class>/<object> [options]

Estimates what the outbox of an object costs, from its newest events: the rows that it writes beside
your own, per event and per month at this rate. The Worker mounts outboxRoutes at /admin/outbox.

  --events <n>      how many of its newest events to look at (${EVENTS})
  --linger <ms>     the lingerMs to reckon with (${LINGER_MS}): with more, events share a batch
  --batch <n>       the maxBatchEvents to reckon with (${BATCH_EVENTS})
  --url <url>       the Worker; default: where wrangler dev listens, ${DEFAULT_URL} or
                    its dev.port in the wrangler configuration
${TOKEN_HELP}
${CONFIG_HELP}
  --json            print the estimate as JSON

Example: durable-outbox cost customers/acme --linger 1000
`

const OPTIONS = {
  ...WORKER_OPTIONS,
  events: { type: 'string' },
  linger: { type: 'string' },
  batch: { type: 'string' },
  json: { type: 'boolean' },
} as const

const statsSchema = z.object({ lastLSN: z.int(), captured: z.record(z.string(), z.string()) })
const eventSchema = z.object({ txid: z.string(), timestamp: z.string(), table: z.string().optional() })

export const costCommand: Command = {
  name: 'cost',
  summary: "estimate what an object's outbox costs, from its own log",
  help: HELP,
  run: runCost,
}

async function runCost(args: readonly string[], io: IO): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine(args, OPTIONS)
  const [place, ...rest] = positionals
  if (place === undefined || rest.length > 0) throw usage('give it one object: durable-outbox cost customers/acme')
  const target = parseTarget(place)
  const batching = {
    lingerMs: positive('--linger', values.linger, LINGER_MS),
    maxBatchEvents: positive('--batch', values.batch, BATCH_EVENTS),
  }
  const events = await readEvents(WorkerClient.of(values, io), target, positive('--events', values.events, EVENTS))
  if (events.length === 0)
    throw usage(`${place} keeps no events to estimate from; see durable-outbox outbox ${place} stats`)
  const estimate = estimateCost(events, batching)
  if (values.json) printJSON(estimate, io)
  else for (const line of describe(place, estimate)) io.line(line)
  return 0
}

/** The newest events of an object's log, in LSN order. */
async function readEvents(client: WorkerClient, target: Target, limit: number): Promise<LoggedEvent[]> {
  const { lastLSN, captured } = readAnswer(statsSchema, await client.call(target, 'stats'))
  const first = Math.max(1, lastLSN - limit + 1)
  const pages = readPages((from = first) => client.call(target, 'list', { from, limit: PAGE_EVENTS }), true)
  const events: LoggedEvent[] = []
  for await (const { items } of pages)
    for (const { txid, timestamp, table } of readAnswer(z.array(eventSchema), items))
      events.push({ txid, timeMs: Date.parse(timestamp), isCaptured: table !== undefined && table in captured })
  return events
}

function describe(place: string, estimate: CostEstimate): string[] {
  const { events, transactions, batches, rows, rowsPerEvent, dollarsPerMillionEvents, spanMs } = estimate
  const lines = [
    `${place}: ${count(events, 'event', 'events')} in ${count(transactions, 'transaction', 'transactions')}, which left in about ${count(batches, 'batch', 'batches')}`,
    `about ${count(rows, 'row', 'rows')} written beside your own: ${rowsPerEvent.toFixed(2)} an event, $${dollarsPerMillionEvents.toFixed(2)} per million events`,
  ]
  if (spanMs === 0) return lines
  const perMonth = MONTH_MS / spanMs
  const [monthlyEvents, monthlyRows] = [Math.round(events * perMonth), Math.round(rows * perMonth)]
  const dollars = ((monthlyRows / 1e6) * dollarsPerMillionEvents) / rowsPerEvent
  return [
    ...lines,
    `at this rate: ${count(monthlyEvents, 'event', 'events')} and ${count(monthlyRows, 'row', 'rows')} a month, $${dollars.toFixed(2)} beyond the 50 million rows that the plan includes`,
  ]
}

function positive(option: string, text: string | undefined, otherwise: number): number {
  return text === undefined ? otherwise : wholeNumber(option, text, 1)
}
