// From what a caller emits to what the outbox keeps: checked, sized and frozen as JSON in one step, so that
// nothing bad can reach a pipeline later, and nothing the caller does to its object afterwards can change it.

import { z } from 'zod'
import { CDCError } from '../error.ts'
import { EVENT_BYTES_MAX } from './limits.ts'
import { type EventInput, type Operation, unifiedEventSchema } from './unified-event.ts'

/** What every event of an outbox says by itself; the rest stands once in the row of its transaction. */
export type EventContent = z.infer<typeof eventContentSchema>

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

const eventContentSchema = unifiedEventSchema
  .omit({ ns: true, lsn: true, txid: true, _meta: true })
  .partial({ timestamp: true })

const utf8 = new TextEncoder()

/**
 * Checks what was emitted and encodes it.
 *
 * @throws {CDCError} `event-invalid` where a field is wrong, `event-too-large` beyond `EVENT_BYTES_MAX`.
 */
export function encodeEvent(input: EventInput, createId: () => string): EncodedEvent {
  const content = parseContent(withDefaults(input, createId))
  const json = JSON.stringify(content)
  const bytes = utf8.encode(json).byteLength
  if (bytes > EVENT_BYTES_MAX)
    throw new CDCError(
      'event-too-large',
      `emit: event is ${megabytes(bytes)}, the limit is ${megabytes(EVENT_BYTES_MAX)}; put the body in R2 and emit its key`,
    )
  return { id: content.id, json, bytes }
}

function withDefaults(input: EventInput, createId: () => string): Record<string, unknown> {
  if (typeof input !== 'object' || input === null) throw invalid('an event must be an object')
  const given: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(input)) if (value !== undefined) given[field] = value
  if (given['type'] === undefined && given['op'] === undefined) throw invalid('an event needs a type or an op')
  return { id: createId(), type: input.op === undefined ? undefined : TYPE_OF_OP[input.op], ...given }
}

function parseContent(candidate: Record<string, unknown>): EventContent {
  const parsed = eventContentSchema.safeParse(candidate)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw invalid(issue === undefined ? 'is not an event' : describeIssue(issue), parsed.error)
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
