// The SQL of a pipeline. streams/events.sql names its sink and its stream as the lake does; an account has other names.

import { diff } from 'node:util'
import { CDCError } from '../../error.ts'
import { isName, isWord, normalized, replaceTokens, type Token, tokensOf, withoutComments } from '../sql-tokens.ts'

/** The names in the file, in place of which the account's are put. */
const SINK = 'cdc_events'
const STREAM = 'events'

/**
 * Puts the account's names into the SQL of the file, after `INSERT INTO` and after `FROM`.
 *
 * @throws {CDCError} `invalid-config` if one of the file's names is not there.
 */
export function nameTables(sql: string, { sink, stream }: { sink: string; stream: string }): string {
  const tokens = tokensOf(sql)
  const places = tokens.flatMap((token, at): [Token, string][] => {
    if (isName(token, SINK) && isWord(tokens[at - 1], 'into')) return [[token, sink]]
    return isName(token, STREAM) && isWord(tokens[at - 1], 'from') ? [[token, stream]] : []
  })
  if (![sink, stream].every((name) => places.some((place) => place[1] === name)))
    throw new CDCError(
      'invalid-config',
      `streams/events.sql must be INSERT INTO ${SINK} SELECT … FROM ${STREAM}; the account's names are put there`,
    )
  return replaceTokens(sql, places)
}

/** The lines in which two statements differ; none if they differ only in comments and white space. */
export function diffSQL(wanted: string, found: string): string[] {
  if (normalized(wanted) === normalized(found)) return []
  return diff(linesOf(found), linesOf(wanted)).flatMap(([operation, line]) =>
    operation === 0 ? [] : [`${operation === 1 ? '-' : '+'} ${line}`],
  )
}

function linesOf(sql: string): string[] {
  return withoutComments(sql)
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '')
}
