// What an event is: one format for changes and for domain events. The interface is the project's first
// document's, field for field; what this library adds lives in `_meta`.

import * as z from 'zod'
import { isCleanText, jsonProblem } from './json.ts'
import { NAME_LENGTH_MAX } from './limits.ts'

/** Version of the event's shape, sent as `_meta.schemaVersion`. */
export const SCHEMA_VERSION = 1

const storeTypeSchema = z.enum(['document', 'graph', 'relational', 'columnar', 'timeseries', 'vector'])
/** Which kind of store a change came from. */
export type StoreType = z.infer<typeof storeTypeSchema>

const opSchema = z.enum(['c', 'u', 'd', 'r'])
/** What a change did: create, update, delete, or read (a row as a snapshot or a rollup saw it). */
export type Operation = z.infer<typeof opSchema>

/** A name of anything: what is not empty, not too long, and the same in every store. */
export const nameSchema = z
  .string()
  .min(1)
  .max(NAME_LENGTH_MAX)
  .refine(isCleanText, { error: 'holds a NUL or half a surrogate pair' })

const jsonObjectSchema = z.custom<Record<string, unknown>>().check((ctx) => {
  const isObject = typeof ctx.value === 'object' && ctx.value !== null && !Array.isArray(ctx.value)
  const problem = isObject ? jsonProblem(ctx.value) : 'must be an object'
  if (problem !== undefined) ctx.issues.push({ code: 'custom', message: problem, input: ctx.value })
})

/** ISO 8601 in UTC with at most microseconds: what the table's timestamp keeps without rounding. */
export const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/

const timestampSchema = z
  .string()
  .regex(TIMESTAMP, { error: 'must be ISO 8601 in UTC, ending in Z' })
  .refine((text) => !Number.isNaN(Date.parse(text)), { error: 'is not a time' })

/** Each field's own schema, shared by every form that an event takes: as emitted, as committed, on the wire. */
export const eventFields = {
  id: z.ulid(),
  type: nameSchema,
  timestamp: timestampSchema,
  ns: nameSchema,
  correlationId: nameSchema,
  op: opSchema,
  store: storeTypeSchema,
  table: nameSchema,
  key: nameSchema,
  before: jsonObjectSchema,
  after: jsonObjectSchema,
  txid: nameSchema,
  lsn: z.int().positive(),
  actor: nameSchema,
  data: jsonObjectSchema,
  visibility: z.enum(['user', 'team', 'public']),
  source: nameSchema,
  epoch: z.ulid(),
  schemaVersion: z.int().positive(),
  retries: z.int().nonnegative(),
}

export const unifiedEventSchema = z.strictObject({
  id: eventFields.id,
  type: eventFields.type,
  timestamp: eventFields.timestamp,
  ns: eventFields.ns,
  correlationId: eventFields.correlationId.exactOptional(),

  op: eventFields.op.exactOptional(),
  store: eventFields.store.exactOptional(),
  table: eventFields.table.exactOptional(),
  key: eventFields.key.exactOptional(),
  before: eventFields.before.exactOptional(),
  after: eventFields.after.exactOptional(),
  txid: eventFields.txid.exactOptional(),
  lsn: eventFields.lsn.exactOptional(),

  actor: eventFields.actor.exactOptional(),
  data: eventFields.data.exactOptional(),
  visibility: eventFields.visibility.exactOptional(),

  _meta: z
    .strictObject({
      schemaVersion: eventFields.schemaVersion,
      source: eventFields.source,
      retries: eventFields.retries.exactOptional(),
    })
    .exactOptional(),
})

/** The one format for every change and every domain event. */
export type UnifiedEvent = z.infer<typeof unifiedEventSchema>

/** An event as the outbox gives it out: everything is known, and (source, epoch, lsn) names it for ever. */
export interface CommittedEvent extends UnifiedEvent {
  txid: string
  lsn: number
  _meta: NonNullable<UnifiedEvent['_meta']> & { epoch: string; redrivenFrom?: number }
}

/**
 * What one gives to `emit`: an event without what the outbox knows better (`ns`, `lsn`, `txid`, `_meta`).
 *
 * Either `type` or `op` must be there; `op` alone becomes `cdc.insert`, `cdc.update`, `cdc.delete` or `cdc.read`.
 * `id` and `timestamp` are for events that have them already, such as imported ones.
 */
export type EventInput = Partial<Omit<UnifiedEvent, 'ns' | 'lsn' | 'txid' | '_meta'>> &
  ({ type: string } | { op: Operation })

/** Who does what is done, and for which request: fields that all events of a block have unless they say otherwise. */
export type Attribution = Partial<Pick<UnifiedEvent, 'actor' | 'correlationId'>>
