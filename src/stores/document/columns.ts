// How a path and a value read in SQL. SQLite uses an index on an expression only for a statement that spells it alike, so
// the paths of indexes stand in the text of statements, checked and quoted by the store's constructor; all else is bound.

import { quoteText } from '../../sqlite/quote.ts'
import { jsonPath } from './path.ts'

/** What a statement is given. A parameter has a number, so that it can be used more than once. */
export class Parameters {
  readonly values: SqlStorageValue[] = []

  /** @returns how the statement refers to the value. */
  add(value: SqlStorageValue): string {
    this.values.push(value)
    return `?${this.values.length}`
  }

  /**
   * Adds a value that is to equal what `->>` finds. Not every SQLite reads a number that is not whole as JavaScript does, to
   * the last bit; so it reads both sides, from the same digits.
   */
  addScalar(value: string | number | boolean): string {
    if (typeof value === 'boolean') return this.add(value ? 1 : 0)
    if (typeof value === 'string' || Number.isSafeInteger(value)) return this.add(value)
    return `(${this.add(JSON.stringify(value))} ->> '$')`
  }
}

/** A path in a statement: its value, and the type of that in JSON. */
export interface Column {
  readonly value: string
  readonly type: string
}

const ID_COLUMN: Column = { value: 'id', type: `'text'` }

export class Columns {
  readonly #literals: ReadonlyMap<string, string>

  /** @throws {CDCError} `invalid-argument` for a path that can't be searched for. */
  constructor(indexed: readonly string[]) {
    this.#literals = new Map(indexed.map((path) => [path, pathLiteral(path)]))
  }

  /** @throws {CDCError} `invalid-argument` for a path that can't be searched for. */
  column(path: string, parameters: Parameters, caller: string): Column {
    if (path === '$id') return ID_COLUMN
    const name = this.#literals.get(path) ?? parameters.add(jsonPath(path, caller))
    return { value: extract(name), type: `json_type(document, ${name})` }
  }
}

/** What an index on a path is made of. */
export function indexExpression(path: string): string {
  return extract(pathLiteral(path))
}

function extract(name: string): string {
  return `document ->> ${name}`
}

function pathLiteral(path: string): string {
  return quoteText(jsonPath(path, 'DocumentStore'))
}
