// What JSON can carry without a change. `JSON.stringify` silently turns a Date into a string, NaN into null and a Map into {}.
// An event that changes its meaning on the way is worse than one that is refused.

import { EVENT_DEPTH_MAX } from './limits.ts'

/** What is wrong with something inside a value, and the way to it, from there outwards. */
interface JSONProblem {
  readonly path: readonly (string | number)[]
  /** The problem in words, given its place. */
  readonly describe: (place: string) => string
}

/**
 * Why JSON would change a value.
 *
 * A property that is `undefined` counts as absent, as TypeScript users write it; an array element may not be.
 *
 * @param path the value's place, for the text.
 * @param depth how deep it is nested already.
 * @param isPlain whether its strings are known to be plain; see `isPlainText`.
 */
export function jsonProblem(value: unknown, path = '', depth = 0, isPlain = false): string | undefined {
  const problem = findProblem(value, depth, isPlain)
  return problem?.describe(placeOf(path, problem.path))
}

/**
 * The JSON of a value that JSON can carry.
 *
 * @throws {Error} what `refuse` makes of the problem of any other value.
 */
export function encodeJSON(value: unknown, refuse: (problem: string) => Error, path = '', depth = 0): string {
  const problem = jsonProblem(value, path, depth, true)
  if (problem !== undefined) throw refuse(problem)
  const text = JSON.stringify(value)
  const textProblem = isPlainText(text) ? undefined : jsonProblem(value, path, depth)
  if (textProblem !== undefined) throw refuse(textProblem)
  return text
}

/**
 * Whether certainly no string in a JSON text holds a NUL or half a surrogate pair, which `JSON.stringify` escapes as `\u`.
 * Reading the text once costs less than reading each of its strings.
 */
export function isPlainText(json: string): boolean {
  return !json.includes('\\u')
}

/** The value of a JSON text; nothing if the text is not JSON, which cannot say `undefined`. */
export function parseJSON(text: string, reviver?: Parameters<typeof JSON.parse>[1]): unknown {
  try {
    return JSON.parse(text, reviver)
  } catch {
    return undefined
  }
}

/** Whether a string can be stored and compared everywhere: SQLite ends text at a NUL, UTF-8 has no lone surrogate. */
export function isCleanText(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

/** Whether it is an object literal, or like one: all that it holds is in its fields. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

// The problems are described by functions of their own: closures in the functions that search would slow down every good value.

function findProblem(value: unknown, depth: number, isPlain: boolean): JSONProblem | undefined {
  switch (typeof value) {
    case 'boolean':
      return undefined
    case 'string':
      return isPlain || value.isWellFormed() ? undefined : BROKEN_STRING
    case 'number':
      return Number.isFinite(value) ? undefined : numberProblem(value)
    case 'object':
      if (value === null) return undefined
      if (depth >= EVENT_DEPTH_MAX) return TOO_DEEP
      return Array.isArray(value) ? arrayProblem(value, depth, isPlain) : objectProblem(value, depth, isPlain)
    default:
      return typeProblem(value)
  }
}

/** A loop, because `every` would skip the holes of a sparse array. */
function arrayProblem(array: readonly unknown[], depth: number, isPlain: boolean): JSONProblem | undefined {
  for (let index = 0; index < array.length; index++) {
    const problem = findProblem(array[index], depth + 1, isPlain)
    if (problem !== undefined) return within(index, problem)
  }
  return undefined
}

function objectProblem(object: object, depth: number, isPlain: boolean): JSONProblem | undefined {
  if (!isPlainObject(object)) return classProblem(object)
  for (const key in object) {
    if (!isPlain && !isCleanText(key)) return BROKEN_KEY
    const child = object[key]
    const problem = child === undefined ? undefined : findProblem(child, depth + 1, isPlain)
    if (problem !== undefined) return within(key, problem)
  }
  return undefined
}

const BROKEN_STRING = problemOf((place) => `${place} holds half a surrogate pair`)
const BROKEN_KEY = problemOf((place) => `a key under ${place} holds a NUL or half a surrogate pair`)
const TOO_DEEP = problemOf(() => `nesting is deeper than ${EVENT_DEPTH_MAX} levels`)

function numberProblem(value: number): JSONProblem {
  if (Number.isNaN(value)) return problemOf((place) => `${place} is NaN, which JSON cannot carry`)
  // A number that is too large becomes Infinity when JSON is read.
  return problemOf(
    (place) => `${place} is ${value}: a number in JSON is a double, up to 1.8e308; send a larger one as a string`,
  )
}

function typeProblem(value: unknown): JSONProblem {
  const type = value === undefined ? 'undefined' : `a ${typeof value}`
  return problemOf((place) => `${place} is ${type}, which JSON cannot carry`)
}

function classProblem(object: object): JSONProblem {
  return problemOf((place) => `${place} is a ${object.constructor.name}, not a plain object; convert it first`)
}

function problemOf(describe: JSONProblem['describe']): JSONProblem {
  return { path: [], describe }
}

function within(key: string | number, { path, describe }: JSONProblem): JSONProblem {
  return { path: [...path, key], describe }
}

function placeOf(path: string, keys: readonly (string | number)[]): string {
  const place = keys.reduceRight<string>(
    (outer, key) => (typeof key === 'number' ? `${outer}[${key}]` : joined(outer, key)),
    path,
  )
  return place || 'value'
}

function joined(outer: string, key: string): string {
  return outer === '' ? key : `${outer}.${key}`
}
