// Prints what an outbox answers: fields one below the other, events as a table, and everything as JSON for programs.

import { printable, writeTable } from './output.ts'
import type { IO } from './command.ts'
import type { Item, Json, readPages } from './outbox-pages.ts'

/** More rows than anybody reads on a screen. */
const TABLE_ROWS_MAX = 1_000

/** Columns are paths into an item; the last part is the heading. */
export const EVENT_COLUMNS = ['lsn', 'status', 'timestamp', 'type', 'table', 'key', 'actor']
export const DEAD_LETTER_COLUMNS = ['lsn', 'id', 'event.type', 'event.table', 'event.key', 'attempts', 'reason']

/** Prints an object with a line for each field, and those of an object inside it as `outer.inner`. */
export function writeFields(fields: Item, write: IO['stdout']): void {
  const lines = Object.entries(fields).flatMap(([name, value]) =>
    isObject(value)
      ? Object.entries(value).map(([inner, each]) => [`${name}.${inner}`, show(inner, each)] as const)
      : [[name, show(name, value)] as const],
  )
  const width = Math.max(...lines.map(([name]) => name.length))
  for (const [name, text] of lines) write(`${printable(name).padEnd(width)}  ${text}\n`)
}

/** Prints an answer as it came. */
export function writeAnswer(answer: unknown, write: IO['stdout']): void {
  write(`${JSON.stringify(answer, null, 2)}\n`)
}

/** Prints the items of pages as a table. @returns where it goes on behind the last page. */
export async function writeItems(
  pages: ReturnType<typeof readPages>,
  columns: readonly string[],
  io: IO,
): Promise<number | undefined> {
  let nextLSN: number | undefined
  async function* rows() {
    for await (const page of pages) {
      nextLSN = page.nextLSN
      yield page.items.map((item) => columns.map((path) => at(item, path)))
    }
  }
  const headings = columns.map((path) => path.replace(/.*\./, ''))
  await writeTable({ columns: headings, keys: headings, rows }, io.stdout, {
    width: io.columns,
    maxRows: TABLE_ROWS_MAX,
  })
  return nextLSN
}

/** Prints pages as one page in JSON, an item per line. */
export async function writeItemsAsJSON(pages: ReturnType<typeof readPages>, write: IO['stdout']): Promise<void> {
  let separator = '{"items":['
  let nextLSN: number | undefined
  for await (const page of pages) {
    nextLSN = page.nextLSN
    for (const item of page.items) {
      write(`${separator}\n${JSON.stringify(item)}`)
      separator = ','
    }
  }
  write(separator === ',' ? '\n]' : `${separator}]`)
  write(nextLSN === undefined ? '}\n' : `,"nextLSN":${nextLSN}}\n`)
}

function at(item: Item, path: string): Json {
  let value: Json | undefined = item
  for (const name of path.split('.')) value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
  // A table says NULL for null; of a field that is not there it says nothing.
  return value ?? ''
}

function isObject(value: Json | undefined): value is Item {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A value as text, with its size in words where the number alone is hard to read. */
function show(name: string, value: Json): string {
  const text = printable(typeof value === 'string' ? value : JSON.stringify(value))
  if (typeof value !== 'number') return text
  if (name.endsWith('Bytes') && value >= 10_000)
    return `${text} (${inUnits(value, 1_000, ['B', 'kB', 'MB', 'GB', 'TB'])})`
  return name.endsWith('Ms') && value >= 10_000 ? `${text} (${duration(value)})` : text
}

function inUnits(value: number, step: number, units: readonly string[]): string {
  const power = Math.min(Math.floor(Math.log(value) / Math.log(step)), units.length - 1)
  return `${(value / step ** power).toFixed(1)} ${units[power]}`
}

/** The two largest units, such as `2 h 5 min`. */
function duration(ms: number): string {
  const seconds = Math.round(ms / 1_000)
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  return parts
    .slice(first, first + 2)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}
