// The process that ClickHouse runs in: a JSON array of statements on stdin, an array of their rows on stdout, with the
// error as a text in place of the rows of a statement that failed.

import { createRequire } from 'node:module'
import { text } from 'node:stream/consumers'
import * as z from 'zod'

/** 64-bit integers as strings, because a JSON number loses what is above 2^53. */
const SETTINGS = 'SET output_format_json_quote_64bit_integers = 1; '

// Not imported, so that the project type-checks without ClickHouse.
const chdb: unknown = createRequire(import.meta.url)('chdb')
const { query } = z.object({ query: z.custom<(sql: string, format: string) => string>(isFunction) }).parse(chdb)

const statements = z.array(z.string()).parse(JSON.parse(await text(process.stdin)))
process.stdout.write(JSON.stringify(statements.map(rowsOf)))

function rowsOf(statement: string): unknown[] | string {
  try {
    const lines = query(SETTINGS + statement, 'JSONCompactEachRow').split('\n')
    return lines.filter((line) => line !== '').map((line): unknown => JSON.parse(line))
  } catch (error) {
    return String(error)
  }
}

function isFunction(value: unknown): boolean {
  return typeof value === 'function'
}
