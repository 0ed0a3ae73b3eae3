export type { AlarmHandler, Alarms, NamedAlarmInfo } from './durable-object/alarms.ts'
export { CDCDurableObject, type CDCState } from './durable-object/cdc-durable-object.ts'
export type { AttachedStore, SnapshotPage, StoreSQL } from './durable-object/attached-stores.ts'
export {
  ExactlyOnceContext,
  type StoreContext,
  type SyncResult,
  type Transactions,
} from './durable-object/exactly-once-context.ts'
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
} from './durable-object/outbox-admin.ts'
export type { Transaction } from './durable-object/transaction.ts'
export { CDCError, type CDCErrorCode } from './error.ts'
export { sql } from 'drizzle-orm'
export { EVENT_BYTES_MAX, EVENT_DEPTH_MAX, NAME_LENGTH_MAX } from './event/limits.ts'
export { type EventRecord, eventRecordSchema } from './event/record.ts'
export {
  type Attribution,
  type CommittedEvent,
  type EventInput,
  type Operation,
  type StoreType,
  type UnifiedEvent,
  unifiedEventSchema,
} from './event/unified-event.ts'
export type { Pipeline } from './pipeline/pipeline.ts'
export { type Document, type DocumentFields, DocumentStore } from './stores/document/document-store.ts'
export { type DocumentQuery, DOCUMENTS_PER_PAGE_MAX, type DocumentWhere } from './stores/document/query.ts'
export type { CaptureOptions } from './capture/captured-table.ts'
export { SNAPSHOT_CHUNK_MAX, type SnapshotProgress } from './durable-object/snapshots.ts'
export {
  type DrizzleMigrations,
  type RelationalOptions,
  RelationalStore,
} from './stores/relational/relational-store.ts'
