// `npm run demo`: the main job, end to end, on real data, with a kill -9 in the middle.

import { readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { MultiBar, type SingleBar } from 'cli-progress'
import { type Assignment, Client } from './client.ts'
import { assignDatasets } from './datasets.ts'
import { assign, expectedOf, readFilms } from './films.ts'
import { openTable, type OpenTable } from './lake.ts'
import { compareWithDatasets, compareWithStores, proveLog, type SourceProof } from './proof.ts'
import { WorkerProcess } from './worker-process.ts'

const STATE = join(import.meta.dirname, '../../.wrangler/demo')
/** The first document's three queries, and how many rows of the answers are shown: those of SELECT * are long. */
const QUERIES = { 'customers-created-today': 1, 'events-by-type-and-hour': 20, 'changes-by-actor': 2 }
const CUSTOMERS = ['Alice', 'Bob', 'Carol']
/** A retry waits for a few seconds at most; when nothing lands for so long, nothing more will. */
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
const say = (text: string): void => void (options.json ? process.stderr : process.stdout).write(`${text}\n`)

const started = performance.now()
const films = assign(readFilms())
const datasets = assignDatasets()
const assignments: readonly Assignment[] = [
  ...datasets.map(({ object, commands }) => ({ path: `/datasets/${object}`, commands })),
  ...films.map(({ object, commands }) => ({ path: `/films/${object}`, commands })),
]
await rm(STATE, { recursive: true, force: true })
say('Starting the Worker in workerd (wrangler dev), with its state in .wrangler/demo')
const worker = await WorkerProcess.start(STATE)
process.once('SIGINT', () => void worker.kill().then(() => process.exit(130)))
try {
  const { outcome, problems } = await run(worker)
  if (options.json) process.stdout.write(`${JSON.stringify(outcome)}\n`)
  process.exitCode = problems.length === 0 ? 0 : 1
} finally {
  await worker.kill()
}

async function run(worker: WorkerProcess): Promise<{ outcome: Outcome; problems: string[] }> {
  const client = new Client(worker.url)
  const expected = expectedOf(films)
  const changes = sum(datasets, (dataset) => dataset.mutations)
  const mutations = expected.mutations + CUSTOMERS.length + changes
  const events = expected.events + 2 * CUSTOMERS.length + changes
  const failed = await load(worker, client, events)

  const table = await openTable(STATE, () => undefined)
  const log = await proveLog(table.query)
  const filmObjects = films.map(({ object }) => object)
  const datasetObjects = datasets.map(({ object }) => object)
  const problems = [
    ...checkFailures(failed),
    ...(await compareWithStores(table.query, client, filmObjects)),
    ...(await compareWithDatasets(table.query, client, datasetObjects)),
    ...checkLog(log, events),
  ]
  if (!options.json) await show(table, log)
  const outcome = {
    mutations,
    events,
    landed: sum(log, (source) => source.distinct_lsns),
    duplicates: sum(log, (source) => source.duplicates),
    gaps: sum(log, (source) => source.gaps),
    objects: log.length,
    seconds: Math.round((performance.now() - started) / 100) / 10,
  }
  conclude(outcome, problems)
  return { outcome, problems }
}

/** Loads everything, with the death of the runtime halfway, and waits until it has landed. */
async function load(worker: WorkerProcess, client: Client, events: number): Promise<string[]> {
  const commands = sum(assignments, (assignment) => assignment.commands.length)
  say(`Loading ${commands} commands into ${assignments.length} objects; halfway, workerd is killed with SIGKILL`)
  const bars = new MultiBar({
    format: '{name} {bar} {value}/{total} {note}',
    hideCursor: true,
    noTTYOutput: true,
    notTTYSchedule: 2_000,
    stream: process.stderr,
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

async function killHalfway(worker: WorkerProcess, bar: SingleBar, commands: number): Promise<void> {
  while (bar.getProgress() * commands < commands / 2) await pause(5)
  await worker.kill()
  bar.update({ note: 'killed, starting again' })
  await worker.start()
  bar.update({ note: 'killed and started again' })
}

/** Waits until all has landed, or nothing more does: then the proof says what is missing. */
async function watchLanding(client: Client, events: number, bar: SingleBar): Promise<void> {
  let landed = 0
  for (let lastChange = Date.now(); landed < events && Date.now() - lastChange < STALL_MS; await pause(100)) {
    const { landedEvents } = await client.lakeStatus()
    if (landedEvents !== landed) lastChange = Date.now()
    landed = landedEvents
    bar.update(landed)
  }
}

/** The commands that fail on purpose, and no others, said so. */
function checkFailures(failed: readonly string[]): string[] {
  const intended = films.flatMap(({ commands }) => commands.filter((command) => command.do === 'fail'))
  const missing = intended.filter(({ id }) => !failed.includes(id))
  return missing.length === 0 && failed.length === intended.length
    ? []
    : [`${intended.length} commands were to fail, ${failed.length} did`]
}

function checkLog(log: readonly SourceProof[], events: number): string[] {
  const landed = sum(log, (source) => source.events)
  const bad = log.filter((source) => source.gaps !== 0 || source.duplicates !== 0 || source.min_lsn !== 1)
  return [
    ...bad.map((source) => `${source.source}: ${source.gaps} gaps, ${source.duplicates} duplicates`),
    ...(landed === events ? [] : [`${events} events were committed, ${landed} landed`]),
  ]
}

async function show(table: OpenTable, log: readonly SourceProof[]): Promise<void> {
  for (const [name, maxRows] of Object.entries(QUERIES)) {
    const sql = readFileSync(join(import.meta.dirname, `../../streams/queries/${name}.sql`), 'utf8').trim()
    say(`\n${sql}\n`)
    await table.print(sql, maxRows)
  }
  say(
    '\nThe proof, from the Iceberg table alone: in each log the LSNs run from 1 without a gap, and each is one row.\n',
  )
  say('source                          min lsn   max lsn    events  distinct      gaps  duplicates')
  for (const { source, min_lsn, max_lsn, events, distinct_lsns, gaps, duplicates } of log)
    say(
      source.padEnd(30) +
        [min_lsn, max_lsn, events, distinct_lsns, gaps].map((n) => String(n).padStart(9)).join(' ') +
        String(duplicates).padStart(12),
    )
}

function conclude(outcome: Outcome, problems: readonly string[]): void {
  const { mutations, events, landed, duplicates, gaps, objects, seconds } = outcome
  say(
    `\n${mutations} mutations and their ${events} events in ${objects} objects: ${landed} landed, ${duplicates} twice, ` +
      `${gaps} missing; ${seconds} s`,
  )
  if (problems.length === 0) {
    say('Every committed mutation is in the table once, in the order of its commit, and the log rebuilds every store.')
    say('\nAsk it yourself:  npx durable-outbox query "SELECT type, count(*) FROM events GROUP BY type"')
  } else say(`The proof FAILED:\n  ${problems.join('\n  ')}`)
}

function sum<T>(items: readonly T[], value: (item: T) => number): number {
  return items.reduce((total, item) => total + value(item), 0)
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
