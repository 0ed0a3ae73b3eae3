// Which events a client wants: those with all of these fields.

import { Fields } from '../event/fields.ts'
import { optional, text } from '../event/kinds.ts'

export interface TailFilter {
  type?: string
  store?: string
  table?: string
  key?: string
}

/** The filter of a socket is kept while its object sleeps, where there is room for 2 KB in all. */
const FILTER_LENGTH_MAX = 300
const word = optional(text(FILTER_LENGTH_MAX))

export const filterFields = new Fields<TailFilter>(
  { type: word, store: word, table: word, key: word },
  {
    rule: (filter) =>
      Object.values(filter).join('').length > FILTER_LENGTH_MAX
        ? `a filter has at most ${FILTER_LENGTH_MAX} characters in all`
        : undefined,
  },
)

export function matches(event: TailFilter, { type, store, table, key }: TailFilter): boolean {
  return (
    (type === undefined || event.type === type) &&
    (store === undefined || event.store === store) &&
    (table === undefined || event.table === table) &&
    (key === undefined || event.key === key)
  )
}
