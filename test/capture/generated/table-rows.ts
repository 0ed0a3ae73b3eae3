// The user's tables as they are, every value with its type and its bytes.

import type { Cell, Row } from './documented.ts'
import { quote } from './schema.ts'

type Exec = SqlStorage['exec']

/** The user's tables, and what else of the schema is the user's. */
export function userSchema(exec: Exec): { type: string; name: string; sql: string }[] {
  return exec<{ type: string; name: string; sql: string }>(
    `SELECT type, name, coalesce(sql, '') AS sql FROM sqlite_master
     WHERE substr(name, 1, 4) <> '_cf_' AND substr(name, 1, 5) <> '_cdc_' AND substr(tbl_name, 1, 5) <> '_cdc_'
       AND substr(name, 1, 7) <> 'sqlite_' ORDER BY type, name`,
  ).toArray()
}

export interface TableInfo {
  readonly columns: readonly string[]
  readonly key: readonly string[]
  readonly hasRowid: boolean
}

/** Nothing where there is no such table. */
export function tableInfo(exec: Exec, table: string): TableInfo | undefined {
  const columns = exec<{ name: string; pk: number }>(
    'SELECT name, pk FROM pragma_table_xinfo(?) WHERE hidden <> 1',
    table,
  ).toArray()
  if (columns.length === 0) return undefined
  const [listed] = exec<{ wr: number }>(
    "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?",
    table,
  ).toArray()
  return {
    columns: columns.map(({ name }) => name),
    key: columns.filter(({ pk }) => pk > 0).map(({ name }) => name),
    hasRowid: listed?.wr === 0,
  }
}

/** All rows of a table. */
export function readRows(exec: Exec, table: string, { columns }: Pick<TableInfo, 'columns'>): Row[] {
  const cells = columns.map((column) => {
    const name = quote(column)
    return (
      `typeof(${name}), CASE typeof(${name}) WHEN 'integer' THEN CAST(${name} AS TEXT) WHEN 'real' THEN ${name} ` +
      `WHEN 'null' THEN NULL ELSE hex(CAST(${name} AS BLOB)) END`
    )
  })
  const rows = exec(`SELECT ${cells.join(', ')} FROM ${quote(table)}`).raw<SqlStorageValue[]>()
  return [...rows].map((row) =>
    Object.fromEntries(columns.map((column, index) => [column, cell(row[2 * index], row[2 * index + 1])])),
  )
}

/** The rows of a table with their rowids, where these can be seen, as sorted text. */
export function describeTable(exec: Exec, table: string): string[] {
  const info = tableInfo(exec, table)
  if (info === undefined) return []
  const names = info.columns.map((column) => column.toLowerCase())
  const rowid = info.hasRowid && !names.includes('rowid') ? ['rowid'] : []
  return readRows(exec, table, { columns: [...rowid, ...info.columns] })
    .map(showRow)
    .toSorted()
}

function cell(type: SqlStorageValue | undefined, value: SqlStorageValue | undefined): Cell {
  switch (type) {
    case 'integer':
      return { type, digits: value as string }
    case 'real':
      return { type, number: Number(value) }
    case 'text':
    case 'blob':
      return { type, hex: value as string }
    default:
      return { type: 'null' }
  }
}

export function showRow(row: Row): string {
  return `(${Object.entries(row)
    .map(([column, value]) => `${column} ${showCell(value)}`)
    .join(', ')})`
}

/** A cell as SQL would write it. */
function showCell(value: Cell): string {
  switch (value.type) {
    case 'null':
      return 'NULL'
    case 'integer':
      return value.digits
    case 'real':
      if (!Number.isFinite(value.number)) return value.number > 0 ? '9e999' : '-9e999'
      return Object.is(value.number, -0)
        ? '-0.0'
        : Number.isInteger(value.number)
          ? `${value.number}.0`
          : String(value.number)
    case 'blob':
      return `x'${value.hex}'`
    case 'text':
      return showText(value.hex)
  }
}

function showText(hex: string): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Uint8Array.fromHex(hex))
    if (!/\p{Cc}/u.test(text)) return `'${text.replaceAll("'", "''")}'`
  } catch {
    // It is no UTF-8.
  }
  return `CAST(x'${hex}' AS TEXT)`
}
