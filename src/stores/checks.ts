// The checks that all stores make, so that a mistake is reported in the same words wherever it is made. `caller` is the
// method, and the argument if there are several, that begin an error: `Task.update`.

import { type $ZodType, safeParse } from 'zod/v4/core'
import { CDCError } from '../error.ts'
import { isCleanText } from '../event/json.ts'
import { within } from '../event/kinds.ts'
import { refusal } from '../problem.ts'

const SHOWN_CHARACTERS_MAX = 50

export function invalid(caller: string, problem: string): CDCError {
  return new CDCError('invalid-argument', `${caller}: ${problem}`)
}

/** A store's name becomes part of its tables' names. @throws {CDCError} `invalid-argument`. */
export function checkStoreName(store: string, name: unknown): void {
  if (typeof name === 'string' && /^[A-Za-z]\w{0,63}$/.test(name)) return
  throw invalid(store, `name must be 1 to 64 letters, digits or _, beginning with a letter; not ${describe(name)}`)
}

/** @throws {CDCError} `invalid-argument` unless it is a whole number within the bounds. */
export function checkWhole(value: number, { from, to }: { from: number; to: number }, caller: string): void {
  if (Number.isInteger(value) && value >= from && value <= to) return
  throw new CDCError(
    'invalid-argument',
    `${caller} must be a whole number from ${from} to ${to}, not ${describe(value)}`,
  )
}

/** Where a page begins and how long it is. @throws {CDCError} `invalid-argument`. */
export function checkPage(
  { limit, offset }: { limit: number; offset: number },
  maxLimit: number,
  caller: string,
): void {
  checkWhole(limit, { from: 1, to: maxLimit }, `${caller}: limit`)
  if (!Number.isSafeInteger(offset) || offset < 0)
    throw invalid(caller, `offset must be a whole number from 0, not ${describe(offset)}`)
}

/** @param items what is counted: `documents`. @throws {CDCError} `invalid-argument` if a batch has too many. */
export function checkBatch(count: number, maxCount: number, items: string, caller: string): void {
  if (count <= maxCount) return
  throw invalid(
    caller,
    `more than ${maxCount} ${items}, the limit of one call; make several calls, in one transaction if they belong together`,
  )
}

/** A key, an id or another name. @throws {CDCError} `invalid-argument` unless an event can carry it. */
export function checkName(name: unknown, maxCharacters: number, caller: string): asserts name is string {
  if (typeof name === 'string' && name !== '' && name.length <= maxCharacters && isCleanText(name)) return
  throw new CDCError(
    'invalid-argument',
    `${caller} must be text of 1 to ${maxCharacters} characters without a NUL or half a surrogate pair, ` +
      `not ${describe(name)}`,
  )
}

/**
 * @param root where the value is, if its own path does not tell: `metadata`.
 * @returns what the schema makes of the value.
 * @throws {CDCError} `invalid-argument` with every problem that the schema finds, and its path.
 */
export function parseWith<Output>(schema: $ZodType<Output>, value: unknown, caller: string, root?: string): Output {
  const parsed = safeParse(schema, value)
  if (parsed.success) return parsed.data
  const { issues } = parsed.error
  const problems = root === undefined ? issues : issues.map((issue) => within(root, issue))
  throw refusal('invalid-argument', caller, problems, { cause: parsed.error })
}

/** The first value that a list has for the second time. */
export function firstRepeated(values: readonly string[]): string | undefined {
  const seen = new Set<string>()
  return values.find((value) => seen.size === seen.add(value).size)
}

/** A value as an error shows it: short, and without what is inside it. */
export function describe(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value.length > SHOWN_CHARACTERS_MAX ? `${value.slice(0, SHOWN_CHARACTERS_MAX)}…` : value)
    case 'object':
      return value === null ? 'null' : describeObject(value)
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value)
    default:
      return `a ${typeof value}`
  }
}

function describeObject(value: object): string {
  if (Array.isArray(value)) return 'an array'
  const name: unknown = value.constructor?.name
  return typeof name !== 'string' || name === 'Object' ? 'an object' : `a ${name}`
}
