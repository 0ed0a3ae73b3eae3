// The flat record on the wire: the column names of the stream, in snake_case, with the event's identity (source, epoch, lsn)
// at the top level, where SQL can reach it. An event that went through no outbox has no place in a log; its `id` alone
// identifies it.

import type { Problem } from '../problem.ts'
import { Fields } from './fields.ts'
import { jsonObject, name, optional, text, timestamp, ulid, whole } from './kinds.ts'
import { NAME_LENGTH_MAX } from './limits.ts'
import type { UnifiedEvent } from './unified-event.ts'

/** What a pipeline receives for each event. Fields that an event does not have are left out. */
export interface EventRecord {
  id: string
  type: string
  timestamp: string
  ns: string
  source: string
  epoch?: string
  lsn?: number
  txid?: string
  correlation_id?: string
  op?: string
  store?: string
  table?: string
  key?: string
  before?: Record<string, unknown>
  after?: Record<string, unknown>
  actor?: string
  data?: Record<string, unknown>
  visibility?: string
  _meta: RecordMeta
}

export interface RecordMeta {
  [other: string]: unknown
  schemaVersion: number
  source: string
  epoch?: string
  retries?: number
}

/** A record of an event that an outbox committed: (source, epoch, lsn) names it for ever. */
export type CommittedRecord = EventRecord & Required<Pick<EventRecord, 'epoch' | 'lsn' | 'txid'>>

export const recordFields = new Fields<EventRecord>(
  {
    id: ulid,
    type: name,
    timestamp,
    ns: name,
    source: name,
    epoch: optional(ulid),
    lsn: optional(whole()),
    txid: optional(name),
    correlation_id: optional(name),
    // Any name, like `visibility`: a newer sender may know more of them than an older receiver.
    op: optional(name),
    store: optional(name),
    table: optional(name),
    // Twice as long as an event's: the key of a captured row is measured in characters, which may be surrogate pairs.
    key: optional(text(2 * NAME_LENGTH_MAX)),
    before: optional(jsonObject),
    after: optional(jsonObject),
    actor: optional(name),
    data: optional(jsonObject),
    visibility: optional(name),
    // With any other fields: what is added to events later is added here, and an older receiver must accept a newer record.
    _meta: new Fields<RecordMeta>({
      schemaVersion: whole(),
      source: name,
      epoch: optional(ulid),
      retries: optional(whole({ from: 0 })),
    }),
  },
  { rule: placeProblem },
)

function placeProblem({ epoch, lsn, txid }: EventRecord): Problem | undefined {
  const given = [epoch, lsn, txid].filter((field) => field !== undefined).length
  if (given === 0 || given === 3) return undefined
  return {
    path: ['lsn'],
    message: 'comes together with epoch and txid, as an outbox gives them, or none of the three is given',
  }
}

/** An event whose source is known, in the form in which it travels. */
export function toRecord({ correlationId, _meta, ...event }: UnifiedEvent & Pick<EventRecord, '_meta'>): EventRecord {
  return {
    ...event,
    source: _meta.source,
    ...(_meta.epoch !== undefined && { epoch: _meta.epoch }),
    ...(correlationId !== undefined && { correlation_id: correlationId }),
    _meta,
  }
}

/**
 * The event of a record, in the form that all readers share: that of `outbox.list`. An event is returned as it is.
 *
 * A newer sender may give it an `op`, a `store` or a `visibility` that this version does not know.
 */
export function readEvent(received: UnifiedEvent | EventRecord): UnifiedEvent {
  if (!('source' in received)) return received
  const { source, epoch, correlation_id: correlationId, ...event } = received
  const _meta = { ...received._meta, source, ...(epoch !== undefined && { epoch }) }
  return { ...event, ...(correlationId !== undefined && { correlationId }), _meta } as UnifiedEvent
}

/** Whether a record has a place in a log. */
export function isCommitted(record: EventRecord): record is CommittedRecord {
  return record.lsn !== undefined
}
