// What a table looks like, as far as capturing it goes.

import { CDCError } from '../error.ts'
import { foldCase, quoteName, quoteText } from '../sqlite/quote.ts'

/** How a column's values become JSON: as SQLite has them, or as drizzle means them. */
export type ColumnKind = 'plain' | 'boolean' | 'json' | 'seconds' | 'milliseconds'

export interface TableColumn {
  readonly name: string
  /** Whether it holds text and BLOBs only, as SQLite makes text of a number that is written to it. */
  readonly isText: boolean
  /** Whether it keeps integers and reals apart even if they are equal. */
  readonly isUntyped: boolean
}

export interface TableInfo {
  readonly name: string
  readonly columns: readonly TableColumn[]
  /** The columns of the primary key; none if the table has only its rowid. */
  readonly key: readonly TableColumn[]
  /** Whether the key is the rowid itself: `INTEGER PRIMARY KEY`, or no key at all. */
  readonly isKeyedByRowid: boolean
  /** The rowid's name in SQL; undefined WITHOUT ROWID, or if columns have taken all of its names. */
  readonly rowid: string | undefined
  /** The columns of each unique index beside that; undefined if a BEFORE trigger can't tell what a row will have there. */
  readonly uniques: readonly (readonly IndexColumn[])[] | undefined
  /** Whether the action of a foreign key of its own may write its rows. */
  readonly hasActions: boolean
}

interface IndexColumn {
  readonly name: string
  readonly collation: string
  /** The SQL of what `OR REPLACE` makes of a NULL in it, after BEFORE triggers have run. */
  readonly fallback: string | undefined
}

/** What SQL may call the rowid, unless columns are named so. */
export const ROWID_NAMES = ['rowid', '_rowid_', 'oid'] as const

type ColumnRow = { name: string; type: string; pk: number; isNullable: number }

const NAME = /^[^\0]{1,256}$/

/** Reads a table's columns and key. Undefined if there is no such table. @throws {CDCError} `invalid-argument`. */
export function readTable(sql: Pick<SqlStorage, 'exec'>, name: string): TableInfo | undefined {
  if (!NAME.test(name) || /^(_cdc_|_cf_|sqlite_)/i.test(name))
    throw new CDCError('invalid-argument', `capture: ${JSON.stringify(name)} is not a table of yours`)
  const [listed] = sql
    .exec<{ name: string; type: string; wr: number }>(
      "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND lower(name) = lower(?)",
      name,
    )
    .toArray()
  if (listed === undefined) return undefined
  if (listed.type !== 'table')
    throw new CDCError(
      'invalid-argument',
      `capture: ${name} is a ${listed.type} table or a view, which has no triggers`,
    )
  const columns = sql
    .exec<ColumnRow>(
      'SELECT name, type, pk, NOT "notnull" AS isNullable FROM pragma_table_xinfo(?) WHERE hidden <> 1',
      listed.name,
    )
    .toArray()
  const key = columns.filter(({ pk }) => pk > 0).toSorted((a, b) => a.pk - b.pk)
  const isAlias = listed.wr === 0 && key.length === 1 && !hasKeyIndex(sql, listed.name)
  const rowid = listed.wr === 1 ? undefined : rowidOf(columns, isAlias ? key[0]?.name : undefined)
  if (rowid === undefined && (key.length === 0 || key.some(({ isNullable }) => isNullable === 1)))
    throw new CDCError(
      'invalid-argument',
      `capture: nothing tells the rows of ${listed.name} apart, as its columns hide the rowid; give it a primary key that is NOT NULL`,
    )
  return {
    name: listed.name,
    columns: columns.map(describe),
    key: key.map(describe),
    isKeyedByRowid: isAlias || key.length === 0,
    rowid,
    uniques: readUniques(sql, listed.name),
    hasActions: hasActions(sql, listed.name),
  }
}

type IndexColumnRow = { name: string; collation: string; fallback: string | null; isGenerated: number }

function readUniques(sql: Pick<SqlStorage, 'exec'>, table: string): IndexColumn[][] | undefined {
  const indexes = sql.exec<{ name: string }>('SELECT name FROM pragma_index_list(?) WHERE "unique"', table).toArray()
  const columns = indexes.map(({ name }) =>
    sql
      .exec<IndexColumnRow>(
        `SELECT coalesce(i.name, '') AS name, i.coll AS collation, coalesce(c.hidden, 0) IN (2, 3) AS isGenerated,
           iif(c."notnull", c.dflt_value, NULL) AS fallback
         FROM pragma_index_xinfo(?) AS i LEFT JOIN pragma_table_xinfo(?) AS c ON c.name = i.name WHERE i."key"`,
        name,
        table,
      )
      .toArray(),
  )
  const isUnsure = columns
    .flat()
    .some(({ name, isGenerated }) => name === '' || (isGenerated === 1 && hasFallbacks(sql, table)))
  if (isUnsure) return undefined
  return columns.map((index) =>
    index.map(({ name, collation, fallback }) => ({
      name,
      collation,
      fallback: fallback === null ? undefined : defaultSQL(fallback),
    })),
  )
}

function hasFallbacks(sql: Pick<SqlStorage, 'exec'>, table: string): boolean {
  const fallbacks = 'SELECT 1 FROM pragma_table_xinfo(?) WHERE "notnull" AND dflt_value IS NOT NULL'
  return sql.exec(fallbacks, table).toArray().length > 0
}

const WORDS = /^(?:TRUE|FALSE|NULL|CURRENT_(?:TIME|DATE|TIMESTAMP))$/i

/** A column's default as an expression: SQLite takes a name there, quoted or not, for a text. */
function defaultSQL(text: string): string {
  const [, plain, inDouble, inBackticks, inBrackets] =
    /^(?:([a-z_]\w*)|"((?:[^"]|"")*)"|`((?:[^`]|``)*)`|\[([^\]]*)\])$/i.exec(text) ?? []
  const name = plain ?? inDouble?.replaceAll('""', '"') ?? inBackticks?.replaceAll('``', '`') ?? inBrackets
  return name === undefined || WORDS.test(text) ? `(${text})` : quoteText(name)
}

function hasActions(sql: Pick<SqlStorage, 'exec'>, table: string): boolean {
  const actions = `SELECT 1 FROM pragma_foreign_key_list(?)
    WHERE on_update NOT IN ('NO ACTION', 'RESTRICT') OR on_delete NOT IN ('NO ACTION', 'RESTRICT')`
  return sql.exec(actions, table).toArray().length > 0
}

/** A primary key that is not the rowid itself has an index of its own. */
function hasKeyIndex(sql: Pick<SqlStorage, 'exec'>, name: string): boolean {
  return sql.exec("SELECT 1 FROM pragma_index_list(?) WHERE origin = 'pk'", name).toArray().length > 0
}

function rowidOf(columns: readonly ColumnRow[], alias: string | undefined): string | undefined {
  if (alias !== undefined) return quoteName(alias)
  const taken = new Set(columns.map(({ name }) => foldCase(name)))
  return ROWID_NAMES.find((name) => !taken.has(name))
}

/** By the rules of sqlite.org/datatype3.html, section 3.1. */
function describe({ name, type }: ColumnRow): TableColumn {
  const isInteger = /INT/i.test(type)
  const isText = !isInteger && /CHAR|CLOB|TEXT/i.test(type)
  const isUntyped = !isInteger && !isText && (type === '' || /BLOB/i.test(type) || /^ANY$/i.test(type))
  return { name, isText, isUntyped }
}
