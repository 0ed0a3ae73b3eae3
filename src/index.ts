export type { AlarmHandler, Alarms, NamedAlarmInfo } from './durable-object/alarms.ts'
export { CDCDurableObject, type CDCState } from './durable-object/cdc-durable-object.ts'
export type { AttachedStore, SnapshotPage, StoreContext, StoreSQL } from './store.ts'
export { type Consumption, ExactlyOnceContext, type Processed } from './durable-object/exactly-once-context.ts'
export { INBOX_RANGES_PER_LOG_MAX, type NamedEvent } from './inbox/inbox.ts'
export type { SyncResult, Transactions } from './transaction/transactions.ts'
export type { CaptureContext } from './capture/capture-context.ts'
export type { CDCOptions } from './durable-object/options.ts'
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
  PAGE_EVENTS_MAX,
  type RPCEvent,
} from './admin/outbox-admin.ts'
export type { Transaction } from './transaction/transaction.ts'
export { CDCError, type CDCErrorCode } from './error.ts'
export { sql } from 'drizzle-orm'
export { EVENT_BYTES_MAX, EVENT_DEPTH_MAX, NAME_LENGTH_MAX } from './event/limits.ts'
export { type CommittedRecord, type EventRecord, isCommitted } from './event/record.ts'
export { eventRecordSchema, unifiedEventSchema } from './event/schemas.ts'
export {
  type Attribution,
  type CommittedEvent,
  type EventInput,
  type Operation,
  type StoreType,
  type UnifiedEvent,
} from './event/unified-event.ts'
export { CDCEmitter, type CDCEmitterOptions, UnsentError } from './senders/cdc-emitter.ts'
export type { Pipeline } from './pipeline/pipeline.ts'
export type { CaptureOptions } from './capture/captured-table.ts'
export { SNAPSHOT_CHUNK_MAX, type SnapshotProgress } from './snapshot/snapshots.ts'
export { ColumnarStore } from './stores/columnar/columnar-store.ts'
export { DocumentStore } from './stores/document/document-store.ts'
export { GraphStore } from './stores/graph/graph-store.ts'
export { RelationalStore } from './stores/relational/relational-store.ts'
export { TimeSeriesStore } from './stores/timeseries/time-series-store.ts'
export { VectorStore } from './stores/vector/vector-store.ts'
