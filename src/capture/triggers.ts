// The triggers of a captured table, as SQL: whatever writes to it, each changed row appends its event to the log.
//
// Where a trigger of the user's or a foreign key action may have written the row again, or taken it away, before ours runs, NEW
// is not trusted: each event shows the row as the table has it now. And a row counts as deleted only if there is none under its
// key now. Then the last event of a key is the key's last state, in whatever order triggers fire (I11).

import { NAME_LENGTH_MAX } from '../event/limits.ts'
import { appendEventSQL, type CapturedEventSQL } from '../outbox/captured.ts'
import { quoteName, quoteText } from '../sqlite/quote.ts'
import { type CapturedColumns, isKeySayableSQL, keySQL, rowSQL } from './row-sql.ts'
import { ROWID_NAMES, type TableInfo } from './table.ts'

export interface Trigger {
  readonly name: string
  /** As SQLite keeps it, so that the two can be compared. */
  readonly sql: string
  /**
   * Among those of the user's on the same table. SQLite fires the newest first, and what a newer one does may keep it from
   * firing ours; but what is in a row's way is only sure once all of the user's BEFORE triggers have run.
   */
  readonly age: 'oldest' | 'newest'
}

/** What the names of all triggers of the library begin with. */
const TRIGGER_PREFIX = '_cdc_'
/** Of a row of `sqlite_master` that is a trigger's. */
export const IS_OUR_TRIGGER = `substr(name, 1, ${TRIGGER_PREFIX.length}) = '${TRIGGER_PREFIX}'`

/** Columns of `_cdc_replaced` in which a row's place is kept. */
const PLACES = ['k0', 'k1', 'k2', 'k3'] as const

/** Whether what a statement replaces is found by triggers alone, without a setting of the connection. */
export function canNoteReplaced(table: TableInfo): boolean {
  return placeOf(table).length <= PLACES.length && table.uniques !== undefined
}

/** The columns by which a row is found: the rowid if there is one, else the primary key. */
function placeOf({ rowid, key }: TableInfo): string[] {
  return rowid === undefined ? key.map(({ name }) => quoteName(name)) : [rowid]
}

/** What may happen in a statement beside what it says. */
export interface Surroundings {
  /** Whether triggers of the user's may fire. */
  readonly hasUserTriggers: boolean
  /** Whether rows that are replaced are to be found by triggers, where they can: see `canNoteReplaced`. */
  readonly notesReplaced: boolean
}

export function createTriggers(
  table: TableInfo,
  captured: CapturedColumns,
  { hasUserTriggers, notesReplaced }: Surroundings,
): Trigger[] {
  const isNewTrue = !hasUserTriggers && !table.hasActions
  const appendPresent = (op: 'c' | 'u'): string => appendPresentRow(table, captured, op, isNewTrue)
  const isNoted = notesReplaced && canNoteReplaced(table)
  const sameKey = isSame(table.isKeyedByRowid ? [] : table.key.map(({ name }) => name), table)
  const names = captured.columns.length === 0 ? table.columns.map(({ name }) => name) : captured.columns
  return [
    trigger(table, {
      what: 'insert',
      verb: 'AFTER INSERT',
      statements: [appendPresent('c')],
    }),
    // A row that is written and stays the same is no change.
    trigger(table, {
      what: 'update',
      verb: 'AFTER UPDATE',
      when: `${sameKey} AND NOT (${isSame(names, table)})`,
      statements: [appendPresent('u')],
    }),
    // To whoever follows a key, a row that takes another one is gone, and a new one is there.
    trigger(table, {
      what: 'rekey',
      verb: `AFTER UPDATE OF ${keyNames(table).join(', ')}`,
      when: `NOT (${sameKey})`,
      statements: [appendGone(table, captured), appendPresent('c')],
    }),
    trigger(table, {
      what: 'delete',
      verb: 'AFTER DELETE',
      statements: [appendGone(table, captured), ...(isNoted && table.hasActions ? [takeNotes(table, 'gone')] : [])],
    }),
    // The newest fire first: so a deletion stands before what has taken the row's place.
    ...(isNoted ? replacedTriggers(table, captured) : []),
  ]
}

/** What an UPDATE may call the columns of the key. */
function keyNames({ key, rowid }: TableInfo): string[] {
  const names = key.map(({ name }) => quoteName(name))
  return rowid === undefined ? names : [...names, ...ROWID_NAMES]
}

export function triggerName(tableName: string, what: string): string {
  return `${TRIGGER_PREFIX}${tableName}_${what}`
}

interface TriggerText {
  readonly what: string
  readonly verb: `${'BEFORE' | 'AFTER'} ${'INSERT' | 'UPDATE' | `UPDATE OF ${string}` | 'DELETE'}`
  /** Default: the captured table. */
  readonly on?: string
  readonly when?: string
  readonly statements: readonly string[]
}

function trigger(table: TableInfo, { what, verb, on = table.name, when, statements }: TriggerText): Trigger {
  const name = triggerName(table.name, what)
  const condition = when === undefined ? '' : `\nWHEN ${when}`
  const head = `CREATE TRIGGER ${quoteName(name)} ${verb} ON ${quoteName(on)}${condition}`
  const age = verb.startsWith('BEFORE') ? 'oldest' : 'newest'
  return { name, sql: `${head}\nBEGIN\n${statements.join('\n')}\nEND`, age }
}

/**
 * Triggers for what a conflict clause replaces. Before a row is written, the rows that are in its way are noted; after it, the
 * notes are taken back, and of each row that is gone the deletion is appended. What was not replaced after all is still there.
 *
 * Between the two, SQLite deletes one row after the other, and the actions of foreign keys may update or delete rows of this
 * table: they take back the notes of rows that are gone, and no others.
 */
function replacedTriggers(table: TableInfo, captured: CapturedColumns): Trigger[] {
  const isOther = `NOT (${isRow('r', 'OLD', table)})`
  const { hasActions } = table
  return [
    trigger(table, {
      what: 'before_insert',
      verb: 'BEFORE INSERT',
      statements: [...(hasActions ? [takeNotes(table, 'all')] : []), noteInTheWay(table, captured)],
    }),
    trigger(table, {
      what: 'before_update',
      verb: 'BEFORE UPDATE',
      statements: [noteInTheWay(table, captured, isOther)],
    }),
    trigger(table, {
      what: 'replaced',
      verb: 'AFTER DELETE',
      on: '_cdc_replaced',
      when: `OLD.table_name = ${quoteText(table.name)} AND NOT EXISTS (${notedRow('OLD', table)})`,
      statements: [
        appendEventSQL({
          ...eventOf(table, 'd'),
          key: 'OLD.key',
          isKeyShort: true,
          before: 'OLD.before',
          from: `WHERE length(OLD.key) <= ${NAME_LENGTH_MAX}`,
        }),
      ],
    }),
    trigger(table, { what: 'after_insert', verb: 'AFTER INSERT', statements: [takeNotes(table, 'all')] }),
    trigger(table, {
      what: 'after_update',
      verb: 'AFTER UPDATE',
      statements: [takeNotes(table, hasActions ? 'gone' : 'all')],
    }),
  ]
}

/** Takes back the notes of a table, all of them or those of rows that are gone. */
function takeNotes(table: TableInfo, which: 'all' | 'gone'): string {
  const isGone = which === 'all' ? '' : ` AND NOT EXISTS (${notedRow('_cdc_replaced', table)})`
  return `DELETE FROM _cdc_replaced WHERE table_name = ${quoteText(table.name)}${isGone};`
}

/** Finds the row of which a note tells, if it is still there. */
function notedRow(note: 'OLD' | '_cdc_replaced', table: TableInfo): string {
  const places = placeOf(table).map((column, index) => `r.${column} IS ${note}.${PLACES[index]}`)
  return `SELECT 1 FROM ${quoteName(table.name)} AS r WHERE ${places.join(' AND ')} AND ${keySQL('r', table)} = ${note}.key`
}

function noteInTheWay(table: TableInfo, captured: CapturedColumns, condition?: string): string {
  const uniques = (table.uniques ?? []).map((columns) =>
    columns
      .map(({ name, collation, fallback }) => {
        const written =
          fallback === undefined ? `NEW.${quoteName(name)}` : `coalesce(NEW.${quoteName(name)}, ${fallback})`
        return `r.${quoteName(name)} = ${written} COLLATE ${collation}`
      })
      .join(' AND '),
  )
  const isInTheWay = [`(${isRow('r', 'NEW', table)})`, ...uniques.map((columns) => `(${columns})`)].join(' OR ')
  const where = condition === undefined ? isInTheWay : `(${isInTheWay}) AND ${condition}`
  const place = placeOf(table)
  return `INSERT INTO _cdc_replaced (table_name, key, before, ${PLACES.slice(0, place.length).join(', ')})
SELECT ${quoteText(table.name)}, ${keySQL('r', table)}, ${rowSQL('r', table, captured)}, ${place.map((column) => `r.${column}`).join(', ')}
FROM ${quoteName(table.name)} AS r WHERE ${where};`
}

/** Appends the row as it is now, if it still is. */
function appendPresentRow(table: TableInfo, captured: CapturedColumns, op: 'c' | 'u', isNewTrue: boolean): string {
  const now = isNewTrue ? 'NEW' : 'r'
  return appendEventSQL({
    ...eventOf(table, op),
    key: keySQL(now, table),
    isKeyShort: table.isKeyedByRowid,
    ...(op === 'u' && { before: rowSQL('OLD', table, captured) }),
    after: rowSQL(now, table, captured),
    ...(!isNewTrue && { from: `FROM ${quoteName(table.name)} AS r WHERE ${isRow('r', 'NEW', table)}` }),
  })
}

/** Appends the deletion of the key that the row had, unless there is a row under it now, whose event says so. */
function appendGone(table: TableInfo, captured: CapturedColumns): string {
  const isThere = `SELECT 1 FROM ${quoteName(table.name)} AS r WHERE ${isRow('r', 'OLD', table)}`
  const hasItsKey = table.isKeyedByRowid ? '' : ` AND ${keySQL('r', table)} = ${keySQL('OLD', table)} COLLATE BINARY`
  return appendEventSQL({
    ...eventOf(table, 'd'),
    key: keySQL('OLD', table),
    isKeyShort: true,
    before: rowSQL('OLD', table, captured),
    from: `WHERE ${isKeySayableSQL('OLD', table)} AND NOT EXISTS (${byKey(isThere, table)}${hasItsKey})`,
  })
}

/** Another row may have the key that this one had: then it is to be looked for by the key. */
function byKey(isThere: string, table: TableInfo): string {
  if (table.isKeyedByRowid) return isThere
  const conditions = table.key.map(({ name }) => `r.${quoteName(name)} IS OLD.${quoteName(name)}`)
  return `SELECT 1 FROM ${quoteName(table.name)} AS r WHERE ${conditions.join(' AND ')}`
}

function isRow(row: string, other: string, table: TableInfo): string {
  if (table.rowid !== undefined) return `${row}.${table.rowid} = ${other}.${table.rowid}`
  return table.key.map(({ name }) => `${row}.${quoteName(name)} IS ${other}.${quoteName(name)}`).join(' AND ')
}

const TYPES = { c: 'cdc.insert', u: 'cdc.update', d: 'cdc.delete' } as const

function eventOf(table: TableInfo, op: keyof typeof TYPES): Pick<CapturedEventSQL, 'type' | 'op' | 'tableName'> {
  return { type: TYPES[op], op, tableName: table.name }
}

/**
 * Whether OLD and NEW have the same in these columns, byte for byte: a collation would not see all that has changed. Of numbers
 * that are equal, one may be an integer and the other a real: in a column without a type, and at the end of what an integer holds.
 */
function isSame(columns: readonly string[], table: TableInfo): string {
  if (columns.length === 0) return `OLD.${table.rowid} = NEW.${table.rowid}`
  const byName = new Map(table.columns.map((column) => [column.name, column]))
  const values = (row: string): string => vector(columns.map((name) => `${row}.${quoteName(name)} COLLATE BINARY`))
  const numeric = columns.filter((name) => byName.get(name)?.isText !== true)
  const types = (row: string): string =>
    vector(
      numeric.map((name) => {
        const value = `${row}.${quoteName(name)}`
        const type = `typeof(${value})`
        return byName.get(name)?.isUntyped === true ? type : `iif(${value}=-9223372036854775808,${type},0)`
      }),
    )
  const same = `${values('OLD')} IS ${values('NEW')}`
  return numeric.length === 0 ? same : `${same} AND ${types('OLD')} IS ${types('NEW')}`
}

/** A row value of SQL; of one column, the column. */
function vector(columns: readonly string[]): string {
  return columns.length === 1 ? (columns[0] ?? '') : `(${columns.join(', ')})`
}
