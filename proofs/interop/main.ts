// npm run interop -- [--json]: engines that we did not write read the table that the project's own Worker writes.
// ClickHouse reads the files, and then the catalog; so do PyIceberg and DuckDB's iceberg extension if they can be
// installed. Then the lake commits to Apache Iceberg's own REST catalog, where there is a Java. Differences from DuckDB over the files, from the metadata and from what was committed are printed, and the
// exit code is 1 if there are any. With --json the last line of stdout is an object with the result.

import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { openBucket } from '../harness/bucket.ts'
import { Output } from '../harness/output.ts'
import { postJSON } from '../harness/post.ts'
import type { Runtime } from '../harness/runtime.ts'
import { makeScratchDirectory } from '../harness/scratch.ts'
import { openTable, readRows } from '../harness/table.ts'
import { installApache } from './apache.ts'
import { type Answers, type Check, createChecks, createPrunings, type Dialect, difference, toCell } from './check.ts'
import type { Pruning, Question, Rows } from './check.ts'
import { askLocally, askThroughCatalog, installClickHouse } from './clickhouse.ts'
import { type CatalogAddress, catalogAt, describeTable, exportTable, startWorker } from './lake.ts'
import type { TableDescription } from './lake.ts'
import { Listener } from './listener.ts'
import { createLoad, type Request } from './load.ts'
import { askPython, installPython } from './python.ts'
import { commitToApache } from './rest.ts'

const LANDING_MS_MAX = 30_000
const CALL_MS_MAX = 30_000
const POLL_MS = 200
/** Longer than the lake pauses between two steps of upkeep. */
const QUIET_MS = 2_000
/** Without the installation. */
const RUN_MS_MAX = 300_000

/** An engine that reads the table in one way. */
interface Engine {
  readonly name: string
  readonly dialect: Dialect
  readonly ask: (questions: readonly Question[]) => Promise<Answers>
}

interface Finding {
  readonly engine: string
  readonly name: string
  readonly by: string
  readonly holds: boolean
  readonly difference?: string
}

const { values: flags } = parseArgs({ options: { json: { type: 'boolean' } } })
process.exitCode = await main(flags.json ?? false)

async function main(json: boolean): Promise<number> {
  await installClickHouse()
  const withoutPython = await installPython()
  const withoutJava = await installApache()
  const startedMs = Date.now()
  const timer = setTimeout(() => {
    console.error(`interop: not finished after ${RUN_MS_MAX / 1000} s`)
    process.exit(1)
  }, RUN_MS_MAX)
  try {
    const result = await compare(makeScratchDirectory('interop'), withoutPython)
    if (withoutJava === undefined) result.findings.push(...(await tryApache()))
    else result.skipped.push(`Apache's catalog: ${withoutJava}`)
    const holds = result.findings.every((finding) => finding.holds)
    const seconds = Math.round((Date.now() - startedMs) / 100) / 10
    const output = new Output(json)
    output.say(report(result, seconds))
    output.conclude({ holds, seconds, ...result })
    return holds ? 0 : 1
  } finally {
    clearTimeout(timer)
  }
}

/** Writes the table, and asks each engine. @param withoutPython why engines that need Python are left out. */
async function compare(directory: string, withoutPython: string | undefined) {
  const state = join(directory, 'state')
  const worker = await startWorker(state)
  const listener = await Listener.start(worker.url)
  const { bucket, close } = await openBucket(state)
  try {
    const events = await fillLake(bucket, worker)
    const table = await describeTable(bucket)
    if (table === undefined) throw new Error('interop: the lake has no table')
    const location = await exportTable(bucket, join(directory, 'lake'))
    const duckdb = await openTable(state)
    const askDuckDB = async (sql: string): Promise<Rows> =>
      (await readRows(await duckdb.query(sql))).map((row) => row.map(toCell))
    const locally: Engine = {
      name: 'ClickHouse over the files',
      dialect: 'clickhouse',
      ask: (questions) => askLocally(directory, location, questions),
    }
    const throughCatalog = enginesOf(catalogAt(listener.url), withoutPython === undefined)
    const findings: Finding[] = []
    for (const engine of [locally, ...throughCatalog])
      findings.push(...(await check(engine, await createChecks(engine.dialect, table, events, askDuckDB))))
    const prunings = await createPrunings(askDuckDB, duckdb.files)
    for (const engine of throughCatalog)
      for (const pruning of prunings) findings.push(await checkPruning(engine, pruning, listener))
    return {
      events,
      snapshots: table.snapshots.length,
      columns: table.columns.length,
      files: duckdb.files.length,
      findings,
      skipped: withoutPython === undefined ? [] : [`PyIceberg and DuckDB through the catalog: ${withoutPython}`],
    }
  } finally {
    await close()
    listener.stop()
    await worker.kill()
  }
}

async function tryApache(): Promise<Finding[]> {
  const findings = await commitToApache(makeScratchDirectory('interop-rest'), sendWave)
  return findings.map(({ name, by, difference }) => finding({ engine: "Apache's catalog", name, by }, difference))
}

function enginesOf(address: CatalogAddress, hasPython: boolean): Engine[] {
  const clickHouse: Engine = {
    name: 'ClickHouse through the catalog',
    dialect: 'clickhouse',
    ask: (questions) => askThroughCatalog(address, questions),
  }
  if (!hasPython) return [clickHouse]
  return [
    clickHouse,
    { name: 'PyIceberg', dialect: 'duckdb', ask: (questions) => askPython('pyiceberg', address, questions) },
    {
      name: 'DuckDB through the catalog',
      dialect: 'duckdb',
      ask: (questions) => askPython('duckdb', address, questions),
    },
  ]
}

/** @returns how many events were committed. Each must be in the table once. */
async function fillLake(bucket: R2Bucket, worker: Runtime): Promise<number> {
  let events = 0
  for (const wave of await createLoad()) {
    events += await sendWave(wave, worker)
    await landed(bucket, events)
  }
  await quiet(bucket)
  return events
}

/** Waits until the lake has compacted what it can. */
async function quiet(bucket: R2Bucket): Promise<void> {
  let before = -1
  for (let snapshots = 0; snapshots !== before;) {
    before = snapshots
    await pause(QUIET_MS)
    const table = await describeTable(bucket)
    snapshots = table?.snapshots.length ?? 0
    const rewritten = table?.snapshots.filter(({ operation }) => operation === 'replace').length ?? 0
    console.error(`interop: ${snapshots} snapshots, ${rewritten} of them compactions`)
    if (snapshots === before && rewritten < 2)
      throw new Error('interop: the table should have been compacted, and was not')
  }
}

async function sendWave(wave: readonly Request[], worker: Runtime): Promise<number> {
  let events = 0
  for (const { path, body, events: expected } of wave) {
    await postJSON(worker.url + path, body, CALL_MS_MAX)
    events += expected
  }
  return events
}

/** Waits until at least as many events are in the table as were committed. The comparison reports any excess. */
async function landed(bucket: R2Bucket, events: number): Promise<void> {
  let records = 0
  for (let waitedMs = 0; waitedMs < LANDING_MS_MAX; waitedMs += POLL_MS) {
    records = recordsOf(await describeTable(bucket))
    if (records >= events) return console.error(`interop: ${records} events have landed`)
    await pause(POLL_MS)
  }
  throw new Error(`interop: of ${events} events only ${records} have landed in ${LANDING_MS_MAX / 1000} s`)
}

function recordsOf(table: TableDescription | undefined): number {
  return Number(table?.snapshots.at(-1)?.records ?? 0)
}

async function check({ name: engine, ask }: Engine, checks: readonly Check[]): Promise<Finding[]> {
  const answers = await ask(checks.map(({ sql, snapshot }) => ({ sql, ...(snapshot !== undefined && { snapshot }) })))
  return checks.map((check, index) => {
    const { name, by } = check
    return finding({ engine, name, by }, difference(check, answers[index] ?? []))
  })
}

async function checkPruning({ name: engine, ask }: Engine, { condition, files }: Pruning, listener: Listener) {
  const question = { sql: `SELECT count(*) FROM events WHERE ${condition}`, filter: condition }
  const { answer, files: read } = await listener.count(() => ask([question]))
  const what = { engine, name: `files read for ${condition}`, by: `${files}, by the rows in them` }
  if (typeof answer[0] === 'string') return finding(what, `it fails: ${answer[0]}`)
  return finding(what, read === files ? undefined : `it reads ${read} instead of ${files}`)
}

function finding(what: Omit<Finding, 'holds' | 'difference'>, difference: string | undefined): Finding {
  return { ...what, holds: difference === undefined, ...(difference !== undefined && { difference }) }
}

function report(
  { findings, skipped }: { findings: readonly Finding[]; skipped: readonly string[] },
  seconds: number,
): string {
  const lines = findings.map(({ engine, name, by, difference }) =>
    difference === undefined ? `same     ${engine}: ${name} (${by})` : `DIFFERS  ${engine}: ${name}: ${difference}`,
  )
  const engines = [...new Set(findings.map(({ engine }) => engine))].join(', ')
  const different = findings.filter(({ holds }) => !holds).length
  const end = different === 0 ? `the same table by ${engines}` : `${different} of ${findings.length} differ`
  return [...lines, ...skipped.map((what) => `skipped: ${what}`), `${end} (${seconds} s)`].join('\n')
}
