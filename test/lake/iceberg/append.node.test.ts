import { describe, expect, it } from 'vitest'
import { prepareAppend } from '../../../src/lake/iceberg/commit.ts'
import type { ManifestFile } from '../../../src/lake/iceberg/manifest.ts'
import { currentSnapshot } from '../../../src/lake/iceberg/metadata.ts'
import {
  COLUMNS,
  countingUuid,
  emptyTable,
  event,
  events,
  LOCATION,
  MemoryTable,
  NOW_MS,
  PARTITION,
  queryParquet,
  readAvro,
} from './fixture.ts'

interface Pair<T> {
  key: number
  value: T
}

interface ManifestEntry {
  status: number
  snapshot_id: number
  sequence_number: number | null
  file_sequence_number: number | null
  data_file: {
    content: number
    file_path: string
    file_format: string
    partition: { type: string | null; dt: number | null }
    record_count: number
    file_size_in_bytes: number
    value_counts: Pair<number>[]
    null_value_counts: Pair<number>[]
    nan_value_counts: Pair<number>[]
    lower_bounds: Pair<Buffer>[]
    upper_bounds: Pair<Buffer>[]
    split_offsets: number[]
    sort_order_id: number
  }
}

interface ListEntry extends Omit<ManifestFile, 'partitions'> {
  partitions: {
    contains_null: boolean
    contains_nan: boolean
    lower_bound: Buffer | null
    upper_bound: Buffer | null
  }[]
}

const TYPES = ['Customer.created', 'cdc.insert', 'cdc.update']
const OPTIONS = { summary: {}, nowMs: NOW_MS, uuid: countingUuid(), snapshotId: 5 }

function mixed(count: number, from = 0) {
  return events(count, (lsn) => ({ ...event(from + lsn), type: TYPES[lsn % 3] }))
}

/** A map's value for a column. */
function valueOf<T>(pairs: Pair<T>[] | undefined, columnId: number): T | undefined {
  return pairs?.find(({ key }) => key === columnId)?.value
}

async function readManifestList(table: MemoryTable) {
  const location = currentSnapshot(table.table.metadata)?.['manifest-list'] ?? ''
  return await readAvro<ListEntry>(table.read(location))
}

/** All data files of the table, found the way a reader finds them: metadata, manifest list, manifests. */
async function readEntries(table: MemoryTable): Promise<ManifestEntry[]> {
  const { records } = await readManifestList(table)
  const manifests = records.map(({ manifest_path }) => readAvro<ManifestEntry>(table.read(manifest_path)))
  return (await Promise.all(manifests)).flatMap((manifest) => manifest.records)
}

describe('prepareAppend', () => {
  it('returns data files, the manifest and the manifest list, in the order to store them', () => {
    const table = new MemoryTable()
    expect(table.append(mixed(3)).map(({ key }) => key.replace(/[\da-f]{8}-[\da-f-]{27}/, '<uuid>'))).toEqual([
      'data/type=Customer.created/dt=2026-11-22/<uuid>.parquet',
      'data/type=cdc.insert/dt=2026-11-22/<uuid>.parquet',
      'data/type=cdc.update/dt=2026-11-22/<uuid>.parquet',
      'metadata/<uuid>-m0.avro',
      'metadata/snap-1000-1-<uuid>.avro',
    ])
  })

  it('writes a manifest with the metadata that the spec requires', async () => {
    const table = new MemoryTable()
    table.append(mixed(3))
    const { metadata } = await readAvro(table.read(table.table.manifests[0]?.manifest_path ?? ''))
    expect(JSON.parse(metadata['schema'] ?? '')).toEqual(table.table.metadata.schemas[0])
    expect(JSON.parse(metadata['partition-spec'] ?? '')).toEqual(PARTITION)
    expect(metadata).toMatchObject({
      'schema-id': '0',
      'partition-spec-id': '0',
      'format-version': '2',
      content: 'data',
      'avro.codec': 'null',
    })
  })

  it('writes manifest entries that describe the files', async () => {
    const table = new MemoryTable()
    const files = table.append([event(7, { type: 'Zoë 🦄' })])
    const [entry] = await readEntries(table)
    expect(entry).toMatchObject({ status: 1, snapshot_id: 1000, sequence_number: null, file_sequence_number: null })
    expect(entry?.data_file).toMatchObject({
      content: 0,
      file_path: `${LOCATION}/${files[0]?.key}`,
      file_format: 'PARQUET',
      partition: { type: 'Zoë 🦄', dt: 20_779 },
      record_count: 1,
      file_size_in_bytes: files[0]?.bytes.length,
      nan_value_counts: [],
      split_offsets: [4],
      sort_order_id: 0,
    })
    expect(entry?.data_file.value_counts).toEqual(COLUMNS.map(({ id }) => ({ key: id, value: 1 })))
  })

  it('writes bounds in the binary form of the spec', async () => {
    const table = new MemoryTable()
    table.append([event(1), event(300)])
    const [entry] = await readEntries(table)
    expect(valueOf(entry?.data_file.lower_bounds, 17)?.readBigInt64LE()).toBe(1n)
    expect(valueOf(entry?.data_file.upper_bounds, 17)?.readBigInt64LE()).toBe(300n)
    expect(valueOf(entry?.data_file.upper_bounds, 1)?.toString()).toBe('01K0000000000001')
    expect(valueOf(entry?.data_file.upper_bounds, 11)).toBeUndefined()
  })

  it('carries the manifests of earlier commits unchanged, newest first', async () => {
    const table = new MemoryTable()
    for (const from of [0, 30, 60]) table.append(mixed(30, from))
    const { records, metadata } = await readManifestList(table)
    expect(records.map((entry) => [entry.sequence_number, entry.added_snapshot_id, entry.added_rows_count])).toEqual([
      [3, 1002, 30],
      [2, 1001, 30],
      [1, 1000, 30],
    ])
    expect(records.map((entry) => entry.manifest_path)).toEqual(table.table.manifests.map((m) => m.manifest_path))
    expect(records.map((entry) => entry.manifest_length)).toEqual(
      records.map((entry) => table.read(entry.manifest_path).length),
    )
    expect(metadata).toMatchObject({
      'snapshot-id': '1002',
      'parent-snapshot-id': '1001',
      'sequence-number': '3',
      'format-version': '2',
    })
  })

  it('summarises the partitions of a manifest in the manifest list', async () => {
    const table = new MemoryTable()
    table.append([...mixed(3), event(9, { timestamp: 0n })])
    const summaries = (await readManifestList(table)).records[0]?.partitions ?? []
    expect(summaries.map(({ contains_null }) => contains_null)).toEqual([false, false])
    expect(summaries.map(({ contains_nan }) => contains_nan)).toEqual([false, false])
    expect(summaries.map(({ lower_bound }) => lower_bound?.toString('hex'))).toEqual([
      Buffer.from('Customer.created').toString('hex'),
      '00000000',
    ])
    expect(summaries[0]?.upper_bound?.toString()).toBe('cdc.update')
    expect(summaries[1]?.upper_bound?.readInt32LE()).toBe(20_779)
  })

  it('adds up what the table holds, in the summary and in the files', async () => {
    const table = new MemoryTable()
    table.append(mixed(30))
    table.append([event(31), event(32)], { summary: { 'cdc.watermarks': '{}', 'total-records': '9' } })
    const entries = await readEntries(table)
    const size = entries.reduce((total, { data_file }) => total + data_file.file_size_in_bytes, 0)
    const added = entries.filter((entry) => entry.snapshot_id === 1001)
    expect(currentSnapshot(table.table.metadata)?.summary).toEqual({
      operation: 'append',
      'cdc.watermarks': '{}',
      'added-data-files': '1',
      'added-records': '2',
      'added-files-size': String(added[0]?.data_file.file_size_in_bytes),
      'changed-partition-count': '1',
      'total-data-files': '4',
      'total-records': '32',
      'total-files-size': String(size),
      'total-delete-files': '0',
      'total-position-deletes': '0',
      'total-equality-deletes': '0',
    })
  })

  it('loses no row and duplicates none over several commits', async () => {
    const table = new MemoryTable()
    for (const from of [0, 100, 200, 300]) table.append(mixed(100, from))
    const entries = await readEntries(table)
    const files = entries.map((entry) => table.read(entry.data_file.file_path))
    const sql = `SELECT type, count(*) AS n, count(DISTINCT id) AS ids FROM read_parquet($files) GROUP BY 1 ORDER BY 1`
    expect((await queryParquet(files, sql)).map(Object.values)).toEqual([
      ['Customer.created', 136n, 136n],
      ['cdc.insert', 132n, 132n],
      ['cdc.update', 132n, 132n],
    ])
    expect(entries.reduce((total, { data_file }) => total + data_file.record_count, 0)).toBe(400)
  })

  it('links snapshots to their parents and lists them in the metadata', () => {
    const table = new MemoryTable()
    table.append([event(1)])
    table.append([event(2)], { nowMs: NOW_MS - 5000 })
    const [first, second] = table.table.metadata.snapshots
    expect(first).not.toHaveProperty('parent-snapshot-id')
    expect(second).toMatchObject({ 'parent-snapshot-id': 1000, 'sequence-number': 2, 'timestamp-ms': NOW_MS })
    expect(table.table.metadata['metadata-log']).toEqual([
      { 'metadata-file': `${LOCATION}/metadata/v1.metadata.json`, 'timestamp-ms': NOW_MS },
    ])
  })

  it('does not change the table that it is given, and prepares the same commit twice', () => {
    const table = emptyTable()
    const before = structuredClone(table)
    const prepare = () => prepareAppend(table, mixed(9), { ...OPTIONS, uuid: countingUuid() })
    expect(prepare()).toEqual(prepare())
    expect(table).toEqual(before)
  })

  it('refuses an append of no rows', () => {
    expect(() => prepareAppend(emptyTable(), [], OPTIONS)).toThrow(/no rows; skip the commit/)
  })

  it('refuses manifests that are not all those of the current snapshot', () => {
    const table = new MemoryTable()
    table.append(mixed(3))
    const forgotten = { ...table.table, manifests: [] }
    expect(() => prepareAppend(forgotten, mixed(3), OPTIONS)).toThrow(/hold 0 records, the current snapshot 3/)
  })

  it('refuses names that are not UUIDs', () => {
    const options = { ...OPTIONS, uuid: () => '01KEPOCH' }
    expect(() => prepareAppend(emptyTable(), mixed(3), options)).toThrow(/01KEPOCH, which is not a UUID/)
  })
})
