// Which events a subscription is for: pure.

import { Fields } from '../event/fields.ts'
import { kindOf, listOf, name, oneOf, optional } from '../event/kinds.ts'
import type { EventTypes } from '../event/event-types.ts'
import { type CommittedRecord, readEvent } from '../event/record.ts'
import { OPERATIONS, type Operation, type StoreType, storeType, type UnifiedEvent } from '../event/unified-event.ts'
import { messageOf } from '../error.ts'

/** A type, or what types begin with and then `*`, such as `Order.*`. */
type TypePattern<Types> =
  Types extends EventTypes<infer Map> ? (keyof Map & string) | `cdc.${string}` | `${string}*` : string

/** Which events: those that fit all of what is given, and in each list one of its elements. Without anything, all events. */
export interface Filter<Types = unknown> {
  types?: readonly TypePattern<Types>[]
  stores?: readonly StoreType[]
  tables?: readonly string[]
  ops?: readonly Operation[]
  /** A function of the event alone: what is delivered again must be what was delivered before. */
  matches?: (event: UnifiedEvent) => boolean
}

const pattern = kindOf<string>({ type: 'string' }, (value) => {
  const problem = name.problem(value)
  if (problem !== undefined) return problem
  return String(value).slice(0, -1).includes('*') ? 'may have a * at its end only' : undefined
})

export const filterFields = new Fields<Filter>(
  {
    types: optional(listOf(pattern, { from: 1 })),
    stores: optional(listOf(storeType, { from: 1 })),
    tables: optional(listOf(name, { from: 1 })),
    ops: optional(listOf(oneOf(OPERATIONS), { from: 1 })),
    matches: optional(
      kindOf({}, (value) => (typeof value === 'function' ? undefined : 'must be a function of an event')),
    ),
  },
  { others: 'is not known here' },
)

/** An event for which the filter's own function throws is delivered: an error must not lose any. */
export function isMatch(filter: Filter, record: CommittedRecord): boolean {
  const { types, stores, tables, ops, matches } = filter
  if (types !== undefined && !types.some((type) => isType(record.type, type))) return false
  if (!includes(stores, record.store) || !includes(tables, record.table) || !includes(ops, record.op)) return false
  try {
    return matches === undefined || matches(readEvent(record))
  } catch (error) {
    console.error(`subscription: the filter failed at LSN ${record.lsn}, which is delivered: ${messageOf(error)}`)
    return true
  }
}

function isType(type: string, wanted: string): boolean {
  return wanted.endsWith('*') ? type.startsWith(wanted.slice(0, -1)) : type === wanted
}

function includes(wanted: readonly string[] | undefined, value: string | undefined): boolean {
  return wanted === undefined || (value !== undefined && wanted.includes(value))
}
