// From a filter to a condition in SQL. A comparison that SQLite can't decide, such as of a missing field with 5, is false.

import { isCleanText, isPlainObject } from '../../event/json.ts'
import { utf8Bytes } from '../../event/utf8.ts'
import { describe, invalid } from '../checks.ts'
import type { Column, Columns, Parameters } from './columns.ts'
import type { DocumentFields } from './document.ts'
import { limits } from './limits.ts'
import type { DocumentPath, ValueAt } from './path.ts'

type Scalar = string | number | boolean

/** The values of a type that can be compared; of an unknown type, all that can be. */
type ScalarOf<Value> = unknown extends Value ? Scalar : Extract<Value, Scalar>

/** Comparisons with a field, all of which must hold. Named as in MongoDB, with a `$`, which no field of yours begins with. */
export interface DocumentComparison<Value extends Scalar = Scalar> {
  $eq?: Value | null
  /** Any other value, or none. `{ $ne: null }` finds documents that have a value. */
  $ne?: Value | null
  /** Numbers are compared with numbers, and strings with strings, by their UTF-8 bytes. */
  $gt?: Exclude<Value, boolean>
  $gte?: Exclude<Value, boolean>
  $lt?: Exclude<Value, boolean>
  $lte?: Exclude<Value, boolean>
  /** One of these values, of which there are at most `limits.inValues`. */
  $in?: readonly (Value | null)[]
  /**
   * A string that matches this pattern: `%` is any text and `_` any character; a backslash before them makes them literal.
   * Ignores the case of A to Z, and never matches a string with a NUL. Uses no index; find a prefix by `$gte` and `$lt`.
   */
  $like?: string
}

type Operand<Value> = ScalarOf<Value> | null | DocumentComparison<ScalarOf<Value>>

/**
 * Matches documents that have these values at these paths, and that match the combined filters. `{}` matches all.
 *
 * `null` also matches documents without the field. Neither `true` nor `'1'` equals 1.
 */
export type DocumentWhere<T> = string extends DocumentPath<T> ? AnyWhere : TypedWhere<T>

type TypedWhere<T> = { [Path in DocumentPath<T>]?: Operand<ValueAt<T & DocumentFields, Path>> } & {
  $and?: readonly TypedWhere<T>[]
  $or?: readonly TypedWhere<T>[]
  $not?: TypedWhere<T>
}

/** For documents whose type has no named fields. */
interface AnyWhere {
  [path: string]: Operand<unknown> | AnyWhere | readonly AnyWhere[]
}

const RANGES: ReadonlyMap<string, string> = new Map([
  ['$gt', '>'],
  ['$gte', '>='],
  ['$lt', '<'],
  ['$lte', '<='],
])

/** In SQL, true is 1 and an array is its text; only their types in JSON tell them apart. */
const JSON_TYPES = { string: `'text'`, number: `'integer', 'real'`, boolean: `'true', 'false'` }

/** Compiles the filter of one statement to SQL. */
export class WhereCompiler {
  readonly #columns: Columns
  readonly #parameters: Parameters
  readonly #caller: string
  #conditions = 0

  constructor(columns: Columns, parameters: Parameters, caller: string) {
    this.#columns = columns
    this.#parameters = parameters
    this.#caller = caller
  }

  /** @throws {CDCError} `invalid-argument` for a filter that is not valid, and beyond the limits. */
  compile(where: unknown): string {
    if (!isPlainObject(where))
      throw invalid(this.#caller, `a filter must be an object of paths and values, not ${describe(where)}`)
    const conditions = Object.entries(where).map(([name, operand]) => this.#condition(name, operand))
    return conditions.length === 0 ? 'TRUE' : conditions.join(' AND ')
  }

  #condition(name: string, operand: unknown): string {
    switch (name) {
      case '$and':
        return `(${this.#filters(name, operand).join(' AND ')})`
      case '$or':
        return `(${this.#filters(name, operand).join(' OR ')})`
      case '$not':
        this.#count()
        return `(${this.compile(operand)}) IS NOT TRUE`
      default:
        return this.#field(name, operand)
    }
  }

  #filters(name: string, filters: unknown): string[] {
    this.#count()
    if (!Array.isArray(filters) || filters.length === 0)
      throw invalid(this.#caller, `${name} must be a non-empty array of filters`)
    return filters.map((filter) => `(${this.compile(filter)})`)
  }

  #field(path: string, operand: unknown): string {
    const column = this.#columns.column(path, this.#parameters, this.#caller)
    const comparisons = isPlainObject(operand) ? Object.entries(operand) : [['$eq', operand] as const]
    if (comparisons.length === 0) throw invalid(this.#caller, `${path} must be a value or a comparison, not {}`)
    return comparisons.map(([operator, value]) => this.#compare(path, column, operator, value)).join(' AND ')
  }

  #equal(path: string, column: Column, value: unknown): string {
    return value === null ? `(${column.value} IS NULL)` : this.#is(path, column, '=', value)
  }

  #compare(path: string, column: Column, operator: string, value: unknown): string {
    this.#count()
    const range = RANGES.get(operator)
    if (range !== undefined && typeof value !== 'boolean') return this.#is(path, column, range, value)
    switch (operator) {
      case '$eq':
        return this.#equal(path, column, value)
      case '$ne':
        return `${this.#equal(path, column, value)} IS NOT TRUE`
      case '$in':
        return this.#in(path, column, value)
      case '$like':
        return this.#like(path, column, value)
      default:
        throw invalid(
          this.#caller,
          `${path} can't be compared by ${operator} here; the comparisons are $eq, $ne, $gt, $gte, $lt, $lte (of strings and ` +
            'numbers), $in and $like; for a nested field, write a path with dots',
        )
    }
  }

  #is(path: string, column: Column, operator: string, value: unknown): string {
    const type = this.#typeOf(path, value)
    return `(${column.value} ${operator} ${this.#parameters.addScalar(value as Scalar)} AND ${column.type} IN (${type}))`
  }

  #in(path: string, column: Column, values: unknown): string {
    if (!Array.isArray(values) || values.length > limits.inValues)
      throw invalid(this.#caller, `${path}: $in must be an array of at most ${limits.inValues} values`)
    const groups = Map.groupBy(values, (value: unknown) => (value === null ? undefined : this.#typeOf(path, value)))
    const conditions = Array.from(groups, ([type, group], index) => {
      // Each type in the list is a condition.
      if (index > 0) this.#count()
      if (type === undefined) return `${column.value} IS NULL`
      const list = JSON.stringify(group)
      if (list.length > limits.filterCharacters)
        throw invalid(this.#caller, `${path}: the values of $in have more than ${limits.filterCharacters} characters`)
      const chosen = `SELECT value FROM json_each(${this.#parameters.add(list)})`
      return `(${column.value} IN (${chosen}) AND ${column.type} IN (${type}))`
    })
    // Nothing is in an empty list; but its path must appear, because every parameter that is bound has to be used.
    return conditions.length === 0 ? `${column.value} IN ()` : `(${conditions.join(' OR ')})`
  }

  #like(path: string, column: Column, pattern: unknown): string {
    if (typeof pattern !== 'string' || !isCleanText(pattern) || utf8Bytes(pattern) > limits.likeBytes)
      throw invalid(this.#caller, `${path}: $like must be a string of at most ${limits.likeBytes} bytes, without a NUL`)
    const matches = `${column.value} LIKE ${this.#parameters.add(pattern)} ESCAPE '\\'`
    // LIKE reads a string only up to a NUL.
    return `(${matches} AND ${column.type} IN (${JSON_TYPES.string}) AND instr(${column.value}, char(0)) = 0)`
  }

  /** The type in JSON of a value that can be compared. */
  #typeOf(path: string, value: unknown): string {
    if (typeof value === 'boolean') return JSON_TYPES.boolean
    if (typeof value === 'number' && Number.isFinite(value)) return JSON_TYPES.number
    if (typeof value === 'string' && value.isWellFormed() && value.length <= limits.filterCharacters)
      return JSON_TYPES.string
    throw invalid(
      this.#caller,
      `${path} must be compared with a finite number, true, false, null or a well-formed string of at most ` +
        `${limits.filterCharacters} characters; not ${describe(value)}`,
    )
  }

  #count(): void {
    this.#conditions += 1
    if (this.#conditions > limits.filterConditions)
      throw invalid(
        this.#caller,
        `a filter has at most ${limits.filterConditions} conditions; put many values of one field into $in`,
      )
  }
}
