// A path names a field of a document or, with dots, a nested field: `address.city`. Arrays are values: no path leads into
// one.

import { NAME_LENGTH_MAX } from '../../event/limits.ts'
import { jsonPathOf, unrepresentableField } from '../../sqlite/quote.ts'
import { describe, invalid } from '../checks.ts'
import type { DocumentFields, Fields } from './document.ts'

/** Every path of a document, up to five fields long. */
export type DocumentPath<T> = PathOf<T & DocumentFields>

/** The type of what a document has at a path. */
export type ValueAt<T, Path extends string> = Path extends keyof T
  ? T[Path]
  : Path extends `${infer Field}.${infer Rest}`
    ? Field extends keyof T
      ? ValueAt<NonNullable<T[Field]>, Rest>
      : never
    : never

export type PathOf<T, Levels extends unknown[] = []> = {
  [Field in keyof T & string]: Levels['length'] extends 4
    ? Field
    : NonNullable<T[Field]> extends readonly unknown[]
      ? Field
      : NonNullable<T[Field]> extends object
        ? Field | `${Field}.${PathOf<NonNullable<T[Field]>, [...Levels, unknown]>}`
        : Field
}[keyof T & string]

/** @throws {CDCError} `invalid-argument` for an empty path, an empty field in one, or a path that is too long. */
export function parsePath(path: string, caller: string): readonly string[] {
  const fields = path.split('.')
  if (path.length <= NAME_LENGTH_MAX && !fields.includes('')) return fields
  throw invalid(
    caller,
    `a path is field names separated by dots, of at most ${NAME_LENGTH_MAX} characters; not ${describe(path)}`,
  )
}

/**
 * A path as SQLite writes it. Each field is quoted, so that every character in it is part of its name.
 *
 * @throws {CDCError} `invalid-argument` for a field that SQLite can't look up: JSON writes its name with an escape.
 */
export function jsonPath(path: string, caller: string): string {
  const fields = parsePath(path, caller)
  const escaped = unrepresentableField(fields)
  if (escaped === undefined) return jsonPathOf(fields)
  throw invalid(
    caller,
    `the field ${JSON.stringify(escaped)} can't be searched, as its name has a quote, a backslash or a control character`,
  )
}

/** What a document has at a path: nothing if a field on the way is missing. */
export function valueAt(document: object, path: readonly string[]): unknown {
  let value: unknown = document
  for (const field of path) value = isFields(value) && Object.hasOwn(value, field) ? value[field] : undefined
  return value
}

/**
 * A copy with another value at a path. Fields on the way that are missing or null become objects.
 *
 * @throws {CDCError} `invalid-argument` if the path leads into a value that is not an object.
 */
export function withValueAt(document: Fields, path: readonly string[], value: unknown, caller: string): Fields {
  const [field = '', ...rest] = path
  if (rest.length === 0) return { ...document, [field]: value }
  const inner = (Object.hasOwn(document, field) ? document[field] : null) ?? {}
  if (!isFields(inner))
    throw invalid(
      caller,
      `${field} is ${Array.isArray(inner) ? 'an array' : `a ${typeof inner}`}, so it has no field ${rest[0]}; ` +
        `set ${field} as a whole`,
    )
  return { ...document, [field]: withValueAt(inner, rest, value, caller) }
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
