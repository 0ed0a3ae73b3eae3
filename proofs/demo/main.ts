// npm run demo -- [--json]: the main job, end to end, on real data, with a kill -9 in the middle. Exits with 1 if the proof
// fails. With --json the last line of stdout is an object with the result.

import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { MultiBar, type SingleBar } from 'cli-progress'
import { printTable } from '../../src/cli/output.ts'
import { BAR_OPTIONS, Output } from '../harness/output.ts'
import { Runtime } from '../harness/runtime.ts'
import { openTable, type OpenTable } from '../harness/table.ts'
import { type Assignment, Client } from './client.ts'
import { assignDatasets } from './datasets.ts'
import { assign, expectedOf, readFilms } from './films.ts'
import { compareWithDatasets, compareWithStores, type LogProof, proveLog } from './proof.ts'

const STATE = join(import.meta.dirname, '../../.wrangler/demo')
/** The first document's three queries, and how many rows of each answer are shown: those of SELECT * are long. */
const QUERIES = { 'customers-created-today': 1, 'events-by-type-and-hour': 20, 'changes-by-actor': 2 }
const CUSTOMERS = ['Alice', 'Bob', 'Carol']
/** A retry waits a few seconds at most. If nothing lands for this long, nothing more will. */
const STALL_MS = 20_000

/** What `--json` prints. */
interface Outcome {
  mutations: number
  events: number
  landed: number
  duplicates: number
  gaps: number
  objects: number
  seconds: number
}

const { values: options } = parseArgs({ options: { json: { type: 'boolean', default: false } } })
const output = new Output(options.json)

const started = performance.now()
const films = assign(readFilms())
const datasets = assignDatasets()
const assignments: readonly Assignment[] = [
  ...datasets.map(({ object, commands }) => ({ path: `/datasets/${object}`, commands })),
  ...films.map(({ object, commands }) => ({ path: `/films/${object}`, commands })),
]
await rm(STATE, { recursive: true, force: true })
output.say('Starting the Worker in workerd (wrangler dev), with its state in .wrangler/demo')
const worker = await Runtime.start({ state: STATE })
try {
  const { outcome, problems } = await run(worker)
  output.conclude(outcome)
  process.exitCode = problems.length === 0 ? 0 : 1
} finally {
  await worker.kill()
}

async function run(worker: Runtime): Promise<{ outcome: Outcome; problems: string[] }> {
  const client = new Client(worker.url)
  const expected = expectedOf(films)
  const changes = sum(datasets, (dataset) => dataset.mutations)
  const mutations = expected.mutations + CUSTOMERS.length + changes
  const events = expected.events + 2 * CUSTOMERS.length + changes
  const failed = await load(worker, client, events)

  const table = await openTable(STATE)
  const log = await proveLog(STATE)
  const filmObjects = films.map(({ object }) => object)
  const datasetObjects = datasets.map(({ object }) => object)
  const problems = [
    ...checkFailures(failed),
    ...(await compareWithStores(table, client, filmObjects)),
    ...(await compareWithDatasets(table, client, datasetObjects)),
    ...checkLog(log, events),
  ]
  if (!options.json) await show(table, log)
  const outcome = {
    mutations,
    events,
    landed: log.events - log.doubled,
    duplicates: log.doubled,
    gaps: log.missing,
    objects: log.logs,
    seconds: Math.round((performance.now() - started) / 100) / 10,
  }
  conclude(outcome, problems)
  return { outcome, problems }
}

/** Loads everything, kills the runtime halfway, and waits until everything has landed. */
async function load(worker: Runtime, client: Client, events: number): Promise<string[]> {
  const commands = sum(assignments, (assignment) => assignment.commands.length)
  output.say(`Loading ${commands} commands into ${assignments.length} objects; halfway, workerd is killed with SIGKILL`)
  const bars = new MultiBar({
    ...BAR_OPTIONS,
    format: '{name} {bar} {value}/{total} {note}',
  })
  const loadBar = bars.create(commands, 0, { name: 'commands', note: '' })
  const landBar = bars.create(events, 0, { name: 'landed  ', note: '' })
  try {
    for (const name of CUSTOMERS) await client.signUp('startups.studio', name, `${name.toLowerCase()}@example.com`)
    const loading = client.load(assignments, (answered) => loadBar.increment(answered))
    const watching = watchLanding(client, events, landBar)
    await killHalfway(worker, loadBar, commands)
    const [failed] = await Promise.all([loading, watching])
    return failed
  } finally {
    bars.stop()
  }
}

async function killHalfway(worker: Runtime, bar: SingleBar, commands: number): Promise<void> {
  while (bar.getProgress() * commands < commands / 2) await pause(5)
  await worker.kill()
  bar.update({ note: 'killed, restarting' })
  await worker.start()
  bar.update({ note: 'killed and restarted' })
}

/** Waits until everything has landed or nothing more does. In that case the proof shows what is missing. */
async function watchLanding(client: Client, events: number, bar: SingleBar): Promise<void> {
  let landed = 0
  for (let lastChange = Date.now(); landed < events && Date.now() - lastChange < STALL_MS; await pause(100)) {
    const { landedEvents } = await client.lakeStatus()
    if (landedEvents !== landed) lastChange = Date.now()
    landed = landedEvents
    bar.update(landed)
  }
}

/** The commands that fail on purpose, and no others, must have failed. */
function checkFailures(failed: readonly string[]): string[] {
  const intended = films.flatMap(({ commands }) => commands.filter((command) => command.do === 'fail'))
  const missing = intended.filter(({ id }) => !failed.includes(id))
  return missing.length === 0 && failed.length === intended.length
    ? []
    : [`${intended.length} commands should have failed, and ${failed.length} did`]
}

function checkLog(log: LogProof, events: number): string[] {
  const late = log.shown.filter(({ firstLSN }) => firstLSN !== 1)
  return [
    ...(log.isProven ? [] : [log.verdict]),
    ...late.map(({ source, firstLSN }) => `${source}: its log begins with LSN ${firstLSN}`),
    ...(log.events === events ? [] : [`${events} events were committed, ${log.events} landed`]),
  ]
}

async function show(table: OpenTable, log: LogProof): Promise<void> {
  const { stdout } = process
  for (const [name, maxRows] of Object.entries(QUERIES)) {
    const sql = readFileSync(join(import.meta.dirname, `../../streams/queries/${name}.sql`), 'utf8').trim()
    output.say(`\n${sql}\n`)
    await printTable(
      await table.query(sql),
      { line: (text) => output.say(text), columns: stdout.columns ?? 120 },
      maxRows,
    )
  }
  output.say('\nThe proof, from the Iceberg table alone, as `npx durable-outbox verify` gives it:\n')
  output.say('source                         first LSN  last LSN    events   missing   doubled')
  for (const { source, firstLSN, lastLSN, events, missing, doubled } of log.shown)
    output.say(
      source.padEnd(30) + [firstLSN, lastLSN, events, missing, doubled].map((n) => String(n).padStart(10)).join(''),
    )
  output.say(log.verdict)
}

function conclude(outcome: Outcome, problems: readonly string[]): void {
  const { mutations, events, landed, duplicates, gaps, objects, seconds } = outcome
  output.say(
    `\n${mutations} mutations and their ${events} events in ${objects} objects: ${landed} landed, ${duplicates} twice, ` +
      `${gaps} missing; ${seconds} s`,
  )
  if (problems.length === 0) {
    output.say(
      'Every committed mutation is in the table once, in the order of its commit, and the log rebuilds every store.',
    )
    output.say('\nQuery it yourself:  npx durable-outbox query "SELECT type, count(*) FROM events GROUP BY type"')
  } else output.say(`The proof FAILED:\n  ${problems.join('\n  ')}`)
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0)
}
