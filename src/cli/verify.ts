// durable-outbox verify: proves from the table that everything that was committed is in it, once.

import { type Command, type ExitCode, type IO, parseOptions, usage } from './command.ts'
import { checkLake, LAKE_HELP, LAKE_OPTIONS } from './local-lake.ts'
import { printJSON } from './output.ts'
import { checkUntil } from './verify/check-table.ts'
import { askFleet, fleetProblem } from './verify/fleet.ts'
import { askAround, lakeProblem } from './verify/lake.ts'
import { CLOCK_BACK_SECONDS } from './verify/logs.ts'
import { Outboxes, parseClasses } from './verify/outboxes.ts'
import { jsonOf, printReport } from './verify/print.ts'
import { TOKEN_HELP, WORKER_OPTIONS, WorkerClient } from './worker.ts'

/** Holes of a log that are shown. */
const HOLES_SHOWN_MAX = 10
const DEFAULT_WAIT_SECONDS = 15
const WAIT_SECONDS_MAX = 3_600

/** The options of a check, for every command that makes one, and their help. */
export const CHECK_OPTIONS = {
  ...LAKE_OPTIONS,
  ...WORKER_OPTIONS,
  class: { type: 'string', multiple: true },
  wait: { type: 'string' },
  json: { type: 'boolean' },
} as const
export const CHECK_HELP = `\
${TOKEN_HELP}
  --class <A>=<b>   the class DO/<A> is <b> in its routes; default: <A> in lower case. Repeatable
  --wait <seconds>  how long the lake may take to land what was delivered; default: ${DEFAULT_WAIT_SECONDS}
${LAKE_HELP}`

const HELP = `Usage: durable-outbox verify [options]

Checks each log in the table of the local lake: a source of an ns in one epoch. No event may be
missing or be there twice, the watermarks of the table must be right, and each file of the table
must be in the bucket, with the bytes that were checked. The table alone is enough for that. Exit
code 0 means that it is proven, 1 that it is not.

With --url it also asks the outbox of each log how far it has delivered: customers/acme for the
source DO/Customers of the ns acme; and the lake what it has committed and what waits in it. It is a
failure if the bucket has an older table, if something waits for longer than the lake's freshnessMs,
if the lake can't be asked, or if the fleet knows an object of which nothing has landed. Events that
were emitted without an outbox have no place in a log; they are checked for ids that are there
twice. An event that is over
${CLOCK_BACK_SECONDS} s older than the one before it is a note, not a failure.

  --url <url>       a Worker that mounts outboxRoutes at /admin/outbox, and lakeRoutes at /lake
${CHECK_HELP}
  --deep            copy every file of the table from the bucket again, and read it to its end
  --json            print the report as JSON

Example: durable-outbox verify --url http://localhost:8787
`

export const verifyCommand: Command = {
  name: 'verify',
  summary: 'prove from the table that no event is missing and none is there twice',
  help: HELP,
  run: runVerify,
}

const OUTBOX_FLAGS = ['token', 'class', 'wait'] as const

async function runVerify(args: readonly string[], io: IO): Promise<ExitCode> {
  const values = parseOptions(args, { ...CHECK_OPTIONS, deep: { type: 'boolean' } })
  const lost = OUTBOX_FLAGS.find((flag) => values.url === undefined && values[flag] !== undefined)
  if (lost !== undefined) throw usage(`--${lost} needs --url`)
  const client = values.url === undefined ? undefined : WorkerClient.of(values, io)
  const outboxes = client && new Outboxes(client, parseClasses(values.class))
  const inTable = new Set<string>()
  const options = {
    lake: values,
    isDeep: values.deep ?? false,
    outboxes,
    inTable,
    maxHoles: HOLES_SHOWN_MAX,
    waitMs: readWait(values.wait),
  }
  await checkLake(values, io)
  const check = () => checkUntil({ ...options, isEnough: ({ notLanded }) => notLanded === 0 }, io)
  const found = client === undefined ? { ...(await check()), lake: undefined } : await askAround(client, check)
  if (client === undefined) io.note('the table alone was checked; with --url the lake is asked too what waits in it')
  const { lake, ...checked } = found
  const fleet = client && outboxes && (await askFleet(client, outboxes, inTable))
  const isProven = checked.isProven && lakeProblem(lake) === undefined && fleetProblem(fleet) === undefined
  const report = {
    ...checked,
    isProven,
    ...(lake !== undefined && { lake }),
    ...(fleet !== undefined && { fleet }),
  }
  if (values.json) printJSON(jsonOf(report), io)
  else await printReport(report, io)
  return report.isProven ? 0 : 1
}

/** @returns milliseconds. */
export function readWait(text = String(DEFAULT_WAIT_SECONDS)): number {
  if (/^\d{1,4}$/.test(text) && Number(text) <= WAIT_SECONDS_MAX) return Number(text) * 1_000
  throw usage(`--wait is a number of seconds from 0 to ${WAIT_SECONDS_MAX}, not "${text}"`)
}
