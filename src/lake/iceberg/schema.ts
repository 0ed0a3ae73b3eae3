/**
 * The columns of a table: Iceberg's schema, and the values that a row may hold.
 *
 * Format: https://iceberg.apache.org/spec/#schemas-and-data-types, JSON in https://iceberg.apache.org/spec/#schemas
 */
import { CDCError } from '../../error.ts'

/** Iceberg's primitive types that we write. JSON is a `string`: version 2 of the format has no type for it. */
export type ColumnType = 'string' | 'long' | 'timestamptz'

export type Column = {
  /** Unique in the table for ever. Readers find columns by id, so a column may be renamed but an id never reused. */
  id: number
  name: string
  type: ColumnType
  required: boolean
  doc?: string
  /** `false` keeps counts but no lower and upper bounds: the bounds of JSON text skip no file and cost space. */
  bounds?: false
}

/** A `string` is a string, a `long` a bigint of 64 bits, a `timestamptz` microseconds since 1970 UTC as a bigint. */
export type Value = string | bigint | null

/** One row by column name. A column that is missing is null; a name that is no column is ignored. */
export type Row = Readonly<Record<string, Value | undefined>>

export type Schema = {
  type: 'struct'
  'schema-id': number
  fields: SchemaField[]
}

export type SchemaField = Omit<Column, 'bounds'>

// JavaScript's Date reaches 8.64e15 milliseconds either side of 1970, and partition paths are made with it.
const MICROS_MAX = 8_640_000_000_000_000_000n

/** Spells columns as an Iceberg schema. Throws `invalid-argument` when an id or a name is used twice. */
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
 * Reads a row's value of one column and checks it against the column's type. Lone surrogates become U+FFFD, which
 * is what they become in UTF-8, so that bounds and partitions describe the text as it is stored.
 *
 * Throws `invalid-argument` when the value has the wrong type, is out of range, or is missing and required.
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
  if (typeof value !== 'bigint' || column.type === 'string') {
    throw wrongValue(column, `takes a ${column.type === 'string' ? 'string' : 'bigint'}, not a ${typeof value}`)
  }
  if (BigInt.asIntN(64, value) !== value) throw wrongValue(column, `is ${value}, which exceeds 64 bits`)
  if (column.type === 'timestamptz' && (value > MICROS_MAX || value < -MICROS_MAX)) {
    throw wrongValue(column, `is ${value} microseconds, outside the range of dates`)
  }
}

function wrongValue(column: SchemaField, problem: string): CDCError {
  return new CDCError('invalid-argument', `iceberg row: column ${column.name} ${problem}`)
}
