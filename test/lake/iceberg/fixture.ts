// A table of events like the one that the lake writes, and readers of its files that we did not write.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance, type DuckDBValue } from '@duckdb/node-api'
import avsc from 'avsc'
import { onTestFinished } from 'vitest'
import { type NewFile, prepareAppend, type Table } from '../../../src/lake/iceberg/commit.ts'
import { createTableMetadata } from '../../../src/lake/iceberg/metadata.ts'
import type { PartitionField } from '../../../src/lake/iceberg/partition.ts'
import type { Column, ColumnType, Row } from '../../../src/lake/iceberg/schema.ts'

export const LOCATION = 's3://lake/cdc/events'
export const NOW_MS = Date.UTC(2026, 10, 22, 12)
export const NOW_MICROS = BigInt(NOW_MS) * 1000n
export const HOUR_MICROS = 3_600_000_000n

const REQUIRED = new Set(['id', 'type', 'timestamp', 'ns'])
const JSON_COLUMNS = new Set(['before', 'after', 'data', '_meta'])
const NAMES =
  'id type timestamp ns source table_url op store key before after actor data correlation_id txid epoch lsn visibility _meta'

export const COLUMNS: Column[] = NAMES.split(' ').map((name, i) => ({
  id: i + 1,
  name,
  type: typeOf(name),
  required: REQUIRED.has(name),
  ...(JSON_COLUMNS.has(name) && { bounds: false }),
}))

export const PARTITION: PartitionField[] = [
  { 'source-id': 2, 'field-id': 1000, name: 'type', transform: 'identity' },
  { 'source-id': 3, 'field-id': 1001, name: 'dt', transform: 'day' },
]

function typeOf(name: string): ColumnType {
  if (name === 'lsn') return 'long'
  return name === 'timestamp' ? 'timestamptz' : 'string'
}

/** A change event; `lsn` makes it distinct. */
export function event(lsn: number, overrides: Row = {}): Row {
  return {
    id: `01K${String(lsn).padStart(23, '0')}`,
    type: 'Customer.created',
    timestamp: NOW_MICROS + BigInt(lsn),
    ns: 'acme',
    source: 'acme/DO/Customers',
    table_url: 'acme/Customer',
    op: 'c',
    key: `c-${lsn}`,
    after: JSON.stringify({ $id: `c-${lsn}`, name: 'Zoë 🦄 日本' }),
    txid: `tx-${lsn}`,
    epoch: '01KEPOCH',
    lsn: BigInt(lsn),
    visibility: 'user',
    _meta: '{"retries":0}',
    ...overrides,
  }
}

export function events(count: number, overrides: (lsn: number) => Row = () => ({})): Row[] {
  return Array.from({ length: count }, (_, lsn) => event(lsn, overrides(lsn)))
}

export function emptyTable(): Table {
  const uuid = '00000000-0000-4000-8000-000000000000'
  const metadata = createTableMetadata({
    location: LOCATION,
    columns: COLUMNS,
    partition: PARTITION,
    uuid,
    nowMs: NOW_MS,
  })
  return { metadata, manifests: [] }
}

/** UUIDs that count up: the same in every run. */
export function countingUuid(): () => string {
  let count = 0
  return () => `00000000-0000-4000-8000-${String(++count).padStart(12, '0')}`
}

/** Commits to a table in memory, the way the lake does, through JSON. */
export class MemoryTable {
  table: Table = emptyTable()
  readonly objects = new Map<string, Uint8Array>()
  readonly #uuid = countingUuid()
  #version = 0

  append(rows: readonly Row[], options: { nowMs?: number; summary?: Record<string, string> } = {}): readonly NewFile[] {
    const { nowMs = NOW_MS, summary = {} } = options
    const snapshotId = 1000 + this.table.metadata.snapshots.length
    const prepared = prepareAppend(this.table, rows, { summary, nowMs, uuid: this.#uuid, snapshotId })
    for (const { key, bytes } of prepared.files) this.objects.set(key, bytes)
    const manifests = [...prepared.manifests.map(({ manifest }) => manifest), ...this.table.manifests]
    const stored: Pick<Table, 'metadata' | 'manifests'> = JSON.parse(
      JSON.stringify({ metadata: prepared.metadata, manifests }),
    )
    this.table = { ...stored, metadataKey: `metadata/v${++this.#version}.metadata.json` }
    return prepared.files
  }

  /** The object at a full location, as the metadata has it. */
  read(location: string): Uint8Array {
    const bytes = this.objects.get(location.slice(LOCATION.length + 1))
    if (bytes === undefined) throw new Error(`nothing at ${location}`)
    return bytes
  }
}

/** Lets avsc hold longs above 2^53, as bigints. */
export const bigLong = avsc.types.LongType.__with({
  fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
  toBuffer: (value: bigint) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64LE(value)
    return bytes
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === 'bigint',
  compare: (left: bigint, right: bigint) => Number(left - right),
})

export interface AvroFile<T> {
  metadata: Record<string, string>
  records: T[]
}

/** Decodes an Avro file with avsc. @param longs `bigint` reads all longs as bigints. */
export async function readAvro<T>(bytes: Uint8Array, longs?: 'bigint'): Promise<AvroFile<T>> {
  const registry = longs === 'bigint' ? { long: bigLong } : {}
  const decoder = new avsc.streams.BlockDecoder({
    parseHook: (schema: avsc.Schema) => avsc.Type.forSchema(schema, { registry: { ...registry } }),
  })
  const file: AvroFile<T> = { metadata: {}, records: [] }
  decoder.on('metadata', (_type: unknown, _codec: unknown, header: { meta: Record<string, Buffer> }) => {
    file.metadata = Object.fromEntries(Object.entries(header.meta).map(([key, value]) => [key, value.toString()]))
  })
  decoder.on('data', (record: T) => file.records.push(record))
  const ended = new Promise((resolve, reject) => decoder.on('end', resolve).on('error', reject))
  decoder.end(Buffer.from(bytes))
  await ended
  return file
}

/** Runs SQL in DuckDB over Parquet files: `$files` in the query is replaced by the list of their paths. */
export async function queryParquet(files: readonly Uint8Array[], sql: string): Promise<Record<string, DuckDBValue>[]> {
  const folder = await mkdtemp(join(tmpdir(), 'iceberg-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  const paths = files.map((_, i) => join(folder, `${i}.parquet`))
  await Promise.all(files.map((bytes, i) => writeFile(paths[i] ?? '', bytes)))
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  const list = `[${paths.map((path) => `'${path}'`).join(', ')}]`
  const reader = await connection.runAndReadAll(sql.replaceAll('$files', list))
  const rows = reader.getRowObjects()
  connection.closeSync()
  instance.closeSync()
  return rows
}
