// From a filter to SQL. Names and values travel as bound parameters, so that none can become SQL.

import { jsonProblem } from '../../event/json.ts'
import { jsonPathOf, unrepresentableField } from '../../sqlite/quote.ts'
import { invalid } from '../checks.ts'

/** Fields that one filter names, at most: each takes two of a statement's 100 parameters. */
const FILTER_FIELDS_MAX = 40
const METADATA_PREFIX = 'metadata.'

/** A value that a field is compared with. `null` also finds documents that don't have the field. */
export type VectorFilterValue = string | number | boolean | null

type FieldOf<M> = Extract<keyof M, string>

/**
 * Fields of the metadata and the values that they must have: `{ category: 'ml' }`, or as dotdo writes it,
 * `{ 'metadata.category': 'ml' }`. Dots lead into nested objects: `'author.name'`.
 */
export type VectorFilter<M> = {
  readonly [
    Field in
      | FieldOf<M>
      | `${FieldOf<M>}.${string}`
      | `${typeof METADATA_PREFIX}${FieldOf<M>}`
      | `${typeof METADATA_PREFIX}${FieldOf<M>}.${string}`
  ]?: VectorFilterValue
}

export interface Clause {
  readonly sql: string
  readonly params: readonly SqlStorageValue[]
}

/**
 * What rows of this metadata fulfil.
 *
 * Values are compared as JSON text, as JSON.stringify made both: 1 is not true, and no number is rounded.
 *
 * @throws {CDCError} `invalid-argument`
 */
export function metadataClause(filter: object, caller: string): Clause {
  const fields = Object.entries(filter)
  if (fields.length > FILTER_FIELDS_MAX)
    throw invalid(caller, `filter has ${fields.length} fields, the limit is ${FILTER_FIELDS_MAX}`)
  return {
    sql: fields.map(() => "AND coalesce(metadata -> ?, 'null') = ?").join(' '),
    params: fields.flatMap(([field, value]) => [jsonPath(field, caller), comparable(field, value, caller)]),
  }
}

/** SQLite's path to a field, with every name in quotes, so that whatever is in them is a part of it. */
function jsonPath(field: string, caller: string): string {
  const names = (field.startsWith(METADATA_PREFIX) ? field.slice(METADATA_PREFIX.length) : field).split('.')
  if (names.includes('') || unrepresentableField(names) !== undefined)
    throw invalid(
      caller,
      `filter can't name the field ${JSON.stringify(field)}: names are separated by dots, and hold no quotes, backslashes or control characters`,
    )
  return jsonPathOf(names)
}

function comparable(field: string, value: unknown, caller: string): string {
  const isComparable = value === null || ['string', 'number', 'boolean'].includes(typeof value)
  const problem = isComparable
    ? jsonProblem(value, field)
    : `${field} must be compared with a string, number, boolean or null`
  if (problem !== undefined) throw invalid(caller, `filter: ${problem}`)
  return JSON.stringify(value)
}
