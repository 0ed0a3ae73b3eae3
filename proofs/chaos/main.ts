// npm run chaos -- [--kills 60] [--seconds N] [--seed N] [--objects 12] [--shards N] [--catalog rest] [--json]: kills workerd
// again and again while clients work, the pipeline misbehaves and the disk is full; from 25 kills on, files are also put back to
// earlier copies, and the lake is healed. Then everything that was committed must be in the table, once, in order. With --shards
// the lake has so many, and in some lives another number; with --catalog rest its table is in a catalog that misbehaves too. With
// --json the last line of stdout is an object with the result.

import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import * as z from 'zod'
import { BAR_OPTIONS, Output } from '../harness/output.ts'
import { bundleWorker, Runtime } from '../harness/runtime.ts'
import { FAILED, makeChaosDirectory, runToEnd } from './run-to-end.ts'
import { startCatalog } from './catalog.ts'
import { CELLARS, Cellars, describeCellars } from './cellars.ts'
import { check, type Verdict, type Witness } from './check.ts'
import { Client } from './client.ts'
import { mountDisk } from './disk.ts'
import { Findings } from './findings.ts'
import { Gate } from './gate.ts'
import { carryOut, describeKills, type Fallen, type Kill, planKills, strike, type Surroundings } from './kills.ts'
import { Load } from './load.ts'
import type { CellarReport } from './operation.ts'
import { ADMIN_VARS, Healer, healingOf, type Restore, RESTORES } from './restores.ts'
import { phasesOf } from './phases.ts'
import { between, createRandom } from '../harness/random.ts'
import { readTable } from './table.ts'

/** Without --seconds: how long the runtime runs between two kills, on average and after its start. */
const LIFE_MS = 700
/** A start of `wrangler dev`, roughly; --seconds is reduced by it. */
const START_MS = 2_500
/** A retry waits 400 ms at most, and the lake holds for 10 s. If nothing lands for this long, on a busy machine too, nothing more will. */
const STALL_MS = 30_000
/** Once nothing waits in the lake for this long, nothing waits anywhere. */
const QUIET_MS = 2_000
const DRAIN_MS_MAX = 240_000
/** Fewer are too few for restores. */
const RESTORING_KILLS_MIN = 25
/** A restore takes a kill before the files are put back, one while the lake is healed, and one afterwards. */
const KILLS_OF_RESTORES = RESTORES.reduce((sum, restore) => sum + (healingOf(restore) === undefined ? 1 : 3), 0)

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
const disk = mountDisk(join(directory, 'disk'), join(directory, 'kept'))
const state = join(directory, 'disk', 'state')
const restores: readonly Restore[] = options.kills < RESTORING_KILLS_MIN ? [] : RESTORES
/** The last kill is one more. */
const plainKills = options.kills - 1 - (restores.length > 0 ? KILLS_OF_RESTORES : 0)
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
    CALM_FROM: String(plainKills + 1),
    KILLS: String(options.kills),
    SHARDS: String(options.shards),
    ...ADMIN_VARS,
    ...catalog?.vars,
  }
  const runtime = await Runtime.create({ ...bundle, state, vars, startsVar: 'LIFE' })
  const client = new Client(runtime.url)
  bar.start(options.kills, 0, progress)
  const watch = setInterval(() => void showLanded(client), 500)
  const run = await runLoad(runtime, client)
  clearInterval(watch)
  show('reading the table')
  const rowsOfAll = await readTable(state, join(directory, 'table'), catalog?.metadataKey())
  await catalog?.stop()
  const [cellarRows, rows] = partition(rowsOfAll, ({ ns }) => CELLARS.includes(ns))
  const findings = new Findings()
  run.cellars.check(findings, run.reports, cellarRows)
  const verdict = check(findings, run.load.told, { witnesses: run.witnesses, rows })
  bar.stop()
  report(verdict, { ...run, faults: { ...run.faults, ...catalog?.faults } })
  output.say(describeCellars(cellarRows))
  const isGood = verdict.lost + verdict.duplicated + verdict.outOfOrder + verdict.gaps === 0
  if (!isGood) console.error(`chaos: FAILED with seed ${options.seed}; the state is kept in ${directory}`)
  output.conclude(outcome(verdict, run.fallen.length))
  return isGood ? 0 : FAILED
}

interface Run {
  readonly load: Load
  readonly fallen: readonly Fallen[]
  readonly witnesses: readonly Witness[]
  readonly cellars: Cellars
  readonly reports: ReadonlyMap<string, CellarReport>
  readonly faults: Readonly<Record<string, number>>
  readonly commits: number
}

/** Load and kills, the drain, and what the objects report at the end. */
async function runLoad(runtime: Runtime, client: Client): Promise<Run> {
  const objects = Array.from({ length: options.objects }, (_, index) => `warehouse-${index + 1}`)
  const random = createRandom(options.seed, 'kills')
  const fallen: Fallen[] = []
  const gate = new Gate()
  const load = new Load({
    seed: options.seed,
    objects,
    client,
    gate,
    onAcknowledged: (operations) => (progress.acknowledged += operations),
  })
  const cellars = new Cellars(client, { gate, seed: options.seed })
  const healer = new Healer({ state, copies: join(directory, 'copies'), runtime, client, cellars, random })
  const surroundings: Surroundings = { client, disk }
  const note = (one: Fallen): void => {
    fallen.push(one)
    bar.increment(1, { note: one.at })
  }
  for (const kill of planKills(random, { kills: plainKills, lifeMs: lifeMs(), phases }))
    note(await carryOut(kill, runtime, surroundings))
  cellars.keep()
  for (const restore of restores) await putBack(restore, { healer, gate, runtime, surroundings, note })
  await runtime.start()
  await pause(lifeMs())
  await Promise.all([load.stop(), cellars.stop()])
  await cellars.takeStock()

  // The last kill leaves events behind that must land although no object receives a request.
  const ledgers = await Promise.all(objects.map((object) => client.ledger(object)))
  fallen.push(await strike(anytime(between(random, 0, 100)), runtime, surroundings))
  bar.increment(1, { note: 'draining' })
  await runtime.start()
  const expected = ledgers.flat().reduce((sum, entry) => sum + entry.events.length, 0)
  const { version } = await drain(client, expected)
  const witnesses: Witness[] = []
  for (const object of objects)
    witnesses.push({ object, ledger: await client.ledger(object), stock: await client.stock(object) })
  const reports = new Map<string, CellarReport>()
  for (const name of CELLARS) reports.set(name, await client.cellar(name))
  const faults = await client.faults()
  await runtime.kill()
  return { load, fallen, witnesses, cellars, reports, faults, commits: version }
}

interface Restoring {
  readonly healer: Healer
  readonly gate: Gate
  readonly runtime: Runtime
  readonly surroundings: Surroundings
  readonly note: (fallen: Fallen) => void
}

/** A life, after which files are put back to what they were before it; and what heals the lake, killed and run again. */
async function putBack(restore: Restore, { healer, gate, runtime, surroundings, note }: Restoring): Promise<void> {
  const putCopyBack = healer.copy(restore)
  note(await carryOut(anytime(2 * LIFE_MS), runtime, surroundings))
  putCopyBack()
  const healing = healingOf(restore)
  if (healing === undefined) return
  const wasHealing = await healer.strike(healing)
  note({ at: wasHealing ? healing : 'random', seen: undefined, wasSuspended: false })
  // The command waits until what was written has landed.
  await gate.during(() => healer.heal(healing))
  note(await strike(anytime(0), runtime, surroundings))
}

function anytime(afterMs: number): Kill {
  return { at: 'random', afterMs, suspendedMs: 0 }
}

/** Waits until everything has landed or nothing more does, and until batches that are late on purpose have arrived. */
async function drain(client: Client, expected: number): Promise<{ version: number }> {
  const deadline = Date.now() + DRAIN_MS_MAX
  let lastChangeMs = Date.now()
  for (let before = -1; ; await pause(100)) {
    const lake = await client.lake()
    const activity = await client.activity()
    const isBusy = activity.kind !== 'answer' || activity.body.ghosts + activity.body.attempts > 0
    const waiting = lake.bufferedEvents + lake.heldEvents
    if (lake.landedEvents !== before || isBusy) lastChangeMs = Date.now()
    before = lake.landedEvents
    progress.landed = lake.landedEvents
    const quietMs = Date.now() - lastChangeMs
    if (lake.landedEvents >= expected && waiting === 0 && quietMs > QUIET_MS) return lake
    if (Date.now() > deadline || quietMs > STALL_MS) return lake
  }
}

function partition<Item>(items: readonly Item[], isFirst: (item: Item) => boolean): [Item[], Item[]] {
  return [items.filter((item) => isFirst(item)), items.filter((item) => !isFirst(item))]
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
  if (disk === undefined) output.say('  the disk was never full: to mount one needs rights (unshare -rm npm run chaos)')
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
