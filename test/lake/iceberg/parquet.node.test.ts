import { DuckDBTimestampTZValue } from '@duckdb/node-api'
import * as fc from 'fast-check'
import { parquetMetadata } from 'hyparquet'
import { describe, expect, it } from 'vitest'
import { rangeOf } from '../../../src/lake/iceberg/bounds.ts'
import { writeParquet } from '../../../src/lake/iceberg/parquet.ts'
import type { Column, Row } from '../../../src/lake/iceberg/schema.ts'
import { COLUMNS, event, events, queryParquet } from './fixture.ts'

const SMALL: Column[] = [
  { id: 7, name: 'name', type: 'string', required: false },
  { id: 9, name: 'count', type: 'long', required: false },
  { id: 4, name: 'at', type: 'timestamptz', required: true },
]

describe('writeParquet', () => {
  it('gives columns their field ids and types', async () => {
    const { bytes } = writeParquet(SMALL, [{ at: 0n }])
    const sql = `SELECT name, field_id, type, logical_type, repetition_type FROM parquet_schema($files) OFFSET 1`
    expect((await queryParquet([bytes], sql)).map(Object.values)).toEqual([
      ['name', 7n, 'BYTE_ARRAY', 'StringType()', 'OPTIONAL'],
      ['count', 9n, 'INT64', null, 'OPTIONAL'],
      ['at', 4n, 'INT64', expect.stringMatching(/Timestamp.*isAdjustedToUTC=1.*MICROS/), 'REQUIRED'],
    ])
  })

  it('stores strings, longs, timestamps and nulls as they are', async () => {
    const rows: Row[] = [
      { name: 'Zoë 🦄 日本 \u0000 "\'\n', count: 2n ** 63n - 1n, at: 1_795_305_600_123_456n },
      { name: '', count: -(2n ** 63n), at: -1n },
      { name: null, at: 0n },
    ]
    const [first, ...rest] = await queryParquet([writeParquet(SMALL, rows).bytes], 'FROM read_parquet($files)')
    expect(first).toEqual({ ...rows[0], at: new DuckDBTimestampTZValue(1_795_305_600_123_456n) })
    expect(rest).toEqual([
      { name: '', count: -(2n ** 63n), at: new DuckDBTimestampTZValue(-1n) },
      { name: null, count: null, at: new DuckDBTimestampTZValue(0n) },
    ])
  })

  it('round-trips any rows through DuckDB', async () => {
    const row = fc.record({
      name: fc.option(fc.string({ unit: 'binary' })),
      count: fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
      at: fc.bigInt({ min: -(10n ** 15n), max: 10n ** 16n }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1 }), async (rows) => {
        const read = await queryParquet([writeParquet(SMALL, rows).bytes], 'FROM read_parquet($files)')
        expect(read).toEqual(rows.map(({ name, count, at }) => ({ name, count, at: new DuckDBTimestampTZValue(at) })))
      }),
      { numRuns: 30 },
    )
  })

  it('compresses with zstd, and reports how large each column is', async () => {
    const file = writeParquet(COLUMNS, events(1000))
    const sql = `SELECT compression, total_compressed_size AS size FROM parquet_metadata($files) ORDER BY column_id`
    const chunks = await queryParquet([file.bytes], sql)
    expect(new Set(chunks.map((chunk) => chunk['compression']))).toEqual(new Set(['ZSTD']))
    expect(file.columns.map((column) => BigInt(column.sizeBytes))).toEqual(chunks.map((chunk) => chunk['size']))
  })

  it('counts values and nulls, and bounds each column', () => {
    const { columns, rowCount } = writeParquet(COLUMNS, [event(1), event(2, { actor: 'User/ada' }), event(3)])
    const metrics = (name: string) => columns[COLUMNS.findIndex((column) => column.name === name)]
    expect(rowCount).toBe(3)
    expect(metrics('lsn')).toMatchObject({ valueCount: 3, nullCount: 0, bounds: { lower: 1n, upper: 3n } })
    expect(metrics('actor')).toMatchObject({ nullCount: 2, bounds: { lower: 'User/ada', upper: 'User/ada' } })
    expect(metrics('id')).toMatchObject({ bounds: { lower: '01K0000000000000', upper: '01K0000000000001' } })
  })

  it('keeps no bounds of columns that are all null or ask for none', () => {
    const { columns } = writeParquet(COLUMNS, [event(1)])
    const bounded = columns.flatMap(({ bounds }, i) => (bounds === undefined ? [] : [COLUMNS[i]?.name]))
    expect(bounded.join(' ')).toBe('id type timestamp ns source table_url op key txid epoch lsn visibility')
  })

  it('writes row groups of 100,000 rows, and where each begins', async () => {
    const rows = Array.from({ length: 100_001 }, (_, i): Row => ({ name: `n${i % 7}`, at: BigInt(i) }))
    const { bytes, splitOffsets } = writeParquet(SMALL, rows)
    const sql = `SELECT DISTINCT row_group_id, row_group_num_rows AS rows FROM parquet_metadata($files) ORDER BY 1`
    expect((await queryParquet([bytes], sql)).map((group) => group['rows'])).toEqual([100_000n, 1n])
    expect(splitOffsets).toHaveLength(2)
    expect(splitOffsets[0]).toBe(4)
    const { row_groups: groups } = parquetMetadata(bytes.slice().buffer)
    expect(groups.map(({ file_offset }) => Number(file_offset))).toEqual(splitOffsets)
  })

  it('orders strings as DuckDB does', async () => {
    const names = ['\uffff', '\u{10000}', 'a', 'é', '', '\u{10ffff}', '\ue000', '\ud7ff']
    const { bytes } = writeParquet(
      SMALL,
      names.map((name) => ({ name, at: 0n })),
    )
    const [extremes] = await queryParquet(
      [bytes],
      'SELECT min(name) AS lower, max(name) AS upper FROM read_parquet($files)',
    )
    expect(rangeOf(names)).toEqual(extremes)
  })

  it('stores a lone surrogate as U+FFFD, and bounds what it stores', async () => {
    const file = writeParquet(SMALL, [{ name: 'a\ud800', at: 0n }])
    expect(file.columns[0]?.bounds).toEqual({ lower: 'a\ufffd', upper: 'a\ufffd' })
    expect(await queryParquet([file.bytes], 'SELECT name FROM read_parquet($files)')).toEqual([{ name: 'a\ufffd' }])
  })

  it.each<[string, Row, RegExp]>([
    ['a missing value that is required', {}, /column at is required/],
    ['a string for a long', { at: 0n, count: '1' }, /column count takes a bigint, not a string/],
    ['a bigint for a string', { at: 0n, name: 1n }, /column name takes a string, not a bigint/],
    ['a long above 64 bits', { at: 0n, count: 2n ** 63n }, /exceeds 64 bits/],
    ['a time that no date can hold', { at: 2n ** 63n - 1n }, /outside the range of dates/],
  ])('refuses %s', (_, row, message) => {
    expect(() => writeParquet(SMALL, [row])).toThrow(message)
  })
})
