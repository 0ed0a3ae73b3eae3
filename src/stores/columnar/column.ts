// What a column holds: values of one type, and nulls. They are stored as JSON, so each type defines which values it accepts
// and how it encodes them; a value that would come back as another one is refused.

import { isCleanText, jsonProblem } from '../../event/json.ts'
import { describe } from '../checks.ts'

/**
 * - `number`: any finite number.
 * - `integer`: whole numbers between -2^53 and 2^53.
 * - `timestamp`: a `Date`, or ISO 8601 text in UTC with at most milliseconds; it comes back as a `Date`.
 * - `json`: objects, arrays and everything else that JSON can hold.
 */
export type ColumnType = 'number' | 'integer' | 'string' | 'boolean' | 'timestamp' | 'json'

export interface Column {
  readonly name: string
  readonly type: ColumnType
  /** The SQL column that holds it, `c0`, `c1` …: names of columns never become SQL. */
  readonly id: string
  /** Its index in the statistics of a chunk. */
  readonly position: number
  /** Its name as JSON. */
  readonly key: string
}

/** The columns of a store by name, in the order in which they were first seen. */
export type Columns = ReadonlyMap<string, Column>

/** A value as it is stored. */
export type Encoded = string | number | boolean | object | null

/** Levels of an event above a value: `after`, `columns`, and the array of the column. */
const LEVELS_ABOVE = 3

/** Encode a value; they return nothing if the type does not accept it. */
export const encoders: Readonly<Record<ColumnType, (value: unknown) => Encoded | undefined>> = {
  number: (value) => (typeof value === 'number' && Number.isFinite(value) ? value : undefined),
  integer: (value) => (typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined),
  string: (value) => (typeof value === 'string' && isCleanText(value) ? value : undefined),
  boolean: (value) => (typeof value === 'boolean' ? value : undefined),
  timestamp: encodeTimestamp,
  json: (value) => (jsonProblem(value, '', LEVELS_ABOVE) === undefined ? (value as Encoded) : undefined),
}

const ACCEPTED: Readonly<Record<ColumnType, string>> = {
  number: 'a finite number',
  integer: 'a whole number between -2^53 and 2^53',
  string: 'a string without a NUL or half a surrogate pair',
  boolean: 'true or false',
  timestamp: 'a Date of the years 0 to 9999, or ISO 8601 in UTC with at most milliseconds',
  json: 'plain JSON',
}

/** Why a type does not accept a value, as the end of a sentence that begins with the name of the column. */
export function mismatch(type: ColumnType, value: unknown): string {
  const problem = type === 'json' ? jsonProblem(value, '', LEVELS_ABOVE) : undefined
  return `must be ${ACCEPTED[type]}, not ${describe(value)}${problem === undefined ? '' : ` (${problem})`}`
}

/** The type of a column whose first value this is; nothing if no type accepts it. */
export function typeOfValue(value: unknown): ColumnType | undefined {
  const type = typeof value
  if (type === 'number' || type === 'string' || type === 'boolean') return type
  if (type !== 'object') return undefined
  return value instanceof Date ? 'timestamp' : 'json'
}

/** Decodes a value that comes from JSON, or from SQLite, where true is 1. */
export function decode(type: ColumnType, stored: unknown): unknown {
  if (type === 'timestamp' && typeof stored === 'string') return new Date(stored)
  return type === 'boolean' && stored !== null ? Boolean(stored) : stored
}

function encodeTimestamp(value: unknown): string | undefined {
  const time = value instanceof Date ? value : typeof value === 'string' ? parseTime(value) : undefined
  if (time === undefined || Number.isNaN(time.getTime())) return undefined
  const text = time.toISOString()
  // Beyond the year 9999 texts begin with a sign, and their order is no longer that of the times.
  return /^\d/.test(text) ? text : undefined
}

/** Nothing for text that would come back as another time: with a finer fraction, or of a day that does not exist. */
function parseTime(text: string): Date | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?Z$/.test(text)) return undefined
  const time = new Date(text)
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(text.slice(0, 10)) ? time : undefined
}
