// durable-outbox reconcile: has the outboxes send again what the table lacks, and checks that it has landed.

import type { RepairOutcome } from '../lake/upkeep/repair.ts'
import { type Command, type ExitCode, type IO, parseOptions } from './command.ts'
import { checkLake } from './local-lake.ts'
import { printJSON, printTable } from './output.ts'
import { type Need, planOf, portionsOf } from './reconcile/plan.ts'
import { type Replayed, replayRange } from './reconcile/replay.ts'
import { count } from './values.ts'
import { CHECK_HELP, CHECK_OPTIONS, readWait } from './verify.ts'
import { checkUntil, type CheckOptions, type Report } from './verify/check-table.ts'
import { showRanges } from './verify/findings.ts'
import { logName, Outboxes, parseClasses, sourceIn } from './verify/outboxes.ts'
import { jsonOf, printReport, verdictOf } from './verify/print.ts'
import { DEFAULT_URL, type NoRoute, WorkerClient } from './worker.ts'

/** How long the lake may take to land what it buffers, before that counts as lost: it commits every two seconds. */
const BUFFERED_MS = 6_000
/** Holes of a log that one run closes. */
export const HOLES_MAX = 1_000

/** The line that a Worker with a lake needs. */
const MOUNT = "app.route('/lake', lakeRoutes<Env>((env) => env.EVENTS_PIPELINE)), from durable-outbox/admin"

const HELP = `Usage: durable-outbox reconcile [options]

Repairs the table of the local lake. It checks the table and the outboxes as verify --url does, has
each outbox send again what the table lacks, waits until that has landed, and checks again. What an
outbox no longer keeps is reported. Before all that, the lake looks for rows that its table has lost
since they landed.

  --dry-run         print what would be sent again, and change nothing
  --url <url>       a Worker that mounts outboxRoutes at /admin/outbox and lakeRoutes at /lake;
                    default: where wrangler dev listens, ${DEFAULT_URL} or its dev.port
${CHECK_HELP}
  --json            print the ranges and both reports as JSON

Example: durable-outbox reconcile --dry-run
`

export const reconcileCommand: Command = {
  name: 'reconcile',
  summary: 'have the outboxes send again what is missing in the table',
  help: HELP,
  run: runReconcile,
}

/** A log whose missing events were, or would be, sent again. */
export interface Step extends Need {
  readonly outcome?: Replayed
}

/** What it takes to have the outboxes send again what is missing. */
export interface Repair {
  readonly client: WorkerClient
  readonly check: CheckOptions & { readonly waitMs: number }
}

async function runReconcile(args: readonly string[], io: IO): Promise<ExitCode> {
  const values = parseOptions(args, { ...CHECK_OPTIONS, 'dry-run': { type: 'boolean' } })
  const { json = false, 'dry-run': isDry = false } = values
  const classes = parseClasses(values.class)
  const client = WorkerClient.of(values, io)
  const waitMs = readWait(values.wait)
  const check = { lake: values, outboxes: new Outboxes(client, classes), maxHoles: HOLES_MAX, waitMs }
  await checkLake(values, io)
  // Nobody can read a table with a file that is gone, so the lake comes first.
  if (!isDry) noteRepair(await client.repair([]), io)
  const before = await checkDelivered({ client, check }, io)
  const needs = planOf(before, classes)
  if (isDry) return finish({ steps: needs, before }, json, io)
  return finish(await sendAgain({ client, check }, { needs, before }, io), json, io)
}

/** Checks the table once what the lake buffers has landed. */
export function checkDelivered({ client, check }: Repair, io: IO): Promise<Report> {
  const isLakeIdle = async () => {
    const { bufferedEvents, heldEvents } = await client.lakeStatus()
    return bufferedEvents + heldEvents === 0
  }
  return checkUntil(
    {
      ...check,
      waitMs: Math.min(check.waitMs, BUFFERED_MS),
      isEnough: ({ notLanded }) => notLanded === 0,
      // A Worker without lakeRoutes can't be asked.
      isLakeIdle: () => isLakeIdle().catch(() => false),
    },
    io,
  )
}

interface Outcome {
  readonly steps: readonly Step[]
  readonly before: Report
  readonly after?: Report
}

/** Has each outbox send again what its log lacks, and checks until it has landed. */
export async function sendAgain(
  { client, check }: Repair,
  { needs, before }: { needs: readonly Need[]; before: Report },
  io: IO,
): Promise<Outcome> {
  for (const portion of portionsOf(needs)) await client.repair(portion)
  const steps: Step[] = []
  for (const need of needs) {
    const outcome = await replayAll(client, need)
    steps.push({ ...need, ...(outcome !== undefined && { outcome }) })
    if (outcome !== undefined) io.note(`${logName(need)}: ${count(outcome.replayed, 'event', 'events')} sent again`)
  }
  const replayed = steps.reduce((sum, { outcome }) => sum + (outcome?.replayed ?? 0), 0)
  const left = missingIn(before) - replayed
  return { steps, before, after: await checkUntil({ ...check, isEnough: (report) => missingIn(report) <= left }, io) }
}

async function replayAll(client: WorkerClient, { target, ranges }: Need): Promise<Replayed | undefined> {
  if (target === undefined) return undefined
  let all: Replayed = { replayed: 0, notKept: [] }
  for (const range of ranges) {
    const { replayed, notKept } = await replayRange(client, target, range)
    all = { replayed: all.replayed + replayed, notKept: [...all.notKept, ...notKept] }
  }
  return all
}

function missingIn({ missing, notLanded }: Report): number {
  return missing + notLanded
}

function noteRepair(outcome: RepairOutcome | NoRoute, io: IO): void {
  if ('noRoute' in outcome)
    io.note(
      `${outcome.noRoute} The lake still takes lost rows for landed ones, and will drop them when they are sent again: ${MOUNT}`,
    )
  else if (outcome.goneFiles > 0)
    io.note(
      `${count(outcome.goneFiles, 'data file was', 'data files were')} gone from the bucket, and removed from the table`,
    )
}

async function finish({ steps, before, after }: Outcome, isJSON: boolean, io: IO): Promise<ExitCode> {
  if (isJSON) {
    const reports = { before: jsonOf(before), ...(after && { after: jsonOf(after) }) }
    printJSON({ isDryRun: after === undefined, steps, ...reports }, io)
  } else {
    await printSteps(steps, io)
    io.line(after === undefined ? verdictOf(before) : `before: ${verdictOf(before)}`)
    if (after !== undefined) await printReport(after, io)
  }
  return (after ?? before).isProven ? 0 : 1
}

export async function printSteps(steps: readonly Step[], io: IO): Promise<void> {
  const columns = ['ns', 'source', 'epoch', 'missing', 'from', 'result']
  async function* rows() {
    yield steps.map((step) => {
      const { ns, epoch, ranges, target, refusal, outcome } = step
      const place = target === undefined ? null : `${target.className}/${target.object}`
      return [ns, sourceIn(step), epoch, showRanges(ranges), place, refusal ?? describe(outcome)]
    })
  }
  await printTable({ columns, rows }, io, steps.length)
}

function describe(outcome: Replayed | undefined): string {
  if (outcome === undefined) return 'would be sent again'
  const { replayed, notKept } = outcome
  return `${replayed} sent again${notKept.length === 0 ? '' : `; no longer kept: ${showRanges(notKept)}`}`
}
