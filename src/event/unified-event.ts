// What an event is: one format for changes and for domain events. The interface is that of the project's first document,
// field for field; what this library adds is in `_meta`.

import { Fields } from './fields.ts'
import { jsonObject, name, oneOf, optional, timestamp, traceparent, ulid, whole } from './kinds.ts'

/** The version of this format, sent as `_meta.schemaVersion`. */
export const SCHEMA_VERSION = 1

const STORES = ['document', 'graph', 'relational', 'columnar', 'timeseries', 'vector'] as const
/** Which kind of store a change came from. */
export type StoreType = (typeof STORES)[number]
export const storeType = oneOf(STORES)

export const OPERATIONS = ['c', 'u', 'd', 'r'] as const
/** What a change did: create, update, delete, or read (a row as a snapshot or a rollup found it). */
export type Operation = (typeof OPERATIONS)[number]

const VISIBILITIES = ['user', 'team', 'public'] as const

/** The one format for every change and every domain event. */
export interface UnifiedEvent {
  /** A ULID: the event's idempotency key. */
  id: string
  /** Such as `Customer.created`, or `cdc.insert` for a change. */
  type: string
  /** ISO 8601, UTC. */
  timestamp: string
  /** The tenant that the event belongs to. */
  ns: string
  /** The request that led to it. */
  correlationId?: string

  op?: Operation
  store?: StoreType
  table?: string
  key?: string
  before?: Record<string, unknown>
  after?: Record<string, unknown>
  /** The ULID of the transaction that committed it. */
  txid?: string
  /** The log sequence number: its place in the outbox's log. */
  lsn?: number

  /** Who did it, such as `User/alice`. */
  actor?: string
  data?: Record<string, unknown>
  visibility?: (typeof VISIBILITIES)[number]

  _meta?: {
    schemaVersion: number
    /** What the event comes from, such as `DO/customers`. */
    source: string
    retries?: number
  }
}

type EventMeta = NonNullable<UnifiedEvent['_meta']>

/** An event as the outbox returns it: complete, and named for ever by (source, epoch, lsn). */
export interface CommittedEvent extends UnifiedEvent {
  txid: string
  lsn: number
  _meta: EventMeta & { epoch: string; redrivenFrom?: number; dataVersion?: number; traceparent?: string }
}

/** What every form of an event has in common. */
type Content = Omit<UnifiedEvent, 'id' | 'type' | 'timestamp' | 'ns' | 'lsn' | 'txid' | '_meta'>

/** What `emit` takes, except that a type or an op is required. */
export type GivenEvent = Content & Partial<Pick<UnifiedEvent, 'id' | 'type' | 'timestamp'>> & Traced

/** The trace that an event belongs to. It lands in `_meta.traceparent`. */
interface Traced {
  /** W3C's: `00-<32 hexadecimal digits>-<16>-<2>` (w3.org/TR/trace-context, section 3.2). */
  traceparent?: string
}

/**
 * What `emit` takes: an event without the fields that the outbox fills in (`ns`, `lsn`, `txid`, `_meta`).
 *
 * It needs a `type` or an `op`; the type of an `op` alone is `cdc.insert`, `cdc.update`, `cdc.delete` or `cdc.read`.
 * `id` and `timestamp` are for events that have them already, such as imported ones.
 */
export type EventInput = GivenEvent & ({ type: string } | { op: Operation })

/** Who acts, for which request, and in which trace: the defaults of these fields for all events of a block. */
export type Attribution = Partial<Pick<UnifiedEvent, 'actor' | 'correlationId'>> & Traced

const content = {
  correlationId: optional(name),
  op: optional(oneOf(OPERATIONS)),
  store: optional(storeType),
  table: optional(name),
  key: optional(name),
  before: optional(jsonObject),
  after: optional(jsonObject),
  actor: optional(name),
  data: optional(jsonObject),
  visibility: optional(oneOf(VISIBILITIES)),
}

export const givenEventFields = new Fields<GivenEvent>(
  {
    id: optional(ulid),
    type: optional(name),
    timestamp: optional(timestamp),
    ...content,
    traceparent: optional(traceparent),
  },
  { others: 'is not a field of an event; put your own fields into data (the outbox sets ns, lsn, txid and _meta)' },
)

const others = 'is not a field of an event'
export const unifiedEventFields = new Fields<UnifiedEvent>(
  {
    id: ulid,
    type: name,
    timestamp,
    ns: name,
    ...content,
    txid: optional(name),
    lsn: optional(whole()),
    _meta: optional(
      new Fields<EventMeta>(
        { schemaVersion: whole(), source: name, retries: optional(whole({ from: 0 })) },
        { others },
      ),
    ),
  },
  { others },
)
