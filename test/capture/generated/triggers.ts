// The user's own triggers, as SQL.

import type { Features } from './features.ts'
import { keyOf, quote, type Table } from './schema.ts'
import type { TriggerSpec } from './script.ts'
import { valueSQL } from './values.ts'

/** A trigger's SQL. A guard keeps one that writes to its own table from firing itself for ever. */
export function triggerSQL(name: string, spec: TriggerSpec, tables: readonly Table[], features: Features): string {
  const table = tables[spec.table % tables.length]
  if (table === undefined) throw new Error('a script has a table')
  const { when, body } = bodyOf(spec, table, tables, features)
  const of = spec.on === 'UPDATE' && spec.isOf ? ` OF ${quote(columnOf(spec, table).name)}` : ''
  const condition = when === undefined ? '' : ` WHEN ${when}`
  return `CREATE TRIGGER ${name} ${timingOf(spec)} ${spec.on}${of} ON ${quote(table.name)}${condition} BEGIN ${body}; END`
}

const OWN_WRITES: readonly TriggerSpec['action'][] = ['delete row', 'same row', 'rekey', 'insert same', 'replace same']

/** What a statement does to a row that a trigger before it has written, SQLite calls undefined (lang_createtrigger.html). */
function timingOf({ timing, on, action }: TriggerSpec): TriggerSpec['timing'] {
  return on !== 'INSERT' && OWN_WRITES.includes(action) ? 'AFTER' : timing
}

interface Body {
  readonly when?: string
  readonly body: string
}

function bodyOf(spec: TriggerSpec, table: Table, tables: readonly Table[], features: Features): Body {
  const row = spec.on === 'DELETE' ? 'OLD' : 'NEW'
  const column = columnOf(spec, table)
  const literal = valueSQL(spec.value, column, features)
  const change = `${quote(table.name)} SET ${quote(column.name)} = ${literal}`
  const isOther = `${row}.${quote(column.name)} IS NOT ${literal}`
  const [key] = keyOf(table)
  const keyLiteral = key === undefined ? '1' : valueSQL(spec.value, key, features)
  const keyName = key === undefined ? 'rowid' : quote(key.name)
  const isKey = `${row}.${keyName} = ${keyLiteral}`
  const isFew = `(SELECT count(*) FROM ${quote(table.name)}) < 6`
  switch (spec.action) {
    case 'side':
      return { body: `INSERT OR REPLACE INTO side (v) VALUES (${row}.${keyName})` }
    case 'search':
      return { body: `INSERT INTO search (v) VALUES (${row}.${quote(column.name)})` }
    case 'abort':
      return { when: isKey, body: "SELECT RAISE(ABORT, 'no')" }
    case 'fail':
      return { when: isKey, body: "SELECT RAISE(FAIL, 'no')" }
    case 'ignore':
      return { when: isKey, body: 'SELECT RAISE(IGNORE)' }
    case 'same row':
      return { when: isOther, body: `UPDATE ${change} WHERE ${sameRow(table, row)}` }
    case 'other row':
      return { when: isOther, body: `UPDATE ${change} WHERE NOT (${sameRow(table, row)})` }
    case 'delete row':
      return { body: `DELETE FROM ${quote(table.name)} WHERE ${sameRow(table, row)}` }
    case 'rekey':
      return {
        when: `${row}.${keyName} IS NOT ${keyLiteral}`,
        body: `UPDATE OR IGNORE ${quote(table.name)} SET ${keyName} = ${keyLiteral} WHERE ${sameRow(table, row)}`,
      }
    case 'insert same':
      return { when: isFew, body: `INSERT OR IGNORE INTO ${insertion(spec, table, features)}` }
    case 'replace same':
      return {
        when: key === undefined ? isFew : `${row}.${keyName} IS NOT ${keyLiteral}`,
        body: `INSERT OR REPLACE INTO ${insertion(spec, table, features)}`,
      }
    default:
      return { body: otherTable(spec, tables, features) }
  }
}

function otherTable(spec: TriggerSpec, tables: readonly Table[], features: Features): string {
  const own = spec.table % tables.length
  const others = tables.filter((_, index) => index !== own)
  const other = others[spec.other % others.length]
  if (other === undefined) return 'INSERT INTO side (v) VALUES (NULL)'
  const [key] = keyOf(other)
  const column = columnOf(spec, other)
  const where = key === undefined ? '' : ` WHERE ${quote(key.name)} = ${valueSQL(spec.value, key, features)}`
  switch (spec.action) {
    case 'other delete':
      return `DELETE FROM ${quote(other.name)}${where}`
    case 'other update':
      return `UPDATE OR IGNORE ${quote(other.name)} SET ${quote(column.name)} = ${valueSQL(spec.value, column, features)}${where}`
    default:
      return `INSERT OR REPLACE INTO ${insertion(spec, other, features)}`
  }
}

function insertion({ value }: TriggerSpec, table: Table, features: Features): string {
  const columns = table.columns.filter((column) => !column.isGenerated)
  const values = columns.map((column) => valueSQL(value, column, features))
  return `${quote(table.name)} (${columns.map(({ name }) => quote(name)).join(', ')}) VALUES (${values.join(', ')})`
}

/** A column that can be written and is not the key, where there is one. */
function columnOf({ column: index }: TriggerSpec, table: Table): Table['columns'][number] {
  const free = table.columns.filter((column) => !column.isGenerated && !column.isKey)
  const column = free[index % free.length] ?? table.columns[0]
  if (column === undefined) throw new Error('a table has a column')
  column.isUsed = true
  return column
}

function sameRow(table: Table, row: string): string {
  const key = keyOf(table)
  if (key.length === 0) return `rowid = ${row}.rowid`
  return key.map(({ name }) => `${quote(name)} IS ${row}.${quote(name)}`).join(' AND ')
}
