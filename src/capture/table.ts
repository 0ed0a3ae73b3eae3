// What a table looks like, as far as capturing it goes.

import { CDCError } from '../error.ts'

/** How a column's values become JSON: as SQLite has them, or as drizzle means them. */
export type ColumnKind = 'plain' | 'boolean' | 'json' | 'seconds' | 'milliseconds'

export interface TableInfo {
  readonly name: string
  readonly columns: readonly string[]
  /** The columns of the primary key; none where the table has only its rowid. */
  readonly key: readonly string[]
  readonly hasRowid: boolean
}

const NAME = /^[^\0]{1,256}$/

/** Reads a table's columns and key. Nothing where there is no such table. @throws {CDCError} `invalid-argument`. */
export function readTable(sql: Pick<SqlStorage, 'exec'>, name: string): TableInfo | undefined {
  if (!NAME.test(name) || /^(_cdc_|_cf_|sqlite_)/i.test(name))
    throw new CDCError('invalid-argument', `capture: ${JSON.stringify(name)} is not a table of yours`)
  const [listed] = sql
    .exec<{ name: string; type: string; wr: number }>(
      "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND lower(name) = lower(?)",
      name,
    )
    .toArray()
  if (listed === undefined) return undefined
  if (listed.type !== 'table')
    throw new CDCError(
      'invalid-argument',
      `capture: ${name} is a ${listed.type} table or a view, which has no triggers`,
    )
  const columns = sql
    .exec<{ name: string; pk: number }>('SELECT name, pk FROM pragma_table_xinfo(?) WHERE hidden <> 1', listed.name)
    .toArray()
  const key = columns.filter(({ pk }) => pk > 0).toSorted((a, b) => a.pk - b.pk)
  return {
    name: listed.name,
    columns: columns.map((column) => column.name),
    key: key.map((column) => column.name),
    hasRowid: listed.wr === 0,
  }
}
