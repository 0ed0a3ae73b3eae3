// Prints a query's answer: a table for people, JSON and CSV for programs.

import Table from 'cli-table3'
import type { Json } from '@duckdb/node-api'
import type { QueryResult } from './duckdb.ts'

type Write = (text: string) => void

/** How large a table may be. Rows beyond are counted, and not shown. */
export interface TableLimits {
  /** The width in cells to which it is cut; nothing is cut without it. */
  readonly width?: number | undefined
  readonly maxRows: number
}

/** The frame's upper edge, the names, and the line below them. */
const HEADER_LINES = 3

/** A column narrower than this says nothing any more; then each row is printed as a block of its own. */
const CELL_WIDTH_MIN = 12

/** Writes one JSON array with an object per row, a row per line. */
export async function writeJSON(result: QueryResult, write: Write): Promise<void> {
  let separator = '['
  for await (const rows of result.rows()) {
    for (const row of rows) {
      write(`${separator}\n${JSON.stringify(Object.fromEntries(result.keys.map((key, i) => [key, row[i] ?? null])))}`)
      separator = ','
    }
  }
  write(separator === '[' ? '[]\n' : '\n]\n')
}

/** Writes RFC 4180 CSV with a header. Null is an empty field and the empty string is `""`. */
export async function writeCsv(result: QueryResult, write: Write): Promise<void> {
  write(csvLine(result.columns))
  for await (const rows of result.rows()) write(rows.map(csvLine).join(''))
}

/** Writes a table with the number of rows below it. */
export async function writeTable(result: QueryResult, write: Write, limits: TableLimits): Promise<void> {
  const { width = Infinity, maxRows } = limits
  const rows: string[][] = []
  let count = 0
  for await (const portion of result.rows()) {
    count += portion.length
    rows.push(...portion.slice(0, maxRows - rows.length).map((row) => row.map(cell)))
  }
  const header = result.columns.map(cell)
  if (header.length > 0) write(`${layOut(header, rows, width)}\n`)
  write(countLine(count, rows.length))
}

function countLine(count: number, shown: number): string {
  const rows = `${count} ${count === 1 ? 'row' : 'rows'}`
  return shown === count ? `${rows}\n` : `${rows}, the first ${shown} of them shown\n`
}

function csvLine(values: readonly Json[]): string {
  return `${values.map(csvField).join(',')}\r\n`
}

function csvField(value: Json): string {
  if (value === null) return ''
  const text = plain(value)
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function plain(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function cell(value: Json): string {
  return value === null ? 'NULL' : printable(plain(value))
}

/**
 * Shows control characters instead of sending them: what an event holds was written by somebody else, and must not be
 * able to drive the terminal.
 */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu, (char) => JSON_ESCAPES[char] ?? escaped(char))
}

const JSON_ESCAPES: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function layOut(header: string[], rows: string[][], width: number): string {
  const widest = header.map((name, i) => Math.max(...[name, ...rows.map((row) => row[i] ?? '')].map(textWidth)))
  const limit = cellLimit(widest, width - 1 - 3 * header.length)
  if (limit === undefined) return blocks(header, rows, width)
  const table = new Table({ head: header.map((name) => cut(name, limit)), style: { head: [], border: [] } })
  table.push(...rows.map((row) => row.map((text) => cut(text, limit))))
  return withoutLines(table.toString(), (_, index) => index >= HEADER_LINES)
}

/** The greatest width of a cell with which all columns fit, or nothing where that is too narrow to read. */
function cellLimit(widest: readonly number[], available: number): number | undefined {
  const sum = (limit: number) => widest.reduce((total, natural) => total + Math.min(natural, limit), 0)
  let limit = Math.min(Math.max(0, ...widest), available)
  if (available === Infinity || sum(limit) <= available) return limit
  while (limit >= CELL_WIDTH_MIN && sum(limit) > available) limit -= 1
  return limit < CELL_WIDTH_MIN ? undefined : limit
}

/** One block of `column value` lines for each row, for rows that are too wide to lie side by side. */
function blocks(header: string[], rows: string[][], width: number): string {
  const table = new Table({ style: { head: [], border: [] } })
  const names = Math.max(...header.map(textWidth))
  const limit = Math.max(CELL_WIDTH_MIN, width - 7 - names)
  rows.forEach((row, index) => {
    table.push(
      [{ colSpan: 2, content: `row ${index + 1}` }],
      ...header.map((name, i) => [name, cut(row[i] ?? '', limit)]),
    )
  })
  return rows.length === 0
    ? header.map((name) => cut(name, width)).join('\n')
    : withoutLines(table.toString(), (line) => line.includes('┼'))
}

/** cli-table3 rules a line under each row, which doubles the height. No cell can be taken for one: all begin with │. */
function withoutLines(text: string, drop: (line: string, index: number) => boolean): string {
  const lines = text.split('\n')
  return lines.filter((line, index) => !(line.startsWith('├') && drop(line, index))).join('\n')
}

const graphemes = new Intl.Segmenter()
const WIDE =
  /^(?:\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}])|\ufe0f/u

function textWidth(text: string): number {
  // ASCII is the common case, and segmenting is slow.
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let width = 0
  for (const { segment } of graphemes.segment(text)) width += segmentWidth(segment)
  return width
}

function segmentWidth(segment: string): number {
  return WIDE.test(segment) ? 2 : 1
}

function cut(text: string, limit: number): string {
  if (text.length <= limit / 2 || textWidth(text) <= limit) return text
  let width = 0
  let kept = ''
  for (const { segment } of graphemes.segment(text)) {
    width += segmentWidth(segment)
    if (width > limit - 1) break
    kept += segment
  }
  return `${kept}…`
}
