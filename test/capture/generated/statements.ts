// Statements as small plain data, and their SQL for the tables as they are when it is their turn.

import * as fc from 'fast-check'
import type { Features } from './features.ts'
import { type Column, keyOf, mostlyFalse, quote, type Table } from './schema.ts'
import { fewValue, type Value, value, valueSQL } from './values.ts'

/** Which rows: all of them, or those with a value in the key or in another column. */
interface Where {
  readonly by: 'key' | 'all' | 'column' | 'range' | 'in'
  readonly column: number
  readonly value: Value
}

/** What a column is set to. */
interface Assignment {
  readonly column: number
  readonly to: 'value' | 'key' | 'upper' | 'lower' | 'longer' | 'other' | 'same' | 'more' | 'negative' | 'counter'
  readonly value: Value
}

/** How a table's name is written. */
type Spelling = 'plain' | 'brackets' | 'backticks' | 'schema' | 'capitals'

type Returning = 'nothing' | 'rows' | 'quoted'

export type Statement =
  | {
      readonly do: 'insert'
      readonly table: number
      readonly spelling: Spelling
      /** Its values are given beside its text. */
      readonly isBound: boolean
      readonly or: '' | ' OR REPLACE' | ' OR IGNORE' | ' OR ABORT' | ' OR FAIL'
      readonly rows: readonly (readonly Value[])[]
      readonly from: 'values' | 'select' | 'json' | 'with'
      /** Leaves out the key, or a column after it. */
      readonly without: 'nothing' | 'key' | 'last'
      readonly conflict: 'error' | 'nothing' | 'update' | 'update by key' | 'update some'
      readonly assignments: readonly Assignment[]
      readonly returning: Returning
      readonly counter: boolean
    }
  | {
      readonly do: 'update'
      readonly table: number
      readonly spelling: Spelling
      /** Its values are given beside its text. */
      readonly isBound: boolean
      readonly or: '' | ' OR REPLACE' | ' OR IGNORE' | ' OR FAIL' | ' OR ABORT'
      readonly assignments: readonly Assignment[]
      readonly where: Where
      readonly form: 'plain' | 'from' | 'with' | 'limit'
      readonly returning: Returning
    }
  | {
      readonly do: 'delete'
      readonly table: number
      readonly spelling: Spelling
      /** Its values are given beside its text. */
      readonly isBound: boolean
      readonly where: Where
      readonly form: 'plain' | 'with' | 'limit'
      readonly returning: Returning
    }
  | { readonly do: 'side'; readonly what: 'insert' | 'rowid' | 'changes' | 'update' | 'delete' }

export function statements(features: Features): fc.Arbitrary<Statement> {
  const table = fc.nat(3)
  const where: fc.Arbitrary<Where> = fc.record({
    by: fc.constantFrom<Where['by']>('key', 'key', 'key', 'all', 'column', 'range', 'in'),
    column: fc.nat(4),
    value: fc.oneof({ weight: 4, arbitrary: fewValue }, { weight: 1, arbitrary: value }),
  })
  const assignment: fc.Arbitrary<Assignment> = fc.record({
    column: fc.nat(4),
    to: fc.constantFrom<Assignment['to']>(
      'value',
      'value',
      'value',
      'key',
      'upper',
      'lower',
      'longer',
      'other',
      'same',
      'more',
      'negative',
      ...(features.counters ? ['counter' as const] : []),
    ),
    value,
  })
  const assignments = fc.array(assignment, { minLength: 1, maxLength: 2 })
  const spelling = fc.constantFrom<Spelling>(
    'plain',
    'plain',
    'plain',
    'plain',
    'brackets',
    'backticks',
    'schema',
    'capitals',
  )
  const returning = fc.constantFrom<Returning>('nothing', 'nothing', 'rows', 'quoted')
  return fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('insert' as const),
        table,
        spelling,
        isBound: mostlyFalse,
        or: fc.constantFrom(
          '' as const,
          '' as const,
          '' as const,
          ' OR REPLACE' as const,
          ' OR REPLACE' as const,
          ' OR IGNORE' as const,
          ' OR ABORT' as const,
          ' OR FAIL' as const,
        ),
        rows: fc.array(
          fc.tuple(
            fc.oneof({ weight: 4, arbitrary: fewValue }, { weight: 1, arbitrary: value }),
            value,
            value,
            value,
            value,
          ),
          { minLength: 1, maxLength: 3 },
        ),
        from: fc.constantFrom(
          'values' as const,
          'values' as const,
          'values' as const,
          'select' as const,
          'json' as const,
          'with' as const,
        ),
        without: fc.constantFrom(
          'nothing' as const,
          'nothing' as const,
          'nothing' as const,
          'key' as const,
          'last' as const,
        ),
        conflict: fc.constantFrom(
          'error' as const,
          'error' as const,
          'error' as const,
          'update' as const,
          'update by key' as const,
          'update some' as const,
          'nothing' as const,
        ),
        assignments,
        returning,
        counter: features.counters ? mostlyFalse : fc.constant(false),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('update' as const),
        table,
        spelling,
        isBound: mostlyFalse,
        or: fc.constantFrom(
          '' as const,
          '' as const,
          '' as const,
          ' OR REPLACE' as const,
          ' OR IGNORE' as const,
          ' OR FAIL' as const,
          ' OR ABORT' as const,
        ),
        assignments,
        where,
        form: fc.constantFrom(
          'plain' as const,
          'plain' as const,
          'plain' as const,
          'from' as const,
          'with' as const,
          'limit' as const,
        ),
        returning,
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('delete' as const),
        table,
        spelling,
        isBound: mostlyFalse,
        where,
        form: fc.constantFrom('plain' as const, 'plain' as const, 'with' as const, 'limit' as const),
        returning,
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        do: fc.constant('side' as const),
        what: fc.constantFrom(
          'insert' as const,
          'update' as const,
          'delete' as const,
          ...(features.counters ? ['rowid' as const, 'changes' as const] : []),
        ),
      }),
    },
  )
}

/** The SQL of a statement. */
export function statementSQL(statement: Statement, tables: readonly Table[], features: Features): string {
  switch (statement.do) {
    case 'insert':
      return insertSQL(statement, tables, features)
    case 'update':
      return updateSQL(statement, tables, features)
    case 'delete':
      return deleteSQL(statement, tables, features)
    case 'side':
      return SIDE[statement.what]
  }
}

const LITERAL = /"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|\bx'([0-9a-f]*)'|'((?:[^']|'')*)'|\b(\d+(?:\.\d+)?(?:e-?\d+)?)\b/gi

/** The same with the values beside the text: as a caller binds them, so that a number is a real. */
export function bound(text: string): { text: string; bindings: SqlStorageValue[] } {
  const bindings: SqlStorageValue[] = []
  const bind = (value: SqlStorageValue): string => {
    bindings.push(value)
    return '?'
  }
  const replaced = text.replace(LITERAL, (found, hex?: string, quoted?: string, number?: string) => {
    if (hex !== undefined) return bind(Uint8Array.fromHex(hex).buffer)
    if (quoted !== undefined) return bind(quoted.replaceAll("''", "'"))
    return number === undefined ? found : bind(Number(number))
  })
  return { text: replaced, bindings }
}

/** A table beside, which is never captured. */
export const SIDE_TABLE = 'CREATE TABLE side (id INTEGER PRIMARY KEY, v UNIQUE)'
const SIDE = {
  insert: 'INSERT OR IGNORE INTO side (v) VALUES (1)',
  rowid: 'INSERT INTO side (v) VALUES (last_insert_rowid())',
  changes: 'REPLACE INTO side (v) VALUES (changes())',
  update: 'UPDATE side SET v = v + 1',
  delete: 'DELETE FROM side WHERE id > 2',
} as const

function pick<Item>(items: readonly Item[], index: number): Item | undefined {
  return items[index % items.length]
}

type Insert = Extract<Statement, { do: 'insert' }>

function insertSQL(statement: Insert, tables: readonly Table[], features: Features): string {
  const table = pick(tables, statement.table)
  if (table === undefined) return SIDE.insert
  const columns = writable(table).filter(
    (column, index, all) =>
      !(statement.without === 'key' && column.isKey) && !(statement.without === 'last' && index === all.length - 1),
  )
  const head = `INSERT${statement.or} INTO ${spelled(table, statement.spelling)}`
  if (columns.length === 0) return `${head} DEFAULT VALUES${returningSQL(statement.returning, table)}`
  const names = columns.map((column) => quote(column.name)).join(', ')
  const { before = '', source } = sourceOf(statement, columns, table, features)
  const conflict = table.isView ? '' : conflictSQL(statement, table, features)
  return `${before}${head} (${names}) ${source}${conflict}${returningSQL(statement.returning, table)}`
}

function sourceOf(
  { rows, from, counter }: Insert,
  columns: readonly Column[],
  table: Table,
  features: Features,
): { before?: string; source: string } {
  const [row = []] = rows
  /** Rows whose keys are counted, and are otherwise alike. */
  const alike = (count: string): string =>
    columns
      .map((column, index) => (column.isKey ? counted(column, count) : literal(row, index, column, features)))
      .join(', ')
  switch (from) {
    case 'values': {
      // Where there are triggers SQLite reads the values of all rows before it inserts the first.
      const counts = counter && rows.length === 1
      const literals = rows.map((values) =>
        columns.map((column, index) =>
          counts && index === 0 ? 'last_insert_rowid()' : literal(values, index, column, features),
        ),
      )
      return { source: `VALUES ${literals.map((each) => `(${each.join(', ')})`).join(', ')}` }
    }
    case 'select': {
      const copied = columns.map((column) => (column.isKey ? shifted(column) : quote(column.name)))
      return { source: `SELECT ${copied.join(', ')} FROM ${quote(table.name)} WHERE true` }
    }
    case 'json':
      return { source: `SELECT ${alike('value')} FROM json_each('[${BULK[rows.length]}]') WHERE true` }
    case 'with':
      return {
        before: `WITH RECURSIVE n (i) AS (SELECT ${rows.length} UNION ALL SELECT i + 1 FROM n WHERE i < 4) `,
        source: `SELECT ${alike('i')} FROM n WHERE true`,
      }
  }
}

const BULK: Readonly<Record<number, string>> = { 1: '1,2', 2: '3,4,5', 3: '1,2,3,4,5,6,7,8' }

function literal(row: readonly Value[], index: number, column: Column, features: Features): string {
  const chosen = row[Math.min(index, row.length - 1)]
  return chosen === undefined ? 'NULL' : valueSQL(chosen, column, features)
}

/** Another key of the same type. */
function shifted({ name, type }: Column): string {
  switch (type) {
    case 'TEXT':
      return `${quote(name)} || 'x'`
    case 'BLOB':
      return `CAST(${quote(name)} || 'x' AS BLOB)`
    default:
      return `${quote(name)} + 10`
  }
}

/** A key of the right type for a number. */
function counted({ type }: Column, count: string): string {
  switch (type) {
    case 'TEXT':
      return `'k' || ${count}`
    case 'BLOB':
      return `CAST('k' || ${count} AS BLOB)`
    case 'REAL':
      return `${count} + 0.5`
    default:
      return count
  }
}

function conflictSQL({ conflict, assignments }: Insert, table: Table, features: Features): string {
  if (conflict === 'error') return ''
  if (conflict === 'nothing') return ' ON CONFLICT DO NOTHING'
  const keys = keyOf(table).map(({ name }) => quote(name))
  const target = conflict === 'update by key' && keys.length > 0 ? ` (${keys.join(', ')})` : ''
  const [first] = writable(table)
  const where = conflict === 'update some' && first !== undefined ? ` WHERE excluded.${quote(first.name)} > 1` : ''
  return ` ON CONFLICT${target} DO UPDATE SET ${assignmentsSQL(assignments, table, features, 'excluded.')}${where}`
}

function updateSQL(
  statement: Extract<Statement, { do: 'update' }>,
  tables: readonly Table[],
  features: Features,
): string {
  const table = pick(tables, statement.table)
  if (table === undefined) return SIDE.update
  const name = spelled(table, statement.spelling)
  const [key] = keyOf(table)
  const returning = returningSQL(statement.returning, table)
  if (statement.form === 'from' && key !== undefined) {
    const set = assignmentsSQL(statement.assignments, table, features)
    return `UPDATE${statement.or} ${name} SET ${set} FROM (SELECT ${quote(key.name)} AS other FROM ${name}) AS o WHERE o.other = ${name}.${quote(key.name)} AND ${whereSQL(statement.where, table, features)}${returning}`
  }
  const set = assignmentsSQL(statement.assignments, table, features)
  return `${withSQL(statement.form, table, features)}UPDATE${statement.or} ${name} SET ${set}${filterSQL(statement, table, features)}${returning}`
}

function deleteSQL(
  statement: Extract<Statement, { do: 'delete' }>,
  tables: readonly Table[],
  features: Features,
): string {
  const table = pick(tables, statement.table)
  if (table === undefined) return SIDE.delete
  const filter = filterSQL(statement, table, features)
  return `${withSQL(statement.form, table, features)}DELETE FROM ${spelled(table, statement.spelling)}${filter}${returningSQL(statement.returning, table)}`
}

type Filtered = {
  readonly form: 'plain' | 'from' | 'with' | 'limit'
  readonly where: Where
  readonly returning: Returning
}

function withSQL(form: Filtered['form'], table: Table, features: Features): string {
  const [key] = keyOf(table)
  if (form !== 'with' || key === undefined) return ''
  const values = [0, 1].map((n) => `(${valueSQL({ pool: 'few', n }, key, features)})`)
  return `WITH c (k) AS (VALUES ${values.join(', ')}) `
}

function filterSQL({ form, where, returning }: Filtered, table: Table, features: Features): string {
  const [key] = keyOf(table)
  if (form === 'with' && key !== undefined) return ` WHERE ${quote(key.name)} IN (SELECT k FROM c)`
  const condition = whereSQL(where, table, features)
  const filter = condition === 'true' ? '' : ` WHERE ${condition}`
  // SQLite has no RETURNING of a limited statement, and no limit on a view.
  if (form !== 'limit' || key === undefined || table.isView || returning !== 'nothing') return filter
  return `${filter} ORDER BY ${keyOf(table)
    .map((column) => quote(column.name))
    .join(', ')} LIMIT 1`
}

function whereSQL({ by, column: index, value: chosen }: Where, table: Table, features: Features): string {
  const key = keyOf(table)[0] ?? pick(table.columns, 0)
  const column = by === 'column' ? pick(table.columns, index) : key
  if (by === 'all' || column === undefined) return 'true'
  const name = quote(column.name)
  const sql = valueSQL(chosen, column, features)
  if (sql === 'NULL') return `${name} IS NULL`
  if (by === 'range') return `${name} > ${sql}`
  if (by === 'in') return `${name} IN (${sql}, ${valueSQL({ pool: 'few', n: 1 }, column, features)})`
  return `${name} = ${sql}`
}

function assignmentsSQL(assignments: readonly Assignment[], table: Table, features: Features, from = ''): string {
  const byName = new Map<string, string>()
  for (const { column: index, to, value: chosen } of assignments) {
    const columns = writable(table)
    const plain = columns.filter((column) => !column.isKey)
    const isKeyMeant = to === 'key' || to === 'more' || to === 'negative'
    const column = pick(isKeyMeant ? keyOf(table) : plain, index) ?? pick(columns, index)
    if (column === undefined) continue
    const source = `${from}${quote(column.name)}`
    byName.set(
      quote(column.name),
      assignedSQL(to, column, { source, other: pick(columns, index + 1), chosen, features }),
    )
  }
  return [...byName].map(([name, sql]) => `${name} = ${sql}`).join(', ')
}

interface Assigned {
  readonly source: string
  readonly other: Column | undefined
  readonly chosen: Value
  readonly features: Features
}

function assignedSQL(to: Assignment['to'], column: Column, { source, other, chosen, features }: Assigned): string {
  switch (to) {
    case 'value':
      return valueSQL(chosen, column, features)
    case 'key':
      return valueSQL({ ...chosen, pool: chosen.pool === 'any' ? 'few' : chosen.pool }, column, features)
    case 'upper':
      return column.type === 'TEXT' || column.type === '' ? `upper(${textOf(source, features)})` : source
    case 'lower':
      return column.type === 'TEXT' || column.type === '' ? `lower(${textOf(source, features)})` : source
    case 'longer':
      return `${textOf(source, features)} || ${column.type === 'TEXT' ? "' '" : "'0'"}`
    case 'other':
      return other === undefined ? source : quote(other.name)
    case 'same':
      return source
    case 'more':
      return shifted(column)
    case 'negative':
      return column.type === 'TEXT' || column.type === 'BLOB' ? shifted(column) : `-${source}`
    case 'counter':
      // In an upsert the latest row is another one from row to row.
      return source.startsWith('excluded.') ? source : 'last_insert_rowid() + changes()'
  }
}

/** A value that can be made a text: of a BLOB comes one that may hold a NUL, or is not UTF-8. */
function textOf(source: string, { nul, brokenText }: Features): string {
  return nul && brokenText ? source : `iif(typeof(${source}) = 'blob', 'blob', ${source})`
}

function returningSQL(returning: Returning, table: Table): string {
  const [column] = table.columns
  if (returning === 'nothing' || column === undefined) return ''
  return returning === 'rows'
    ? ' RETURNING *'
    : ` RETURNING quote(${quote(column.name)}) AS q, typeof(${quote(column.name)})`
}

/** A table's name as SQLite takes it for the same. */
function spelled({ name }: Table, spelling: Spelling): string {
  switch (spelling) {
    case 'plain':
      return quote(name)
    case 'brackets':
      return name.includes(']') ? quote(name) : `[${name}]`
    case 'backticks':
      return `\`${name}\``
    case 'schema':
      return `main.${quote(name)}`
    case 'capitals':
      return quote(name.replaceAll(/[a-z]/g, (letter) => letter.toUpperCase()))
  }
}

function writable(table: Table): Column[] {
  return table.columns.filter((column) => !column.isGenerated)
}
