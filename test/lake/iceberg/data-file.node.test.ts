import { describe, expect, it } from 'vitest'
import { writeDataFiles } from '../../../src/lake/iceberg/data-file.ts'
import { createPartitionSpec, type PartitionField } from '../../../src/lake/iceberg/partition.ts'
import { type Column, createSchema, type Row } from '../../../src/lake/iceberg/schema.ts'
import { COLUMNS, countingUuid, event, HOUR_MICROS, NOW_MICROS, PARTITION, queryParquet } from './fixture.ts'

const NULLABLE: Column[] = COLUMNS.map((column) => ({ ...column, required: false }))

function write(rows: Row[], columns = COLUMNS, partition: PartitionField[] = PARTITION) {
  const schema = createSchema(columns)
  return writeDataFiles(rows, { schema, columns, spec: createPartitionSpec(schema, partition), uuid: countingUuid() })
}

/** The folder of the only file. */
function folderOf(row: Row): string {
  const [file] = write([row], NULLABLE)
  return file?.key.replace(/\/[^/]*$/, '') ?? ''
}

describe('writeDataFiles', () => {
  it('writes one file per type and day', () => {
    const files = write([
      event(1),
      event(2, { type: 'cdc.insert' }),
      event(3),
      event(4, { timestamp: NOW_MICROS + 12n * HOUR_MICROS }),
    ])
    expect(files.map(({ key, rowCount }) => `${key} ${rowCount}`)).toEqual([
      'data/type=Customer.created/dt=2026-11-22/00000000-0000-4000-8000-000000000001.parquet 2',
      'data/type=cdc.insert/dt=2026-11-22/00000000-0000-4000-8000-000000000002.parquet 1',
      'data/type=Customer.created/dt=2026-11-23/00000000-0000-4000-8000-000000000003.parquet 1',
    ])
    expect(files.map(({ partition }) => partition)).toEqual([
      ['Customer.created', 20_779],
      ['cdc.insert', 20_779],
      ['Customer.created', 20_780],
    ])
  })

  it('agrees with DuckDB on the day, before 1970 too', async () => {
    const times = [0n, -1n, 86_399_999_999n, 86_400_000_000n, -86_400_000_000n, -86_400_000_001n, NOW_MICROS]
    const files = write(times.map((timestamp, lsn) => event(lsn, { timestamp, type: `t${lsn}` })))
    const rows = await queryParquet(
      files.map(({ bytes }) => bytes),
      `SET TimeZone = 'UTC'; SELECT type, datediff('day', DATE '1970-01-01', timestamp::DATE) AS day
       FROM read_parquet($files) ORDER BY type`,
    )
    expect(rows.map((row) => [row['type'], Number(row['day'])])).toEqual(files.map(({ partition }) => partition))
  })

  it('gives null values a partition of their own', () => {
    const files = write([event(1, { type: null }), event(2, { type: 'null' }), event(3, { timestamp: null })], NULLABLE)
    expect(files.map(({ partition }) => partition)).toEqual([
      [null, 20_779],
      ['null', 20_779],
      ['Customer.created', null],
    ])
    expect(folderOf(event(1, { type: null, timestamp: null }))).toBe('data/type=null/dt=null')
  })

  it('escapes what has a meaning in a path', () => {
    expect(folderOf(event(1, { type: '../a b/ü=🦄' }))).toBe(
      'data/type=..%2Fa%20b%2F%C3%BC%3D%F0%9F%A6%84/dt=2026-11-22',
    )
  })

  it('shortens long types in the path, between characters, and keeps them complete in the partition', () => {
    const type = '日'.repeat(1000)
    const [file] = write([event(1, { type })])
    expect(file?.partition).toEqual([type, 20_779])
    expect(decodeURIComponent(file?.key.split('/')[1] ?? '')).toBe(`type=${'日'.repeat(22)}`)
    expect(folderOf(event(1, { type: 'a' + '🦄'.repeat(500) }))).toBe(
      `data/type=a${'%F0%9F%A6%84'.repeat(16)}/dt=2026-11-22`,
    )
  })

  it('keeps long types that share a folder separate', () => {
    const types = ['x'.repeat(300), 'x'.repeat(301)]
    const files = write(types.map((type, lsn) => event(lsn, { type })))
    expect(files.map(({ partition }) => partition[0])).toEqual(types)
    expect(new Set(files.map(({ key }) => key)).size).toBe(2)
  })

  it('keeps keys within the limit of R2 for any type', () => {
    for (const character of ['x', 'ü', '日', '🦄', '\ud800', '%', '/']) {
      const [file] = write([event(1, { type: character.repeat(1000) })])
      expect(Buffer.byteLength(file?.key ?? '')).toBeLessThan(300)
    }
  })

  it('treats a lone surrogate as the U+FFFD that is stored', () => {
    const files = write([event(1, { type: 'a\ud800' }), event(2, { type: 'a\ufffd' })])
    expect(files.map(({ partition }) => partition[0])).toEqual(['a\ufffd'])
  })

  it('writes years beyond four digits', () => {
    expect(folderOf(event(1, { timestamp: 253_402_300_800_000_000n }))).toBe(
      'data/type=Customer.created/dt=+010000-01-01',
    )
  })

  it('writes unpartitioned tables as one file', () => {
    const files = write([event(1), event(2, { type: 'cdc.insert' })], COLUMNS, [])
    expect(files.map(({ key, partition }) => ({ key, partition }))).toEqual([
      { key: 'data/00000000-0000-4000-8000-000000000001.parquet', partition: [] },
    ])
  })
})

describe('createPartitionSpec', () => {
  const field: PartitionField = { 'source-id': 2, 'field-id': 1000, name: 'type', transform: 'identity' }

  it.each<[string, PartitionField[], RegExp]>([
    ['an unknown column', [{ ...field, 'source-id': 99 }], /column 99, which is unknown/],
    ['a day of a string', [{ ...field, name: 'dt', transform: 'day' }], /day\(string\), it takes timestamptz/],
    ['a long as it is', [{ ...field, 'source-id': 17, name: 'lsn' }], /identity\(long\), it takes string/],
    ['an id used twice', [field, { ...field, name: 'other' }], /same id or name/],
    ['a name that another column has', [{ ...field, name: 'ns' }], /also the name of a column/],
    ['a name that Avro forbids', [{ ...field, name: 'a-b' }], /letters, digits and _/],
  ])('refuses %s', (_, fields, message) => {
    expect(() => createPartitionSpec(createSchema(COLUMNS), fields)).toThrow(message)
  })
})
