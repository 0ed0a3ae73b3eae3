// How a path and a value are written in SQL. SQLite uses an index on an expression only in a statement that contains the
// same expression, so the paths of indexes are literals in statements, checked and quoted by the store's constructor;
// everything else is bound.

import { quoteText } from '../../sqlite/quote.ts'
import { jsonPath } from './path.ts'

/** The parameters of a statement. They are numbered, so that one can be used several times. */
export class Parameters {
  readonly values: SqlStorageValue[] = []

  /** @returns how the statement refers to the value. */
  add(value: SqlStorageValue): string {
    this.values.push(value)
    return `?${this.values.length}`
  }

  /**
   * Adds a value to compare with a result of `->>`. Some versions of SQLite read the last bit of a fraction differently than
   * JavaScript; so SQLite reads both sides, from the same digits.
   */
  addScalar(value: string | number | boolean): string {
    if (typeof value === 'boolean') return this.add(value ? 1 : 0)
    if (typeof value === 'string' || Number.isSafeInteger(value)) return this.add(value)
    return `(${this.add(JSON.stringify(value))} ->> '$')`
  }
}

/** A path in a statement: its value, and the value's type in JSON. */
export interface Column {
  readonly value: string
  readonly type: string
}

const ID_COLUMN: Column = { value: 'id', type: `'text'` }

export class Columns {
  readonly #literals: ReadonlyMap<string, string>

  /** @throws {CDCError} `invalid-argument` for a path that SQLite can't look up. */
  constructor(indexed: readonly string[]) {
    this.#literals = new Map(indexed.map((path) => [path, pathLiteral(path)]))
  }

  /** @throws {CDCError} `invalid-argument` for a path that SQLite can't look up. */
  column(path: string, parameters: Parameters, caller: string): Column {
    if (path === '$id') return ID_COLUMN
    const name = this.#literals.get(path) ?? parameters.add(jsonPath(path, caller))
    return { value: extract(name), type: `json_type(document, ${name})` }
  }
}

/** The expression that an index on a path is on. */
export function indexExpression(path: string): string {
  return extract(pathLiteral(path))
}

function extract(name: string): string {
  return `document ->> ${name}`
}

function pathLiteral(path: string): string {
  return quoteText(jsonPath(path, 'DocumentStore'))
}
