// Which columns a store has: those of a schema, or those that the rows bring, each with the type of its first value.

import type { $ZodChecks, $ZodNumber, $ZodObject, $ZodType, $ZodTypes } from 'zod/v4/core'
import { isCleanText } from '../../event/json.ts'
import { describe, invalid, parseWith } from '../checks.ts'
import { type Column, type Columns, type ColumnType, encoders } from './column.ts'
import { limits } from './limits.ts'

/** The column types that fit a type of TypeScript. */
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
type ColumnTypes<T> = { readonly [Name in keyof T]-?: TypeFor<NonNullable<T[Name]>> }

type RowSchema<T extends object> = $ZodObject & $ZodType<T>

/** An object schema of zod or zod/mini, which checks each row; or the type of each column. There are no other columns. */
export type ColumnarSchema<T extends object> = ColumnTypes<T> | RowSchema<T>

/** The type of each column of a schema. */
export function typesOfSchema<T extends object>(schema: ColumnarSchema<T>): Map<string, ColumnType> {
  if (!isRowSchema(schema)) return new Map(Object.entries<ColumnType>({ ...schema }))
  return new Map(Object.entries(schema._zod.def.shape).map(([name, field]) => [name, typeOfField(field)]))
}

/** @returns what the schema makes of a row. @throws {CDCError} `invalid-argument`. */
export function checkRow(row: Record<string, unknown>, schema: $ZodObject, caller: string): unknown {
  // Most schemas drop unknown fields silently.
  const unknown = Object.keys(row).find((name) => !Object.hasOwn(schema._zod.def.shape, name))
  if (unknown !== undefined) throw invalid(caller, `the schema has no column ${JSON.stringify(unknown)}`)
  return parseWith(schema, row, caller)
}

/** The columns of a store as they are stored: pairs of name and type, as JSON. */
export function parseColumns(stored: string): Columns {
  const pairs: unknown = JSON.parse(stored)
  if (!Array.isArray(pairs) || !pairs.every(isNameAndType)) throw new Error(`these are not columns: ${stored}`)
  return toColumns(pairs)
}

export function stringifyColumns(columns: Columns): string {
  return JSON.stringify([...columns.values()].map(({ name, type }) => [name, type]))
}

/** These columns and new ones after them. @throws {CDCError} `invalid-argument` for too many, or a name that is not valid. */
export function addColumns(columns: Columns, added: Iterable<readonly [string, ColumnType]>, caller: string): Columns {
  const types = new Map([...columns.values()].map(({ name, type }) => [name, type]))
  for (const [name, type] of added) {
    const known = types.get(name)
    if (known !== undefined && known !== type)
      throw invalid(
        caller,
        `column ${name} holds values of type ${known}, but the schema has type ${type}; give the new column another name`,
      )
    // Every object has a value for a name such as constructor, so no row could be without it.
    if (name === '' || name.length > limits.columnNameCharacters || !isCleanText(name) || name in Object.prototype)
      throw invalid(
        caller,
        `a column can't be named ${describe(name)}; a name has 1 to ${limits.columnNameCharacters} characters, and is not that of a ` +
          'property of all objects',
      )
    types.set(name, type)
  }
  if (types.size > limits.columns)
    throw invalid(
      caller,
      `${types.size} columns, the limit is ${limits.columns}; put columns that belong together into one object`,
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

export function isRowSchema<T extends object>(schema: ColumnarSchema<T>): schema is RowSchema<T> {
  return '_zod' in schema && typeof schema._zod === 'object'
}

function isNameAndType(pair: unknown): pair is [string, ColumnType] {
  if (!Array.isArray(pair)) return false
  const [name, type]: unknown[] = pair
  return typeof name === 'string' && typeof type === 'string' && Object.hasOwn(encoders, type)
}

/** A field that is not clearly a column of scalars is `json`, whose values are checked one by one. */
function typeOfField(field: $ZodType): ColumnType {
  // zod's own way to tell its schemas apart, those of zod and of zod/mini alike.
  const { def } = (field as $ZodTypes)._zod
  switch (def.type) {
    case 'optional':
    case 'nullable':
    case 'default':
      return typeOfField(def.innerType)
    case 'number':
      return isInteger(field as $ZodNumber) ? 'integer' : 'number'
    case 'enum':
      return Object.values(def.entries).every((value) => typeof value === 'string') ? 'string' : 'json'
    case 'date':
      return 'timestamp'
    case 'string':
    case 'boolean':
      return def.type
    default:
      return 'json'
  }
}

/** The format of a number is its own, as of `z.int()`, or that of a check, as of `z.number().int()`. */
function isInteger(field: $ZodNumber): boolean {
  const formatted = [field, ...(field._zod.def.checks ?? [])] as $ZodChecks[]
  return formatted.some(({ _zod: { def } }) => def.check === 'number_format' && !def.format.startsWith('float'))
}
