// What a reader of the log makes of it: the rows of each table, from only the changes in the order of their LSNs.

import type { UnifiedEvent } from 'durable-outbox'

/** Rows by key, by `<store>/<table>`. */
export type FoldedTables = Map<string, Map<string, unknown>>

/** Folds changes, which must be in the order of their LSNs. Events without an `op` are not about rows. */
export function foldRows(
  events: Iterable<Pick<UnifiedEvent, 'op' | 'store' | 'table' | 'key' | 'after'>>,
  tables: FoldedTables = new Map(),
): FoldedTables {
  for (const { op, store, table, key, after } of events) {
    if (op === undefined || key === undefined) continue
    const name = `${store}/${table}`
    const rows = tables.get(name) ?? new Map<string, unknown>()
    tables.set(name, rows)
    if (op === 'd') rows.delete(key)
    else rows.set(key, after)
  }
  return tables
}
