// What an event is: one format for changes and for domain events. The interface is the project's first
// document's, field for field; what this library adds lives in `_meta`.

import { fieldsOf } from './fields.ts'
import { jsonObject, name, oneOf, optional, timestamp, ulid, whole } from './kinds.ts'

/** Version of the event's shape, sent as `_meta.schemaVersion`. */
export const SCHEMA_VERSION = 1

const STORES = ['document', 'graph', 'relational', 'columnar', 'timeseries', 'vector'] as const
/** Which kind of store a change came from. */
export type StoreType = (typeof STORES)[number]
export const storeType = oneOf(STORES)

const OPERATIONS = ['c', 'u', 'd', 'r'] as const
/** What a change did: create, update, delete, or read (a row as a snapshot or a rollup saw it). */
export type Operation = (typeof OPERATIONS)[number]

const VISIBILITIES = ['user', 'team', 'public'] as const

/** The one format for every change and every domain event. */
export interface UnifiedEvent {
  /** A ULID, by which the event is known as the same one wherever it arrives. */
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
  /** The transaction that the event was committed in. */
  txid?: string
  /** The event's place in its outbox. */
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

/** An event as the outbox gives it out: everything is known, and (source, epoch, lsn) names it for ever. */
export interface CommittedEvent extends UnifiedEvent {
  txid: string
  lsn: number
  _meta: EventMeta & { epoch: string; redrivenFrom?: number }
}

/** What an event can say by itself, in whatever form it is. */
type Content = Omit<UnifiedEvent, 'id' | 'type' | 'timestamp' | 'ns' | 'lsn' | 'txid' | '_meta'>

/** What may be given to `emit`: an event without what the outbox knows better. */
export type GivenEvent = Content & Partial<Pick<UnifiedEvent, 'id' | 'type' | 'timestamp'>>

/**
 * What one gives to `emit`: an event without what the outbox knows better (`ns`, `lsn`, `txid`, `_meta`).
 *
 * Either `type` or `op` must be there; `op` alone becomes `cdc.insert`, `cdc.update`, `cdc.delete` or `cdc.read`.
 * `id` and `timestamp` are for events that have them already, such as imported ones.
 */
export type EventInput = GivenEvent & ({ type: string } | { op: Operation })

/** Who does what is done, and for which request: fields that all events of a block have unless they have their own. */
export type Attribution = Partial<Pick<UnifiedEvent, 'actor' | 'correlationId'>>

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

export const givenEventFields = fieldsOf<GivenEvent>(
  { id: optional(ulid), type: optional(name), timestamp: optional(timestamp), ...content },
  { others: "is not a field of an event; put it into data (ns, lsn, txid and _meta are the outbox's)" },
)

const others = 'is not a field of an event'
export const unifiedEventFields = fieldsOf<UnifiedEvent>(
  {
    id: ulid,
    type: name,
    timestamp,
    ns: name,
    ...content,
    txid: optional(name),
    lsn: optional(whole()),
    _meta: optional(
      fieldsOf<EventMeta>({ schemaVersion: whole(), source: name, retries: optional(whole({ from: 0 })) }, { others }),
    ),
  },
  { others },
)
