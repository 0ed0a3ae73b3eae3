// SQLite as `ctx.storage.sql` has it, over node:sqlite: its cursors, its values and its limits.

import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { splitStatements } from '../../../src/sqlite/statements.ts'

/** Bound parameters, and bytes of a statement and of a value, that the platform takes. */
const PARAMETERS_MAX = 100
const STATEMENT_LENGTH_MAX = 100_000
const VALUE_BYTES_MAX = 2_000_000

interface Prepared {
  readonly statement: StatementSync
  readonly names: readonly string[]
  readonly isWrite: boolean
}

/** What a statement has done. */
export interface Outcome {
  readonly names: readonly string[]
  readonly rows: readonly SqlStorageValue[][]
  readonly rowsWritten: number
  readonly isWrite: boolean
}

const NOTHING: Outcome = { names: [], rows: [], rowsWritten: 0, isWrite: false }

export class Database {
  #sqlite = open()
  /** By their text: a text may have several statements, each of which may need the one before it. */
  readonly #texts = new Map<string, readonly string[]>()
  #schemaVersion: unknown
  readonly #prepared = new Map<string, Prepared>()

  /** Runs statements without looking at them: those of the platform itself. */
  command(text: string): void {
    this.#sqlite.exec(text)
  }

  /** @throws {Error} what SQLite says, or that a limit of the platform is exceeded. */
  run(text: string, bindings: readonly unknown[]): Outcome {
    if (text.length > STATEMENT_LENGTH_MAX) throw new Error('statement too long: SQLITE_TOOBIG')
    if (bindings.length > PARAMETERS_MAX) throw new Error('too many SQL variables: SQLITE_ERROR')
    const statements = this.#split(text)
    let outcome = NOTHING
    for (const [index, statement] of statements.entries())
      outcome = this.#runOne(statement, index === statements.length - 1 ? bindings : [])
    return outcome
  }

  /** To be called after anything that may have changed the schema: statements may have other columns then. */
  checkSchema(): void {
    const version = Object.values(this.#sqlite.prepare('PRAGMA schema_version').get() ?? {})[0]
    if (version !== this.#schemaVersion) this.#prepared.clear()
    this.#schemaVersion = version
  }

  serialize(): Uint8Array {
    return this.#sqlite.serialize()
  }

  deserialize(bytes: Uint8Array): void {
    // Into a new one: node:sqlite 24.21 dies if statements of an earlier content are collected later.
    this.#prepared.clear()
    this.#sqlite.close()
    this.#sqlite = open()
    this.#sqlite.deserialize(bytes)
  }

  close(): void {
    this.#sqlite.close()
  }

  #split(text: string): readonly string[] {
    const known = this.#texts.get(text)
    if (known !== undefined) return known
    const statements = splitStatements(text)
    this.#texts.set(text, statements)
    return statements
  }

  #runOne(text: string, bindings: readonly unknown[]): Outcome {
    const { statement, names, isWrite } = this.#prepare(text)
    const values = bindings.map(toSQLite)
    if (names.length === 0) {
      const { changes } = statement.run(...values)
      if (changesSchema(text)) this.checkSchema()
      return { ...NOTHING, rowsWritten: Number(changes), isWrite: true }
    }
    const rows = arraysOf(statement.all(...values))
    return { names, rows, rowsWritten: isWrite ? rows.length : 0, isWrite }
  }

  #prepare(text: string): Prepared {
    const known = this.#prepared.get(text)
    if (known !== undefined) return known
    const statement = this.#sqlite.prepare(text)
    statement.setReturnArrays(true)
    const prepared = {
      statement,
      names: statement.columns().map(({ name }) => name),
      isWrite: !isRead(text),
    }
    this.#prepared.set(text, prepared)
    return prepared
  }
}

function open(): DatabaseSync {
  const sqlite = new DatabaseSync(':memory:')
  // By simulated chance, as everything else.
  sqlite.function('randomblob', (bytes) => crypto.getRandomValues(new Uint8Array(Number(bytes))))
  return sqlite
}

/** Whether a text only reads. */
export function isRead(text: string): boolean {
  return /^\s*(?:SELECT|PRAGMA|EXPLAIN)\b/i.test(text)
}

function changesSchema(text: string): boolean {
  return /^\s*(?:CREATE|ALTER|DROP)\b/i.test(text)
}

/** A number is bound as REAL by both, a boolean as text by the platform alone. */
function toSQLite(value: unknown): SQLInputValue {
  if (value === undefined || value === null) return null
  if (typeof value === 'string') return checkedSize(value, value.length)
  if (typeof value === 'number') return value
  if (typeof value === 'boolean') return String(value)
  if (value instanceof ArrayBuffer) return checkedSize(new Uint8Array(value), value.byteLength)
  if (ArrayBuffer.isView(value))
    return checkedSize(new Uint8Array(value.buffer, value.byteOffset, value.byteLength), value.byteLength)
  throw new TypeError(`a ${typeof value} can't be bound`)
}

function checkedSize<Value>(value: Value, size: number): Value {
  if (size > VALUE_BYTES_MAX) throw new Error('string or blob too big: SQLITE_TOOBIG')
  return value
}

/** With `setReturnArrays` a row is an array, which the types of node:sqlite don't say. */
function arraysOf(rows: readonly unknown[]): SqlStorageValue[][] {
  return rows.map((row) => (Array.isArray(row) ? row.map(toPlatform) : []))
}

function toPlatform(value: unknown): SqlStorageValue {
  if (value === null || typeof value === 'string' || typeof value === 'number') return value
  if (value instanceof Uint8Array) return Uint8Array.from(value).buffer
  throw new TypeError(`SQLite returned a ${typeof value}`)
}
