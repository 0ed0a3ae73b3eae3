// The outbox's two tables. drizzle-kit makes the SQL in migrations/ from this file (`npm run migrations`).

import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

/** One row is one committed transaction, so a transaction costs one billed row however many events it has. */
export const cdcOutbox = sqliteTable('_cdc_outbox', {
  /** LSN of the transaction's last event. The first is `lsn - count + 1`. */
  lsn: integer('lsn').primaryKey(),
  count: integer('count').notNull(),
  /** UTF-8 bytes of the events as records on the wire, at most: what batches are measured by. */
  bytes: integer('bytes').notNull(),
  txid: text('txid').notNull(),
  /** When the transaction committed, in milliseconds since 1970. */
  time: integer('time').notNull(),
  /** JSON array of the events' contents, in LSN order, without what this row or the state says. */
  events: text('events').notNull(),
})

/** One row: who the outbox is, and how far its relay has come. */
export const cdcState = sqliteTable('_cdc_state', {
  id: integer('id').primaryKey(),
  /** Id of the Durable Object that the outbox belongs to. Another one means that the database was copied. */
  object: text('object'),
  ns: text('ns').notNull(),
  source: text('source').notNull(),
  epoch: text('epoch').notNull(),
  /** Everything up to this LSN was accepted by the pipeline. */
  ackedLSN: integer('acked_lsn').notNull(),
  /** Last LSN of the batch in flight, which begins after `acked_lsn`; 0 where none is. */
  batchLSN: integer('batch_lsn').notNull(),
  /** How often the batch in flight was begun to be sent. */
  batchAttempts: integer('batch_attempts').notNull(),
})
