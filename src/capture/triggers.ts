// The triggers of a captured table, as SQL: whatever writes to it, each changed row appends its event to the log.

import { appendEventSQL } from '../outbox/captured.ts'
import { quoteName, quoteText } from '../sqlite/quote.ts'
import { type CapturedColumns, hasBlobSQL, keyColumns, keySQL, rowSQL } from './row-sql.ts'
import type { TableInfo } from './table.ts'

export interface Trigger {
  readonly name: string
  /** As SQLite keeps it, so that the two can be compared. */
  readonly sql: string
}

/** What the names of all triggers of the library begin with. */
const TRIGGER_PREFIX = '_cdc_'
/** Of a row of `sqlite_master` that is a trigger's. */
export const IS_OUR_TRIGGER = `substr(name, 1, ${TRIGGER_PREFIX.length}) = '${TRIGGER_PREFIX}'`

type Change = 'c' | 'u' | 'd'

const TYPES = { c: 'cdc.insert', u: 'cdc.update', d: 'cdc.delete' } as const

export function createTriggers(table: TableInfo, captured: CapturedColumns): Trigger[] {
  const sameKey = `${vector(keyColumns('OLD', table))} IS ${vector(keyColumns('NEW', table))}`
  const compared = captured.columns.length === 0 ? table.columns : captured.columns
  const columnsOf = (row: string): string => vector(compared.map((column) => `${row}.${quoteName(column)}`))
  const append = (change: Change): string => appendSQL(table, captured, change)
  return [
    trigger(table, { what: 'insert', verb: 'INSERT', statements: [append('c')] }),
    // A row that is written and stays the same is no change.
    trigger(table, {
      what: 'update',
      verb: 'UPDATE',
      when: `${sameKey} AND ${columnsOf('OLD')} IS NOT ${columnsOf('NEW')}`,
      statements: [append('u')],
    }),
    // To whoever follows a key, a row that takes another one is gone, and a new one is there.
    trigger(table, { what: 'rekey', verb: 'UPDATE', when: `NOT (${sameKey})`, statements: [append('d'), append('c')] }),
    trigger(table, { what: 'delete', verb: 'DELETE', statements: [append('d')] }),
  ]
}

interface Parts {
  readonly what: string
  readonly verb: 'INSERT' | 'UPDATE' | 'DELETE'
  readonly when?: string
  readonly statements: readonly string[]
}

function trigger(table: TableInfo, { what, verb, when, statements }: Parts): Trigger {
  const name = `${TRIGGER_PREFIX}${table.name}_${what}`
  const condition = when === undefined ? '' : `\nWHEN ${when}`
  const head = `CREATE TRIGGER ${quoteName(name)} AFTER ${verb} ON ${quoteName(table.name)}${condition}`
  return { name, sql: `${head}\nBEGIN\n${statements.join('\n')}\nEND` }
}

function appendSQL(table: TableInfo, captured: CapturedColumns, change: Change): string {
  const rows = { c: ['NEW'], u: ['OLD', 'NEW'], d: ['OLD'] }[change]
  const about = `,"type":"${TYPES[change]}","op":"${change}","store":"relational","table":${JSON.stringify(table.name)},"key":`
  const parts = [quoteText(about), `json_quote(${keySQL(rows.at(-1) ?? 'NEW', table, true)})`]
  if (change !== 'c') parts.push(quoteText(',"before":'), rowSQL('OLD', captured))
  if (change !== 'd') parts.push(quoteText(',"after":'), rowSQL('NEW', captured))
  parts.push(`CASE WHEN ${hasBlobSQL(rows, captured)} THEN ',"blobs":true' ELSE '' END`)
  return appendEventSQL(parts.join(' || '), table.name)
}

/** A row value of SQL; of one column, the column. */
function vector(columns: readonly string[]): string {
  return columns.length === 1 ? (columns[0] ?? '') : `(${columns.join(', ')})`
}
