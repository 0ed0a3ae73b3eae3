// The lake commits to Apache Iceberg's own REST catalog, while others compact its table, let its snapshots expire and add columns by
// Iceberg's own library. Then the command proves the table, and ClickHouse counts it through that catalog.

import { setTimeout as pause } from 'node:timers/promises'
import * as z from 'zod'
import { openBucket } from '../harness/bucket.ts'
import { runCommand } from '../harness/command.ts'
import { type Apache, startApache } from './apache.ts'
import { askThroughCatalog } from './clickhouse.ts'
import { catalogAt, startWorker } from './lake.ts'
import { createLoad, type Request } from './load.ts'
import { serveBucket } from './s3.ts'

const LANDING_MS_MAX = 90_000
const POLL_MS = 200
/** Above what a double holds exactly: ids of Iceberg's library. */
const EXACT_MAX = BigInt(Number.MAX_SAFE_INTEGER)

const snapshotsShape = z.object({
  metadata: z.object({
    snapshots: z.array(z.looseObject({ summary: z.looseObject({ 'total-records': z.string() }) })).default([]),
  }),
})

export interface RestFinding {
  readonly name: string
  readonly by: string
  readonly difference?: string
}

/** @param send sends a wave. @returns how many events it must land. */
export async function commitToApache(
  directory: string,
  send: (wave: readonly Request[], worker: Awaited<ReturnType<typeof startWorker>>) => Promise<number>,
): Promise<RestFinding[]> {
  const { bucket, close } = await openBucket(directory)
  const s3 = await serveBucket(bucket, 'lake')
  const apache = await startApache(s3.url, directory)
  const worker = await startWorker(directory, { LAKE_CATALOG_URI: apache.url, LAKE_LOCATION: 's3://lake/cdc/events' })
  try {
    let events = 0
    let longest = 0n
    for (const [index, wave] of (await createLoad()).entries()) {
      events += await send(wave, worker)
      await landed(apache, events)
      // Each time takes a few seconds. The last word is theirs.
      if (index % 2 === 0) continue
      const id = BigInt(await apache.change())
      longest = id > longest ? id : longest
    }
    const verified = await runCommand(['verify', '--state', directory], { env: { LAKE_CATALOG_URI: apache.url } })
    const address = { ...catalogAt(worker.url), catalog: apache.url }
    const sql = 'SELECT count(), uniqExact(ns, source, epoch, lsn) FROM events'
    const [answer] = await askThroughCatalog(address, [{ sql }])
    return [
      same('the table is proven by verify', String(verified.code), '0', verified.stdout + verified.stderr),
      same(
        'events, and how many are different, by ClickHouse',
        JSON.stringify(answer),
        JSON.stringify([[String(events), String(events)]]),
      ),
      same('an id of others exceeds 53 bits', String(longest > EXACT_MAX), 'true'),
    ]
  } finally {
    await worker.kill()
    apache.stop()
    s3.stop()
    await close()
  }
}

function same(name: string, found: string, expected: string, details = ''): RestFinding {
  return { name, by: expected, ...(found !== expected && { difference: `it is ${found}${details && `: ${details}`}` }) }
}

async function landed(apache: Apache, events: number): Promise<void> {
  let [records, answer] = [0, '']
  for (let waitedMs = 0; waitedMs < LANDING_MS_MAX; waitedMs += POLL_MS) {
    const response = await fetch(`${apache.url}/v1/namespaces/cdc/tables/events`)
    answer = await response.text()
    const table = response.ok ? snapshotsShape.parse(JSON.parse(answer)) : undefined
    records = Number(table?.metadata.snapshots.at(-1)?.summary['total-records'] ?? 0)
    if (records >= events) return console.error(`interop: ${records} events have landed in Apache's catalog`)
    await pause(POLL_MS)
  }
  throw new Error(
    `interop: of ${events} events only ${records} have landed in Apache's catalog, which answers ${answer.slice(0, 500)}`,
  )
}
