// The columns of a table: Iceberg's schema, and the values that a row may hold.
// Format: https://iceberg.apache.org/spec/#schemas-and-data-types, as JSON: https://iceberg.apache.org/spec/#schemas

import { CDCError } from '../../error.ts'

/** The primitive types of Iceberg that we write. JSON is a `string`: version 2 of the format has no type for it. */
export type ColumnType = (typeof COLUMN_TYPES)[number]
const COLUMN_TYPES = ['string', 'long', 'timestamptz'] as const

/** Whether a type of a table that others change too is one that we write. */
export function isColumnType(type: unknown): type is ColumnType {
  return COLUMN_TYPES.some((known) => known === type)
}

export interface Column {
  /** Unique in the table forever. Readers find columns by id, so a column may be renamed, but an id is never reused. */
  readonly id: number
  readonly name: string
  readonly type: ColumnType
  readonly required: boolean
  readonly doc?: string
  /** `false` keeps counts but no lower and upper bounds: those of JSON text would skip no file, and cost space. */
  readonly bounds?: false
}

/** A `string` is a string, a `long` a bigint of 64 bits, a `timestamptz` microseconds since 1970 UTC as a bigint. */
export type Value = string | bigint | null

/** One row by column name. A missing column is null; a name that is not a column is ignored. */
export type Row = Readonly<Record<string, Value | undefined>>

export interface Schema {
  readonly type: 'struct'
  readonly 'schema-id': number
  readonly fields: readonly SchemaField[]
}

export type SchemaField = Omit<Column, 'bounds'>

/** JavaScript's Date, which makes the paths of partitions, reaches 8.64e15 milliseconds before and after 1970. */
const MICROS_MAX = 8_640_000_000_000_000_000n

/** Makes an Iceberg schema of columns. @throws {CDCError} `invalid-argument` if an id or a name is used twice. */
export function createSchema(columns: readonly Column[]): Schema {
  const unique = (key: 'id' | 'name') => new Set(columns.map((column) => column[key])).size === columns.length
  if (columns.length === 0) throw new CDCError('invalid-argument', 'createSchema: a table needs at least one column')
  if (!unique('id')) throw new CDCError('invalid-argument', 'createSchema: two columns have the same id')
  if (!unique('name')) throw new CDCError('invalid-argument', 'createSchema: two columns have the same name')
  return { type: 'struct', 'schema-id': 0, fields: columns.map(schemaField) }
}

function schemaField({ id, name, type, required, doc }: Column): SchemaField {
  return { id, name, required, type, ...(doc !== undefined && { doc }) }
}

/**
 * Reads a row's value of one column, checked against the column's type. Lone surrogates become U+FFFD, as they do in UTF-8,
 * so that bounds and partitions describe the text as it is stored.
 *
 * @throws {CDCError} `invalid-argument` if the value has the wrong type, is out of range, or is missing and required.
 */
export function readValue(column: SchemaField, row: Row): Value {
  const value = row[column.name] ?? null
  if (value === null) {
    if (column.required) throw wrongValue(column, 'is required')
    return null
  }
  if (typeof value === 'string') {
    if (column.type !== 'string') throw wrongValue(column, 'takes a bigint, not a string')
    return value.toWellFormed()
  }
  checkInteger(column, value)
  return value
}

function checkInteger(column: SchemaField, value: bigint): void {
  if (typeof value !== 'bigint' || column.type === 'string')
    throw wrongValue(column, `takes a ${column.type === 'string' ? 'string' : 'bigint'}, not a ${typeof value}`)
  if (BigInt.asIntN(64, value) !== value) throw wrongValue(column, `is ${value}, which exceeds 64 bits`)
  if (column.type === 'timestamptz' && (value > MICROS_MAX || value < -MICROS_MAX))
    throw wrongValue(column, `is ${value} microseconds, outside the range of dates`)
}

function wrongValue(column: SchemaField, problem: string): CDCError {
  return new CDCError('invalid-argument', `iceberg row: column ${column.name} ${problem}`)
}
