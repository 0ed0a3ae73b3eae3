import { describe, expect, it } from 'vitest'
import { columnsOf, createTableMetadata, type TableMetadata, withSnapshot } from '../../../src/lake/iceberg/metadata.ts'
import { type Column, createSchema } from '../../../src/lake/iceberg/schema.ts'
import { type Snapshot, snapshotIdFrom } from '../../../src/lake/iceberg/snapshot.ts'
import { COLUMNS, emptyTable, LOCATION, NOW_MS, PARTITION } from './fixture.ts'

const { metadata } = emptyTable()

function snapshot(sequenceNumber: number, overrides: Partial<Snapshot> = {}): Snapshot {
  return {
    'snapshot-id': sequenceNumber,
    'sequence-number': sequenceNumber,
    'timestamp-ms': NOW_MS + sequenceNumber,
    'manifest-list': `${LOCATION}/metadata/snap-${sequenceNumber}.avro`,
    'schema-id': 0,
    summary: { operation: 'append' },
    ...overrides,
  }
}

function afterSnapshots(count: number, from: TableMetadata = metadata): TableMetadata {
  let table = from
  for (let n = 1; n <= count; n++) table = withSnapshot(table, snapshot(n), `metadata/v${n}.metadata.json`)
  return table
}

describe('createTableMetadata', () => {
  it('describes an empty table as the spec does', () => {
    expect(metadata).toMatchObject({
      'format-version': 2,
      location: 's3://lake/cdc/events',
      'last-sequence-number': 0,
      'last-updated-ms': NOW_MS,
      'last-column-id': 19,
      'current-schema-id': 0,
      'partition-specs': [{ 'spec-id': 0, fields: PARTITION }],
      'default-spec-id': 0,
      'last-partition-id': 1001,
      'sort-orders': [{ 'order-id': 0, fields: [] }],
      refs: {},
      snapshots: [],
      statistics: [],
      'partition-statistics': [],
    })
    expect(metadata.schemas[0]?.fields[2]).toEqual({ id: 3, name: 'timestamp', required: true, type: 'timestamptz' })
    expect(metadata).not.toHaveProperty('current-snapshot-id')
  })

  it('keeps docs, properties and which columns have no bounds, through JSON', () => {
    const columns: Column[] = [
      { id: 1, name: 'id', type: 'string', required: true, doc: 'the event' },
      { id: 2, name: 'data', type: 'string', required: false, bounds: false },
    ]
    const options = { location: LOCATION, partition: [], uuid: 'u', nowMs: 0, properties: { owner: 'ada' } }
    const stored: TableMetadata = JSON.parse(JSON.stringify(createTableMetadata({ ...options, columns })))
    expect(columnsOf(stored)).toEqual(columns)
    expect(stored.properties).toMatchObject({ owner: 'ada', 'write.metadata.metrics.column.data': 'counts' })
    expect(stored['last-partition-id']).toBe(999)
  })

  it('refuses a location with a slash at its end', () => {
    const options = { columns: COLUMNS, partition: PARTITION, uuid: 'u', nowMs: 0 }
    expect(() => createTableMetadata({ ...options, location: 's3://lake/' })).toThrow(
      /must not be empty or end with a slash/,
    )
  })
})

describe('createSchema', () => {
  const column: Column = { id: 1, name: 'id', type: 'string', required: true }

  it('refuses ids and names that are used twice, and a table without columns', () => {
    expect(() => createSchema([column, { ...column, name: 'other' }])).toThrow(/same id/)
    expect(() => createSchema([column, { ...column, id: 2 }])).toThrow(/same name/)
    expect(() => createSchema([])).toThrow(/at least one column/)
  })
})

describe('withSnapshot', () => {
  it('makes the snapshot current on the branch main', () => {
    const next = afterSnapshots(2)
    expect(next).toMatchObject({
      'current-snapshot-id': 2,
      'last-sequence-number': 2,
      'last-updated-ms': NOW_MS + 2,
      refs: { main: { 'snapshot-id': 2, type: 'branch' } },
    })
    expect(next['snapshot-log']).toEqual([
      { 'snapshot-id': 1, 'timestamp-ms': NOW_MS + 1 },
      { 'snapshot-id': 2, 'timestamp-ms': NOW_MS + 2 },
    ])
  })

  it('logs the file of the previous metadata with the time of that metadata', () => {
    expect(afterSnapshots(2)['metadata-log']).toEqual([
      { 'metadata-file': `${LOCATION}/metadata/v1.metadata.json`, 'timestamp-ms': NOW_MS },
      { 'metadata-file': `${LOCATION}/metadata/v2.metadata.json`, 'timestamp-ms': NOW_MS + 1 },
    ])
    expect(withSnapshot(metadata, snapshot(1))['metadata-log']).toEqual([])
  })

  it('keeps the last 100 metadata files in the log, or as many as the property says', () => {
    expect(afterSnapshots(103)['metadata-log']).toHaveLength(100)
    const properties = { 'write.metadata.previous-versions-max': '2' }
    expect(
      afterSnapshots(5, { ...metadata, properties })['metadata-log'].map((entry) => entry['metadata-file']),
    ).toEqual([`${LOCATION}/metadata/v4.metadata.json`, `${LOCATION}/metadata/v5.metadata.json`])
  })

  it('does not let time go backwards when the clock does', () => {
    const next = withSnapshot(afterSnapshots(1), snapshot(2, { 'timestamp-ms': NOW_MS - 3_600_000 }))
    expect(next['last-updated-ms']).toBe(NOW_MS + 1)
    expect(next.snapshots[1]?.['timestamp-ms']).toBe(NOW_MS + 1)
    expect(next['snapshot-log'][1]?.['timestamp-ms']).toBe(NOW_MS + 1)
  })

  it('adds the fields for statistics to a table of an earlier version, and keeps what another writer has put there', () => {
    const { statistics: _none, 'partition-statistics': _too, ...earlier } = metadata
    const next = withSnapshot(earlier as TableMetadata, snapshot(1))
    expect(next).toMatchObject({ statistics: [], 'partition-statistics': [] })
    const statistics = [{ 'snapshot-id': 1, 'statistics-path': 's3://lake/x.stats' }]
    expect(withSnapshot({ ...metadata, statistics }, snapshot(1)).statistics).toEqual(statistics)
  })

  it('keeps other branches and tags', () => {
    const tagged = { ...metadata, refs: { audit: { 'snapshot-id': 7, type: 'tag' as const } } }
    expect(withSnapshot(tagged, snapshot(1)).refs).toMatchObject({ audit: { 'snapshot-id': 7, type: 'tag' } })
  })

  it('does not change what it is given', () => {
    const before = structuredClone(metadata)
    withSnapshot(metadata, snapshot(1), 'metadata/v1.metadata.json')
    expect(metadata).toEqual(before)
  })

  it('refuses a snapshot id that is taken or not a positive safe integer, and a number out of sequence', () => {
    const next = afterSnapshots(1)
    expect(() => withSnapshot(next, snapshot(2, { 'snapshot-id': 1 }))).toThrow(/snapshot id 1 is taken/)
    expect(() => withSnapshot(next, snapshot(2, { 'snapshot-id': 2 ** 53 }))).toThrow(/not a positive integer/)
    expect(() => withSnapshot(next, snapshot(2, { 'snapshot-id': 0 }))).toThrow(/not a positive integer/)
    expect(() => withSnapshot(next, snapshot(3))).toThrow(/sequence number 3 is not next/)
  })
})

describe('snapshotIdFrom', () => {
  it('makes a positive safe integer of any 8 bytes', () => {
    expect(snapshotIdFrom(new Uint8Array(8))).toBe(1)
    expect(snapshotIdFrom(new Uint8Array(8).fill(0xff))).toBe(Number.MAX_SAFE_INTEGER)
    expect(snapshotIdFrom(Uint8Array.of(9, 9, 0, 0, 0, 0, 0, 0, 1, 2).subarray(2))).toBe(258)
  })

  it('refuses fewer than 8 bytes', () => {
    expect(() => snapshotIdFrom(new Uint8Array(7))).toThrow(/8 random bytes/)
  })
})
