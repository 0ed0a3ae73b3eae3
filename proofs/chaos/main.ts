// npm run chaos -- [--kills 60] [--seconds N] [--seed N] [--objects 12] [--shards N] [--catalog rest] [--json]: kills workerd
// again and again while clients work and the pipeline misbehaves. Then everything that was committed must be in the table, once,
// in order. With --shards the lake has so many, and in some lives another number; with --catalog rest its table is in a catalog
// that misbehaves too. With --json the last line of stdout is an object with the result.

import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import * as z from 'zod'
import { BAR_OPTIONS, Output } from '../harness/output.ts'
import { bundleWorker, Runtime } from '../harness/runtime.ts'
import { FAILED, makeChaosDirectory, runToEnd } from './run-to-end.ts'
import { startCatalog } from './catalog.ts'
import { check, type Verdict, type Witness } from './check.ts'
import { Client } from './client.ts'
import { carryOut, describeKills, type Fallen, planKills, strike } from './kills.ts'
import { Load } from './load.ts'
import { phasesOf } from './phases.ts'
import { between, createRandom } from '../harness/random.ts'
import { readTable } from './table.ts'

/** Without --seconds: how long the runtime runs between two kills, on average and after its start. */
const LIFE_MS = 900
/** A start of `wrangler dev`, roughly; --seconds is reduced by it. */
const START_MS = 2_500
/** A retry waits 400 ms at most, and a commit a second or two. If nothing lands for this long, on a busy machine too, nothing more will. */
const STALL_MS = 30_000
const DRAIN_MS_MAX = 240_000

const count = z.coerce.number().int()
const optionsSchema = z.object({
  kills: count.min(1).default(60),
  seconds: count.min(1).optional(),
  seed: count.min(0).default(() => Math.floor(Math.random() * 1_000_000_000)),
  objects: count.min(1).default(12),
  shards: count.min(0).default(0),
  catalog: z.enum(['own', 'rest']).default('own'),
  json: z.boolean().default(false),
})

const { values: flags } = parseArgs({
  options: {
    kills: { type: 'string' },
    seconds: { type: 'string' },
    seed: { type: 'string' },
    objects: { type: 'string' },
    shards: { type: 'string' },
    catalog: { type: 'string' },
    json: { type: 'boolean' },
  },
})
const options = optionsSchema.parse(flags)
const phases = phasesOf({ hasShards: options.shards > 0, hasOwnCatalog: options.catalog === 'own' })
const startedMs = Date.now()
const output = new Output(options.json)
const directory = makeChaosDirectory('chaos')
const state = join(directory, 'state')
const bar = new SingleBar({
  ...BAR_OPTIONS,
  format: 'chaos {bar} {value}/{total} kills | {acknowledged} acknowledged | {landed} landed | {note}',
})
const progress = { acknowledged: 0, landed: 0, note: '' }

await runToEnd({ seed: options.seed, directory, stop: () => bar.stop() }, main)

async function main(): Promise<number> {
  const bundle = await bundleWorker(join(import.meta.dirname, 'wrangler.toml'), join(directory, 'bundle'))
  const catalog = options.catalog === 'rest' ? await startCatalog(state, options.seed) : undefined
  const vars = {
    SEED: String(options.seed),
    KILLS: String(options.kills),
    SHARDS: String(options.shards),
    ...catalog?.vars,
  }
  const runtime = await Runtime.create({ ...bundle, state, vars, startsVar: 'LIFE' })
  const client = new Client(runtime.url)
  bar.start(options.kills, 0, progress)
  const watch = setInterval(() => void showLanded(client), 500)
  const run = await runLoad(runtime, client)
  clearInterval(watch)
  show('reading the table')
  const rows = await readTable(state, join(directory, 'table'), catalog?.metadataKey())
  await catalog?.stop()
  const verdict = check(run.load.told, run.witnesses, rows)
  bar.stop()
  report(verdict, { ...run, faults: { ...run.faults, ...catalog?.faults } })
  const isGood = verdict.lost + verdict.duplicated + verdict.outOfOrder + verdict.gaps === 0
  if (!isGood) console.error(`chaos: FAILED with seed ${options.seed}; the state is kept in ${directory}`)
  output.conclude(outcome(verdict, run.fallen.length))
  return isGood ? 0 : FAILED
}

interface Run {
  readonly load: Load
  readonly fallen: readonly Fallen[]
  readonly witnesses: readonly Witness[]
  readonly faults: Readonly<Record<string, number>>
  readonly commits: number
}

/** Load and kills, the drain, and what the objects report at the end. */
async function runLoad(runtime: Runtime, client: Client): Promise<Run> {
  const objects = Array.from({ length: options.objects }, (_, index) => `warehouse-${index + 1}`)
  const random = createRandom(options.seed, 'kills')
  const fallen: Fallen[] = []
  const load = new Load({
    seed: options.seed,
    objects,
    client,
    onAcknowledged: (operations) => (progress.acknowledged += operations),
  })
  for (const kill of planKills(random, { kills: options.kills - 1, lifeMs: lifeMs(), phases })) {
    fallen.push(await carryOut(kill, runtime, client))
    bar.increment(1, { note: fallen.at(-1)?.at ?? '' })
  }
  await runtime.start()
  await pause(lifeMs())
  await load.stop()

  // The last kill leaves events behind that must land although no object receives a request.
  const ledgers = await Promise.all(objects.map((object) => client.ledger(object)))
  fallen.push(await strike({ at: 'random', afterMs: between(random, 0, 100), suspendedMs: 0 }, runtime, client))
  bar.increment(1, { note: 'draining' })
  await runtime.start()
  const expected = ledgers.flat().reduce((sum, entry) => sum + entry.events.length, 0)
  const { version } = await drain(client, expected)
  const witnesses: Witness[] = []
  for (const object of objects)
    witnesses.push({ object, ledger: await client.ledger(object), stock: await client.stock(object) })
  const faults = await client.faults()
  await runtime.kill()
  return { load, fallen, witnesses, faults, commits: version }
}

/** Waits until everything has landed or nothing more does, and until batches that are late on purpose have arrived. */
async function drain(client: Client, expected: number): Promise<{ version: number }> {
  const deadline = Date.now() + DRAIN_MS_MAX
  let lastChangeMs = Date.now()
  for (let before = -1; ; await pause(100)) {
    const lake = await client.lake()
    const activity = await client.activity()
    if (lake.landedEvents !== before) lastChangeMs = Date.now()
    before = lake.landedEvents
    progress.landed = lake.landedEvents
    const isQuiet = activity.kind === 'answer' && activity.body.ghosts + activity.body.attempts === 0
    if (lake.landedEvents >= expected && lake.bufferedEvents === 0 && isQuiet) return lake
    if (Date.now() > deadline || Date.now() - lastChangeMs > STALL_MS) return lake
  }
}

function lifeMs(): number {
  if (options.seconds === undefined) return LIFE_MS
  return Math.max(200, (options.seconds * 1_000) / options.kills - START_MS)
}

async function showLanded(client: Client): Promise<void> {
  const lake = await client.lakeOnce()
  if (lake.kind === 'answer') progress.landed = lake.body.landedEvents
  bar.update(progress)
}

function show(note: string): void {
  bar.update({ ...progress, note })
}

function outcome(verdict: Verdict, kills: number) {
  const { acknowledged, committed, landed, lost, duplicated, outOfOrder, gaps } = verdict
  return {
    kills,
    acknowledged,
    committed,
    landed,
    lost,
    duplicated,
    out_of_order: outOfOrder,
    gaps,
    shards: options.shards,
    catalog: options.catalog,
    seed: options.seed,
  }
}

function report(verdict: Verdict, { load, fallen, witnesses, faults, commits }: Run): void {
  const waiting = witnesses.filter(({ stock }) => stock.pendingRows > 0 || stock.deadLetters > 0)
  output.say(`\n${fallen.length} × kill -9, over ${options.objects} objects, with seed ${options.seed}:`)
  for (const line of describeKills(fallen, phases)) output.say(`  ${line}`)
  const list = Object.entries(faults).map(([fault, times]) => `${times} × ${fault}`)
  output.say(`Faults between the objects and the table: ${list.join(', ')}`)
  for (const [complaint, times] of load.complaints) output.say(`  ${times} × a client received: ${complaint}`)
  output.say(
    `${verdict.acknowledged} operations acknowledged, ${verdict.refused} refused on purpose, ${verdict.unknown} never ` +
      `answered; ${verdict.committed} committed, with ${verdict.expected} events; ${verdict.landed} landed, ` +
      `in ${commits} commits`,
  )
  output.say(
    `${verdict.lost} lost, ${verdict.duplicated} duplicated, ${verdict.outOfOrder} out of order, ${verdict.gaps} gaps; ` +
      `${Math.round((Date.now() - startedMs) / 1_000)} s`,
  )
  for (const { object, stock } of waiting)
    output.say(
      `  ${object}: ${stock.pendingRows} rows are pending, alarm ${stock.alarm}, ${stock.deadLetters} dead letters`,
    )
  for (const problem of verdict.problems) output.say(`  ${problem}`)
}
