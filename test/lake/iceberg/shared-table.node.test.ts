// The metadata of a table that others commit to too: their specs, snapshots, branches and columns.

import { describe, expect, it } from 'vitest'
import {
  canWrite,
  columnsByName,
  columnsOf,
  createTableMetadata,
  currentSchema,
  hasSnapshot,
  keepSnapshots,
  keyBelow,
  keyOfPath,
  nextTimestampMs,
  oldestSequenceNumber,
  specOf,
  type TableMetadata,
  withUnpartitionedSpec,
  writableSpec,
} from '../../../src/lake/iceberg/metadata.ts'
import { createPartitionSpec, type PartitionSpec } from '../../../src/lake/iceberg/partition.ts'
import {
  type Column,
  createSchema,
  isColumnType,
  readValue,
  type SchemaField,
} from '../../../src/lake/iceberg/schema.ts'
import { summarize, type Snapshot, type SnapshotId } from '../../../src/lake/iceberg/snapshot.ts'
import { COLUMNS, emptyTable, LOCATION, NOW_MS, PARTITION } from './fixture.ts'

const { metadata } = emptyTable()
const [byType = { 'source-id': 2, 'field-id': 1000, name: 'type', transform: 'identity' }] = PARTITION
const FOREIGN = { ...byType, transform: 'bucket[16]' } as unknown as typeof byType
const INVALID = expect.objectContaining({ code: 'invalid-argument' })

function spec(id: number, ...fields: (typeof byType)[]): PartitionSpec {
  return { 'spec-id': id, fields }
}

function withSpecs(specs: PartitionSpec[], defaultId: number): TableMetadata {
  return { ...metadata, 'partition-specs': specs, 'default-spec-id': defaultId }
}

function snapshot(id: SnapshotId, sequence: number): Snapshot {
  return {
    'snapshot-id': id,
    'sequence-number': sequence,
    'timestamp-ms': NOW_MS,
    'manifest-list': `${LOCATION}/metadata/snap-${id}.avro`,
    'schema-id': 0,
    summary: { operation: 'append' },
  }
}

describe('the partition spec that new files are written with', () => {
  it('is the default one, if it can be written', () => {
    expect(writableSpec(withSpecs([spec(0, byType), spec(5, byType), spec(9)], 5))?.['spec-id']).toBe(5)
  })

  it('is otherwise the newest that can be written', () => {
    expect(writableSpec(withSpecs([spec(1), spec(4, byType), spec(3), spec(9, FOREIGN)], 9))?.['spec-id']).toBe(4)
  })

  it('is none if none can be written', () => {
    expect(writableSpec(withSpecs([spec(0, FOREIGN)], 0))).toBeUndefined()
    expect(writableSpec(withSpecs([spec(0, byType, FOREIGN)], 0))).toBeUndefined()
    expect(writableSpec(withSpecs([spec(0, { ...byType, 'source-id': 99 })], 0))).toBeUndefined()
  })

  it('can be asked for by its id', () => {
    const table = withSpecs([spec(0, byType), spec(7, FOREIGN)], 0)
    expect([canWrite(table, 0), canWrite(table, 7)]).toEqual([true, false])
    expect(specOf(table, 7)).toEqual(spec(7, FOREIGN))
    expect(() => specOf(table, 8)).toThrow(INVALID)
    expect(() => specOf(table, 8)).toThrow('there is no partition spec 8')
  })
})

describe('a table with a spec without partitions', () => {
  it('has that one, if it has one already', () => {
    const table = withSpecs([spec(0, byType), spec(3)], 0)
    expect(withUnpartitionedSpec(table)).toEqual({ metadata: table, spec: spec(3) })
  })

  it('gets one beside the others, with a new id', () => {
    const table = withSpecs([spec(4, byType), spec(2, FOREIGN)], 4)
    const { metadata: next, spec: added } = withUnpartitionedSpec(table)
    expect(added).toEqual({ 'spec-id': 5, fields: [] })
    expect(next).toEqual({ ...table, 'partition-specs': [...table['partition-specs'], added] })
    expect(withUnpartitionedSpec(next)).toEqual({ metadata: next, spec: added })
  })
})

describe('a first partition spec', () => {
  it('has no two fields of one id or name', () => {
    const schema = createSchema(COLUMNS)
    const other = { ...byType, 'source-id': 4, 'field-id': 1001, name: 'ns' }
    expect(createPartitionSpec(schema, [byType, other])).toEqual(spec(0, byType, other))
    for (const twice of [
      { ...other, 'field-id': 1000 },
      { ...other, name: 'type' },
    ])
      expect(() => createPartitionSpec(schema, [byType, twice])).toThrow('createPartitionSpec: two partition fields')
  })

  it('has names that Avro allows', () => {
    const named = (name: string) => createPartitionSpec(createSchema(COLUMNS), [{ ...byType, name }])
    expect(named('Type_2').fields).toHaveLength(1)
    for (const name of ['2type', 'a-b', '', 'typé', 'a b', '-a'])
      expect(() => named(name)).toThrow(`${name} must be a name of letters, digits and _`)
  })
})

describe('the columns of a table', () => {
  const region: Column = { id: 1, name: 'region', type: 'string', required: false }
  const zone: Column = { id: 1, name: 'zone', type: 'string', required: false }

  it('are found by name, and those that it does not have get new ids', () => {
    const table = { ...metadata, 'last-column-id': 30 }
    expect(columnsByName(table, [region, { ...region, id: 2, name: 'lsn', type: 'long' }, zone])).toEqual([
      { ...region, id: 31 },
      { id: 17, name: 'lsn', type: 'long', required: false },
      { ...zone, id: 32 },
    ])
  })

  it('of types that the lake does not write are left out', () => {
    const [schema] = metadata.schemas
    const fields = [
      ...(schema?.fields ?? []),
      { id: 40, name: 'price', type: 'double', required: false },
    ] as SchemaField[]
    const table: TableMetadata = { ...metadata, schemas: [{ type: 'struct', 'schema-id': 0, fields }] }
    expect(columnsOf(table)).toEqual(COLUMNS)
    expect(['string', 'long', 'timestamptz', 'double', undefined, { type: 'list' }].map(isColumnType)).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ])
  })

  it('are those of the current schema', () => {
    const schemas = [...metadata.schemas, { ...createSchema([region]), 'schema-id': 7 }]
    expect(columnsOf({ ...metadata, schemas, 'current-schema-id': 7 })).toEqual([region])
    const lost = { ...metadata, 'current-schema-id': 8 }
    expect(() => currentSchema(lost)).toThrow(INVALID)
    expect(() => currentSchema(lost)).toThrow('the current schema is missing')
  })
})

describe('a value of a row', () => {
  const string: SchemaField = { id: 1, name: 'a', type: 'string', required: false }
  const long: SchemaField = { ...string, type: 'long' }
  const time: SchemaField = { ...string, type: 'timestamptz' }
  const TIME_MAX = 8_640_000_000_000_000_000n

  it.each<[SchemaField, string | bigint | null | undefined, unknown]>([
    [string, 'x', 'x'],
    [string, 'x\ud800', 'x\ufffd'],
    [string, undefined, null],
    [long, null, null],
    [long, 2n ** 63n - 1n, 2n ** 63n - 1n],
    [long, -(2n ** 63n), -(2n ** 63n)],
    [time, TIME_MAX, TIME_MAX],
    [time, -TIME_MAX, -TIME_MAX],
  ])('of %o is read: %s', (column, a, value) => {
    expect(readValue(column, { a })).toBe(value)
  })

  it.each<[SchemaField, unknown, string]>([
    [{ ...string, required: true }, null, 'column a is required'],
    [long, 'x', 'column a takes a bigint, not a string'],
    [string, 1n, 'column a takes a string, not a bigint'],
    [long, 5, 'column a takes a bigint, not a number'],
    [string, 5, 'column a takes a string, not a number'],
    [long, 2n ** 63n, 'column a is 9223372036854775808, which exceeds 64 bits'],
    [time, TIME_MAX + 1n, 'column a is 8640000000000000001 microseconds, outside the range of dates'],
    [time, -TIME_MAX - 1n, 'outside the range of dates'],
  ])('of %o is refused: %s', (column, a, problem) => {
    const read = () => readValue(column, { a: a as string })
    expect(read).toThrow(INVALID)
    expect(read).toThrow(problem)
  })
})

describe('the snapshots of a table', () => {
  const snapshots = [snapshot(1, 11), snapshot('9007199254740993', 12), snapshot(3, 13), snapshot(4, 14)]
  const log = snapshots.map((one) => ({ 'snapshot-id': one['snapshot-id'], 'timestamp-ms': NOW_MS }))
  const main = { 'snapshot-id': 4, type: 'branch' as const }
  const table: TableMetadata = { ...metadata, snapshots, 'snapshot-log': log, refs: { main } }

  it('are remembered in the list or in the log, whichever way an id is written', () => {
    expect(hasSnapshot(table, 3)).toBe(true)
    expect(hasSnapshot(table, '3')).toBe(true)
    expect(hasSnapshot({ ...table, snapshots: [] }, 3)).toBe(true)
    expect(hasSnapshot({ ...table, 'snapshot-log': [] }, 3)).toBe(true)
    expect(hasSnapshot(table, 5)).toBe(false)
  })

  it('are forgotten except for the newest, and those that a branch or a tag names', () => {
    const kept = (next: TableMetadata) => [
      next.snapshots.map((one) => one['snapshot-id']),
      next['snapshot-log'].map((entry) => entry['snapshot-id']),
    ]
    expect(kept(keepSnapshots(table, 2))).toEqual([
      [3, 4],
      [3, 4],
    ])
    expect(kept(keepSnapshots(table, 9))).toEqual(kept(table))
    const tagged = { ...table, refs: { main, audit: { 'snapshot-id': 1, type: 'tag' as const } } }
    expect(kept(keepSnapshots(tagged, 1))).toEqual([
      [1, 4],
      [1, 4],
    ])
  })

  it('tell from which sequence number on a replaced file is not read, unless another branch or a tag may read it', () => {
    expect(oldestSequenceNumber(table)).toBe(11)
    expect(oldestSequenceNumber({ ...table, snapshots: snapshots.toReversed() })).toBe(11)
    expect(oldestSequenceNumber({ ...table, snapshots: [] })).toBe(Infinity)
    expect(oldestSequenceNumber({ ...table, refs: {} })).toBe(11)
    expect(oldestSequenceNumber({ ...table, refs: { main, audit: { 'snapshot-id': 1, type: 'tag' } } })).toBe(0)
  })

  it('have times that do not run backwards', () => {
    expect(nextTimestampMs(metadata, NOW_MS + 1)).toBe(NOW_MS + 1)
    expect(nextTimestampMs(metadata, NOW_MS - 1)).toBe(NOW_MS)
  })
})

describe('the summary of a snapshot', () => {
  const none = { files: 0, records: 0, bytes: 0 }
  const some = { files: 2, records: 30, bytes: 400 }
  const parent = {
    ...snapshot(1, 1),
    summary: {
      operation: 'append' as const,
      'total-data-files': '5',
      'total-records': '60',
      'total-files-size': '700',
      'total-delete-files': '1',
      'total-position-deletes': '2',
      'total-equality-deletes': '3',
    },
  }

  it('adds up what was added and deleted, beside the totals of others', () => {
    const deleted = { files: 1, records: 10, bytes: 100 }
    expect(
      summarize('replace', { added: some, deleted, partitions: 3 }, parent, { operation: 'mine', extra: 'x' }),
    ).toEqual({
      extra: 'x',
      operation: 'replace',
      'added-data-files': '2',
      'added-records': '30',
      'added-files-size': '400',
      'deleted-data-files': '1',
      'deleted-records': '10',
      'removed-files-size': '100',
      'changed-partition-count': '3',
      'total-data-files': '6',
      'total-records': '80',
      'total-files-size': '1000',
      'total-delete-files': '1',
      'total-position-deletes': '2',
      'total-equality-deletes': '3',
    })
  })

  it('begins at zero', () => {
    const summary = summarize('append', { added: some, deleted: none, partitions: 1 }, undefined, {})
    expect(summary).toMatchObject({ 'total-data-files': '2', 'total-records': '30', 'total-files-size': '400' })
    expect(summary).not.toHaveProperty('deleted-data-files')
  })
})

describe('the location of a table', () => {
  it('is what the keys of its files are relative to', () => {
    const path = `${LOCATION}/data/a.parquet`
    expect([keyBelow(LOCATION, path), keyOfPath(LOCATION, path)]).toEqual(['data/a.parquet', 'data/a.parquet'])
    const elsewhere = `${LOCATION}-2/data/a.parquet`
    expect(keyOfPath(LOCATION, elsewhere)).toBe(elsewhere)
    expect(() => keyBelow(LOCATION, elsewhere)).toThrow(
      expect.objectContaining({
        code: 'invalid-config',
        message: `lake: ${elsewhere} lies outside of the table at ${LOCATION}`,
      }),
    )
  })

  it('is not empty', () => {
    const create = () =>
      createTableMetadata({ location: '', columns: COLUMNS, partition: PARTITION, uuid: 'u', nowMs: 0 })
    expect(create).toThrow(INVALID)
    expect(create).toThrow('the location "" must not be empty')
  })
})
