// The indexes of a store: what SQLite has is made to match what the constructor asks for.

import { quoteName } from '../../sqlite/quote.ts'
import { firstRepeated, invalid } from '../checks.ts'
import { indexExpression } from './columns.ts'
import { limits } from './limits.ts'

/** @throws {CDCError} `invalid-argument` for too many paths, a path that is listed twice, or `$id`. */
export function checkIndexes(paths: readonly string[]): void {
  if (paths.length > limits.indexes)
    throw invalid('DocumentStore', `${paths.length} indexes, the limit is ${limits.indexes}; leave some of them out`)
  if (paths.includes('$id')) throw invalid('DocumentStore', '$id is the primary key; leave it out of indexes')
  const repeated = firstRepeated(paths)
  if (repeated !== undefined) throw invalid('DocumentStore', `${repeated} is indexed twice; list it once`)
}

/**
 * Drops the indexes that are no longer wanted, and builds the missing ones from all existing rows.
 *
 * @throws {CDCError} `invalid-argument` if the table belongs to another store, whose name differs only by case.
 */
export function settleIndexes(sql: SqlStorage, table: string, paths: readonly string[]): void {
  const wanted = new Map(paths.map((path) => [indexName(table, path), path]))
  const names = sql
    .exec<{ name: string }>('SELECT name FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE', table)
    .toArray()
    .map((row) => row.name)
  if (!names.includes(table))
    throw invalid('DocumentStore', `${names[0]} and ${table} are one table to SQLite, which ignores case; rename one`)
  for (const name of names)
    if (name.startsWith(indexName(table, '')) && !wanted.has(name)) sql.exec(`DROP INDEX ${quoteName(name)}`)
  for (const [name, path] of wanted)
    if (!names.includes(name))
      sql.exec(`CREATE INDEX ${quoteName(name)} ON ${quoteName(table)} (${indexExpression(path)})`)
}

/** Names ignore case in SQLite and paths do not, so capital letters are marked. No store's table has a colon in its name. */
function indexName(table: string, path: string): string {
  return `${table}:${path.replaceAll(/[A-Z^]/g, '^$&')}`
}
