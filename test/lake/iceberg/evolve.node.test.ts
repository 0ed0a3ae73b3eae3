import { describe, expect, it } from 'vitest'
import { columnsOf, evolveSchema } from '../../../src/lake/iceberg/metadata.ts'
import type { Column } from '../../../src/lake/iceberg/schema.ts'
import { COLUMNS, emptyTable, event, MemoryTable, queryParquet } from './fixture.ts'

const { metadata } = emptyTable()
const REGION: Column = { id: 20, name: 'region', type: 'string', required: false }
const NOTES: Column = { id: 21, name: 'notes', type: 'string', required: false, bounds: false }

describe('evolveSchema', () => {
  it('returns a table that has all the columns unchanged', () => {
    expect(evolveSchema(metadata, COLUMNS)).toBe(metadata)
    // An older version of the lake knows fewer than the table has.
    expect(evolveSchema(metadata, COLUMNS.slice(0, 10))).toBe(metadata)
  })

  it('adds a schema, and keeps the one of the older files', () => {
    const evolved = evolveSchema(metadata, [...COLUMNS, REGION, NOTES])
    expect(evolved).toMatchObject({ 'current-schema-id': 1, 'last-column-id': 21 })
    expect(evolved.schemas).toMatchObject([metadata.schemas[0], { 'schema-id': 1 }])
    expect(columnsOf(evolved)).toEqual([...COLUMNS, REGION, NOTES])
    expect(evolveSchema(evolved, [...COLUMNS, REGION, NOTES])).toBe(evolved)
    expect(metadata.schemas).toHaveLength(1)
  })

  it('reads a column that was added later as null in older files', async () => {
    const table = new MemoryTable()
    const before = table.append([event(1), event(2)])
    table.table = { ...table.table, metadata: evolveSchema(table.table.metadata, [...COLUMNS, REGION]) }
    const after = table.append([event(3, { region: 'weur' })])
    expect(table.table.metadata.snapshots.map((snapshot) => snapshot['schema-id'])).toEqual([0, 1])
    expect(table.table.metadata.snapshots.at(-1)?.summary['total-records']).toBe('3')
    const files = [...before, ...after].filter(({ key }) => key.endsWith('.parquet')).map(({ bytes }) => bytes)
    const byId = `schema = MAP {17: {name: 'lsn', type: 'BIGINT', default_value: NULL},
      20: {name: 'region', type: 'VARCHAR', default_value: NULL}}`
    expect(await queryParquet(files, `SELECT lsn, region FROM read_parquet($files, ${byId}) ORDER BY lsn`)).toEqual([
      { lsn: 1n, region: null },
      { lsn: 2n, region: null },
      { lsn: 3n, region: 'weur' },
    ])
  })

  it.each<[string, Column[]]>([
    ['a new column that is required', [{ ...REGION, required: true }]],
    ['a column with the id of another', [{ ...REGION, id: 5 }]],
    ['a column with another type', [{ id: 17, name: 'lsn', type: 'string', required: false }]],
  ])('refuses %s', (_, columns) => {
    expect(() => evolveSchema(metadata, columns)).toThrow(/does not fit the table/)
  })
})
