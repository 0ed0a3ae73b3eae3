// What a column holds: one type of values, and nulls. Values are kept as JSON, so each type says what it accepts and as
// what JSON it keeps it; what would come back as something else is refused.

import { isCleanText, jsonProblem } from '../../event/json.ts'

/**
 * - `number`: any finite number.
 * - `integer`: whole numbers between -2^53 and 2^53.
 * - `timestamp`: a `Date`, or ISO 8601 text in UTC with at most milliseconds; it comes back as a `Date`.
 * - `json`: objects, arrays and whatever else JSON can carry.
 */
export type ColumnType = 'number' | 'integer' | 'string' | 'boolean' | 'timestamp' | 'json'

export interface Column {
  readonly name: string
  readonly type: ColumnType
  /** The SQL column that holds it, `c0`, `c1` …: names of columns never become SQL. */
  readonly id: string
  /** Where its statistics stand in those of a chunk. */
  readonly position: number
  /** Its name as JSON. */
  readonly key: string
}

/** The columns of a store by name, in the order in which they were first seen. */
export type Columns = ReadonlyMap<string, Column>

/** A value as it is kept. */
export type Encoded = string | number | boolean | object | null

/** Levels of an event above a value: `after`, `columns`, and the array of the column. */
const LEVELS_ABOVE = 3

/** What is kept of a value, or nothing where the type doesn't accept it. */
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

/** Why a type doesn't accept a value, as the end of a sentence that begins with the name of the column. */
export function refusal(type: ColumnType, value: unknown): string {
  const problem = type === 'json' ? jsonProblem(value, '', LEVELS_ABOVE) : undefined
  return `must be ${ACCEPTED[type]}, not ${describe(value)}${problem === undefined ? '' : ` (${problem})`}`
}

/** The type of a column of which this is the first value. Nothing where it can't be kept. */
export function typeOfValue(value: unknown): ColumnType | undefined {
  const type = typeof value
  if (type === 'number' || type === 'string' || type === 'boolean') return type
  if (type !== 'object') return undefined
  return value instanceof Date ? 'timestamp' : 'json'
}

/** What was given, from what was kept of it: as JSON, or as SQLite gives it out, where true is 1. */
export function decode(type: ColumnType, kept: unknown): unknown {
  if (type === 'timestamp' && typeof kept === 'string') return new Date(kept)
  return type === 'boolean' && kept !== null ? Boolean(kept) : kept
}

function encodeTimestamp(value: unknown): string | undefined {
  const time = value instanceof Date ? value : typeof value === 'string' ? parseTime(value) : undefined
  if (time === undefined || Number.isNaN(time.getTime())) return undefined
  const text = time.toISOString()
  // Beyond the year 9999 there is a sign, and the order of the texts is not that of the times any more.
  return /^\d/.test(text) ? text : undefined
}

/** Nothing for text that would come back as another time: a finer one, or one of a day that doesn't exist. */
function parseTime(text: string): Date | undefined {
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,3})?)?Z$/.test(text)) return undefined
  const time = new Date(text)
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(text.slice(0, 10)) ? time : undefined
}

function describe(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
  if (typeof value !== 'object' || value === null) return `a ${typeof value}`
  return Array.isArray(value) ? 'an array' : `a ${value.constructor?.name ?? 'plain object'}`
}
