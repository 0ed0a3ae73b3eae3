// The flat record that goes over the wire: the column names of the stream, snake_case, with the event's
// identity (source, epoch, lsn) at the top level, where SQL can reach it.

import * as z from 'zod'
import { eventFields } from './unified-event.ts'

/** What a pipeline receives for each event. Fields that an event does not have are left out. */
export const eventRecordSchema = z.object({
  id: eventFields.id,
  type: eventFields.type,
  timestamp: eventFields.timestamp,
  ns: eventFields.ns,
  source: eventFields.source,
  epoch: eventFields.epoch,
  lsn: eventFields.lsn,
  txid: eventFields.txid,
  correlation_id: eventFields.correlationId.exactOptional(),
  op: eventFields.op.exactOptional(),
  store: eventFields.store.exactOptional(),
  table: eventFields.table.exactOptional(),
  key: eventFields.key.exactOptional(),
  before: eventFields.before.exactOptional(),
  after: eventFields.after.exactOptional(),
  actor: eventFields.actor.exactOptional(),
  data: eventFields.data.exactOptional(),
  visibility: eventFields.visibility.exactOptional(),
  // Loose, because what is added to events later is added here, and an older receiver must take a newer record.
  _meta: z.looseObject({
    schemaVersion: eventFields.schemaVersion,
    source: eventFields.source,
    epoch: eventFields.epoch,
    retries: eventFields.retries.exactOptional(),
  }),
})
export type EventRecord = z.infer<typeof eventRecordSchema>
