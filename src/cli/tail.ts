// durable-outbox tail: prints events as they happen, of one object as they commit, or of all objects as they land.

import { CDCError } from '../error.ts'
import { type Command, type ExitCode, type IO, parseCommandLine, usage, wholeNumber } from './command.ts'
import { LAKE_OPTIONS, LocalLake } from './local-lake.ts'
import { followLake, type LandedRow } from './tail/follow-lake.ts'
import { type Followed, followObject } from './tail/follow-object.ts'
import { parseTime, safeJSON } from './values.ts'
import { DEFAULT_URL, parseTarget, TOKEN_HELP, WORKER_OPTIONS, WorkerClient } from './worker.ts'
import { CONFIG_HELP } from './wrangler-config.ts'

const HELP = `Usage: durable-outbox tail <class>/<object> [options]
       durable-outbox tail [options]

Prints the events of one object of a Worker that mounts tailRoutes at /tail: each once it has
committed, in the order of its log. It connects again when the connection is lost, and continues
where it was. Without an object, it prints the events of all objects as they land in the local lake:
one to four seconds after they were committed.

  --from <lsn>      begin with this LSN, and not with the next event: what has left the object
                    comes from the lake
  --after <cursor>  begin after this cursor, <epoch>/<lsn>; without an object, after this time of
                    arrival, such as 2026-11-22T12:00:00Z
  --filter <name>=<value>
                    only these events, by type, store, table or key (repeatable); without an
                    object, by any column of the table
  --json            one JSON object per line: the event, or without an object the row of the table
  --url <url>       the Worker; default: where wrangler dev listens, ${DEFAULT_URL} or
                    its dev.port in the wrangler configuration
${TOKEN_HELP}
${CONFIG_HELP}
  --state <dir>     without an object: the state directory of wrangler dev, its --persist-to

Ctrl-C ends it.

Example: durable-outbox tail customers/acme --from 1 --filter type=Customer.created
`

const OPTIONS = {
  ...WORKER_OPTIONS,
  ...LAKE_OPTIONS,
  from: { type: 'string' },
  after: { type: 'string' },
  filter: { type: 'string', multiple: true },
  json: { type: 'boolean' },
} as const

type Values = ReturnType<typeof parse>['values']

export const tailCommand: Command = {
  name: 'tail',
  summary: 'print events as they happen: of one object, or of all as they land',
  help: HELP,
  run: runTail,
}

async function runTail(args: readonly string[], io: IO): Promise<ExitCode> {
  const { values, positionals } = parse(args)
  const [place, more] = positionals
  if (more !== undefined) throw usage(`one object was expected, and then "${more}"`)
  if (values.from !== undefined && values.after !== undefined) throw usage('--from excludes --after')
  return place === undefined ? tailLake(values, io) : tailObject(place, values, io)
}

function parse(args: readonly string[]) {
  return parseCommandLine(args, OPTIONS)
}

async function tailObject(place: string, values: Values, io: IO): Promise<ExitCode> {
  if (values.state !== undefined) throw usage('--state is for a tail of all objects')
  const { from, after } = values
  const query = {
    ...filterOf(values),
    ...(from !== undefined && { from: String(wholeNumber('--from', from, 1)) }),
    ...(after !== undefined && { after }),
  }
  const client = WorkerClient.of(values, io)
  const following = { client, target: parseTarget(place), query, signal: io.interruption(), note: io.note }
  for await (const followed of followObject(following)) print(followed, values, io)
  return 0
}

function print(followed: Followed, { json }: Values, io: IO): void {
  if ('began' in followed) return io.note(`the log begins anew, with epoch ${followed.began}`)
  const { event } = followed
  if (json) return io.data(`${safeJSON(event)}\n`)
  io.line(lineOf(event, String(event.lsn)))
}

async function tailLake(values: Values, io: IO): Promise<ExitCode> {
  const foreign = (['from', 'url', 'token'] as const).find((option) => values[option] !== undefined)
  if (foreign !== undefined) throw usage(`--${foreign} needs an object: durable-outbox tail customers/acme`)
  const { after } = values
  if (after !== undefined && parseTime(after) === undefined)
    throw usage(`--after ${after} is not a time, such as 2026-11-22T12:00:00Z`)
  const lake = new LocalLake(values, io)
  try {
    const following = { lake, after, filter: filterOf(values), signal: io.interruption() }
    for await (const row of followLake(following)) printRow(row, values, io)
    return 0
  } finally {
    await lake.close()
  }
}

function printRow(row: LandedRow, { json }: Values, io: IO): void {
  if (json) return io.data(`${safeJSON(row)}\n`)
  io.line(lineOf(row, `${textOf(row['source'])} ${textOf(row['lsn'])}`))
}

/** What one sees of an event on a terminal: where it stands, when and what it was, and what it says. */
function lineOf(event: Readonly<Record<string, unknown>>, place: string): string {
  const about = [event['table'] ?? event['table_url'], event['key']].map(textOf).filter((text) => text !== '')
  const content = textOf(event['data'] ?? event['after'] ?? event['before'])
  return [place, textOf(event['timestamp']), textOf(event['type']), about.join('/'), content]
    .filter((text) => text !== '')
    .join('  ')
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'string' ? value : safeJSON(value)
}

function filterOf({ filter = [] }: Values): Record<string, string> {
  return Object.fromEntries(
    filter.map((text) => {
      const [, name, value] = /^(\w+)=([^]+)$/.exec(text) ?? []
      if (name === undefined || value === undefined)
        throw new CDCError(
          'invalid-argument',
          `--filter is <name>=<value>, such as type=Customer.created, not "${text}"`,
        )
      return [name, value]
    }),
  )
}
