// durable-outbox recover: has the lake rebuild what is damaged of its table and of its own database, and then the outboxes send
// again what no file holds any more.

import { type Command, type ExitCode, type IO, parseOptions } from './command.ts'
import { checkLake } from './local-lake.ts'
import { printJSON } from './output.ts'
import { checkDelivered, HOLES_MAX, printSteps, sendAgain, type Step } from './reconcile.ts'
import { planOf } from './reconcile/plan.ts'
import { count } from './values.ts'
import { CHECK_HELP, CHECK_OPTIONS, readWait } from './verify.ts'
import type { Report } from './verify/check-table.ts'
import { Outboxes, parseClasses } from './verify/outboxes.ts'
import { jsonOf, printReport } from './verify/print.ts'
import { DEFAULT_URL, type RecoverOutcome, WorkerClient } from './worker.ts'

const HELP = `Usage: durable-outbox recover [--yes] [options]

Heals a lake whose table or database is damaged: files of the table that are gone or not valid, and
a bucket or a database that was restored from an older copy, or is lost. Without --yes it only
reports what it would do. With it, the lake rebuilds its table from what the bucket and its database
still hold, each event once, and each outbox sends again what no file holds any more.

It must be one lake's own table: if two lakes write to one location, stop one of them first. Exit
code 0 means that nothing is wrong, or with --yes that the table is proven afterwards.

  --yes             do it
  --url <url>       a Worker that mounts outboxRoutes at /admin/outbox and lakeRoutes at /lake;
                    default: ${DEFAULT_URL} (wrangler dev)
${CHECK_HELP}
  --json            print what was found, the ranges and both reports as JSON

Example: durable-outbox recover --yes
`

export const recoverCommand: Command = {
  name: 'recover',
  summary: 'rebuild a table or a lake that is damaged or from an older copy',
  help: HELP,
  run: runRecover,
}

/** What was sent again, and the table before and after. */
interface Sent {
  readonly steps: readonly Step[]
  readonly before: Report
  readonly after?: Report
}

async function runRecover(args: readonly string[], io: IO): Promise<ExitCode> {
  const values = parseOptions(args, { ...CHECK_OPTIONS, yes: { type: 'boolean' } })
  const { json = false, yes: isMeant = false } = values
  const classes = parseClasses(values.class)
  const client = WorkerClient.of(values, io)
  const waitMs = readWait(values.wait)
  await checkLake(values, io)
  const outcome = await client.recover(!isMeant)
  if (!json) printOutcome(outcome, io)
  if (!isMeant) {
    if (json) printJSON({ isDryRun: true, ...outcome }, io)
    return needsRecovery(outcome) ? 1 : 0
  }
  const check = { lake: values, outboxes: new Outboxes(client, classes), maxHoles: HOLES_MAX, waitMs }
  const before = await checkDelivered({ client, check }, io)
  const needs = planOf(before, classes)
  const sent: Sent =
    needs.length === 0 ? { steps: [], before } : await sendAgain({ client, check }, { needs, before }, io)
  return finish(outcome, sent, json, io)
}

async function finish(outcome: RecoverOutcome, sent: Sent, isJSON: boolean, io: IO): Promise<ExitCode> {
  const { steps, before, after } = sent
  if (isJSON) {
    const reports = { before: jsonOf(before), ...(after && { after: jsonOf(after) }) }
    printJSON({ isDryRun: false, ...outcome, steps, ...reports }, io)
  } else {
    if (steps.length > 0) await printSteps(steps, io)
    await printReport(after ?? before, io)
  }
  return (after ?? before).isProven ? 0 : 1
}

function needsRecovery({ faults, disagreement }: RecoverOutcome): boolean {
  return faults.length > 0 || disagreement !== undefined
}

function printOutcome(outcome: RecoverOutcome, io: IO): void {
  const { faults, disagreement, keptFiles, rescuedEvents, events, lostEvents, version, isDone } = outcome
  for (const { file, problem } of faults) io.line(`${file} ${problem}`)
  if (disagreement !== undefined) io.line(disagreement)
  if (!needsRecovery(outcome)) {
    io.line(`the table and the lake agree, at version ${version}, and all files are valid: there is nothing to recover`)
    return
  }
  const rescued = rescuedEvents === 0 ? '' : `, ${rescuedEvents} of them written again`
  const files = count(keptFiles, 'data file stays', 'data files stay')
  io.line(`${files}; the table ${isDone ? 'has' : 'would have'} ${count(events, 'event', 'events')}${rescued}`)
  if (lostEvents > 0)
    io.line(
      `${count(lostEvents, 'event has', 'events have')} landed once and ${lostEvents === 1 ? 'is' : 'are'} in no file: ` +
        `the outboxes ${isDone ? 'send' : 'would send'} again what they keep`,
    )
  io.line(isDone ? `rebuilt, as version ${version}` : 'nothing was changed; --yes does it')
}
