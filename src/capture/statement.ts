// What a statement may do to captured tables, told from its text: too much rather than too little.

import { foldCase } from '../sqlite/quote.ts'
import { NOT_CODE } from '../sqlite/statements.ts'

export interface StatementKind {
  /** Whether it may be several statements, which must run one by one: SQLite tells of the last of them only. */
  readonly isSplit: boolean
  /** Whether it may fire a trigger of ours. */
  readonly mayWrite: boolean
  /** Whether it may change a table's columns, or take its triggers away. */
  readonly changesSchema: boolean
  /** Whether it is one `ALTER` of such a table, for which the triggers must be out of the way. */
  readonly isAlter: boolean
  /** Whether it may delete the rows that are in its way, for which SQLite fires triggers only if it is asked to. */
  readonly mayReplace: boolean
  /** Whether it may write to a table of which only that tells what is replaced. */
  readonly mentionsBlind: boolean
  /** Whether it begins with a change of the schema, after which SQLite tells of the statement before. */
  readonly isDefinition: boolean
  /** The table that it drops, if it does nothing else. */
  readonly dropped: string | undefined
  /** Whether it may insert rows. */
  readonly mayInsert: boolean
  /** Whether it may write and return rows. */
  readonly mayReturn: boolean
  /** Whether it asks about the statement before. */
  readonly asksOfRows: boolean
  /** Whether it sets or reads whether triggers fire themselves, and for what is replaced. */
  readonly isAboutRecursion: boolean
  /** Whether it is one of the library's own. */
  readonly isOurs: boolean
  /** Whether it only reads. */
  readonly isRead: boolean
}

const BLANKS = /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[^]*?\*\/)+/
const READS = /^(?:SELECT|VALUES|PRAGMA|EXPLAIN)\b/i
const NOT_CODES = new RegExp(NOT_CODE, 'g')
/** A function that asks about the statement before, in its own group; or what only looks like one. */
const ROW_FUNCTION = new RegExp(String.raw`${NOT_CODE}|\b(last_insert_rowid|changes)\s*\(\s*\)`, 'gi')

/** Names, by `foldCase`, of tables that statements are looked through for. */
export interface KnownTables {
  /** Those to which a write may fire a trigger of ours. */
  readonly watched: readonly string[]
  /** Those of which our triggers don't find what is replaced, and those from which a trigger of the user's writes to them. */
  readonly blind: readonly string[]
}

export function classify(query: string, { watched, blind }: KnownTables): StatementKind {
  const text = query.replace(BLANKS, '')
  // Of several statements in one text, any may be any.
  const isOne = !/;\s*\S/.test(text)
  const lower = foldCase(text)
  const mentionsWatched = mentionsAny(lower, watched)
  const isRead = isOne && READS.test(text)
  const changesSchema = !isRead && (isOne ? /^(?:ALTER|CREATE|DROP)\b/i : /\b(?:ALTER|CREATE|DROP)\b/i).test(text)
  // An UPDATE may have the word too: OR REPLACE, the function, or a text.
  // A module may insert rows into tables of its own as it makes a virtual table.
  const mayInsert = !isRead && /\b(?:INSERT|REPLACE\s+INTO|CREATE\s+VIRTUAL)\b/i.test(text.replace(NOT_CODES, ' '))
  const asksOfRows = [...text.matchAll(ROW_FUNCTION)].some(([, name]) => name !== undefined)
  const mayBeAboutRecursion = lower.includes('recursive_triggers')
  return {
    isSplit: !isOne && (changesSchema || mayInsert || asksOfRows || mayBeAboutRecursion),
    mayWrite: !isRead && mentionsWatched,
    changesSchema,
    isDefinition: /^(?:ALTER|CREATE(?!\s+VIRTUAL)|DROP)\b/i.test(text),
    dropped: isOne ? droppedTable(text) : undefined,
    isAlter: isOne && mentionsWatched && /^ALTER\b/i.test(text),
    mayReplace: /\bREPLACE\b/i.test(text),
    mentionsBlind: mentionsAny(lower, blind),
    mayInsert,
    mayReturn: /\bRETURNING\b/i.test(text),
    asksOfRows,
    isAboutRecursion: isRead && mayBeAboutRecursion,
    isOurs: lower.includes('_cdc_') && !/^DROP\s+TRIGGER\b/i.test(text),
    isRead,
  }
}

/** Whether SQL may name one of some tables, all by `foldCase`. */
export function mentionsAny(sql: string, names: readonly string[]): boolean {
  return names.some(
    (name) =>
      sql.includes(name) || sql.includes(name.replaceAll('"', '""')) || sql.includes(name.replaceAll("'", "''")),
  )
}

const DROP_TABLE =
  /^DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:main\s*\.\s*)?(?:"((?:[^"]|"")+)"|'((?:[^']|'')+)'|`((?:[^`]|``)+)`|\[([^\]]+)\]|([^\s;]+))/i

function droppedTable(text: string): string | undefined {
  const [, inDouble, inSingle, inBackticks, inBrackets, plain] = DROP_TABLE.exec(text) ?? []
  return (
    inDouble?.replaceAll('""', '"') ??
    inSingle?.replaceAll("''", "'") ??
    inBackticks?.replaceAll('``', '`') ??
    inBrackets ??
    plain
  )
}

/** The same query with the answers of the functions that ask about the statement before. */
export function answerRowFunctions(query: string, answers: { changes: string; lastInsertRowid: string }): string {
  return query.replace(ROW_FUNCTION, (found, name: string | undefined) => {
    if (name === undefined) return found
    return /^changes/i.test(name) ? `(${answers.changes})` : `(${answers.lastInsertRowid})`
  })
}
