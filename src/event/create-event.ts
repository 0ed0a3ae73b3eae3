// From what a caller emits to what the outbox keeps: checked, sized and frozen as JSON in one step, so that
// nothing bad can reach a pipeline later, and nothing the caller does to its object afterwards can change it.

import type * as z from 'zod'
import { CDCError } from '../error.ts'
import { EVENT_BYTES_MAX } from './limits.ts'
import { type Attribution, type EventInput, type Operation, unifiedEventSchema } from './unified-event.ts'

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

const eventInputSchema = unifiedEventSchema
  .omit({ ns: true, lsn: true, txid: true, _meta: true })
  .partial({ id: true, type: true, timestamp: true })

/** What an event says by itself; the rest stands once in the row of its transaction. */
export type EventContent = z.infer<typeof eventInputSchema> & {
  id: string
  type: string
  /** LSN under which the event was refused before it was sent again under this one. */
  redrivenFrom?: number
}

const utf8 = new TextEncoder()

/**
 * Checks what was emitted and encodes it.
 *
 * @param attribution fields for an event that does not have them itself.
 * @throws {CDCError} `event-invalid` where a field is wrong, `event-too-large` beyond `EVENT_BYTES_MAX`.
 */
export function encodeEvent(input: EventInput, createId: () => string, attribution: Attribution = {}): EncodedEvent {
  const content = createContent(input, createId, attribution)
  const json = JSON.stringify(content)
  const bytes = utf8.encode(json).byteLength
  if (bytes > EVENT_BYTES_MAX)
    throw new CDCError(
      'event-too-large',
      `emit: event is ${megabytes(bytes)}, the limit is ${megabytes(EVENT_BYTES_MAX)}; put the body in R2 and emit its key`,
    )
  return { id: content.id, json, bytes }
}

function createContent(input: EventInput, createId: () => string, attribution: Attribution): EventContent {
  if (typeof input !== 'object' || input === null) throw invalid('an event must be an object')
  const given = Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined))
  const parsed = eventInputSchema.safeParse({ ...attribution, ...given })
  if (!parsed.success) throw invalid(parsed.error.issues.map(describeIssue).join('; '), parsed.error)
  const { id = createId(), type = typeOf(parsed.data.op), ...rest } = parsed.data
  return { id, type, ...rest }
}

function typeOf(op: Operation | undefined): string {
  if (op === undefined) throw invalid('an event needs a type or an op')
  return TYPE_OF_OP[op]
}

function describeIssue(issue: z.core.$ZodIssue): string {
  if (issue.code === 'unrecognized_keys')
    return `unknown field ${issue.keys.join(', ')}; custom fields belong in data (ns, lsn, txid and _meta are the outbox's)`
  return `${issue.path.join('.') || 'event'}: ${issue.message}`
}

function invalid(problem: string, cause?: unknown): CDCError {
  return new CDCError('event-invalid', `emit: ${problem}`, { cause })
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 100_000) / 10} MB`
}
