// A row as JSON, and its key as text, in SQL: for triggers and for snapshots. The JSON is the stored form of
// outbox/captured-values.ts, from which an event's values are made when it is read.

import { CDCError } from '../error.ts'
import { NAME_LENGTH_MAX } from '../event/limits.ts'
import { jsonPathOf, quoteName, quoteText, unrepresentableField } from '../sqlite/quote.ts'
import type { ColumnKind, TableColumn, TableInfo } from './table.ts'

/** What of a table is captured, and how. */
export interface CapturedColumns {
  /** The columns in `before` and `after`. */
  readonly columns: readonly string[]
  readonly kinds: ReadonlyMap<string, ColumnKind>
  /** By column: the SQL function of one argument that stands in for its value, or `mask`. */
  readonly redactions: ReadonlyMap<string, string>
}

/** The redaction that shows only whether there is a value. */
export const MASK = 'mask'

/** Arguments that one call of a function may have. */
const ARGUMENTS_MAX = 127
const COLUMNS_PER_CALL = (ARGUMENTS_MAX - 1) >> 1

/**
 * JSON text of a row's captured columns.
 *
 * @param row `NEW`, `OLD` or the table itself.
 * @throws {CDCError} `invalid-argument` for a name that no JSON path can say, if one is needed.
 */
export function rowSQL(row: string, table: TableInfo, { columns, kinds, redactions }: CapturedColumns): string {
  const byName = new Map(table.columns.map((column) => [column.name, column]))
  const values = columns.map((name) => redacted(`${row}.${quoteName(name)}`, redactions.get(name)))
  // SQLite limits how long a statement is, and what it is compiled to: a wide table has no room for the fast way.
  const isWide = columns.length > COLUMNS_PER_CALL
  const pairs = columns.map((name, index) => {
    const value = values[index] ?? ''
    const kind = redactions.has(name) ? 'plain' : (kinds.get(name) ?? 'plain')
    let shown: string
    if (isWide) shown = kindSQL(`a${index}`, kind)
    else if (redactions.has(name) || kind !== 'plain') shown = withValue(value, (v) => kindSQL(v, kind))
    else shown = plainSQL(value, byName.get(name)?.isText === true)
    return `${quoteText(index < COLUMNS_PER_CALL ? name : jsonPath(name))},${shown}`
  })
  // A function takes too few arguments for a wide table: the first columns make an object, and the others join it.
  let json = `json_object(${pairs.slice(0, COLUMNS_PER_CALL).join(',')})`
  for (let from = COLUMNS_PER_CALL; from < pairs.length; from += COLUMNS_PER_CALL)
    json = `json_set(${json},${pairs.slice(from, from + COLUMNS_PER_CALL).join(',')})`
  return isWide ? `(SELECT ${json} FROM(SELECT ${values.map((value, index) => `${value} a${index}`).join(',')}))` : json
}

function jsonPath(column: string): string {
  if (unrepresentableField([column]) === undefined) return jsonPathOf([column])
  throw new CDCError(
    'invalid-argument',
    `capture: the column ${column} has a quote, a backslash or a control character in its name, and is not one of the ` +
      `first ${COLUMNS_PER_CALL}; exclude it`,
  )
}

/**
 * A row's key as text, one to one: no two rows of the table have the same.
 *
 * One column: an integer and a text stand as they are, a real in decimals, a BLOB as `X'00FF'`. A text that could be taken for
 * another of these, or is empty, stands as the SQL of its bytes, `CAST(X'31' AS TEXT)`. Several columns are a JSON array. A key
 * with a NULL in it, which SQLite lets several rows have, is told apart by the rowid: `NULL@7`.
 */
export function keySQL(row: string, table: TableInfo): string {
  if (table.isKeyedByRowid) return `CAST(${row}.${table.rowid} AS TEXT)`
  const columns = table.key.map((column) => ({ column, value: `${row}.${quoteName(column.name)}` }))
  const [only, ...others] = columns
  if (only === undefined) throw new Error('capture: a table has a key')
  const key =
    others.length === 0
      ? singleKeySQL(only.value, only.column)
      : `(json_array(${columns.map(({ value }) => keyPartSQL(value)).join(',')})||'')`
  if (table.rowid === undefined) return key
  const isNull = columns.map(({ value }) => `${value} IS NULL`).join(' OR ')
  return `CASE WHEN ${isNull} THEN 'NULL@'||${row}.${table.rowid} ELSE ${key} END`
}

/** Whether an event can have this row's key. A row whose key it can't has no event before, and needs none as it goes. */
export function isKeySayableSQL(row: string, table: TableInfo): string {
  return table.isKeyedByRowid ? '1' : `length(${keySQL(row, table)}) <= ${NAME_LENGTH_MAX}`
}

function singleKeySQL(value: string, column: TableColumn): string {
  // What only a number looks like can't be a text of its own, unless no number can be in this column.
  const asNumber = column.isText ? '' : ` OR ${value} NOT GLOB '*[^-+.0-9e]*' OR ${value} IN ('Inf','-Inf')`
  const isSpecial =
    `octet_length(${value})=0 OR instr(${value},char(0))>0 OR ${value} GLOB 'X''*' OR ${value} GLOB 'CAST(X''*' ` +
    `OR ${value} GLOB 'NULL@*'${asNumber}`
  const text = `CASE WHEN ${isSpecial} THEN 'CAST('||quote(CAST(${value} AS BLOB))||' AS TEXT)' ELSE ${value} END`
  return (
    `CASE typeof(${value}) WHEN 'text' THEN ${text} WHEN 'integer' THEN CAST(${value} AS TEXT) ` +
    `WHEN 'real' THEN ${realTextSQL(value)} WHEN 'blob' THEN quote(${value}) END`
  )
}

/** An element of a composite key. */
function keyPartSQL(value: string): string {
  return (
    `CASE typeof(${value}) WHEN 'blob' THEN json_object('$hex',hex(${value})) ` +
    `WHEN 'real' THEN iif(abs(${value})<9e999,json(${realTextSQL(value)}),json_object('$real',${value}||'')) ELSE ${value} END`
  )
}

/** A real in as many decimals as tell it from every other. */
function realTextSQL(value: string): string {
  return `iif(CAST(${value}||'' AS REAL)=${value},${value}||'',printf('%!.20g',${value}))`
}

function redacted(value: string, redaction: string | undefined): string {
  if (redaction === undefined) return value
  return redaction === MASK ? `CASE WHEN ${value} IS NULL THEN NULL ELSE '***' END` : `${redaction}(${value})`
}

/** Refuses what is not the name of a function, and so could be any SQL. */
export function checkFunction(name: string): void {
  if (/^[a-z_]\w{0,63}$/i.test(name)) return
  throw new CDCError('invalid-argument', `capture: redact names a SQL function of one argument or 'mask', not ${name}`)
}

/**
 * A value as an argument of `json_object`, changed by nothing. The most frequent ones are told by comparisons, for which SQLite
 * calls no function: it orders NULL, numbers, texts, BLOBs. A text column holds neither integers nor reals.
 */
function plainSQL(value: string, isText: boolean): string {
  if (isText) return `iif(${value}>=x'',${blobSQL(value)},${value})`
  return `CASE WHEN ${isInteger(value)}OR ${isDecimal(value)}THEN ${value} ELSE ${withValue(value, anySQL)} END`
}

/** The same for a column of any kind: shorter, and slower. */
function kindSQL(value: string, kind: ColumnKind): string {
  switch (kind) {
    case 'plain':
      return anySQL(value)
    case 'boolean':
      return `CASE ${value} WHEN 0 THEN json('false') WHEN 1 THEN json('true') ELSE ${anySQL(value)} END`
    case 'json':
      return `CASE typeof(${value})WHEN'text'THEN json_object('$json',${value})ELSE ${anySQL(value)} END`
    case 'seconds':
      return timeSQL(value, value, "'.000Z'")
    case 'milliseconds': {
      const rest = `((${value} % 1000 + 1000) % 1000)`
      return timeSQL(value, `(${value} - ${rest}) / 1000`, `printf('.%03dZ', ${rest})`)
    }
  }
}

/** SQL that mentions a value many times, by a short name. */
function withValue(value: string, sql: (name: string) => string): string {
  return `(SELECT ${sql('v')} FROM(SELECT ${value} v))`
}

/** Whether a number has no fraction and at most 15 digits: as an integer or as a real, JSON has the same for it. */
function isInteger(value: string): string {
  return `${value} BETWEEN -999999999999999 AND 999999999999999 AND CAST(${value} AS INT)=${value} `
}

/** Whether a number is the nearest to one of at most 9 + 6 decimals, as prices and coordinates are: JSON has just these. */
function isDecimal(value: string): string {
  return `${value} BETWEEN -1e9 AND 1e9 AND CAST(${value}*1e6+iif(${value}<0,-0.5,0.5)AS INT)/1e6=${value} `
}

function anySQL(value: string): string {
  return (
    `CASE typeof(${value})WHEN'real'THEN ${realSQL(value)} WHEN'blob'THEN ${blobSQL(value)}` +
    `WHEN'integer'THEN iif(${value}/9007199254740992=0,${value},${value}||'')ELSE ${value} END`
  )
}

function blobSQL(value: string): string {
  return `json_object('$hex',hex(${value}))`
}

/**
 * A real as JSON: in decimals if 15 digits say it, which both sides then read alike; else as an integer and the power of two
 * by which it is to be divided, both exact. Infinity is text. Beyond 1e-5 and 1e15, SQLite's decimals of a real may end
 * wrongly, in both directions.
 */
function realSQL(value: string): string {
  const isShort = `(${value}=0 OR abs(${value})BETWEEN 1e-5 AND 1e15)AND(${value}||'')+0.0=${value}`
  return `iif(${isShort},${value},iif(abs(${value})<9e999,${exactRealSQL(value)},${value}||''))`
}

/** `[m, k]` with value = m / 2^k. Scaling by a power of two is exact; in two steps, as it may be beyond what a real holds. */
function exactRealSQL(value: string): string {
  return (
    `(SELECT json_object('$real',json_array(CAST(${value}*pow(2.0,k/2)*pow(2.0,k-k/2)AS INT),k))` +
    `FROM(SELECT CAST(53-floor(log2(abs(${value})))AS INT)k))`
  )
}

function timeSQL(value: string, seconds: string, fraction: string): string {
  const time = `strftime('%Y-%m-%dT%H:%M:%S', ${seconds}, 'unixepoch')`
  return `CASE WHEN typeof(${value}) = 'integer' AND ${time} IS NOT NULL THEN ${time} || ${fraction} ELSE ${anySQL(value)} END`
}

/** A value as SQL that makes the very same one again, for the position of a snapshot. */
export function literalSQL(value: string): string {
  const k = `CAST(53-floor(log2(abs(${value})))AS INTEGER)`
  const m = `CAST(${value}*pow(2.0,${k}/2)*pow(2.0,${k}-${k}/2)AS INTEGER)`
  return (
    `CASE typeof(${value}) WHEN 'integer' THEN ${value}||'' WHEN 'blob' THEN quote(${value}) ` +
    `WHEN 'text' THEN 'CAST('||quote(CAST(${value} AS BLOB))||' AS TEXT)' ` +
    `WHEN 'real' THEN CASE WHEN ${value}=0 THEN '0.0' WHEN ${value}=9e999 THEN '9e999' WHEN ${value}=-9e999 THEN '-9e999' ` +
    `ELSE '('||${m}||'*pow(2.0,'||-(${k}/2)||')*pow(2.0,'||(${k}/2-${k})||'))' END ELSE 'NULL' END`
  )
}
