// A row as JSON, in SQL: for triggers, which see a row as OLD and NEW, and for snapshots, which read it from the table.

import { CDCError } from '../error.ts'
import { NAME_LENGTH_MAX } from '../event/limits.ts'
import { RAISED } from '../outbox/captured.ts'
import { jsonPathOf, quoteName, quoteText, unrepresentableField } from '../sqlite/quote.ts'
import type { ColumnKind, TableInfo } from './table.ts'

/** What of a table is captured, and how. */
export interface CapturedColumns {
  /** The columns in `before` and `after`. */
  readonly columns: readonly string[]
  readonly kinds: ReadonlyMap<string, ColumnKind>
  /** By column: the SQL function of one argument that stands in for its value, or `mask`. */
  readonly redactions: ReadonlyMap<string, string>
}

/** The redaction that shows nothing but that there is a value. */
export const MASK = 'mask'

/** Arguments that one call of a function may have. */
const ARGUMENTS_MAX = 127
const COLUMNS_PER_CALL = (ARGUMENTS_MAX - 1) >> 1

/**
 * JSON text of a row's captured columns.
 *
 * @param row `NEW`, `OLD` or the table itself.
 * @throws {CDCError} `invalid-argument` for a name that no JSON path can say, where one is needed.
 */
export function rowSQL(row: string, { columns, kinds, redactions }: CapturedColumns): string {
  const values = columns.map((column) => {
    const value = redacted(`${row}.${quoteName(column)}`, redactions.get(column))
    return valueSQL(value, redactions.has(column) ? 'plain' : (kinds.get(column) ?? 'plain'))
  })
  const pairs = columns.map((column, index) => {
    const name = index < COLUMNS_PER_CALL ? column : jsonPath(column)
    return `${quoteText(name)},${values[index] ?? ''}`
  })
  // A function takes too few arguments for a wide table: the first columns make an object, and the others join it.
  let json = `json_object(${pairs.slice(0, COLUMNS_PER_CALL).join(',')})`
  for (let from = COLUMNS_PER_CALL; from < pairs.length; from += COLUMNS_PER_CALL)
    json = `json_set(${json},${pairs.slice(from, from + COLUMNS_PER_CALL).join(',')})`
  return json
}

function jsonPath(column: string): string {
  if (unrepresentableField([column]) === undefined) return jsonPathOf([column])
  throw new CDCError(
    'invalid-argument',
    `capture: the column ${column} has a quote, a backslash or a control character in its name, and is not one of the ` +
      `first ${COLUMNS_PER_CALL}; exclude it`,
  )
}

/** Whether any captured value of these rows is a BLOB, which JSON cannot hold: it is written in hexadecimal then. */
export function hasBlobSQL(rows: readonly string[], { columns, redactions }: CapturedColumns): string {
  const types = rows.flatMap((row) =>
    columns.map((column) => `typeof(${redacted(`${row}.${quoteName(column)}`, redactions.get(column))})`),
  )
  return types.length === 0 ? '0' : `'blob' IN (${types.join(', ')})`
}

/**
 * A row's key as text: the value of its primary key, a JSON array of several, or the rowid where it has none.
 *
 * @param isChecked whether a bad key aborts the statement, as it must in a trigger.
 */
export function keySQL(row: string, table: TableInfo, isChecked: boolean): string {
  const [only, ...others] = keyColumns(row, table)
  if (only === undefined) throw new Error('capture: a table has a key')
  const key =
    others.length === 0
      ? `CASE typeof(${only}) WHEN 'blob' THEN hex(${only}) ELSE CAST(${only} AS TEXT) END`
      : `(json_array(${[only, ...others].map((column) => valueSQL(column, 'plain')).join(', ')}) || '')`
  if (!isChecked) return key
  const problem = `${RAISED}event-invalid: ${table.name}: a key must be 1 to ${NAME_LENGTH_MAX} characters and not NULL`
  const isNull = [only, ...others].map((column) => `${column} IS NULL`).join(' OR ')
  return `CASE WHEN ${isNull} OR length(${key}) NOT BETWEEN 1 AND ${NAME_LENGTH_MAX} THEN RAISE(ABORT, ${quoteText(problem)}) ELSE ${key} END`
}

/** The columns of a row's key. */
export function keyColumns(row: string, { key }: TableInfo): string[] {
  return key.length === 0 ? [`${row}.rowid`] : key.map((column) => `${row}.${quoteName(column)}`)
}

/** Refuses what is not the name of a function, and so could be any SQL. */
export function checkFunction(name: string): void {
  if (/^[a-z_]\w{0,63}$/i.test(name)) return
  throw new CDCError('invalid-argument', `capture: redact names a SQL function of one argument or 'mask', not ${name}`)
}

function redacted(value: string, redaction: string | undefined): string {
  if (redaction === undefined) return value
  return redaction === MASK ? `CASE WHEN ${value} IS NULL THEN NULL ELSE '***' END` : `${redaction}(${value})`
}

/** A value as an argument of `json_object`, changed by nothing: what JSON cannot hold becomes text. */
function valueSQL(value: string, kind: ColumnKind): string {
  // A number of more than 15 digits is written with 20, as SQLite's own JSON would round it. Even these are right only
  // up to about 1e±20: beyond, SQLite's decimals of one number in five end wrongly.
  const plain =
    `CASE typeof(${value})WHEN'blob'THEN json_object('$hex',hex(${value}))` +
    `WHEN'integer'THEN iif(${value} BETWEEN ${Number.MIN_SAFE_INTEGER} AND ${Number.MAX_SAFE_INTEGER},${value},${value}||'')` +
    `WHEN'real'THEN iif(abs(${value})<9e999,iif(CAST(${value}||''AS REAL)=${value},${value},json(printf('%!.20g',${value}))),${value}||'')` +
    `ELSE ${value} END`
  switch (kind) {
    case 'plain':
      return plain
    case 'boolean':
      return `CASE ${value} WHEN 0 THEN json('false') WHEN 1 THEN json('true') ELSE ${plain} END`
    case 'json':
      return `CASE WHEN json_valid(${value}) THEN json(${value}) ELSE ${plain} END`
    case 'seconds':
      return timeSQL(value, value, "'.000Z'", plain)
    case 'milliseconds': {
      const rest = `((${value} % 1000 + 1000) % 1000)`
      return timeSQL(value, `(${value} - ${rest}) / 1000`, `printf('.%03dZ', ${rest})`, plain)
    }
  }
}

function timeSQL(value: string, seconds: string, fraction: string, plain: string): string {
  const time = `strftime('%Y-%m-%dT%H:%M:%S', ${seconds}, 'unixepoch')`
  return `CASE WHEN typeof(${value}) = 'integer' AND ${time} IS NOT NULL THEN ${time} || ${fraction} ELSE ${plain} END`
}
