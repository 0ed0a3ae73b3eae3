// The indexes of a store, as SQLite has them and as the constructor wants them.

import { CDCError } from '../../error.ts'
import { quoteName } from '../../sqlite/quote.ts'
import { indexExpression } from './columns.ts'
import { INDEXES_MAX } from './limits.ts'

/** @throws {CDCError} `invalid-argument` for too many paths, one that stands there twice, or `$id`. */
export function checkIndexes(paths: readonly string[]): void {
  if (paths.length > INDEXES_MAX)
    throw new CDCError('invalid-argument', `DocumentStore: ${paths.length} indexes, the limit is ${INDEXES_MAX}`)
  if (paths.includes('$id'))
    throw new CDCError('invalid-argument', 'DocumentStore: $id is the primary key; leave it out of indexes')
  const twice = paths.find((path, index) => paths.indexOf(path) !== index)
  if (twice !== undefined) throw new CDCError('invalid-argument', `DocumentStore: ${twice} is indexed twice`)
}

/**
 * Drops the indexes that are not wanted any more and builds those that are missing, from all rows that there are.
 *
 * @throws {CDCError} `invalid-argument` where the table is another store's, whose type differs only by case.
 */
export function settleIndexes(sql: SqlStorage, table: string, paths: readonly string[]): void {
  const wanted = new Map(paths.map((path) => [indexName(table, path), path]))
  const names = sql
    .exec<{ name: string }>('SELECT name FROM sqlite_master WHERE tbl_name = ? COLLATE NOCASE', table)
    .toArray()
    .map((row) => row.name)
  if (!names.includes(table))
    throw new CDCError(
      'invalid-argument',
      `DocumentStore: ${names[0]} and ${table} are one table to SQLite; rename one`,
    )
  for (const name of names)
    if (name.startsWith(indexName(table, '')) && !wanted.has(name)) sql.exec(`DROP INDEX ${quoteName(name)}`)
  for (const [name, path] of wanted)
    if (!names.includes(name))
      sql.exec(`CREATE INDEX ${quoteName(name)} ON ${quoteName(table)} (${indexExpression(path)})`)
}

/** SQLite's names know no case and paths do, so a capital letter is marked. No table of a store has a colon in its name. */
function indexName(table: string, path: string): string {
  return `${table}:${path.replaceAll(/[A-Z^]/g, '^$&')}`
}
