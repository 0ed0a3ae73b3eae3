// Which columns there are: those of a schema, or whatever the rows bring, each of the type of its first value.

import * as z from 'zod'
import { invalid } from '../checks.ts'
import { isCleanText } from '../../event/json.ts'
import type { Column, Columns, ColumnType } from './column.ts'

/** Columns of a store. SQLite has 100 for a table, and a chunk needs five for itself. */
export const COLUMNAR_COLUMNS_MAX = 90

/** UTF-16 units of a column's name. */
const COLUMN_NAME_LENGTH_MAX = 128

/** The types that fit what TypeScript knows of a value. */
type TypeFor<V> = unknown extends V
  ? ColumnType
  : [V] extends [number]
    ? 'number' | 'integer'
    : [V] extends [string]
      ? 'string'
      : [V] extends [boolean]
        ? 'boolean'
        : [V] extends [Date]
          ? 'timestamp'
          : 'json'

/** `{ origin: 'string', delay: 'integer' }` */
export type ColumnTypes<T> = { readonly [Name in keyof T]-?: TypeFor<NonNullable<T[Name]>> }

/** A zod object, which each row must pass; or just the type of each column. Either way there are no other columns. */
export type ColumnarSchema<T extends object> = ColumnTypes<T> | (z.ZodObject & z.ZodType<T>)

export function isZod<T extends object>(schema: ColumnarSchema<T>): schema is z.ZodObject & z.ZodType<T> {
  return schema instanceof z.ZodType
}

/** The type of each column of a schema. */
export function typesOfSchema<T extends object>(schema: ColumnarSchema<T>): Map<string, ColumnType> {
  if (!isZod(schema)) return new Map(Object.entries<ColumnType>({ ...schema }))
  return new Map(Object.entries(schema.shape).map(([name, field]) => [name, typeOfZod(field)]))
}

const storedSchema = z.array(
  z.tuple([z.string(), z.enum(['number', 'integer', 'string', 'boolean', 'timestamp', 'json'])]),
)

/** The columns of a store as they are kept: pairs of name and type, as JSON. */
export function parseColumns(stored: string): Columns {
  return toColumns(storedSchema.parse(JSON.parse(stored)))
}

export function stringifyColumns(columns: Columns): string {
  return JSON.stringify([...columns.values()].map(({ name, type }) => [name, type]))
}

/** These columns and others after them. @throws {CDCError} `invalid-argument` for too many, or a name that can't be one. */
export function addColumns(columns: Columns, added: Iterable<readonly [string, ColumnType]>, method: string): Columns {
  const types = new Map([...columns.values()].map(({ name, type }) => [name, type]))
  for (const [name, type] of added) {
    const known = types.get(name)
    if (known !== undefined && known !== type)
      throw invalid(
        method,
        `column ${name} holds values of type ${known}, and the schema says ${type}; give the new values another name`,
      )
    // Every object seems to have a value for a name such as constructor, and then no row would be without it.
    if (name === '' || name.length > COLUMN_NAME_LENGTH_MAX || !isCleanText(name) || name in Object.prototype)
      throw invalid(
        method,
        `${JSON.stringify(name)} can't be the name of a column: 1 to ${COLUMN_NAME_LENGTH_MAX} characters, and none that every object has`,
      )
    types.set(name, type)
  }
  if (types.size > COLUMNAR_COLUMNS_MAX)
    throw invalid(
      method,
      `${types.size} columns, the limit is ${COLUMNAR_COLUMNS_MAX}; put what belongs together into one object`,
    )
  return toColumns(types)
}

function toColumns(types: Iterable<readonly [string, ColumnType]>): Columns {
  const columns = new Map<string, Column>()
  for (const [name, type] of types) {
    const position = columns.size
    columns.set(name, { name, type, position, id: `c${position}`, key: JSON.stringify(name) })
  }
  return columns
}

/** What is not plainly a column of scalars is `json`, whose values are checked one by one. */
function typeOfZod(schema: z.core.$ZodType): ColumnType {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable || schema instanceof z.ZodDefault)
    return typeOfZod(schema.def.innerType)
  if (schema instanceof z.ZodNumber) return schema.format === null ? 'number' : 'integer'
  if (schema instanceof z.ZodString || schema instanceof z.ZodStringFormat) return 'string'
  if (schema instanceof z.ZodEnum && schema.options.every((option) => typeof option === 'string')) return 'string'
  if (schema instanceof z.ZodBoolean) return 'boolean'
  return schema instanceof z.ZodDate ? 'timestamp' : 'json'
}
