// What a value may be: a kind gives the verdict, the words of a refusal, and the JSON Schema. Events, records, options and
// queries are checked by these and not by zod, which would be more than all else that a small Worker loads.

import type { CDCErrorCode } from '../error.ts'
import { type Problem, refusal } from '../problem.ts'
import { isCleanText, jsonProblem } from './json.ts'
import { NAME_LENGTH_MAX } from './limits.ts'

/** A fragment of JSON Schema (json-schema.org/draft/2020-12). */
export type JSONSchema = Readonly<Record<string, unknown>>

/** What is wrong with a value: in words, or with the place in it. */
export type Wrong = string | Problem

/** What a value may be. */
export interface Kind<Value = unknown> {
  /**
   * What is wrong with a value that is not of this kind.
   *
   * @param isPlain whether its strings are known to hold neither a NUL nor half a surrogate pair; see `isPlainText`.
   */
  problem(value: unknown, isPlain?: boolean): Wrong | undefined
  /** The same, as far as JSON Schema can express it. */
  readonly json: JSONSchema
  /** Whether a field of this kind may be absent. */
  readonly isOptional?: boolean
  /** The value of a field of this kind that is absent. */
  readonly defaultValue?: Value
}

/** The smallest and the largest that is allowed. */
interface Bounds {
  readonly from?: number
  readonly to?: number
}

/** A name of anything: not empty, not too long, and the same in every store. */
export const name = text(NAME_LENGTH_MAX)

/** A string that is the same in every store, of at least one and at most so many UTF-16 units. */
export function text(maxLength: number): Kind<string> {
  const message = `must be a string of 1 to ${maxLength} characters`
  return kindOf({ type: 'string', minLength: 1, maxLength }, (value, isPlain) => {
    if (typeof value !== 'string' || value === '' || value.length > maxLength) return message
    return isPlain || isCleanText(value) ? undefined : 'holds a NUL or half a surrogate pair'
  })
}

/** A string that fits a pattern. */
export function textLike(pattern: RegExp, message: string, json: JSONSchema = {}): Kind<string> {
  return kindOf({ type: 'string', ...json, pattern: pattern.source }, (value) =>
    typeof value === 'string' && pattern.test(value) ? undefined : message,
  )
}

/** See github.com/ulid/spec. */
export const ulid = textLike(/^[0-7][0-9A-HJKMNP-TV-Za-hjkmnp-tv-z]{25}$/, 'must be a ULID', { format: 'ulid' })

/** See w3.org/TR/trace-context, section 3.2. */
export const traceparent = textLike(
  /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/,
  'must be a W3C traceparent, such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
)

/** ISO 8601 in UTC with at most microseconds: what the table's timestamp holds without rounding. */
export const timestamp = textLike(
  /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?|24:00:00(?:\.0{1,6})?)Z$/,
  'must be a time as ISO 8601 in UTC, ending in Z, with up to 6 decimals',
)

/** A whole number, by default above 0, that JSON and JavaScript hold exactly. */
export function whole({ from = 1, to = Number.MAX_SAFE_INTEGER }: Bounds = {}): Kind<number> {
  const message = `must be a whole number, ${describeBounds({ from, to })}`
  return kindOf({ type: 'integer', minimum: from, maximum: to }, (value) =>
    Number.isSafeInteger(value) && Number(value) >= from && Number(value) <= to ? undefined : message,
  )
}

export function oneOf<const Value extends string | boolean>(values: readonly Value[]): Kind<Value> {
  const known: readonly unknown[] = values
  return kindOf({ enum: values }, (value) => (known.includes(value) ? undefined : `must be ${values.join(' or ')}`))
}

/** An object that JSON can carry. */
export const jsonObject: Kind<Record<string, unknown>> = kindOf({ type: 'object' }, (value, isPlain) =>
  isObject(value) ? jsonProblem(value, '', 0, isPlain) : 'must be an object',
)

/** An array. Its problem is that of the first element that has one. */
export function listOf<Value>(kind: Kind<Value>, { from = 0, to = Infinity }: Bounds = {}): Kind<Value[]> {
  return {
    json: { type: 'array', items: kind.json },
    problem(value, isPlain) {
      if (!Array.isArray(value)) return 'must be an array'
      if (value.length < from || value.length > to) return `must have ${describeBounds({ from, to })} elements`
      for (const [index, element] of value.entries()) {
        const problem = kind.problem(element, isPlain)
        if (problem !== undefined) return within(index, problem)
      }
      return undefined
    },
  }
}

/** An object of any names. Its problem is that of the first value that has one. */
export function mapOf<Value>(kind: Kind<Value>): Kind<Record<string, Value>> {
  return {
    json: { type: 'object', additionalProperties: kind.json },
    problem(value, isPlain) {
      if (!isObject(value)) return 'expected an object'
      for (const [name, element] of Object.entries(value)) {
        const problem = kind.problem(element, isPlain)
        if (problem !== undefined) return within(name, problem)
      }
      return undefined
    },
  }
}

export function kindOf<Value>(json: JSONSchema, problem: Kind<Value>['problem']): Kind<Value> {
  return { json, problem }
}

export function optional<Value>(kind: Kind<Value>): Kind<Value> & { readonly isOptional: true } {
  return { ...kind, isOptional: true }
}

export function withDefault<Value>(kind: Kind<Value>, defaultValue: Value): Kind<Value> {
  return { ...kind, defaultValue }
}

/** A value that must be of a kind. @throws {CDCError} of the given code, naming the place and the problem. */
export function checked<Value>(kind: Kind<Value>, value: unknown, caller: string, code: CDCErrorCode): Value {
  const problem = kind.problem(value)
  if (problem !== undefined) throw refusal(code, caller, [asProblem(problem)])
  return value as Value
}

export function asProblem(wrong: Wrong): Problem {
  return typeof wrong === 'string' ? { path: [], message: wrong } : wrong
}

/** What is wrong with a part, as a problem of the whole. */
export function within(key: PropertyKey, wrong: Wrong): Problem {
  const { path, message } = asProblem(wrong)
  return { path: [key, ...path], message }
}

function describeBounds({ from, to }: Required<Bounds>): string {
  return to >= Number.MAX_SAFE_INTEGER ? `${from} or more` : `${from} to ${to}`
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
