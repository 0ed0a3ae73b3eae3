// durable-outbox verify: whether everything that was committed is in the table, once.

import { CDCError } from '../error.ts'
import { AdminClient, RefusedError } from './admin-client.ts'
import { type Command, type ExitCode, type IO, parseCommandLine } from './command.ts'
import { printable } from './output.ts'
import { checkUntil } from './verify/check-table.ts'
import { CLOCK_BACK_SECONDS } from './verify/logs.ts'
import { Outboxes, parseClasses } from './verify/outboxes.ts'
import { printReport, printReportAsJSON } from './verify/print.ts'

/** Holes of a log that are shown. */
const HOLES_SHOWN_MAX = 10
const DEFAULT_WAIT_SECONDS = 15
const WAIT_SECONDS_MAX = 3_600

const HELP = `Usage: durable-outbox verify [--json] [--state <dir>] [--config <file>] [--url <url> [options]]

Checks from the table of the local lake alone that in each log, which is a source in one epoch, no event is missing and
none is there twice, and that what the table says of its logs is so. Exits with 0 where that is proven, with 1 where it
is not.

With --url it also asks the outbox of each log how far it has delivered. acme/DO/Customers is asked as customers/acme.
Events that were emitted without an outbox have no place in a log: they are looked through for ids that are there twice.
An event that is over ${CLOCK_BACK_SECONDS} s older than the one before is noted, and is no failure.

  --url <url>       a Worker that mounts outboxRoutes at /admin/outbox
  --token <token>   its ADMIN_TOKEN; better in the environment, as ADMIN_TOKEN, where no list of processes shows it
  --class <A>=<b>   the class DO/<A> is <b> in its routes; without it, <A> in lower case. Repeatable
  --wait <seconds>  how long the lake may take to land what was delivered; without it, ${DEFAULT_WAIT_SECONDS}
  --state <dir>     the state directory of the lake, as for query
  --config <file>   the wrangler configuration, as for query
  --json            print the report as JSON

Example: durable-outbox verify --url http://localhost:8787
`

export const verifyCommand: Command = {
  name: 'verify',
  summary: 'prove from the table that no event is missing and none is there twice',
  help: HELP,
  run: runVerify,
}

/** The options of a check, for every command that makes one. */
export const CHECK_OPTIONS = {
  state: { type: 'string' },
  config: { type: 'string' },
  url: { type: 'string' },
  token: { type: 'string' },
  class: { type: 'string', multiple: true },
  wait: { type: 'string' },
  json: { type: 'boolean' },
} as const

const OUTBOX_FLAGS = ['token', 'class', 'wait'] as const

async function runVerify(args: readonly string[], io: IO): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine('verify', args, CHECK_OPTIONS)
  if (positionals.length > 0) throw usage('verify', `it does not take "${positionals[0]}"`)
  const lost = OUTBOX_FLAGS.find((flag) => values.url === undefined && values[flag] !== undefined)
  if (lost !== undefined) throw usage('verify', `--${lost} goes with --url`)
  const { url, token, class: classes = [], wait, json, ...lake } = values
  const outboxes =
    url === undefined
      ? undefined
      : new Outboxes(new AdminClient(url, tokenOf(token, io)), parseClasses('verify', classes))
  const options = { lake, outboxes, maxHoles: HOLES_SHOWN_MAX, waitMs: readWait('verify', wait) }
  const report = await explained(checkUntil({ ...options, isEnough: ({ notLanded }) => notLanded === 0 }, io))
  if (json) printReportAsJSON(report, io)
  else await printReport(report, io)
  return report.isProven ? 0 : 1
}

export function tokenOf(token: string | undefined, io: IO): string | undefined {
  return (token ?? io.env['ADMIN_TOKEN'])?.trim() || undefined
}

/** @returns milliseconds. */
export function readWait(command: string, text = String(DEFAULT_WAIT_SECONDS)): number {
  if (/^\d{1,4}$/.test(text) && Number(text) <= WAIT_SECONDS_MAX) return Number(text) * 1_000
  throw usage(command, `--wait is a number of seconds from 0 to ${WAIT_SECONDS_MAX}, not "${text}"`)
}

/** Says what to do where the Worker lets nobody in, and where the table names a file that is gone. */
export async function explained<T>(checking: Promise<T>): Promise<T> {
  try {
    return await checking
  } catch (error) {
    if (error instanceof CDCError && error.code === 'not-found')
      throw new Error(`${error.message}; see durable-outbox reconcile --help`, { cause: error })
    if (!(error instanceof RefusedError)) throw error
    const hint = error.code === 'unauthorized' ? ' (give the token as ADMIN_TOKEN in the environment, or --token)' : ''
    throw new Error(`${printable(error.message)}${hint}`, { cause: error })
  }
}

export function usage(command: string, problem: string): CDCError {
  return new CDCError('invalid-argument', `${command}: ${problem}; see durable-outbox ${command} --help`)
}
