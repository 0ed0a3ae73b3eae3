// What a stream of Basin Pipelines (Cloudflare Pipelines) does with a record that doesn't fit its schema: it accepts it, and
// drops it later without telling the sender. The kinds of errors are those of its metrics.

import { EVENTS_SCHEMA } from './stream-schema.generated.ts'
import type { StreamField } from './stream-fields.ts'

/** Why a record was dropped, as Basin's metrics name it. */
export type DropKind = 'missing_field' | 'null_value' | 'type_mismatch' | 'parse_failure'

/** Why a record doesn't fit. `field` is missing if the record is not an object. */
export interface Misfit {
  readonly kind: DropKind
  readonly field?: string
  /** For people: `lsn is the string "7", but its column is int64`. */
  readonly reason: string
}

const RFC_3339 = /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/

/** Why a record that was read from JSON doesn't fit the stream; undefined if it does. */
export function findMisfit(record: unknown): Misfit | undefined {
  if (!isJSONObject(record))
    return { kind: 'parse_failure', reason: `the record is ${describe(record)}, not an object` }
  for (const field of EVENTS_SCHEMA.fields) {
    const misfit = fieldMisfit(field, record[field.name])
    if (misfit !== undefined) return misfit
  }
  return undefined
}

/**
 * A record with the columns of the stream alone. It is not documented what Basin does with a field that has no column, except
 * that it is not an error. Nobody can read the field afterwards, so it is lost here too.
 */
export function takeColumns<T extends object>(record: T): T {
  const columns = new Set(EVENTS_SCHEMA.fields.map((field) => field.name))
  return Object.fromEntries(Object.entries(record).filter(([name]) => columns.has(name))) as T
}

function fieldMisfit(field: StreamField, value: unknown): Misfit | undefined {
  const { name, required } = field
  if (value === undefined)
    return required ? { kind: 'missing_field', field: name, reason: `${name} is missing` } : undefined
  if (value === null) return required ? { kind: 'null_value', field: name, reason: `${name} is null` } : undefined
  if (fits(field, value)) return undefined
  const reason = `${name} is ${describe(value)}, but its column is ${field.type}`
  return { kind: 'type_mismatch', field: name, reason }
}

function fits({ type }: StreamField, value: unknown): boolean {
  switch (type) {
    case 'string':
      return typeof value === 'string'
    case 'int64':
      return Number.isSafeInteger(value)
    case 'json':
      return true
    case 'timestamp':
      return typeof value === 'string'
        ? RFC_3339.test(value) && !Number.isNaN(Date.parse(value))
        : Number.isSafeInteger(value)
  }
}

function isJSONObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function describe(value: unknown): string {
  if (value === null) return 'null'
  if (typeof value === 'number' || typeof value === 'boolean') return `${value}`
  if (typeof value === 'string') return `the string ${JSON.stringify(value.slice(0, 40))}`
  return Array.isArray(value) ? 'an array' : `an ${typeof value}`
}
