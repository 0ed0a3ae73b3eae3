// The lake of the tests, and what is in its table.

import { zstdDecompressSync } from 'node:zlib'
import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import type { CommittedRecord, EventRecord } from 'durable-outbox'
import { parquetReadObjects } from 'hyparquet'
import type { TableMetadata } from '../../src/lake/iceberg/metadata.ts'
import { HOLD_MS, lakeClock, type SlowLakeTable } from '../worker.ts'

export const EPOCH = '01ARZ3NDEKTSV4RRFFQ69G5FAV'
/** The stub of the lake's table. One from before a reset is broken, so that each file of tests gets a new one. */
export let table = findTable()

export function renewTable(): void {
  table = findTable()
}

function findTable() {
  return env.LAKE_TABLE.getByName('cdc.events')
}

/** A record of an outbox that is the test's own. */
export function record(source: string, lsn: number, fields: Partial<CommittedRecord> = {}): CommittedRecord {
  return {
    id: `01ARZ3NDEKTSV4RRFFQ6${String(lsn).padStart(6, '0')}`,
    type: 'cdc.insert',
    timestamp: '2026-11-22T08:30:00.000Z',
    ns: 'acme',
    source,
    epoch: EPOCH,
    lsn,
    txid: 'tx',
    _meta: { schemaVersion: 1, source, epoch: EPOCH },
    ...fields,
  }
}

/** Records of consecutive LSNs. */
export function batch(source: string, first: number, last: number): CommittedRecord[] {
  return Array.from({ length: last - first + 1 }, (_, index) => record(source, first + index))
}

/** A record of an event that went through no outbox. */
export function unlogged(source: string, n: number, ns = 'acme'): EventRecord {
  const { id, type, timestamp } = record(source, n)
  return {
    id: `01BRZ3NDEK${source.slice(0, 4).toUpperCase()}${id.slice(14)}`,
    type,
    timestamp,
    ns,
    source,
    _meta: { schemaVersion: 1, source },
  }
}

/** Does what the alarm does, once the alarm itself is not running. */
export async function commit(): Promise<void> {
  await runInDurableObject(table, (lake) => (lake as SlowLakeTable).alarm())
}

/** Commits also what was held back, as if its time had passed. */
export async function commitHeld(): Promise<void> {
  lakeClock.aheadMs += HOLD_MS
  await commit()
}

export async function metadata(): Promise<TableMetadata> {
  const { version } = await table.status()
  const object = await env.LAKE_BUCKET.get(`cdc/events/metadata/v${version}.metadata.json`)
  if (object === null) throw new Error('there is no table yet')
  return object.json<TableMetadata>()
}

export async function summary(): Promise<Record<string, string>> {
  const { snapshots, 'current-snapshot-id': id } = await metadata()
  return snapshots.find((snapshot) => snapshot['snapshot-id'] === id)?.summary ?? {}
}

/** All watermarks, as a reader finds them in the table alone. */
export async function watermarks(): Promise<Record<string, Record<string, number>>> {
  const { snapshots, 'current-snapshot-id': current } = await metadata()
  const { summary } = snapshots.find((snapshot) => snapshot['snapshot-id'] === current) ?? {}
  const file = summary?.['cdc.watermarks-file']?.replace('s3://lake/', '')
  const from = Number(summary?.['cdc.watermarks-sequence'] ?? 0)
  const all: Record<string, Record<string, number>> = file === undefined
    ? {}
    : ((await (await env.LAKE_BUCKET.get(file))?.json()) ?? {})
  if (from > 0 && !snapshots.some((snapshot) => snapshot['sequence-number'] <= from + 1))
    throw new Error('the summaries between the file and now are gone')
  for (const snapshot of snapshots.filter((snapshot) => snapshot['sequence-number'] > from))
    for (const [source, epochs] of Object.entries(JSON.parse(snapshot.summary['cdc.watermarks'] ?? '{}')))
      all[source] = { ...all[source], ...(epochs as Record<string, number>) }
  return all
}

export async function totalRecords(): Promise<number> {
  const { version } = await table.status()
  return version === 0 ? 0 : Number((await summary())['total-records'])
}

/** The rows of a global source in the current snapshot, by LSN, read by a library that is not ours. */
export async function rowsOf(source: string, parsers: object = {}): Promise<Record<string, unknown>[]> {
  const files = await Promise.all(
    (await liveKeys()).map(async (key) => {
      const file = await (await env.LAKE_BUCKET.get(`cdc/events/${key}`))?.arrayBuffer()
      if (file === undefined) throw new Error(`${key} is gone, and a snapshot reads it`)
      const compressors = { ZSTD: (page: Uint8Array) => new Uint8Array(zstdDecompressSync(page)) }
      return parquetReadObjects({ file, compressors, parsers })
    }),
  )
  return files
    .flat()
    .filter((row) => row['source'] === source)
    .toSorted((a, b) => Number(a['lsn']) - Number(b['lsn']))
}

/** The data files of the current snapshot. */
export function liveKeys(): Promise<string[]> {
  return runInDurableObject(table, (_, { storage }) =>
    storage.sql
      .exec<{ key: string }>('SELECT key FROM lake_file')
      .toArray()
      .map(({ key }) => key),
  )
}
