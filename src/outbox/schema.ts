// The library's tables in an object. drizzle-kit makes the SQL in migrations/ from this file (`npm run migrations`).

import { blob, index, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core'

/**
 * The log, and its newest rows: those before lie in segments, tables of the same form with the last LSN in their names. One row is
 * one committed transaction, so a transaction costs one billed row however many events it has. Rows up to `acked_lsn` were
 * delivered, and are kept for inspection and replay until their segment is dropped.
 */
export const cdcOutbox = sqliteTable('_cdc_outbox', {
  /** LSN of the transaction's last event. The first is `lsn - count + 1`. */
  lsn: integer('lsn').primaryKey(),
  count: integer('count').notNull(),
  /**
   * Upper bound of the UTF-8 bytes on the wire of all events up to this row's last. A running total, so that the size of
   * any range, of the backlog and of the retained log is the difference of two rows.
   */
  bytes: integer('bytes').notNull(),
  txid: text('txid').notNull(),
  /** When the transaction committed, in milliseconds since 1970. */
  time: integer('time').notNull(),
  /** JSON array of the events' contents, in LSN order, without the fields that this row or the state has. */
  events: text('events').notNull(),
})

/** One row: the identity of the outbox, and the progress of its relay. */
export const cdcState = sqliteTable('_cdc_state', {
  id: integer('id').primaryKey(),
  /** Id of the Durable Object that the outbox belongs to. Another one means that the database was copied. */
  object: text('object'),
  ns: text('ns').notNull(),
  source: text('source').notNull(),
  epoch: text('epoch').notNull(),
  /** First LSN of the epoch. */
  epochLSN: integer('epoch_lsn').notNull(),
  /** The pipeline has accepted everything up to this LSN; and `bytes` of the last row that was accepted as a whole. */
  ackedLSN: integer('acked_lsn').notNull(),
  ackedBytes: integer('acked_bytes').notNull(),
  /** `bytes` of the last row that was dropped with its segment. */
  prunedBytes: integer('pruned_bytes').notNull(),
  /** 1 while the relay is paused. */
  paused: integer('paused').notNull(),
  /** Last LSN of the batch in flight, which begins after `acked_lsn`; 0 if there is none. */
  batchLSN: integer('batch_lsn').notNull(),
  /** Attempts to send that batch; and those of them that failed, or whose crash window the runtime outlived. */
  attemptsBegun: integer('attempts_begun').notNull(),
  attemptsEnded: integer('attempts_ended').notNull(),
  /** When the first of them began, and when the next is due, in milliseconds since 1970; 0 if there is none. */
  firstAttempt: integer('first_attempt').notNull(),
  nextAttempt: integer('next_attempt').notNull(),
  lastError: text('last_error'),
  /** Between `acked_lsn` and this LSN is an event that the pipeline refuses; 0 if none is known. */
  suspectLSN: integer('suspect_lsn').notNull(),
  /** JSON: LSN, `bytes` and `time` of the last row of each segment, oldest first. */
  segments: text('segments').notNull().default('[]'),
  /** LSN and `bytes` of the last row of the newest segment there has been; 0 before the first. */
  sealedLSN: integer('sealed_lsn').notNull().default(0),
  sealedBytes: integer('sealed_bytes').notNull().default(0),
  /** What the fleet knows of this object: nothing, or its epoch, with a `!` if it was in trouble. */
  fleet: text('fleet').notNull().default(''),
})

/**
 * One row: the transaction that captured writes belong to now. A trigger can read it only from a table, so it is written
 * once in each transaction that writes to a captured table. By an UPDATE, which does not change `last_insert_rowid()`.
 */
export const cdcTransaction = sqliteTable('_cdc_transaction', {
  id: integer('id').primaryKey(),
  txid: text('txid').notNull(),
  /** In milliseconds since 1970. */
  time: integer('time').notNull(),
  /** How the JSON of its events begins: `[{"actor":"User/nathan","id":"01KAN0V3ZA`. */
  fields: text('fields').notNull(),
  /** UTF-8 bytes that a record has beyond its event, at most. */
  envelopeBytes: integer('envelope_bytes').notNull(),
  /** What `changes()` was before this row was written, as the user's next statement may ask. */
  changes: integer('changes').notNull().default(0),
})

/** The tables that are captured, also while no code of this version calls for it. */
export const cdcCapture = sqliteTable('_cdc_capture', {
  name: text('name').primaryKey(),
  /** JSON: which columns, and what events show of them. */
  options: text('options').notNull(),
  /** JSON array of the table's columns as the triggers know them. */
  columns: text('columns').notNull(),
})

/** The progress of each table snapshot. */
export const cdcSnapshot = sqliteTable('_cdc_snapshot', {
  /** `<kind>/<table>` of the store. */
  name: text('name').primaryKey(),
  /** Where the last chunk ended; NULL before the first. */
  position: text('position'),
  /** Rows of a chunk, and rows read so far. */
  chunk: integer('chunk').notNull(),
  rows: integer('rows').notNull(),
  /** In milliseconds since 1970; `ended` is 0 while it runs. */
  started: integer('started').notNull(),
  ended: integer('ended').notNull(),
  error: text('error'),
})

/**
 * Rows of captured tables that the statement which runs now is about to replace. SQLite fires no trigger for these, so a
 * trigger before the write notes them, and one after it takes the notes back and appends the deletions.
 */
export const cdcReplaced = sqliteTable('_cdc_replaced', {
  seq: integer('seq').primaryKey(),
  /** Name of the table, and the row's key and JSON. */
  tableName: text('table_name').notNull(),
  key: text('key').notNull(),
  before: text('before').notNull(),
  /** By what the row is found again: its rowid, or the values of its primary key, of any type. */
  k0: blob('k0'),
  k1: blob('k1'),
  k2: blob('k2'),
  k3: blob('k3'),
})

/**
 * Events that the pipeline refused because of their content. In the log, a `cdc.dead_letter` event is in their place. And those
 * that the target of a subscription refused, which stay as they are in the log.
 */
export const cdcDeadLetter = sqliteTable(
  '_cdc_dead_letter',
  {
    /** Empty for those of the pipeline. */
    subscription: text('subscription').notNull().default(''),
    lsn: integer('lsn').notNull(),
    txid: text('txid').notNull(),
    time: integer('time').notNull(),
    /** JSON of the event's content. */
    event: text('event').notNull(),
    reason: text('reason').notNull(),
    attempts: integer('attempts').notNull(),
    firstAttempt: integer('first_attempt').notNull(),
    lastAttempt: integer('last_attempt').notNull(),
  },
  (table) => [primaryKey({ columns: [table.subscription, table.lsn] })],
)

/** The subscriptions, also those that no code of this version names, and how far each has come. */
export const cdcSubscription = sqliteTable('_cdc_subscription', {
  name: text('name').primaryKey(),
  /** Everything up to this LSN was delivered, does not match, became a dead letter, or was missed. */
  ackedLSN: integer('acked_lsn').notNull(),
  /** 1 while it is paused; and since when it is disabled, in milliseconds since 1970, 0 if it is not. */
  paused: integer('paused').notNull().default(0),
  disabled: integer('disabled').notNull().default(0),
  /** As in `_cdc_state`: the batch in flight, its attempts, and what is known of a bad event. */
  batchLSN: integer('batch_lsn').notNull().default(0),
  batchEvents: integer('batch_events').notNull().default(0),
  attemptsBegun: integer('attempts_begun').notNull().default(0),
  attemptsEnded: integer('attempts_ended').notNull().default(0),
  firstAttempt: integer('first_attempt').notNull().default(0),
  nextAttempt: integer('next_attempt').notNull().default(0),
  lastError: text('last_error'),
  suspectLSN: integer('suspect_lsn').notNull().default(0),
  /** Since when every attempt has failed, in milliseconds since 1970; 0 after a success. */
  failing: integer('failing').notNull().default(0),
  /** Events delivered so far; and events that were no longer kept when their turn came, with the LSN of the last. */
  delivered: integer('delivered').notNull().default(0),
  missed: integer('missed').notNull().default(0),
  missedLSN: integer('missed_lsn').notNull().default(0),
  /** JSON: the last deliveries, oldest first. In this row, because a row of its own would be billed for each. */
  deliveries: text('deliveries').notNull().default('[]'),
  /** JSON of `[ns, source, epoch]`: the log that the events up to `past_lsn` belong to, if that has ended since. */
  pastLog: text('past_log'),
  pastLSN: integer('past_lsn').notNull().default(0),
})

/** Which events of other logs this object has processed, as ranges of LSNs. A range from 0 was forgotten. */
export const cdcInbox = sqliteTable(
  '_cdc_inbox',
  {
    /** JSON of `[ns, source, epoch]`. */
    log: text('log').notNull(),
    firstLSN: integer('first_lsn').notNull(),
    lastLSN: integer('last_lsn').notNull(),
    /** When the range last grew, in milliseconds since 1970. */
    time: integer('time').notNull(),
  },
  (table) => [primaryKey({ columns: [table.log, table.firstLSN] })],
)

/** The same for events that belong to no log, in the order of their arrival. */
export const cdcInboxId = sqliteTable('_cdc_inbox_id', {
  seq: integer('seq').primaryKey(),
  /** JSON of `[ns, id]`. */
  name: text('name').notNull().unique(),
  time: integer('time').notNull(),
})

/** The user's alarms by name. The platform has one alarm for each object; these share it with the relay. */
export const cdcAlarm = sqliteTable(
  '_cdc_alarm',
  {
    name: text('name').primaryKey(),
    /** When it is due, in milliseconds since 1970, and for when it was set: they differ while it is retried. */
    due: integer('due').notNull(),
    scheduled: integer('scheduled').notNull(),
    retries: integer('retries').notNull(),
  },
  (table) => [index('_cdc_alarm_due').on(table.due)],
)
