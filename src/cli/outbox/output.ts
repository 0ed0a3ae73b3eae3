// Prints what an outbox answers: fields one below the other, events as a table, and everything as JSON for programs.

import type { IO } from '../command.ts'
import { printTable } from '../output.ts'
import { safeJSON } from '../values.ts'
import type { Item, Json, readPages } from './pages.ts'

/** Columns are paths into an item; the last name of a path is the heading. */
export const EVENT_COLUMNS = ['lsn', 'status', 'timestamp', 'type', 'table', 'key', 'actor']
export const DEAD_LETTER_COLUMNS = ['lsn', 'id', 'event.type', 'event.table', 'event.key', 'attempts', 'reason']

/** Prints an object with a line for each field. Those of an object inside it are `outer.inner`. */
export function printFields(fields: Item, { line }: IO): void {
  const lines = Object.entries(fields).flatMap(([name, value]) => linesOf(name, value))
  const width = Math.max(...lines.map(([name]) => name.length))
  for (const [name, text] of lines) line(`${name.padEnd(width)}  ${text}`)
}

function linesOf(name: string, value: Json): (readonly [name: string, text: string])[] {
  if (isObject(value)) return Object.entries(value).map(([inner, each]) => [`${name}.${inner}`, show(inner, each)])
  if (Array.isArray(value) && value.every(isNamed))
    return value.map(({ name: inner, ...rest }) => [`${name}.${inner}`, showFields(rest)])
  return [[name, show(name, value)]]
}

/** Fields on one line, such as those of a snapshot: `rows 120, startedAt 2026-…`. */
function showFields(fields: Item): string {
  return Object.entries(fields)
    .map(([name, value]) => `${name} ${show(name, value)}`)
    .join(', ')
}

/** Prints the items of pages as a table. @returns where the page after the last one begins, if there is one. */
export async function printItems(
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
  await printTable({ columns: columns.map((path) => path.replace(/.*\./, '')), rows }, io)
  return nextLSN
}

/** Prints pages as one page in JSON, an item per line. */
export async function printItemsAsJSON(pages: ReturnType<typeof readPages>, { data }: IO): Promise<void> {
  let separator = '{"items":['
  let nextLSN: number | undefined
  for await (const page of pages) {
    nextLSN = page.nextLSN
    for (const item of page.items) {
      data(`${separator}\n${safeJSON(item)}`)
      separator = ','
    }
  }
  data(separator === ',' ? '\n]' : `${separator}]`)
  data(nextLSN === undefined ? '}\n' : `,"nextLSN":${nextLSN}}\n`)
}

function at(item: Item, path: string): Json {
  let value: Json | undefined = item
  for (const name of path.split('.')) value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
  // A table shows null as NULL, and a field that is not there as nothing.
  return value ?? ''
}

function isObject(value: Json | undefined): value is Item {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isNamed(value: Json): value is Item & { name: string } {
  return isObject(value) && typeof value['name'] === 'string'
}

/** A value as text, with a size or a time in words if the number alone is hard to read. */
function show(name: string, value: Json): string {
  if (typeof value !== 'number') return typeof value === 'string' ? value : JSON.stringify(value)
  if (name.endsWith('Bytes') && value >= 10_000)
    return `${value} (${inUnits(value, 1_000, ['B', 'kB', 'MB', 'GB', 'TB'])})`
  return name.endsWith('Ms') && value >= 10_000 ? `${value} (${duration(value)})` : String(value)
}

function inUnits(value: number, step: number, units: readonly string[]): string {
  const power = Math.min(Math.floor(Math.log(value) / Math.log(step)), units.length - 1)
  return `${(value / step ** power).toFixed(1)} ${units[power]}`
}

/** The two largest units, such as `2 h 5 min`. */
function duration(ms: number): string {
  const seconds = Math.round(ms / 1_000)
  const amounts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'min'],
    [seconds % 60, 's'],
  ] as const
  const first = amounts.findIndex(([amount]) => amount > 0)
  return amounts
    .slice(first, first + 2)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(' ')
}
