// The flat record that goes over the wire: the column names of the stream, snake_case, with the event's
// identity (source, epoch, lsn) at the top level, where SQL can reach it. An event that went through no outbox has no
// place in a log, and only its `id` for an identity.

import * as z from 'zod'
import { eventFields, nameSchema, type UnifiedEvent } from './unified-event.ts'

const fields = z.object({
  id: eventFields.id,
  type: eventFields.type,
  timestamp: eventFields.timestamp,
  ns: eventFields.ns,
  source: eventFields.source,
  epoch: eventFields.epoch.exactOptional(),
  lsn: eventFields.lsn.exactOptional(),
  txid: eventFields.txid.exactOptional(),
  correlation_id: eventFields.correlationId.exactOptional(),
  // Any name, like `visibility`: a newer sender may know more of them than an older receiver.
  op: nameSchema.exactOptional(),
  store: nameSchema.exactOptional(),
  table: eventFields.table.exactOptional(),
  key: eventFields.key.exactOptional(),
  before: eventFields.before.exactOptional(),
  after: eventFields.after.exactOptional(),
  actor: eventFields.actor.exactOptional(),
  data: eventFields.data.exactOptional(),
  visibility: nameSchema.exactOptional(),
  // Loose, because what is added to events later is added here, and an older receiver must take a newer record.
  _meta: z.looseObject({
    schemaVersion: eventFields.schemaVersion,
    source: eventFields.source,
    epoch: eventFields.epoch.exactOptional(),
    retries: eventFields.retries.exactOptional(),
  }),
})

/** What a pipeline receives for each event. Fields that an event does not have are left out. */
export const eventRecordSchema = fields.refine(
  ({ epoch, lsn, txid }) =>
    (epoch === undefined) === (lsn === undefined) && (lsn === undefined) === (txid === undefined),
  { path: ['lsn'], error: 'stands with epoch and txid, as an outbox gives them, or none of the three is there' },
)
export type EventRecord = z.infer<typeof eventRecordSchema>

/** A record of an event that an outbox committed: (source, epoch, lsn) names it for ever. */
export type CommittedRecord = EventRecord & Required<Pick<EventRecord, 'epoch' | 'lsn' | 'txid'>>

/** An event that says what it comes from, in the form in which it travels. */
export function toRecord({ correlationId, _meta, ...event }: UnifiedEvent & Pick<EventRecord, '_meta'>): EventRecord {
  return {
    ...event,
    source: _meta.source,
    ...(_meta.epoch !== undefined && { epoch: _meta.epoch }),
    ...(correlationId !== undefined && { correlation_id: correlationId }),
    _meta,
  }
}

/** Whether a record has a place in a log. */
export function isCommitted(record: EventRecord): record is CommittedRecord {
  return record.lsn !== undefined
}
