// From a spec to what is really done: SQL texts and the like, one after another. Knows the schema as it should be at each
// step; a statement that fails makes it wrong about that, and then the ones after it fail as well, in both objects alike.

import { mayReplaceAsRecursive, type Mode, type Modes } from './documented.ts'
import type { Features } from './features.ts'
import { type Column, createIndexSQL, createTables, createTableSQL, defineColumn, quote, type Table } from './schema.ts'
import type { By, Migration, ScriptSpec, Step } from './script.ts'
import { bound, SIDE_TABLE, type Statement, statementSQL } from './statements.ts'
import { triggerSQL } from './triggers.ts'
import type { Value } from './values.ts'

export type SyncOp =
  | {
      readonly do: 'sql'
      readonly text: string
      readonly bindings?: readonly SqlStorageValue[]
      /** It touches no captured table, by nothing that it fires. */
      readonly isBeside?: boolean
      readonly drops?: string
      readonly renames?: { readonly from: string; readonly to: string }
      readonly creates?: string
    }
  | {
      readonly do: 'transaction'
      readonly by: By
      readonly ops: readonly SyncOp[]
      readonly fails: boolean
      readonly isAtomic: boolean
      /** It is rolled back where it would leave a foreign key broken: no commit may fail. */
      readonly isGuarded?: boolean
    }
  | { readonly do: 'emit' }
  | { readonly do: 'capture'; readonly table: string; readonly modes: Modes }
  | { readonly do: 'check' }

export type Op =
  | SyncOp
  | { readonly do: 'wake'; readonly skewMs: number }
  | { readonly do: 'delete all' }
  | { readonly do: 'snapshot'; readonly table: string; readonly chunk: number; readonly ops: readonly SyncOp[] }
  | { readonly do: 'flush' }

export interface Script {
  readonly ops: readonly Op[]
}

const STEP_BACK_MS = -5_000
const PLAIN_SEARCH = 'CREATE TABLE search (v)'

export function plan(spec: ScriptSpec, features: Features): Script {
  return new Planner(spec, features).plan()
}

class Planner {
  readonly #spec: ScriptSpec
  readonly #features: Features
  readonly #ops: Op[] = []
  #tables: Table[]
  #names = 0
  readonly #triggers: string[] = []
  #hasSent = false
  #hasCaptured = false
  #hasLateTrigger = false

  constructor(spec: ScriptSpec, features: Features) {
    this.#spec = spec
    this.#features = features
    this.#tables = createTables(spec.tables, features)
  }

  plan(): Script {
    const { early, late, rows, steps } = this.#spec
    this.#create()
    for (const trigger of early) this.#push(this.#trigger({ do: 'trigger', trigger }))
    for (const statement of rows)
      this.#push(this.#guarded([this.#statement(this.#features.badKeys ? statement : withGoodKeys(statement))]))
    this.#capture()
    for (const trigger of late) this.#push(this.#trigger({ do: 'trigger', trigger }))
    for (const step of steps) this.#take(step)
    this.#push({ do: 'check' })
    return { ops: this.#ops }
  }

  #push(...ops: readonly (Op | undefined)[]): void {
    for (const op of ops) if (op !== undefined) this.#ops.push(op)
  }

  #create(): void {
    this.#push({ do: 'sql', text: SIDE_TABLE, isBeside: true })
    this.#push({ do: 'sql', text: this.#spec.hasSearch ? 'CREATE VIRTUAL TABLE search USING fts5 (v)' : PLAIN_SEARCH })
    for (const table of this.#tables.filter(({ isView }) => !isView)) {
      this.#push({ do: 'sql', text: createTableSQL(table), creates: table.name })
      for (const text of createIndexSQL(table)) this.#push({ do: 'sql', text })
    }
    const [first] = this.#tables
    if (this.#spec.hasView && first !== undefined) this.#createView(first)
  }

  #createView({ name, columns }: Table): void {
    const view: Table = {
      name: 'v',
      columns: columns.map((column) => ({ ...column })),
      hasRowid: false,
      isView: true,
      isCaptured: false,
      constraints: '',
      options: '',
      isDeferred: false,
    }
    for (const column of columns) column.isUsed = true
    const names = columns.map((column) => quote(column.name))
    const writable = columns.filter((column) => !column.isGenerated).map((column) => quote(column.name))
    const same = names.map((each) => `${each} IS OLD.${each}`).join(' AND ')
    const create = (what: string, body: string): void =>
      this.#push({ do: 'sql', text: `CREATE TRIGGER v_${what} INSTEAD OF ${what} ON v BEGIN ${body}; END` })
    this.#push({
      do: 'sql',
      text: `CREATE VIEW v (${names.join(', ')}) AS SELECT ${names.join(', ')} FROM ${quote(name)}`,
    })
    create(
      'INSERT',
      `INSERT INTO ${quote(name)} (${writable.join(', ')}) VALUES (${writable.map((each) => `NEW.${each}`).join(', ')})`,
    )
    create(
      'UPDATE',
      `UPDATE ${quote(name)} SET ${writable.map((each) => `${each} = NEW.${each}`).join(', ')} WHERE ${same}`,
    )
    create('DELETE', `DELETE FROM ${quote(name)} WHERE ${same}`)
    this.#tables = [...this.#tables.filter(({ isView }) => !isView), view]
  }

  #capture(): void {
    this.#hasCaptured = true
    for (const { name, columns, isCaptured } of this.#tables)
      if (isCaptured) this.#push({ do: 'capture', table: name, modes: modesOf(columns) })
  }

  #take(step: Step): void {
    switch (step.do) {
      case 'transact':
        return this.#push({
          do: 'transaction',
          by: step.by,
          ops: step.parts.map((part) =>
            part.do === 'emit' ? part : part.do === 'inner' ? this.#inner(part) : this.#statement(part),
          ),
          fails: step.fails,
          isAtomic: step.isAtomic,
          isGuarded: this.#isDeferred(),
        })
      case 'text': {
        // Unread rows of a statement before the last would make the commit fail, as the platform has it.
        const last = step.statements.length - 1
        const text = step.statements
          .map((statement, index) =>
            index === last || !('returning' in statement) ? statement : { ...statement, returning: 'nothing' as const },
          )
          .map((statement) => statementSQL(statement, this.#tables, this.#features))
          .join('; ')
        return this.#push(this.#atomic([{ do: 'sql', text }]))
      }
      case 'migrate':
        return this.#migrate(step)
      case 'trigger':
        return this.#push(this.#trigger(step))
      case 'drop trigger': {
        const name = this.#triggers[step.trigger]
        return name === undefined ? undefined : this.#push({ do: 'sql', text: `DROP TRIGGER IF EXISTS ${name}` })
      }
      case 'recursion':
        // The twin that has it on can't be told to turn it off.
        if (this.#ops.some((op) => op.do === 'sql' && mayReplaceAsRecursive(op.text))) return
        this.#push({ do: 'sql', text: `PRAGMA recursive_triggers = ${step.isOn ? 'ON' : 'OFF'}` })
        return this.#push({ do: 'sql', text: 'PRAGMA recursive_triggers' })
      case 'wake':
        this.#hasSent = false
        this.#push({ do: 'check' }, { do: 'wake', skewMs: step.stepsBack ? STEP_BACK_MS : 0 })
        for (const each of step.before) this.#take(each)
        if (step.captures) this.#capture()
        return
      case 'empty':
        return this.#empty(step)
      case 'snapshot':
        return this.#snapshot(step)
      case 'flush':
        this.#hasSent = true
        return this.#push(step)
      default:
        return this.#push(this.#guarded([this.#statement(step)]))
    }
  }

  #inner({ by, parts, fails }: { by: By; parts: readonly (Statement | { do: 'emit' })[]; fails: boolean }): SyncOp {
    const ops = parts.map((part) => (part.do === 'emit' ? part : this.#statement(part)))
    return { do: 'transaction', by, ops, fails, isAtomic: false }
  }

  #statement(statement: Statement): SyncOp {
    // A trigger newer than capture that fails leaves the row and ends the statement.
    const mayFail = this.#features.lateTriggers || !this.#hasLateTrigger
    const isSafe = mayFail || !('or' in statement) || statement.or !== ' OR FAIL'
    const chosen: Statement = isSafe ? statement : { ...statement, or: '' }
    const text = statementSQL(chosen, this.#tables, this.#features)
    const isBound = 'isBound' in chosen && chosen.isBound
    return { do: 'sql', ...(isBound ? bound(text) : { text }), isBeside: statement.do === 'side' }
  }

  /** Alone where it may be, else in a transaction that can be rolled back before its commit fails. */
  #guarded(ops: readonly SyncOp[]): SyncOp {
    const [only, ...others] = ops
    if (only !== undefined && others.length === 0 && !this.#isDeferred()) return only
    return { do: 'transaction', by: 'platform', ops, fails: false, isAtomic: false, isGuarded: this.#isDeferred() }
  }

  #atomic(ops: readonly SyncOp[]): SyncOp {
    return { do: 'transaction', by: 'platform', ops, fails: false, isAtomic: true, isGuarded: this.#isDeferred() }
  }

  #isDeferred(): boolean {
    return this.#tables.some((table) => table.isDeferred)
  }

  #trigger({ trigger }: Extract<Step, { do: 'trigger' }>): SyncOp {
    this.#hasLateTrigger ||= this.#hasCaptured
    const tables = this.#tables.filter(({ isView }) => !isView)
    const name = `g${++this.#names}`
    this.#triggers.push(name)
    return { do: 'sql', text: triggerSQL(name, trigger, tables, this.#features) }
  }

  #snapshot({ table: index, chunk, during }: Extract<Step, { do: 'snapshot' }>): void {
    const captured = this.#tables.filter((each) => each.isCaptured && (each.hasRowid || this.#features.keyedSnapshots))
    const table = captured[index % captured.length]
    if (table === undefined) return
    this.#hasSent = true
    const begun = this.#ops.length
    for (const each of during) this.#take(each)
    const ops = this.#ops.splice(begun).filter(isSync)
    this.#push({ do: 'snapshot', table: table.name, chunk, ops })
  }

  #empty({ wakes, captures, stepsBack }: Extract<Step, { do: 'empty' }>): void {
    this.#push({ do: 'check' }, { do: 'delete all' })
    if (wakes) this.#push({ do: 'wake', skewMs: stepsBack ? STEP_BACK_MS : 0 })
    this.#create()
    if (wakes || captures) this.#capture()
  }

  #migrate({ kind, table: index, column: spec, index: columnIndex, statement }: Migration): void {
    const tables = this.#tables.filter(({ isView }) => !isView)
    const table = tables[index % tables.length]
    if (table === undefined) return
    const name = quote(table.name)
    const columns = table.columns
    switch (kind) {
      case 'add column':
      case 'add column in text': {
        const column = this.#newColumn(table, spec)
        const text = `ALTER TABLE ${name} ADD COLUMN ${quote(column.name)} ${column.definition}`.trimEnd()
        columns.push(column)
        if (kind === 'add column') return this.#push({ do: 'sql', text })
        return this.#push(
          this.#atomic([{ do: 'sql', text: `${text}; ${statementSQL(statement, this.#tables, this.#features)}` }]),
        )
      }
      case 'rename column': {
        // What drizzle means by a column hangs on its name.
        const free = columns.filter((column) => column.mode === undefined)
        const column = free[columnIndex % free.length]
        if (column === undefined) return
        const from = quote(column.name)
        column.name = `n${++this.#names}`
        return this.#push({ do: 'sql', text: `ALTER TABLE ${name} RENAME COLUMN ${from} TO ${column.name}` })
      }
      case 'drop column': {
        const free = columns.filter((column) => !column.isUsed && !column.isKey)
        const column = free[columnIndex % free.length]
        if (column === undefined || columns.length < 2) return
        table.columns = columns.filter((each) => each !== column)
        return this.#push({ do: 'sql', text: `ALTER TABLE ${name} DROP COLUMN ${quote(column.name)}` })
      }
      case 'rename table': {
        const from = table.name
        table.name = `t${++this.#names}n`
        this.#push({ do: 'check' })
        return this.#push({
          do: 'sql',
          text: `ALTER TABLE ${name} RENAME TO ${quote(table.name)}`,
          renames: { from, to: table.name },
        })
      }
      case 'drop table':
        if (!this.#mayDrop()) return
        this.#push({ do: 'check' }, { do: 'sql', text: `DROP TABLE ${name}`, drops: table.name })
        return this.#push({
          do: 'sql',
          text: createTableSQL(table).replace('CREATE TABLE', 'CREATE TABLE IF NOT EXISTS'),
          creates: table.name,
        })
      case 'rebuild':
        return this.#mayDrop() ? this.#rebuild(table, columnIndex) : undefined
      case 'drop index':
        return this.#push({ do: 'sql', text: `DROP INDEX IF EXISTS ${quote(`${table.name} i`)}` })
      case 'add index': {
        const column = columns[columnIndex % columns.length]
        if (column === undefined) return
        column.isUsed = true
        return this.#push({ do: 'sql', text: `CREATE INDEX g${++this.#names} ON ${name} (${quote(column.name)})` })
      }
    }
  }

  #mayDrop(): boolean {
    return !this.#hasSent || this.#features.dropsAfterSends
  }

  /** As drizzle-kit writes it: a new table, a copy, the old one dropped, and its name for the new one. */
  #rebuild(table: Table, columnIndex: number): void {
    const copy = `__new_${table.name}`
    const columns = table.columns.filter((column) => !column.isGenerated)
    const names = columns.map((column) => quote(column.name))
    const plain = columns.filter((column) => !column.isKey && column.type === 'TEXT')
    const lowered = plain[columnIndex % plain.length]
    const values = columns.map((column) => (column === lowered ? `lower(${quote(column.name)})` : quote(column.name)))
    this.#push({ do: 'check' }, { do: 'sql', text: 'PRAGMA foreign_keys = OFF', isBeside: true })
    this.#push(
      this.#atomic([
        { do: 'sql', text: createTableSQL(table, copy) },
        {
          do: 'sql',
          text: `INSERT INTO ${quote(copy)} (${names.join(', ')}) SELECT ${values.join(', ')} FROM ${quote(table.name)}`,
        },
        { do: 'sql', text: `DROP TABLE ${quote(table.name)}`, drops: table.name },
        {
          do: 'sql',
          text: `ALTER TABLE ${quote(copy)} RENAME TO ${quote(table.name)}`,
          renames: { from: copy, to: table.name },
        },
      ]),
    )
    this.#push({ do: 'sql', text: 'PRAGMA foreign_keys = ON', isBeside: true })
  }

  #newColumn({ columns, options }: Table, spec: Migration['column']): Column {
    const isStrict = options.includes('STRICT')
    // SQLite adds no UNIQUE column, no stored one, and no value that is not constant; drizzle's table does not know it.
    const constraint = spec.constraint === 'check' ? 'check' : 'none'
    const generated = spec.generated === 'none' ? 'none' : 'VIRTUAL'
    return defineColumn(
      `n${++this.#names}`,
      { ...spec, constraint, generated, mode: 'none' },
      { columns, isStrict, features: this.#features },
    )
  }
}

export function isSync(op: Op): op is SyncOp {
  return op.do !== 'wake' && op.do !== 'delete all' && op.do !== 'snapshot' && op.do !== 'flush'
}

/** Every row gets a key that an event can carry. */
function withGoodKeys(statement: Statement): Statement {
  if (statement.do === 'side' || statement.do === 'delete') return statement
  const assignments = statement.assignments.map((each) => ({ ...each, value: withGood(each.value) }))
  if (statement.do === 'update') return { ...statement, assignments }
  return { ...statement, assignments, without: 'nothing', rows: statement.rows.map((row) => row.map(withGood)) }
}

function withGood(value: Value): Value {
  return value.pool === 'any' ? { ...value, pool: 'few' } : value
}

function modesOf(columns: readonly Column[]): Record<string, Mode> {
  return Object.fromEntries(columns.flatMap(({ name, mode }) => (mode === undefined ? [] : [[name, mode] as const])))
}
