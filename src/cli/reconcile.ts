// durable-outbox reconcile: has the outboxes send again what is missing in the table, and checks that it has landed.

import type { RepairOutcome } from '../lake/upkeep/repair.ts'
import { AdminClient } from './admin-client.ts'
import { type Command, type ExitCode, type IO, parseCommandLine } from './command.ts'
import { printable, writeTable } from './output.ts'
import { LakeClient } from './reconcile/lake-client.ts'
import { type Need, planOf, portionsOf } from './reconcile/plan.ts'
import { type Replayed, replayRange } from './reconcile/replay.ts'
import { CHECK_OPTIONS, explained, readWait, tokenOf, usage } from './verify.ts'
import { checkUntil, type CheckOptions, type Report } from './verify/check-table.ts'
import { count, showRanges } from './verify/findings.ts'
import { Outboxes, parseClasses } from './verify/outboxes.ts'
import { jsonOf, printReport, verdictOf } from './verify/print.ts'

const DEFAULT_URL = 'http://localhost:8787'
/** How long the lake may take to land what it holds, before it is taken for lost: it commits every two seconds. */
const BUFFERED_MS = 6_000
/** Holes of a log that one run closes. */
const HOLES_MAX = 1_000

const HELP = `Usage: durable-outbox reconcile [--dry-run] [--json] [--state <dir>] [--config <file>] [--url <url>] [options]

Heals the table of the local lake. It checks the table and the outboxes as verify --url does; has each outbox send again
what the table lacks, as far as the outbox still keeps it; waits until that has landed, and checks again. What is not
kept any more is said. The lake is told first to look for what it remembers and its table does not hold.

  --dry-run         say what would be asked for, and change nothing
  --url <url>       a Worker that mounts outboxRoutes at /admin/outbox; without it, ${DEFAULT_URL} (npm run dev)
  --token <token>   its ADMIN_TOKEN; better in the environment, as ADMIN_TOKEN
  --class <A>=<b>   the class DO/<A> is <b> in its routes, as for verify
  --wait <seconds>  how long the lake may take to land what was sent, as for verify
  --state <dir>     the state directory of the lake, as for query
  --config <file>   the wrangler configuration, as for query
  --json            print the ranges and both reports as JSON

Example: durable-outbox reconcile --dry-run
`

export const reconcileCommand: Command = {
  name: 'reconcile',
  summary: 'have the outboxes send again what is missing in the table',
  help: HELP,
  run: (args, io) => explained(runReconcile(args, io)),
}

interface Step extends Need {
  readonly outcome?: Replayed
}

interface Healing {
  readonly client: AdminClient
  readonly lake: LakeClient
  readonly check: CheckOptions & { readonly waitMs: number }
  readonly json: boolean
}

async function runReconcile(args: readonly string[], io: IO): Promise<ExitCode> {
  const { values, positionals } = parseCommandLine('reconcile', args, {
    ...CHECK_OPTIONS,
    'dry-run': { type: 'boolean' },
  })
  if (positionals.length > 0) throw usage('reconcile', `it does not take "${positionals[0]}"`)
  const { url = DEFAULT_URL, state, config, json = false, 'dry-run': isDry = false } = values
  const token = tokenOf(values.token, io)
  const classes = parseClasses('reconcile', values.class ?? [])
  const client = new AdminClient(url, token)
  const lake = new LakeClient(url, token)
  const outboxes = new Outboxes(client, classes)
  const waitMs = readWait('reconcile', values.wait)
  const check = { lake: { state, config }, outboxes, maxHoles: HOLES_MAX, waitMs }
  // A table with a file that is gone cannot be read by anybody, so the lake comes first.
  if (!isDry) noteGoneFiles(await lake.repair([]), io)
  const before = await checkUntil(
    { ...check, waitMs: Math.min(waitMs, BUFFERED_MS), isEnough: ({ notLanded }) => notLanded === 0 },
    io,
  )
  const needs = planOf(before, classes)
  if (isDry) return finish({ steps: needs, before }, json, io)
  return finish(await heal({ client, lake, check, json }, { needs, before }, io), json, io)
}

interface Outcome {
  readonly steps: readonly Step[]
  readonly before: Report
  readonly after?: Report
}

async function heal(
  { client, lake, check }: Healing,
  { needs, before }: { needs: readonly Need[]; before: Report },
  io: IO,
): Promise<Outcome> {
  for (const portion of portionsOf(needs)) await lake.repair(portion)
  const steps: Step[] = []
  for (const need of needs) {
    const outcome = await replayAll(client, need)
    steps.push({ ...need, ...(outcome !== undefined && { outcome }) })
    if (outcome !== undefined)
      io.stderr(`${printable(need.source)}: ${count(outcome.replayed, 'event', 'events')} sent again\n`)
  }
  const replayed = steps.reduce((sum, { outcome }) => sum + (outcome?.replayed ?? 0), 0)
  const left = missingIn(before) - replayed
  return { steps, before, after: await checkUntil({ ...check, isEnough: (report) => missingIn(report) <= left }, io) }
}

async function replayAll(client: AdminClient, { target, ranges }: Need): Promise<Replayed | undefined> {
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

function noteGoneFiles(outcome: RepairOutcome | undefined, io: IO): void {
  const { goneFiles = 0 } = outcome ?? {}
  if (goneFiles > 0)
    io.stderr(`${count(goneFiles, 'data file was', 'data files were')} gone from the bucket, and left the table\n`)
}

async function finish({ steps, before, after }: Outcome, isJSON: boolean, io: IO): Promise<ExitCode> {
  if (isJSON) {
    const value = {
      isDryRun: after === undefined,
      steps,
      before: jsonOf(before),
      ...(after && { after: jsonOf(after) }),
    }
    io.stdout(`${JSON.stringify(value, null, 2)}\n`)
  } else {
    await printSteps(steps, io)
    if (after === undefined) io.stdout(`${verdictOf(before)}\n`)
    else {
      io.stdout(`before: ${verdictOf(before)}\n`)
      await printReport(after, io)
    }
  }
  return (after ?? before).isProven ? 0 : 1
}

async function printSteps(steps: readonly Step[], io: IO): Promise<void> {
  const columns = ['source', 'epoch', 'missing', 'from', 'came of it']
  async function* rows() {
    yield steps.map(({ source, epoch, ranges, target, refusal, outcome }) => {
      const place = target === undefined ? null : `${target.className}/${target.object}`
      return [source, epoch, showRanges(ranges), place, refusal ?? describe(outcome)]
    })
  }
  await writeTable({ columns, keys: columns, rows }, io.stdout, { width: io.columns, maxRows: steps.length })
}

function describe(outcome: Replayed | undefined): string {
  if (outcome === undefined) return 'would be asked for'
  const { replayed, notKept } = outcome
  return `${replayed} sent again${notKept.length === 0 ? '' : `; not kept any more: ${showRanges(notKept)}`}`
}
