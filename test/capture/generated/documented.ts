// What docs/capture.md promises about the events of captured rows: how a value and a key look in them, what may be
// refused, and what happens at the end of a life. The only file to change when these promises change.

import type { OutboxStats } from 'durable-outbox'

/** A value as SQLite has it: a text and a BLOB by their bytes in hexadecimal, an integer by its digits. */
export type Cell =
  | { readonly type: 'null' }
  | { readonly type: 'integer'; readonly digits: string }
  | { readonly type: 'real'; readonly number: number }
  | { readonly type: 'text' | 'blob'; readonly hex: string }

export type Row = Readonly<Record<string, Cell>>

/** What drizzle means by a column, where the table was captured as drizzle's. */
export type Mode = 'boolean' | 'json' | 'timestamp' | 'timestamp_ms'
export type Modes = Readonly<Record<string, Mode>>

/** A table's rows as a check needs them. */
export interface TableShape {
  /** Columns of the primary key; none where there is only the rowid. */
  readonly key: readonly string[]
  readonly modes: Modes
}

/** What `after` shows of a row. */
export function describeRow(row: Row, modes: Modes): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).map(([column, cell]) => [column, describeCell(cell, modes[column])]))
}

function describeCell(cell: Cell, mode: Mode | undefined): unknown {
  switch (mode) {
    case 'boolean':
      return cell.type === 'integer' && /^[01]$/.test(cell.digits) ? cell.digits === '1' : describePlain(cell)
    case 'json':
      return describeJSON(cell)
    case 'timestamp':
      return describeTime(cell, 1_000)
    case 'timestamp_ms':
      return describeTime(cell, 1)
    default:
      return describePlain(cell)
  }
}

function describePlain(cell: Cell): unknown {
  switch (cell.type) {
    case 'null':
      return null
    case 'integer':
      return Number.isSafeInteger(Number(cell.digits)) ? Number(cell.digits) : cell.digits
    case 'real':
      // -0 becomes 0; infinities are text, as SQLite writes them.
      if (Number.isFinite(cell.number)) return cell.number + 0
      return cell.number > 0 ? 'Inf' : '-Inf'
    case 'text':
      return describeText(cell.hex)
    case 'blob':
      return Uint8Array.fromHex(cell.hex).toBase64()
  }
}

/** A text, or the bytes of one that is not UTF-8. */
function describeText(hex: string): unknown {
  const bytes = Uint8Array.fromHex(hex)
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return { $base64: bytes.toBase64() }
  }
}

const JSON_DEPTH_MAX = 63

function describeJSON(cell: Cell): unknown {
  const plain = describePlain(cell)
  if (cell.type !== 'text' || typeof plain !== 'string') return plain
  let value: unknown
  try {
    value = JSON.parse(plain)
  } catch {
    return { $text: plain }
  }
  const isMarker =
    typeof value === 'object' && value !== null && ['$json', '$text', '$base64'].some((name) => name in value)
  return isMarker || /\d{16}/.test(plain) || !isCarried(value, 0) ? { $json: plain } : value
}

/** Whether an event can hold a JSON value: not too deep, and no half of a surrogate pair. */
function isCarried(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || value === null) return true
  if (depth >= JSON_DEPTH_MAX) return false
  const names = Array.isArray(value) ? [] : Object.keys(value)
  return (
    names.every((name) => name.isWellFormed() && !name.includes('\0')) &&
    Object.values(value).every((each) => isCarried(each, depth + 1))
  )
}

function describeTime(cell: Cell, unitMs: number): unknown {
  if (cell.type !== 'integer') return describePlain(cell)
  const date = new Date(Number(cell.digits) * unitMs)
  // SQLite's dates end in the year 9999.
  const isTime = !Number.isNaN(date.getTime()) && date.getUTCFullYear() >= 0 && date.getUTCFullYear() <= 9_999
  return isTime ? date.toISOString() : describePlain(cell)
}

/** Whether a table may not be captured: if a key is missing or NULL, nothing tells its rows apart. */
export function mayNotBeCaptured({ columns, hasRowid }: { columns: readonly string[]; hasRowid: boolean }): boolean {
  const names = columns.map((column) => column.toLowerCase())
  return hasRowid && ['rowid', '_rowid_', 'oid'].every((name) => names.includes(name))
}

/** Whether it makes a table of which only `recursive_triggers` tells what is replaced. */
export function mayReplaceAsRecursive(sql: string): boolean {
  return (
    /^CREATE UNIQUE INDEX .* \(lower\(/.test(sql) ||
    /PRIMARY KEY \(k, l, m, n, o\).*WITHOUT ROWID/.test(sql) ||
    / AS \(quote\(/.test(sql)
  )
}

const KEY_LENGTH_MAX = 1_024
const EVENT_BYTES_MAX = 1_000_000

/** Whether a write that leaves this row may be refused. */
export function mayRefuse(row: Row, { key }: TableShape): boolean {
  const cells = Object.values(row)
  const bytes = cells.reduce((sum, cell) => sum + ('hex' in cell ? cell.hex.length / 2 : 20), 0)
  return bytes > EVENT_BYTES_MAX / 3 || key.some((column) => isBadKey(row[column]))
}

function isBadKey(cell: Cell | undefined): boolean {
  if (cell === undefined || cell.type === 'null') return true
  return 'hex' in cell && (cell.hex === '' || cell.hex.length / 2 > KEY_LENGTH_MAX / 4)
}

/** The codes by which a write may be refused. */
export const REFUSALS: readonly string[] = ['event-invalid', 'event-too-large']

/** Whether a life with the epoch `later` counts as later than one with the epoch `earlier`. */
export function isLater(later: string, earlier: string): boolean {
  return later > earlier
}

/** Whether the object says of a table that changes may be missing in the log, so that it proves nothing. */
export function saysIncomplete(_stats: OutboxStats, _table: string): boolean {
  return false
}
