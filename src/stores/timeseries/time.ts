// Times and durations as callers write them, converted to whole milliseconds: the only form that is stored and compared.

import { CDCError } from '../../error.ts'
import { describe, invalid } from '../checks.ts'

/** A `Date`, milliseconds since 1970, or ISO 8601 with its zone (`2026-11-22T10:00:00Z`); a date alone is its midnight in UTC. */
export type Time = Date | string | number

/** Milliseconds, or a whole number and its unit: `90_000`, `'90s'`, `'5m'`, `'1h'`, `'7d'`. */
export type Duration = number | `${number}${keyof typeof MS_PER_UNIT}`

/** The years that ISO 8601 writes with four digits. Microseconds mistaken for milliseconds lie beyond them. */
const TIME_MS_MIN = Date.parse('0000-01-01T00:00:00.000Z')
export const TIME_MS_MAX = Date.parse('9999-12-31T23:59:59.999Z')

const MS_PER_UNIT = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

const ISO_TIME = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d{1,3})?)?(Z|[+-]\d\d:\d\d))?$/
const DURATION = /^(\d{1,15})(ms|s|m|h|d|w)$/

/** @param caller the method and the argument: `load.put: timestamp`. @throws {CDCError} `invalid-argument`. */
export function toTimeMs(time: Time, caller: string): number {
  const ms = typeof time === 'number' ? time : time instanceof Date ? time.getTime() : parseISO(time)
  if (Number.isInteger(ms) && ms >= TIME_MS_MIN && ms <= TIME_MS_MAX) return ms
  throw new CDCError(
    'invalid-argument',
    `${caller} must be a Date, whole milliseconds since 1970 or ISO 8601 with its zone, of the years 0 to 9999; ` +
      `not ${time instanceof Date ? String(time) : describe(time)}`,
  )
}

/** @throws {CDCError} `invalid-argument`. */
export function toDurationMs(duration: Duration, caller: string): number {
  const ms = typeof duration === 'number' ? duration : parseDuration(duration)
  if (Number.isInteger(ms) && ms >= 0 && ms <= TIME_MS_MAX) return ms
  throw new CDCError(
    'invalid-argument',
    `${caller} must be whole milliseconds, or a number and ms, s, m, h, d or w, such as '5m'; not ${describe(duration)}`,
  )
}

/** @throws {CDCError} `invalid-argument`. */
export function toBucketMs(bucket: Duration, caller: string): number {
  const ms = toDurationMs(bucket, `${caller}: bucket`)
  if (ms > 0) return ms
  throw invalid(caller, 'bucket must be at least 1 ms')
}

export function toISO(timeMs: number): string {
  return new Date(timeMs).toISOString()
}

function parseISO(text: string): number {
  if (typeof text !== 'string' || !ISO_TIME.test(text)) return Number.NaN
  const date = text.slice(0, 10)
  // Date.parse takes the 30th of February for the 1st of March.
  const midnight = Date.parse(date)
  return !Number.isNaN(midnight) && toISO(midnight).startsWith(date) ? Date.parse(text) : Number.NaN
}

function parseDuration(text: string): number {
  const [, count = '', unit = ''] = (typeof text === 'string' && DURATION.exec(text)) || []
  return count === '' ? Number.NaN : Number(count) * MS_PER_UNIT[unit as keyof typeof MS_PER_UNIT]
}
