// Prints an answer: a table for people, JSON and CSV for programs.

import Table from 'cli-table3'
import type { Json } from '@duckdb/node-api'
import { type IO, usage } from './command.ts'
import type { QueryResult } from './duckdb.ts'
import { count, csvText, printable, safeJSON } from './values.ts'

/** More rows than anybody reads on a screen, and few enough to lay out at once. */
export const TABLE_ROWS_MAX = 1_000

/** The frame's upper edge, the names, and the line below them. */
const HEADER_LINES = 3

/** A column narrower than this is hard to read; then each row is printed as a block of its own. */
const CELL_WIDTH_MIN = 12

/** The options of every command that prints rows, and their help. */
export const FORMAT_OPTIONS = { json: { type: 'boolean' }, csv: { type: 'boolean' } } as const
export const FORMAT_HELP = `\
  --json            print a JSON array with an object for each row
  --csv             print CSV (RFC 4180) with a header. A text that a spreadsheet could take for a
                    formula begins with an apostrophe, and control characters are escaped; --json
                    has every value exactly`

export interface Format {
  readonly json?: boolean | undefined
  readonly csv?: boolean | undefined
}

/** @throws {CDCError} `invalid-argument` for two formats at once. */
export function checkFormat({ json = false, csv = false }: Format): void {
  if (json && csv) throw usage('--json and --csv exclude each other')
}

/** Prints rows in the format that was asked for, by default as a table. */
export async function printRows(result: QueryResult, { json = false, csv = false }: Format, io: IO): Promise<void> {
  if (json) await writeJSON(result, io.data)
  else if (csv) await writeCSV(result, io.data)
  else await printTable(result, io)
}

/** Prints one JSON value. */
export function printJSON(value: unknown, { data }: Pick<IO, 'data'>): void {
  data(`${safeJSON(value, 2)}\n`)
}

/** Writes one JSON array with an object per row, a row per line. */
async function writeJSON(result: QueryResult, write: IO['data']): Promise<void> {
  let separator = '['
  for await (const rows of result.rows()) {
    for (const row of rows) {
      write(`${separator}\n${safeJSON(Object.fromEntries(result.keys.map((key, i) => [key, row[i] ?? null])))}`)
      separator = ','
    }
  }
  write(separator === '[' ? '[]\n' : '\n]\n')
}

/** Writes RFC 4180 CSV with a header. Null is an empty field and the empty string is `""`. */
async function writeCSV(result: QueryResult, write: IO['data']): Promise<void> {
  write(csvLine(result.columns))
  for await (const rows of result.rows()) write(rows.map(csvLine).join(''))
}

/** Prints a table with the number of rows below it. Rows beyond `maxRows` are counted, and not shown. */
export async function printTable(
  result: Pick<QueryResult, 'columns' | 'rows'>,
  { line, columns: width = Infinity }: Pick<IO, 'line' | 'columns'>,
  maxRows = TABLE_ROWS_MAX,
): Promise<void> {
  const rows: string[][] = []
  let total = 0
  for await (const portion of result.rows()) {
    total += portion.length
    rows.push(...portion.slice(0, maxRows - rows.length).map((row) => row.map(cell)))
  }
  const header = result.columns.map(cell)
  if (header.length > 0) for (const text of layOut(header, rows, width).split('\n')) line(text)
  line(count(total, 'row', 'rows') + (total === rows.length ? '' : `, the first ${rows.length} of them shown`))
}

function csvLine(values: readonly Json[]): string {
  return `${values.map(csvField).join(',')}\r\n`
}

function csvField(value: Json): string {
  if (value === null) return ''
  const text = typeof value === 'string' ? csvText(value) : plain(value)
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function plain(value: Json): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}

/** A cell as it is printed: its width must be known before the table is laid out. */
function cell(value: Json): string {
  return value === null ? 'NULL' : printable(plain(value))
}

function layOut(header: string[], rows: string[][], width: number): string {
  const widest = header.map((name, i) => Math.max(...[name, ...rows.map((row) => row[i] ?? '')].map(textWidth)))
  const limit = cellLimit(widest, width - 1 - 3 * header.length)
  if (limit === undefined) return blocks(header, rows, width)
  const table = new Table({ head: header.map((name) => cut(name, limit)), style: { head: [], border: [] } })
  table.push(...rows.map((row) => row.map((text) => cut(text, limit))))
  return withoutLines(table.toString(), (_, index) => index >= HEADER_LINES)
}

/** The greatest width of a cell with which all columns fit; nothing if that is too narrow to read. */
function cellLimit(widest: readonly number[], available: number): number | undefined {
  const sum = (limit: number) => widest.reduce((total, natural) => total + Math.min(natural, limit), 0)
  let limit = Math.min(Math.max(0, ...widest), available)
  if (available === Infinity || sum(limit) <= available) return limit
  while (limit >= CELL_WIDTH_MIN && sum(limit) > available) limit -= 1
  return limit < CELL_WIDTH_MIN ? undefined : limit
}

/** One block of `column value` lines for each row, for columns that do not fit side by side. */
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

/** cli-table3 draws a line under each row, which doubles the height. No row can be taken for one: rows begin with │. */
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
