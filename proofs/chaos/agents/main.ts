// npm run chaos:agents -- [--kills 20] [--seed N] [--json]: kills workerd again and again while agents of the Agents SDK
// are asked for jobs. Then every job must have been carried out, and each of its events must be in the table, once.

import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { SingleBar } from 'cli-progress'
import * as z from 'zod'
import { BAR_OPTIONS, Output } from '../../harness/output.ts'
import { between, createRandom, type Random } from '../../harness/random.ts'
import { bundleWorker, Runtime } from '../../harness/runtime.ts'
import { FAILED, makeChaosDirectory, runToEnd } from '../run-to-end.ts'
import { readTable, type Row } from '../table.ts'
import { type Job, type Report, reportSchema, WAYS } from './job.ts'

const AGENTS = ['ada', 'blaise', 'charles', 'dorothy']
const CLIENTS_PER_AGENT = 2
const JOB_SECONDS_MAX = 3
const LIFE_MS_MIN = 300
const LIFE_MS_MAX = 2_500
const REQUEST_MS_MAX = 5_000
/** After the last kill: the longest job, the SDK's and the relay's retries, and the roll of the lake. */
const DRAIN_MS_MAX = 90_000

const lakeSchema = z.object({ bufferedEvents: z.number() })
const count = z.coerce.number().int()
const optionsSchema = z.object({
  kills: count.min(1).default(20),
  seed: count.min(0).default(() => Math.floor(Math.random() * 1_000_000_000)),
  json: z.boolean().default(false),
})
const { values: flags } = parseArgs({
  options: { kills: { type: 'string' }, seed: { type: 'string' }, json: { type: 'boolean' } },
})
const options = optionsSchema.parse(flags)
const output = new Output(options.json)
const directory = makeChaosDirectory('chaos-agents')
const state = join(directory, 'state')
const bar = new SingleBar({
  ...BAR_OPTIONS,
  format: 'agents {bar} {value}/{total} kills | {acknowledged} jobs acknowledged',
})

/** The jobs that each agent has acknowledged. */
const acknowledged = new Map<string, Job[]>(AGENTS.map((agent) => [agent, []]))

await runToEnd({ seed: options.seed, directory, stop: () => bar.stop() }, main)

async function main(): Promise<number> {
  const bundle = await bundleWorker(join(import.meta.dirname, 'wrangler.toml'), join(directory, 'bundle'))
  const runtime = await Runtime.create({ ...bundle, state, vars: { LAKE_LIMITS: '{"rollMs":200}' } })
  bar.start(options.kills, 0, { acknowledged: 0 })
  const clients = new AbortController()
  const work = AGENTS.flatMap((agent) =>
    Array.from({ length: CLIENTS_PER_AGENT }, (_, index) => ask(runtime.url, agent, index, clients.signal)),
  )
  const random = createRandom(options.seed, 'kills')
  for (let kill = 1; kill <= options.kills; kill += 1) {
    await runtime.start()
    await pause(between(random, LIFE_MS_MIN, LIFE_MS_MAX))
    if (kill === options.kills) clients.abort()
    await runtime.kill()
    bar.increment(1, { acknowledged: [...acknowledged.values()].flat().length })
  }
  await Promise.all(work)
  await runtime.start()
  const reports = await drain(runtime.url)
  await runtime.kill()
  const rows = await readTable(state, join(directory, 'table'))
  bar.stop()
  return conclude(AGENTS.map((agent) => judge(agent, reports.get(agent), rows)))
}

/** A client that asks one agent for one job after another. */
async function ask(url: string, agent: string, index: number, signal: AbortSignal): Promise<void> {
  const random = createRandom(options.seed, agent, index)
  for (let number = 1; !signal.aborted; number += 1) {
    const job = drawJob(random, `${agent}-${index}-${number}`)
    if (await isAcknowledged(`${url}/clerks/${agent}`, job)) acknowledged.get(agent)?.push(job)
    await pause(between(random, 10, 100))
  }
}

function drawJob(random: Random, id: string): Job {
  const way = WAYS[between(random, 0, WAYS.length - 1)] ?? 'schedule'
  return { id, way, seconds: between(random, 0, JOB_SECONDS_MAX) }
}

async function isAcknowledged(url: string, job: Job): Promise<boolean> {
  const request = { method: 'POST', body: JSON.stringify(job), signal: AbortSignal.timeout(REQUEST_MS_MAX) }
  try {
    const response = await fetch(url, request)
    await response.body?.cancel()
    return response.ok
  } catch {
    return false
  }
}

/** Waits until every acknowledged job has been carried out and its events have landed. Nothing but alarms moves them. */
async function drain(url: string): Promise<Map<string, Report>> {
  for (const deadline = Date.now() + DRAIN_MS_MAX; ; await pause(500)) {
    const reports = new Map<string, Report>()
    for (const agent of AGENTS) reports.set(agent, reportSchema.parse(await getJSON(`${url}/clerks/${agent}`)))
    const { bufferedEvents } = lakeSchema.parse(await getJSON(`${url}/lake`))
    const isDone = [...reports].every(([agent, report]) => report.pendingEvents === 0 && unfired(agent, report) === 0)
    if ((isDone && bufferedEvents === 0) || Date.now() > deadline) return reports
  }
}

async function getJSON(url: string): Promise<unknown> {
  return (await fetch(url)).json()
}

function unfired(agent: string, report: Report): number {
  return acknowledged.get(agent)?.filter(({ id }) => (report.runs[id] ?? 0) === 0).length ?? 0
}

/** What one agent's jobs came to. */
interface Verdict {
  readonly jobs: number
  /** Jobs that were acknowledged and never carried out. */
  readonly unfired: number
  /** Jobs that were carried out again, because a kill came before the caller had noted that they were. */
  readonly again: number
  readonly events: number
  readonly lost: number
  readonly doubled: number
}

function judge(agent: string, report: Report | undefined, rows: readonly Row[]): Verdict {
  if (report === undefined) throw new Error(`${agent} gave no report`)
  const jobs = acknowledged.get(agent) ?? []
  const runs = Object.entries(report.runs)
  const expected = new Set([
    ...report.asked.map((id) => nameEvent('Job.asked', { id })),
    ...runs.flatMap(([id, times]) =>
      Array.from({ length: times }, (_, index) => nameEvent('Job.carriedOut', { id, run: index + 1 })),
    ),
  ])
  const landed = rows.filter(({ ns }) => ns === agent).map(({ type, data }) => nameEvent(type, JSON.parse(data ?? '')))
  const found = new Set(landed)
  const isStateBehind = report.stateJobs < jobs.length
  return {
    jobs: jobs.length,
    unfired: unfired(agent, report),
    again: runs.filter(([, times]) => times > 1).length,
    events: landed.length,
    lost: expected.difference(found).size + report.deadLetters + Number(isStateBehind),
    doubled: landed.length - found.size + found.difference(expected).size,
  }
}

function nameEvent(type: string, data: unknown): string {
  return `${type} ${JSON.stringify(data)}`
}

function conclude(verdicts: readonly Verdict[]): number {
  const sum = (name: keyof Verdict) => verdicts.reduce((total, verdict) => total + verdict[name], 0)
  const outcome = {
    kills: options.kills,
    jobs: sum('jobs'),
    unfired: sum('unfired'),
    again: sum('again'),
    events: sum('events'),
    lost: sum('lost'),
    doubled: sum('doubled'),
    seed: options.seed,
  }
  output.say(
    `\n${outcome.kills} × kill -9, over ${AGENTS.length} agents, with seed ${outcome.seed}: ${outcome.jobs} jobs ` +
      `acknowledged, ${outcome.unfired} never carried out, ${outcome.again} carried out again; ` +
      `${outcome.events} events landed, ${outcome.lost} lost, ${outcome.doubled} doubled`,
  )
  output.conclude(outcome)
  const isGood = outcome.jobs > 0 && outcome.unfired + outcome.lost + outcome.doubled === 0
  if (!isGood) console.error(`chaos: FAILED with seed ${options.seed}; the state is kept in ${directory}`)
  return isGood ? 0 : FAILED
}
