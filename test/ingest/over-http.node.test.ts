// ManagedPipeline and the ingest, over a network that does what networks do, down to the rows of the table.

import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { EventRecord } from 'durable-outbox'
import { ManagedPipeline } from 'durable-outbox/managed-pipeline'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { Client } from '../../proofs/demo/client.ts'
import { runCommand } from '../../proofs/harness/command.ts'
import { Runtime } from '../../proofs/harness/runtime.ts'
import { readFailure } from '../../src/pipeline/failure.ts'
import { batch } from '../testing/record.ts'
import { type Fault, FAULTS, FaultyProxy } from './faulty-proxy.ts'

const ATTEMPTS_MAX = 20
const NS = 'acme.shop'
const directory = mkdtempSync(join(tmpdir(), 'durable-outbox-ingest-'))
const state = join(directory, 'state')
const tokens = [{ name: 'test', sha256: createHash('sha256').update('secret').digest('hex'), ns: ['acme.*'] }]
let worker: Runtime
let proxy: FaultyProxy
let pipeline: ManagedPipeline

beforeAll(async () => {
  worker = await Runtime.start({ state, vars: { INGEST_TOKENS: JSON.stringify(tokens) } })
  proxy = await FaultyProxy.start(Number(new URL(worker.url).port))
  pipeline = new ManagedPipeline({ endpoint: `${proxy.url}/ingest`, authToken: 'secret', minGzipBytes: 2_000 })
})

afterAll(async () => {
  proxy.close()
  await worker.kill()
  rmSync(directory, { recursive: true, force: true })
})

/** Sends a batch as a relay does: again and again, until it is accepted. @returns how often. */
async function sendUntilAccepted(records: EventRecord[]): Promise<number> {
  for (let attempts = 1; attempts <= ATTEMPTS_MAX; attempts++) {
    const failure = await pipeline.send(records).then(() => undefined, readFailure)
    if (failure === undefined) return attempts
    expect(failure.name).toBe('failed')
  }
  throw new Error(`not accepted in ${ATTEMPTS_MAX} attempts`)
}

async function landed(events: number): Promise<void> {
  const client = new Client(worker.url)
  await vi.waitFor(
    async () => expect(await client.lakeStatus()).toMatchObject({ landedEvents: events, bufferedEvents: 0 }),
    {
      timeout: 30_000,
      interval: 50,
    },
  )
}

async function query(sql: string): Promise<Record<string, unknown>[]> {
  const { code, stdout } = await runCommand(['query', sql, '--json', '--state', state])
  expect(code).toBe(0)
  return JSON.parse(stdout) as Record<string, unknown>[]
}

describe('a ManagedPipeline over a bad network', () => {
  it('[I3] [I4] [I5] lands each event once and in order, through any faults of its requests', async () => {
    let lsn = 0
    const attempts: Record<Fault, number[]> = {
      pass: [],
      'cut request': [],
      'lose answer': [],
      'truncate answer': [],
      delay: [],
      duplicate: [],
    }
    for (let round = 0; round < 5; round++)
      for (const fault of FAULTS) {
        // Small bodies as they are, and large ones compressed.
        const lsns = Array.from({ length: 1 + round * 7 }, (_, index) => lsn + 1 + index)
        lsn += lsns.length
        proxy.faults = Array.from({ length: 1 + (round % 2) }, () => fault)
        attempts[fault].push(await sendUntilAccepted(batch(NS, ...lsns)))
      }
    await landed(lsn)
    expect(
      await query(`SELECT count(*) AS n, count(DISTINCT lsn) AS lsns, min(lsn) AS low, max(lsn) AS high FROM events`),
    ).toEqual([{ n: lsn, lsns: lsn, low: 1, high: lsn }])
    // The faults were real: what was cut or lost took more than one attempt.
    for (const fault of ['cut request', 'lose answer', 'truncate answer'] as const)
      expect(Math.min(...attempts[fault])).toBeGreaterThan(1)
    expect(attempts.pass).toEqual([1, 1, 1, 1, 1])
  })

  it('[I8] writes nothing to an ns that its token does not cover, and the events are not to blame', async () => {
    const failure = await pipeline.send(batch('other.shop', 1)).then(() => undefined, readFailure)
    expect(failure).toMatchObject({ name: 'failed', reason: expect.stringContaining('403') as unknown })
    expect(await query(`SELECT count(*) AS n FROM events WHERE ns <> '${NS}'`)).toEqual([{ n: 0 }])
  })
})
