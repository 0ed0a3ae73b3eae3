// From a filter to a condition in SQL. What SQLite can't decide, such as whether an absent field is above 5, does not hold.

import { isCleanText, isPlainObject } from '../../event/json.ts'
import { utf8Bytes } from '../../event/utf8.ts'
import { invalid } from '../checks.ts'
import type { Column, Columns, Parameters } from './columns.ts'
import { type DocumentFields } from './document.ts'
import { FILTER_CONDITIONS_MAX, IN_VALUES_MAX, LIKE_BYTES_MAX, PARAMETER_CHARACTERS_MAX } from './limits.ts'
import type { DocumentPath, ValueAt } from './path.ts'

type Scalar = string | number | boolean

/** What can be compared of a type: where nothing is known of it, whatever can be compared at all. */
type ScalarOf<Value> = unknown extends Value ? Scalar : Extract<Value, Scalar>

/**
 * What a field must be, beyond equal to a value; all that is given must hold. Spelled as in MongoDB, which many know, and
 * with the `$` that no field of an owner begins with.
 */
export interface Comparison<Value extends Scalar = Scalar> {
  $eq?: Value | null
  /** Another value than this, or no value. `{ $ne: null }` finds documents that have one. */
  $ne?: Value | null
  /** Numbers are compared with numbers, and strings with strings in the order of their UTF-8 bytes. */
  $gt?: Exclude<Value, boolean>
  $gte?: Exclude<Value, boolean>
  $lt?: Exclude<Value, boolean>
  $lte?: Exclude<Value, boolean>
  /** One of these values, at most `IN_VALUES_MAX`. */
  $in?: readonly (Value | null)[]
  /**
   * A string of this form: `%` stands for anything, `_` for one character, and a backslash before them takes that away.
   * Takes A to Z for a to z, and no string with a NUL. Uses no index; a prefix is better found by `$gte` and `$lt`.
   */
  $like?: string
}

type Operand<Value> = ScalarOf<Value> | null | Comparison<ScalarOf<Value>>

/**
 * Which documents: those that have these values at these paths and that the combined filters let through. `{}` is all.
 *
 * `null` also finds documents that don't have the field. `true` is not 1, and `'1'` isn't either.
 */
export type DocumentWhere<T> = string extends DocumentPath<T> ? AnyWhere : TypedWhere<T>

type TypedWhere<T> = { [Path in DocumentPath<T>]?: Operand<ValueAt<T & DocumentFields, Path>> } & {
  $and?: readonly TypedWhere<T>[]
  $or?: readonly TypedWhere<T>[]
  $not?: TypedWhere<T>
}

/** Of documents whose type names no fields. */
interface AnyWhere {
  [path: string]: Operand<unknown> | AnyWhere | readonly AnyWhere[]
}

const RANGES: ReadonlyMap<string, string> = new Map([
  ['$gt', '>'],
  ['$gte', '>='],
  ['$lt', '<'],
  ['$lte', '<='],
])

/** In SQL, true is 1 and an array is its text. What tells them apart is the type that they have in JSON. */
const JSON_TYPES = { string: `'text'`, number: `'integer', 'real'`, boolean: `'true', 'false'` }

/** Turns the filter of one statement into SQL. */
export class WhereCompiler {
  readonly #columns: Columns
  readonly #parameters: Parameters
  readonly #caller: string
  #conditions = 0

  /** @param caller how errors begin: `Film.query`. */
  constructor(columns: Columns, parameters: Parameters, caller: string) {
    this.#columns = columns
    this.#parameters = parameters
    this.#caller = caller
  }

  /** @throws {CDCError} `invalid-argument` for what is no filter, and beyond the limits. */
  compile(where: unknown): string {
    if (!isPlainObject(where)) throw invalid(this.#caller, 'a filter must be an object of paths and values')
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
      throw invalid(this.#caller, `${name} must be a list of filters`)
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
          `${path} can't be compared by ${operator}; there are $eq, $ne, $gt, $gte, $lt, $lte (of strings and numbers), ` +
            '$in and $like; a field inside a field is written with a dot',
        )
    }
  }

  #is(path: string, column: Column, operator: string, value: unknown): string {
    const type = this.#typeOf(path, value)
    return `(${column.value} ${operator} ${this.#parameters.addScalar(value as Scalar)} AND ${column.type} IN (${type}))`
  }

  #in(path: string, column: Column, values: unknown): string {
    if (!Array.isArray(values) || values.length > IN_VALUES_MAX)
      throw invalid(this.#caller, `${path}: $in must be a list of at most ${IN_VALUES_MAX} values`)
    const groups = Map.groupBy(values, (value: unknown) => (value === null ? undefined : this.#typeOf(path, value)))
    const conditions = Array.from(groups, ([type, group], index) => {
      // A list of several types is as many conditions.
      if (index > 0) this.#count()
      if (type === undefined) return `${column.value} IS NULL`
      const list = JSON.stringify(group)
      if (list.length > PARAMETER_CHARACTERS_MAX)
        throw invalid(this.#caller, `${path}: the values of $in have more than ${PARAMETER_CHARACTERS_MAX} characters`)
      const chosen = `SELECT value FROM json_each(${this.#parameters.add(list)})`
      return `(${column.value} IN (${chosen}) AND ${column.type} IN (${type}))`
    })
    // Nothing is in an empty list. The path still stands there, because a parameter that is bound has to be used.
    return conditions.length === 0 ? `${column.value} IN ()` : `(${conditions.join(' OR ')})`
  }

  #like(path: string, column: Column, pattern: unknown): string {
    if (typeof pattern !== 'string' || !isCleanText(pattern) || utf8Bytes(pattern) > LIKE_BYTES_MAX)
      throw invalid(this.#caller, `${path}: $like must be a string of at most ${LIKE_BYTES_MAX} bytes, without NUL`)
    const matches = `${column.value} LIKE ${this.#parameters.add(pattern)} ESCAPE '\\'`
    // LIKE looks at a string only up to a NUL, and would take the rest of it for nothing.
    return `(${matches} AND ${column.type} IN (${JSON_TYPES.string}) AND instr(${column.value}, char(0)) = 0)`
  }

  /** What JSON calls a value that can be compared. */
  #typeOf(path: string, value: unknown): string {
    if (typeof value === 'boolean') return JSON_TYPES.boolean
    if (typeof value === 'number' && Number.isFinite(value)) return JSON_TYPES.number
    if (typeof value === 'string' && value.isWellFormed() && value.length <= PARAMETER_CHARACTERS_MAX)
      return JSON_TYPES.string
    throw invalid(
      this.#caller,
      `${path} must be compared with a finite number, true, false, null or a string of at most ` +
        `${PARAMETER_CHARACTERS_MAX} characters that is well-formed; not ${describe(value)}`,
    )
  }

  #count(): void {
    this.#conditions += 1
    if (this.#conditions > FILTER_CONDITIONS_MAX)
      throw invalid(
        this.#caller,
        `a filter has at most ${FILTER_CONDITIONS_MAX} conditions; many values of a field go into $in`,
      )
  }
}

function describe(value: unknown): string {
  if (value === undefined || typeof value === 'number') return `${value}`
  return typeof value === 'object' ? (Array.isArray(value) ? 'a list' : 'an object') : `a ${typeof value}`
}
