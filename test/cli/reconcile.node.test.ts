// Rows that are lost from the table after they have landed, and brought back. Each loss can happen to a bucket: a file is
// deleted, or restored from an older backup.

import { rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { parquetReadObjects } from 'hyparquet'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { Client } from '../../proofs/demo/client.ts'
import { runCommand } from '../../proofs/harness/command.ts'
import { WorkerClient } from '../../src/cli/worker.ts'
import { portionsOf } from '../../src/cli/reconcile/plan.ts'
import { replayRange } from '../../src/cli/reconcile/replay.ts'
import { writeParquet } from '../../src/lake/iceberg/parquet.ts'
import type { Row } from '../../src/lake/iceberg/schema.ts'
import { REPAIR_LSNS_MAX, REPAIR_LOGS_MAX } from '../../src/lake/upkeep/repair.ts'
import { EVENTS_COLUMNS } from '../../src/lake/table/table.ts'
import { committed, landedTable } from '../streams/landed.ts'
import { TOKEN, useLakeWorker } from './lake-worker.ts'

describe('reconcile', () => {
  const { state, address, run, withWorker, onBucket } = useLakeWorker()
  let ns = ''
  let signUps = 0

  beforeEach(async () => {
    ns = `shop-${(signUps += 1)}`
    const client = new Client(address())
    const before = (await client.lakeStatus()).landedEvents
    for (const name of ['Alice', 'Bob', 'Zoë']) await client.signUp(ns, name, `${name}@example.com`)
    const landed = async () => expect(await client.lakeStatus()).toMatchObject({ landedEvents: before + 6 })
    await vi.waitFor(landed, { timeout: 30_000, interval: 50 })
  })

  /** The data file with an event of the test's ns and the given type. Local copies of the table's files are dropped. */
  async function fileWith(bucket: R2Bucket, type: string): Promise<{ key: string; rows: Row[] }> {
    rmSync(join(state, 'query-cache'), { recursive: true, force: true })
    const { objects } = await bucket.list({ prefix: `cdc/events/data/type=${type}/` })
    for (const { key } of objects) {
      const file = await (await bucket.get(key))?.arrayBuffer()
      const rows = file === undefined ? [] : await rowsOf(file)
      if (rows.some((row) => row['ns'] === ns)) return { key, rows }
    }
    throw new Error(`no file has events of ${ns}`)
  }

  it('[I3] [I10] brings back the rows of a data file that was deleted', async () => {
    const { key, rows } = await onBucket(async (bucket) => {
      const found = await fileWith(bucket, 'Customer.created')
      await bucket.delete(found.key)
      return found
    })
    expect(await run('verify')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`no object ${key}; durable-outbox recover`),
    })
    const refused = await withWorker('reconcile', '--dry-run')
    expect(refused).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`no object ${key}; durable-outbox recover`),
    })
    const healed = await withWorker('reconcile')
    expect(healed).toMatchObject({ code: 0, stderr: expect.stringContaining('1 data file was gone from the bucket') })
    expect(healed.stdout).toContain(`${rows.length} sent again`)
    expect(healed.stdout).toMatch(/before: NOT proven.*\n[^]*\nproven: .*, none missing, none twice;.*\n$/)
    expect(await run('verify')).toMatchObject({ code: 0 })
    expect((await run('query', `SELECT lsn FROM events WHERE ns = '${ns}' ORDER BY lsn`, '--csv')).stdout).toBe(
      'lsn\r\n1\r\n2\r\n3\r\n4\r\n5\r\n6\r\n',
    )
  })

  it('[I5] [I10] brings back the rows that a data file lacks, and no other row a second time', async () => {
    await onBucket(async (bucket) => {
      const { key, rows } = await fileWith(bucket, 'cdc.insert')
      const bytes = (await bucket.head(key))?.size ?? 0
      await bucket.put(
        key,
        dataFileOf(
          rows.filter((row) => row['ns'] !== ns || row['lsn'] !== 3n),
          bytes,
        ),
      )
    })
    const lost = await run('verify')
    expect(lost.code).toBe(1)
    expect(lost.stdout).toContain('1 event is missing: LSN 3\n')
    expect(lost.stdout).toContain('the table claims to hold everything up to LSN 6, and does so up to LSN 2\n')

    const planned = await withWorker('reconcile', '--dry-run')
    expect(planned).toMatchObject({ code: 1, stdout: expect.stringContaining('would be sent again') })
    expect((await run('verify')).code).toBe(1)

    const healed = await withWorker('reconcile', '--json')
    const { steps, before, after } = JSON.parse(healed.stdout)
    expect(healed.code).toBe(0)
    expect(steps).toMatchObject([
      {
        source: `${ns}/DO/Customers`,
        ranges: [{ first: 3, last: 3 }],
        target: { className: 'customers', object: ns },
        outcome: { replayed: 1, notKept: [] },
      },
    ])
    expect([before.isProven, before.missing, after.isProven, after.doubled]).toEqual([false, 1, true, 0])
  })

  it('asks for nothing if nothing is missing', async () => {
    const before = await new Client(address()).lakeStatus()
    const { code, stdout } = await withWorker('reconcile', '--json')
    expect({ code, steps: JSON.parse(stdout).steps }).toEqual({ code: 0, steps: [] })
    expect(await new Client(address()).lakeStatus()).toEqual(before)
  })

  it('[I8] has the lake repaired only with the token', async () => {
    const repair = (headers: Record<string, string>) =>
      fetch(`${address()}/lake/repair`, { method: 'POST', headers, body: '[]' })
    expect((await repair({})).status).toBe(401)
    expect((await repair({ authorization: 'Bearer another' })).status).toBe(401)
    expect((await repair({ authorization: `Bearer ${TOKEN}` })).status).toBe(200)
    const refused = await fetch(`${address()}/lake/repair`, {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}` },
      body: 'not JSON',
    })
    expect({ status: refused.status, body: await refused.json() }).toMatchObject({
      status: 400,
      body: { code: 'invalid-argument' },
    })
  })
})

describe('reconcile of a Worker without lakeRoutes', () => {
  it.each([
    { status: 404, answer: 'Not Found' },
    { status: 200, answer: '{"$id":"01","name":"Alice"}' },
  ])('names them and the line that mounts them, if it answers $status', async ({ status, answer }) => {
    const table = await landedTable([committed(1)])
    await table.lake.bucket.delete(
      (await table.lake.bucket.list({ prefix: `${table.lake.prefix}data/` })).objects.map(({ key }) => key),
    )
    const server = createServer((_, response) => response.writeHead(status).end(answer))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
    const { code, stderr } = await runCommand(['reconcile', '--url', url], { cwd: table.root })
    server.close()
    await table.remove()
    expect(code).toBe(1)
    expect(stderr).toContain(`${url}/lake/repair answered ${status} without the JSON of lakeRoutes`)
    expect(stderr).toMatch(
      /app\.route\('\/lake', lakeRoutes<Env>\(.*\)\), from durable-outbox\/admin\n.*no object \S+; durable-outbox recover /,
    )
  })
})

async function rowsOf(file: ArrayBuffer): Promise<Row[]> {
  const rows = await parquetReadObjects({
    file,
    compressors: { ZSTD: (page) => new Uint8Array(zstdDecompressSync(page)) },
    // As they are stored, for the lake's writer.
    parsers: { timestampFromMicroseconds: (micros) => micros },
  })
  return rows as Row[]
}

/** A data file as the lake writes it, padded with zeros before its footer to the size in the manifest. */
function dataFileOf(rows: readonly Row[], bytes: number): Uint8Array {
  const { bytes: file } = writeParquet(EVENTS_COLUMNS, rows)
  const footer = file.length - 8 - new DataView(file.buffer, file.byteOffset).getUint32(file.length - 8, true)
  return Buffer.concat([file.subarray(0, footer), Buffer.alloc(bytes - file.length), file.subarray(footer)])
}

describe('the replay of a range', () => {
  const target = { className: 'customers', object: 'acme' }

  /** An outbox that keeps some of the LSNs that it has delivered, and sends two at once. */
  function outboxThatKeeps(...kept: number[]) {
    const client = new WorkerClient('http://localhost', undefined)
    const sent: number[] = []
    vi.spyOn(client, 'call').mockImplementation(async (_, method, argument) => {
      const { from, to, fromLSN, toLSN } = argument as Record<'from' | 'to' | 'fromLSN' | 'toLSN', number>
      if (method === 'list')
        return {
          items: kept
            .filter((lsn) => lsn >= from && lsn <= to)
            .slice(0, 1)
            .map((lsn) => ({ lsn })),
        }
      const page = kept.filter((lsn) => lsn >= fromLSN && lsn <= toLSN).slice(0, 2)
      sent.push(...page)
      const next = (page.at(-1) ?? toLSN) + 1
      return { replayed: page.length, ...(next <= toLSN && { nextLSN: next }) }
    })
    return { client, sent }
  }

  it('continues to the end of the range', async () => {
    const { client, sent } = outboxThatKeeps(1, 2, 3, 4, 5, 6, 7)
    expect(await replayRange(client, target, { first: 2, last: 6 })).toEqual({ replayed: 5, notKept: [] })
    expect(sent).toEqual([2, 3, 4, 5, 6])
  })

  it('reports what is no longer kept, and sends the rest', async () => {
    const { client, sent } = outboxThatKeeps(4, 5)
    expect(await replayRange(client, target, { first: 2, last: 6 })).toEqual({
      replayed: 2,
      notKept: [
        { first: 2, last: 3 },
        { first: 6, last: 6 },
      ],
    })
    expect(sent).toEqual([4, 5])
  })

  it('sends nothing if nothing is kept', async () => {
    const { client, sent } = outboxThatKeeps()
    expect(await replayRange(client, target, { first: 2, last: 6 })).toEqual({
      replayed: 0,
      notKept: [{ first: 2, last: 6 }],
    })
    expect(sent).toEqual([])
  })
})

describe('the portions of suspects', () => {
  const log = { ns: 'acme', source: 'acme/DO/Shop', epoch: 'e' }

  it('hold all of them, each no more than one repair looks for', () => {
    const ranges = [
      { first: 1, last: 10 },
      { first: 20, last: 2 * REPAIR_LSNS_MAX },
    ]
    const portions = portionsOf([{ ...log, ranges }])
    const sizes = portions.map((portion) =>
      portion.flatMap((suspect) => suspect.ranges).reduce((sum, { first, last }) => sum + last - first + 1, 0),
    )
    expect(Math.max(...sizes)).toBeLessThanOrEqual(REPAIR_LSNS_MAX)
    expect(sizes.reduce((sum, size) => sum + size)).toBe(2 * REPAIR_LSNS_MAX - 9)
  })

  it('keep two namespaces apart whose global source and epoch are the same', () => {
    const ranges = [{ first: 2, last: 2 }]
    const needs = [
      { ...log, ranges },
      { ...log, ns: 'acme/DO', ranges },
    ]
    expect(portionsOf(needs)).toEqual([needs])
  })

  it('put as many logs into one as a repair takes', () => {
    const needs = Array.from({ length: REPAIR_LOGS_MAX + 1 }, (_, n) => ({
      ...log,
      epoch: `${n}`,
      ranges: [
        { first: 2, last: 2 },
        { first: 4, last: 4 },
      ],
    }))
    expect(portionsOf(needs).map((portion) => portion.length)).toEqual([REPAIR_LOGS_MAX, 1])
    expect(portionsOf(needs)[0]?.[0]).toEqual(needs[0])
  })
})
