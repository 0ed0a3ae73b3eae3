// What a point is: one value of one series at one time. It is checked here before it is stored.

import { CDCError } from '../../error.ts'
import { encodeJSON } from '../../event/json.ts'
import { EVENT_BYTES_MAX, NAME_LENGTH_MAX } from '../../event/limits.ts'
import { checkName, invalid } from '../checks.ts'
import { limits } from './limits.ts'
import { type Time, toTimeMs } from './time.ts'

/** One value of a series. */
export interface Point<T> {
  /** The series, and the `key` of the point's events. */
  readonly key: string
  readonly value: T
  /** Milliseconds since 1970. */
  readonly timestamp: number
}

/** A point to be stored. */
export interface PointInput<T> {
  readonly key: string
  readonly value: T
  /** Default: now. */
  readonly timestamp?: Time
}

/**
 * A number as itself, any other value as its JSON. A column of REAL affinity distinguishes them: every number becomes REAL, and
 * no other JSON looks like a number.
 */
export type StoredValue = number | string

export type StoredPoint = Point<StoredValue>

/** @throws {CDCError} `invalid-argument`, or `event-too-large` for a value that no event can hold. */
export function toStored({ key, value, timestamp }: Required<PointInput<unknown>>, caller: string): StoredPoint {
  return {
    key: checkKey(key, caller),
    value: storedValue(value, caller),
    timestamp: toTimeMs(timestamp, `${caller}: timestamp`),
  }
}

/** @throws {CDCError} `invalid-argument`. */
export function checkKey(key: string, caller: string): string {
  checkName(key, NAME_LENGTH_MAX, `${caller}: key`)
  return key
}

export function toPoint<T>({ key, value, timestamp }: StoredPoint): Point<T> {
  return { key, value: (typeof value === 'number' ? value : JSON.parse(value)) as T, timestamp }
}

/** The point as an event holds it. A stored value is JSON already, whether a number or a text. */
export function pointJSON({ timestamp, value }: Omit<StoredPoint, 'key'>): string {
  return `{"timestamp":${timestamp},"value":${value}}`
}

function storedValue(value: unknown, caller: string): StoredValue {
  if (typeof value === 'number') {
    if (Math.abs(value) <= limits.magnitude) return value
    throw invalid(caller, `a number must be between ±${limits.magnitude}, not ${value}`)
  }
  // One level deep, as it lies inside the `after` of its event.
  const json = encodeJSON(value, (problem) => invalid(caller, problem), 'value', 1)
  if (json.length <= EVENT_BYTES_MAX) return json
  throw new CDCError(
    'event-too-large',
    `${caller}: the value is ${json.length} characters, the limit of an event is ${EVENT_BYTES_MAX} bytes; put it into R2 and ` +
      'store its key',
  )
}
