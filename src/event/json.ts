// What JSON can carry without a change. `JSON.stringify` silently turns a Date into a string, NaN into null and
// a Map into {}; an event that says something else than its writer meant is worse than one that is refused.

import { EVENT_DEPTH_MAX } from './limits.ts'

/**
 * Says why `value` would not survive a trip through JSON, or nothing if it would.
 *
 * A property that is `undefined` counts as absent, as TypeScript users write it; an array element may not be.
 */
export function jsonProblem(value: unknown, path = '', depth = 0): string | undefined {
  switch (typeof value) {
    case 'string':
      return value.isWellFormed() ? undefined : `${path || 'value'} holds half a surrogate pair`
    case 'boolean':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : `${path || 'value'} is ${value}, which JSON cannot carry`
    case 'object':
      if (value === null) return undefined
      if (depth >= EVENT_DEPTH_MAX) return `nesting is deeper than ${EVENT_DEPTH_MAX} levels`
      return Array.isArray(value) ? arrayProblem(value, path, depth) : objectProblem(value, path, depth)
    default:
      return `${path || 'value'} is a ${typeof value}, which JSON cannot carry`
  }
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

function arrayProblem(array: unknown[], path: string, depth: number): string | undefined {
  for (let index = 0; index < array.length; index++) {
    const problem = jsonProblem(array[index], `${path}[${index}]`, depth + 1)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** Whether all that it holds is certain to be in its fields. */
export function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

function objectProblem(object: object, path: string, depth: number): string | undefined {
  if (!isPlainObject(object))
    return `${path || 'value'} is a ${object.constructor.name}, not a plain object; convert it first`
  for (const [key, child] of Object.entries(object)) {
    if (!isCleanText(key)) return `a key under ${path || 'the top'} holds a NUL or half a surrogate pair`
    if (child === undefined) continue
    const problem = jsonProblem(child, path === '' ? key : `${path}.${key}`, depth + 1)
    if (problem !== undefined) return problem
  }
  return undefined
}
