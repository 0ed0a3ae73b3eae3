// The SQL of a pipeline. streams/events.sql names its sink and its stream as the lake does; an account has names of its
// own. A comment or a quoted text is never taken for a name, nor for the space between words.

import { diff } from 'node:util'
import { CDCError } from '../../error.ts'

/** The names that stand in the file for those of the account. */
const SINK = 'cdc_events'
const STREAM = 'events'

/** Comments, quoted texts, and what each caller looks for between them. */
function scanner(wanted: string): RegExp {
  return new RegExp(String.raw`(?<comment>--[^\n]*)|(?<quoted>'(?:[^']|'')*'|"(?:[^"]|"")*")|${wanted}`, 'gi')
}

/**
 * Puts the account's names into the SQL of the file: `INSERT INTO cdc_events` and `FROM events` are the places.
 * @throws {CDCError} invalid-config where one of them does not occur.
 */
export function nameTables(sql: string, { sink, stream }: { sink: string; stream: string }): string {
  const places = String.raw`\b(?<into>INSERT\s+INTO\s+)${SINK}\b|\b(?<from>FROM\s+)${STREAM}\b`
  const seen = new Set<string>()
  const named = sql.replaceAll(scanner(places), (text, ...rest) => {
    const { into, from } = groupsOf(rest)
    if (into !== undefined) seen.add('into')
    if (from !== undefined) seen.add('from')
    return into !== undefined ? into + sink : from !== undefined ? from + stream : text
  })
  if (seen.size === 2) return named
  throw new CDCError(
    'invalid-config',
    `provision: streams/events.sql must be INSERT INTO ${SINK} SELECT … FROM ${STREAM}; the account's names are put there`,
  )
}

/** Shows the lines in which two statements differ, or nothing where they differ in comments and spaces at most. */
export function diffSQL(wanted: string, found: string): string[] {
  if (normalized(wanted) === normalized(found)) return []
  return diff(linesOf(found), linesOf(wanted)).flatMap(([operation, line]) =>
    operation === 0 ? [] : [`${operation === 1 ? '-' : '+'} ${line}`],
  )
}

function normalized(sql: string): string {
  return withoutComments(sql)
    .replaceAll(scanner(String.raw`(?<space>\s+)`), (text, ...rest) =>
      groupsOf(rest)['space'] === undefined ? text : ' ',
    )
    .trim()
    .replace(/\s*;$/, '')
}

function linesOf(sql: string): string[] {
  return withoutComments(sql)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}

function withoutComments(sql: string): string {
  return sql.replaceAll(scanner('(?!)'), (text, ...rest) => (groupsOf(rest)['comment'] === undefined ? text : ''))
}

/** `replaceAll` gives its callback the named groups last, and types them as `any`. */
function groupsOf(rest: readonly unknown[]): Readonly<Record<string, string | undefined>> {
  return rest.at(-1) as Readonly<Record<string, string | undefined>>
}
