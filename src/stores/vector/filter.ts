// From a filter to SQL. Names and values are bound parameters, so that none can become SQL.

import { encodeJSON } from '../../event/json.ts'
import { jsonPathOf, unrepresentableField } from '../../sqlite/quote.ts'
import { invalid } from '../checks.ts'
import { limits } from './limits.ts'

const METADATA_PREFIX = 'metadata.'

/** A value that a field is compared with. `null` also matches documents without the field. */
type VectorFilterValue = string | number | boolean | null

type FieldOf<M> = Extract<keyof M, string>

/**
 * Fields of the metadata and the values that they must have: `{ category: 'ml' }` or, as dotdo writes it,
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
 * The condition that rows with this metadata fulfil.
 *
 * Values are compared as JSON text, which `JSON.stringify` made on both sides: 1 is not true, and no number is rounded.
 *
 * @throws {CDCError} `invalid-argument`.
 */
export function metadataClause(filter: object, caller: string): Clause {
  const fields = Object.entries(filter)
  if (fields.length > limits.filterFields)
    throw invalid(caller, `filter has ${fields.length} fields, the limit is ${limits.filterFields}; filter by fewer`)
  return {
    sql: fields.map(() => "AND coalesce(metadata -> ?, 'null') = ?").join(' '),
    params: fields.flatMap(([field, value]) => [jsonPath(field, caller), comparable(field, value, caller)]),
  }
}

function jsonPath(field: string, caller: string): string {
  const names = (field.startsWith(METADATA_PREFIX) ? field.slice(METADATA_PREFIX.length) : field).split('.')
  if (names.includes('') || unrepresentableField(names) !== undefined)
    throw invalid(
      caller,
      `filter can't have the field ${JSON.stringify(field)}; separate names by dots, and use no name with a quote, a ` +
        'backslash or a control character',
    )
  return jsonPathOf(names)
}

function comparable(field: string, value: unknown, caller: string): string {
  const isComparable = value === null || ['string', 'number', 'boolean'].includes(typeof value)
  if (!isComparable) throw invalid(caller, `filter: ${field} must be compared with a string, number, boolean or null`)
  return encodeJSON(value, (problem) => invalid(caller, `filter: ${problem}`), field)
}
