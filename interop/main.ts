// npm run interop -- [--json]: an engine that we did not write reads the table. The project's own Worker writes it,
// ClickHouse reads it, and whatever differs from DuckDB, from the metadata or from what was committed is printed.
// Exits with 1 where anything differs. With --json the last line of stdout is an object with the result.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Check, createChecks, difference } from './check.ts'
import { installClickHouse, queryClickHouse } from './clickhouse.ts'
import { openDuckDB } from './duckdb.ts'
import { describeTable, exportTable, openBucket, startWorker, type TableDescription } from './lake.ts'
import { createLoad, type Request } from './load.ts'

const LANDING_MS_MAX = 30_000
const POLL_MS = 200
/** For all but the installation. */
const RUN_MS_MAX = 180_000

interface Finding {
  readonly name: string
  readonly by: string
  readonly holds: boolean
  readonly difference?: string
}

const { values: flags } = parseArgs({ options: { json: { type: 'boolean' } } })
process.exitCode = await main(flags.json ?? false)

async function main(json: boolean): Promise<number> {
  await installClickHouse()
  const startedMs = Date.now()
  const timer = setTimeout(() => {
    console.error(`interop: not done in ${RUN_MS_MAX / 1000} s`)
    process.exit(1)
  }, RUN_MS_MAX)
  const directory = mkdtempSync(join(tmpdir(), 'durable-outbox-interop-'))
  process.once('exit', () => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }))
  try {
    const result = await compare(directory)
    const holds = result.findings.every((finding) => finding.holds)
    const seconds = Math.round((Date.now() - startedMs) / 100) / 10
    console.log(json ? JSON.stringify({ holds, seconds, ...result }) : report(result.findings, seconds))
    return holds ? 0 : 1
  } finally {
    clearTimeout(timer)
  }
}

/** Writes the table, copies it out, and asks both engines. */
async function compare(directory: string) {
  const state = join(directory, 'state')
  const events = await fillLake(state)
  const { bucket, close } = await openBucket(state)
  try {
    const table = await describeTable(bucket)
    if (table === undefined) throw new Error('interop: the lake has no table')
    const location = await exportTable(bucket, join(directory, 'lake'))
    const checks = await createChecks(table, events, await openDuckDB(state))
    const findings = await askClickHouse(checks, directory, location)
    return { events, snapshots: table.snapshots.length, columns: table.columns.length, findings }
  } finally {
    await close()
  }
}

/** @returns how many events were committed, each of which has to be in the table once. */
async function fillLake(state: string): Promise<number> {
  const worker = await startWorker(state)
  const { bucket, close } = await openBucket(state)
  let events = 0
  try {
    for (const wave of await createLoad()) {
      events += await sendWave(wave, worker.post)
      await landed(bucket, events)
    }
    return events
  } finally {
    await close()
    await worker.stop()
  }
}

async function sendWave(wave: readonly Request[], post: (path: string, body: unknown) => Promise<void>) {
  let events = 0
  for (const { path, body, events: expected } of wave) {
    await post(path, body)
    events += expected
  }
  return events
}

/** Waits until as many events are in the table as were committed. More than that is for the comparison to report. */
async function landed(bucket: R2Bucket, events: number): Promise<void> {
  let records = 0
  for (let waitedMs = 0; waitedMs < LANDING_MS_MAX; waitedMs += POLL_MS) {
    records = recordsOf(await describeTable(bucket))
    if (records >= events) return console.error(`interop: ${records} events have landed`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  throw new Error(`interop: of ${events} events only ${records} have landed in ${LANDING_MS_MAX / 1000} s`)
}

function recordsOf(table: TableDescription | undefined): number {
  return Number(table?.snapshots.at(-1)?.records ?? 0)
}

async function askClickHouse(checks: readonly Check[], directory: string, location: string): Promise<Finding[]> {
  const statements = checks.map(({ statement }) => statement.replaceAll(/\bevents\b/g, `icebergLocal('${location}')`))
  const answers = await queryClickHouse(statements, directory)
  return checks.map((check, index) => {
    const found = difference(check, answers[index] ?? [])
    return {
      name: check.name,
      by: check.by,
      holds: found === undefined,
      ...(found !== undefined && { difference: found }),
    }
  })
}

function report(findings: readonly Finding[], seconds: number): string {
  const lines = findings.map(({ name, by, difference }) =>
    difference === undefined ? `same     ${name} (${by})` : `DIFFERS  ${name}: ${difference}`,
  )
  const different = findings.filter(({ holds }) => !holds).length
  const end = different === 0 ? 'ClickHouse reads the same table' : `${different} of ${findings.length} differ`
  return [...lines, `${end} (${seconds} s)`].join('\n')
}
