// What `FROM events` means on Basin SQL: the events of the last days, each once, as the lake would have landed them.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { usage } from '../command.ts'
import { fillParameters, isMark, isName, isWord, type Token, tokensOf, withoutComments } from '../sql-tokens.ts'

const EVENTS_ONCE = join(import.meta.dirname, '../../../streams/events_once.sql')

const UNITS: Readonly<Record<string, string>> = { m: 'minutes', h: 'hours', d: 'days' }

/** How far back `events` reaches by default: the window of `events_once.sql` as it is shipped. */
export const DEFAULT_WINDOW = '7d'

/** Reads a window such as `7d`, `36h` or `90m` as the text of an SQL interval. @throws {CDCError} `invalid-argument`. */
export function intervalOf(window: string): string {
  const [, count, unit = ''] = /^([1-9]\d{0,4})([mhd])$/.exec(window) ?? []
  if (count !== undefined) return `'${count} ${UNITS[unit]}'`
  throw usage(`--since ${window} is not a time such as 90m, 36h or 7d`)
}

/** The query for the events of a window, each once. */
export async function eventsOnce(window: string): Promise<string> {
  const shipped = await readFile(EVENTS_ONCE, 'utf8')
  return withoutComments(fillParameters(shipped, { window: intervalOf(window) })).trim()
}

/** Whether SQL reads a table `events` that it does not define itself. */
export function readsEvents(sql: string): boolean {
  const tokens = tokensOf(sql)
  const definesIt = tokens.some((token, index) => isName(token, 'events') && isDefinition(tokens, index))
  return !definesIt && tokens.some((token, index) => isName(token, 'events') && isTable(tokens[index - 1]))
}

function isDefinition(tokens: readonly Token[], index: number): boolean {
  return isWord(tokens[index + 1], 'as') && isMark(tokens[index + 2], '(')
}

/** A comma may also come before a column. Then `events` is defined without being read, which costs nothing. */
function isTable(before: Token | undefined): boolean {
  return isWord(before, 'from', 'join') || isMark(before, ',')
}

/** Defines `events` in front of SQL, as the first of its common table expressions. */
export function defineEvents(sql: string, query: string): string {
  const tokens = tokensOf(sql)
  const first = tokens.findIndex((token) => isWord(token, 'select', 'with') || isMark(token, '('))
  const begin = tokens[first]
  if (begin === undefined) return sql
  const definition = `events AS (\n${query}\n)`
  if (!isWord(begin, 'with')) return `${sql.slice(0, begin.start)}WITH ${definition}\n${sql.slice(begin.start)}`
  const next = isWord(tokens[first + 1], 'recursive') ? tokens[first + 2] : tokens[first + 1]
  const at = next?.start ?? sql.length
  return `${sql.slice(0, at)}${definition},\n${sql.slice(at)}`
}

/** Whether the SQL has a LIMIT of its own. */
export function hasLimit(sql: string): boolean {
  return tokensOf(sql).some((token) => isWord(token, 'limit') && token.depth === 0)
}
