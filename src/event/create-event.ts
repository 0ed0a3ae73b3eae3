// From what a caller emits to what the outbox keeps: checked, sized and frozen as JSON in one step. So nothing bad can reach
// a pipeline later, and nothing that the caller does to its object afterwards can change the event.

import { CDCError } from '../error.ts'
import { refusal } from '../problem.ts'
import { isPlainText } from './json.ts'
import type { EventTypes } from './event-types.ts'
import { name } from './kinds.ts'
import { EVENT_BYTES_MAX } from './limits.ts'
import {
  type Attribution,
  type EventInput,
  type GivenEvent,
  givenEventFields,
  type Operation,
} from './unified-event.ts'
import { utf8Bytes } from './utf8.ts'

/** An event's content as it is kept: JSON text and its length in UTF-8 bytes. */
export interface EncodedEvent {
  readonly id: string
  readonly json: string
  readonly bytes: number
}

const TYPE_OF_OP: Readonly<Record<Operation, string>> = {
  c: 'cdc.insert',
  u: 'cdc.update',
  d: 'cdc.delete',
  r: 'cdc.read',
}

/** What is kept for each event; the rest is kept once, in the row of its transaction. */
export type EventContent = GivenEvent & {
  id: string
  type: string
  /** LSN under which the event was refused before it was sent again under this one. */
  redrivenFrom?: number
  /** Which version of its type its data has, if that is not the first. */
  dataVersion?: number
  /** Of the record of a dead letter: the event in whose place it is. Subscriptions deliver that one. */
  refused?: EventContent
}

/** What the types of this library's own events begin with. */
const OWN_TYPES = 'cdc.'

const ATTRIBUTION_FIELDS = ['actor', 'correlationId', 'traceparent'] as const satisfies (keyof Attribution)[]

/**
 * Checks what was emitted and encodes it.
 *
 * @param attribution fields for an event that does not have them itself.
 * @param types what the data of each type must be, if that is known.
 * @throws {CDCError} `event-invalid` if a field is wrong, `event-too-large` above `EVENT_BYTES_MAX`.
 */
export function encodeEvent(
  input: EventInput,
  createId: () => string,
  attribution: Attribution = {},
  types?: EventTypes,
): EncodedEvent {
  const type: unknown = Object(input).type
  if (types === undefined || typeof type !== 'string' || type.startsWith(OWN_TYPES))
    return encode(input, createId, attribution)
  const { data, version } = types.check(type, input.data)
  return encode({ ...input, data }, createId, attribution, version)
}

function encode(input: EventInput, createId: () => string, attribution: Attribution, dataVersion = 1): EncodedEvent {
  checkFields(input, true)
  checkFields(attribution, true)
  // An object of a class may have a toJSON, which would change what was checked.
  const given: GivenEvent = Object.getPrototypeOf(input) === Object.prototype ? input : { ...input }
  const { id = createId(), type = typeOf(given.op) } = given
  // The event becomes text as it is, and what it lacks is put in front: a copy would cost as much as the text.
  let added = ''
  if (given.id === undefined) added += `"id":"${id}",`
  if (given.type === undefined) added += `"type":"${type}",`
  if (dataVersion > 1) added += `"dataVersion":${dataVersion},`
  const attributed = attributedFields(attribution, given)
  const text = JSON.stringify(given)
  if (!isPlainText(text)) checkFields(input)
  if (!isPlainText(attributed)) checkFields(attribution)
  // Counted part by part: to read a joined string, the runtime has to copy it first.
  const bytes = checkedBytes(added.length + utf8Bytes(attributed) + utf8Bytes(text))
  return { id, json: `{${added}${attributed}${text.slice(1)}`, bytes }
}

/** A change whose rows are JSON text already: stores keep a row as this text, and have checked it. */
export interface StoreChange extends Required<Pick<EventInput, 'op' | 'store' | 'table' | 'key'>> {
  readonly before?: string | undefined
  readonly after?: string | undefined
  readonly data?: string | undefined
}

/** Encodes what a store did. The JSON of rows is taken as it is. @throws {CDCError} like `encodeEvent`. */
export function encodeChange(change: StoreChange, createId: () => string, attribution: Attribution): EncodedEvent {
  const id = createId()
  const names = namesOf(change)
  const key = JSON.stringify(change.key)
  const attributed = checkedAttribution(attribution)
  let bytes = names.bytes + id.length + utf8Bytes(key) + utf8Bytes(attributed)
  let isGood = name.problem(change.key, true) === undefined && isPlainText(key)
  let json = `${names.json}${attributed}"id":"${id}","key":${key}`
  for (const field of ROW_FIELDS) {
    const row = change[field]
    if (row === undefined) continue
    json += `,"${field}":${row}`
    bytes += utf8Bytes(row) + field.length
    isGood &&= isPlainText(row)
  }
  json += '}'
  if (!isGood) checkFields(JSON.parse(json))
  return { id, json, bytes: checkedBytes(bytes) }
}

/** An attribution as JSON that comes before other fields. @throws {CDCError} `event-invalid`. */
export function checkedAttribution(attribution: Attribution): string {
  checkFields(attribution, true)
  const fields = attributedFields(attribution)
  if (!isPlainText(fields)) checkFields(attribution)
  return fields
}

/** The same, unchecked, without the fields that an event has itself. */
function attributedFields(attribution: Attribution, event: Attribution = {}): string {
  let fields = ''
  for (const field of ATTRIBUTION_FIELDS)
    if (attribution[field] !== undefined && event[field] === undefined)
      fields += `"${field}":${JSON.stringify(attribution[field])},`
  return fields
}

const ROW_FIELDS = ['before', 'after', 'data'] as const
/** Bytes of the punctuation between an event's fields, at most. */
const PUNCTUATION_BYTES = 64

/** The beginning of the JSON of a table's events, which is the same for all of them: made once for each table. */
const knownNames = new Map<string, TableNames>()
const KNOWN_NAMES_MAX = 1_000

interface TableNames {
  readonly json: string
  readonly bytes: number
}

/** @throws {CDCError} `event-invalid`. */
function namesOf({ op, store, table }: StoreChange): TableNames {
  const prefix = op + store + table
  const known = knownNames.get(prefix)
  if (known !== undefined) return known
  checkFields({ op, store, table })
  const json = `${JSON.stringify({ type: TYPE_OF_OP[op], op, store, table }).slice(0, -1)},`
  const names = { json, bytes: utf8Bytes(json) + PUNCTUATION_BYTES }
  if (knownNames.size < KNOWN_NAMES_MAX) knownNames.set(prefix, names)
  return names
}

/**
 * Reading every string costs more than all other checks. So an event is checked without that first, and with it only if its
 * JSON shows that a string may be bad.
 *
 * @throws {CDCError} `event-invalid`
 */
function checkFields(input: unknown, isPlain = false): void {
  const problems = givenEventFields.problems(input, isPlain)
  if (problems.length > 0) throw refusal('event-invalid', 'emit', problems)
}

function checkedBytes(bytes: number): number {
  if (bytes <= EVENT_BYTES_MAX) return bytes
  throw new CDCError(
    'event-too-large',
    `emit: event is ${megabytes(bytes)}, the limit is ${megabytes(EVENT_BYTES_MAX)}; put the body in R2 and emit its key`,
  )
}

function typeOf(op: Operation | undefined): string {
  if (op === undefined) throw new CDCError('event-invalid', 'emit: an event needs a type or an op')
  return TYPE_OF_OP[op]
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 100_000) / 10} MB`
}
