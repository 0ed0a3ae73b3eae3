// Durable Objects bind some JavaScript values as something else, without a word: true as the text 'true', a Date as
// its English text, an integer above 2^53 rounded. What would be changed on its way into SQLite is refused.

import { CDCError } from '../error.ts'

/** Checks the values of a statement. @throws {CDCError} `invalid-argument`, with the position and what to bind instead. */
export function checkBindings(values: readonly unknown[]): SqlStorageValue[] {
  return values.map((value, index) => {
    const problem = bindingProblem(value)
    if (problem === undefined) return value as SqlStorageValue
    throw new CDCError('invalid-argument', `execute: parameter ${index + 1} ${problem}`)
  })
}

function bindingProblem(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return undefined
    case 'number':
      if (!Number.isFinite(value)) return `is ${value}, which SQLite stores as NULL`
      if (Number.isInteger(value) && !Number.isSafeInteger(value))
        return 'is an integer above 2^53; bind it as a string'
      return undefined
    case 'boolean':
      return 'is a boolean, which would be stored as text; bind 1 or 0'
    case 'object':
      if (value === null || value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return undefined
      return 'is an object; bind a string, such as its JSON or toISOString()'
    default:
      return `is a ${typeof value}; bind a string, a number, an ArrayBuffer or null`
  }
}
