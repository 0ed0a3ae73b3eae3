// What a point is: one value of one series at one time, checked on its way in.

import { CDCError } from '../../error.ts'
import { isCleanText, jsonProblem } from '../../event/json.ts'
import { EVENT_BYTES_MAX, NAME_LENGTH_MAX } from '../../event/limits.ts'
import { type Time, toTimeMs } from './time.ts'

/** One value of a series. */
export interface Point<T> {
  /** The series, and the `key` of the point's events. */
  readonly key: string
  readonly value: T
  /** Milliseconds since 1970. */
  readonly timestamp: number
}

/** A point as it is given. */
export interface PointInput<T> {
  readonly key: string
  readonly value: T
  /** Default: now. */
  readonly timestamp?: Time
}

/**
 * A number as itself, any other value as its JSON. In a column of REAL affinity the two stay apart: every number becomes
 * REAL, and no JSON but a number's own looks like one.
 */
export type StoredValue = number | string

export type StoredPoint = Point<StoredValue>

/** Magnitude of a number. Below it no sum of points leaves the range of a double. */
export const VALUE_MAX = 1e290

/** @throws {CDCError} `invalid-argument`, or `event-too-large` for a value that fits no event. */
export function toStored({ key, value, timestamp }: Required<PointInput<unknown>>, where: string): StoredPoint {
  return {
    key: checkKey(key, where),
    value: storedValue(value, where),
    timestamp: toTimeMs(timestamp, `${where}: timestamp`),
  }
}

/** @throws {CDCError} `invalid-argument`, beginning with `where`. */
export function checkKey(key: string, where: string): string {
  if (typeof key === 'string' && key !== '' && key.length <= NAME_LENGTH_MAX && isCleanText(key)) return key
  throw new CDCError(
    'invalid-argument',
    `${where}: key must be text of 1 to ${NAME_LENGTH_MAX} characters, without NUL and half surrogate pairs`,
  )
}

export function toPoint<T>({ key, value, timestamp }: StoredPoint): Point<T> {
  return { key, value: (typeof value === 'number' ? value : JSON.parse(value)) as T, timestamp }
}

/** The point as an event carries it. A stored value is JSON already, whichever of the two it is. */
export function pointJSON({ timestamp, value }: Omit<StoredPoint, 'key'>): string {
  return `{"timestamp":${timestamp},"value":${value}}`
}

function storedValue(value: unknown, where: string): StoredValue {
  if (typeof value === 'number') {
    if (Math.abs(value) <= VALUE_MAX) return value
    throw new CDCError('invalid-argument', `${where}: a number must be between ±${VALUE_MAX}, not ${value}`)
  }
  // One level deep, as it lies inside the `after` of its event.
  const problem = jsonProblem(value, 'value', 1)
  if (problem !== undefined) throw new CDCError('invalid-argument', `${where}: ${problem}`)
  const json = JSON.stringify(value)
  if (json.length <= EVENT_BYTES_MAX) return json
  throw new CDCError(
    'event-too-large',
    `${where}: the value is ${json.length} characters, an event's limit is ${EVENT_BYTES_MAX} bytes; put it in R2 and store its key`,
  )
}
