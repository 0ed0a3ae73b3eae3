// The core: classes, errors, events and options. Stores' queries and options are in durable-outbox/stores.

export { CDCDurableObject, type CDCState } from './durable-object/cdc-durable-object.ts'
export { ExactlyOnceContext } from './durable-object/exactly-once-context.ts'
export type { CDCOptions } from './durable-object/options.ts'
export type { AlarmHandler, Alarms, NamedAlarmInfo } from './durable-object/alarms.ts'
export type { Transaction } from './transaction/transaction.ts'
export type { SyncResult, Transactions } from './transaction/transactions.ts'
export { sql } from 'drizzle-orm'
export { CDCError, type CDCErrorCode } from './error.ts'

export {
  type Attribution,
  type CommittedEvent,
  type EventInput,
  type Operation,
  type StoreType,
  type UnifiedEvent,
} from './event/unified-event.ts'
export { defineEvents, type DefinedEvents } from './event/define-events.ts'
export type { Emitted, TypedEvent } from './event/event-types.ts'
export type { RPCEvent } from './event/rpc-event.ts'
export { type CommittedRecord, type EventRecord, isCommitted, readEvent } from './event/record.ts'
export { eventRecordSchema, unifiedEventSchema } from './event/schemas.ts'
export { eventLimits } from './event/limits.ts'

export { ColumnarStore } from './stores/columnar/columnar-store.ts'
export { DocumentStore } from './stores/document/document-store.ts'
export { GraphStore } from './stores/graph/graph-store.ts'
export { RelationalStore } from './stores/relational/relational-store.ts'
export { TimeSeriesStore } from './stores/timeseries/time-series-store.ts'
export { VectorStore } from './stores/vector/vector-store.ts'
export type { AttachedStore, SnapshotPage, StoreContext, StoreSQL } from './store.ts'
export type { CaptureContext } from './capture/capture-context.ts'
export type { CaptureOptions } from './capture/captured-table.ts'

export {
  type DeadLetterChoice,
  type FlushOutcome,
  type ListedDeadLetter,
  type ListedEvent,
  OutboxAdmin,
  type OutboxMatch,
  type OutboxQuery,
  type OutboxStats,
  type Page,
} from './admin/outbox-admin.ts'
export type { SnapshotProgress } from './snapshot/snapshots.ts'

export type { Consumption, Processed } from './inbox/consumer.ts'
export type { NamedEvent } from './inbox/inbox.ts'

export type { Pipeline } from './pipeline/pipeline.ts'
export { CDCEmitter, type CDCEmitterOptions, UnsentError } from './senders/cdc-emitter.ts'
