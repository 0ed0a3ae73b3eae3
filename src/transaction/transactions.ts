// The ways into a transaction, whoever offers them.

import type { Attribution } from '../event/unified-event.ts'
import type { Transaction } from './transaction.ts'

/** Refuses, at compile time, a callback that returns a promise where only a synchronous one is atomic. */
export type SyncResult<T> = T extends PromiseLike<unknown> ? never : T

/** The two ways into a transaction, named after the platform's own on `ctx.storage`. */
export interface Transactions {
  /**
   * Runs a plain or an async callback in one SQLite transaction; it commits when the callback's promise resolves and
   * rolls back when it rejects. Other requests wait meanwhile, and the platform resets the object after 30 s, so no
   * network belongs inside. Called inside a transaction it becomes part of it.
   *
   * @param attribution who did it and for which request, for all events inside that don't say so themselves.
   */
  transaction<T>(callback: (tx: Transaction) => T | Promise<T>, attribution?: Attribution): Promise<T>

  /**
   * Runs a plain callback in one SQLite transaction, without leaving the current turn: the fast way.
   *
   * @param attribution as for `transaction`.
   * @throws {CDCError} `async-callback` where the callback returns a promise; everything it did is rolled back.
   */
  transactionSync<T>(callback: (tx: Transaction) => SyncResult<T>, attribution?: Attribution): T
}
