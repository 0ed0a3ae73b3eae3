// What every store checks, and says, in the same words.

import type * as z from 'zod'
import { CDCError } from '../error.ts'

/** @param caller what is called, and with which argument: `Task.update`. */
export function invalid(caller: string, problem: string, cause?: unknown): CDCError {
  return new CDCError('invalid-argument', `${caller}: ${problem}`, { cause })
}

/** A store's name is part of its tables' names. @throws {CDCError} `invalid-argument`. */
export function checkStoreName(store: string, option: string, name: string): void {
  if (/^[A-Za-z]\w{0,63}$/.test(name)) return
  throw invalid(
    store,
    `${option} must be 1 to 64 letters, digits or _, and begin with a letter; not ${JSON.stringify(name)}`,
  )
}

/** @throws {CDCError} `invalid-argument` for what is no whole number within the limits. */
export function checkWhole(value: number, { from, to }: { from: number; to: number }, what: string): void {
  if (Number.isInteger(value) && value >= from && value <= to) return
  throw new CDCError('invalid-argument', `${what} must be ${from} to ${to}, not ${value}`)
}

/** Where a page begins and how long it is. @throws {CDCError} `invalid-argument`. */
export function checkPage(
  { limit, offset }: { limit: number; offset: number },
  maxLimit: number,
  caller: string,
): void {
  checkWhole(limit, { from: 1, to: maxLimit }, `${caller}: limit`)
  if (!Number.isSafeInteger(offset) || offset < 0)
    throw invalid(caller, `offset must be a whole number from 0, not ${offset}`)
}

/** What a schema found wrong, each with its path. */
export function schemaProblems({ issues }: z.core.$ZodError): string {
  return issues.map(({ path, message }) => [path.join('.'), message].filter(Boolean).join(': ')).join('; ')
}
