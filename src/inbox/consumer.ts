// Consuming the events of other objects, each once.

import type { Attribution } from '../event/unified-event.ts'
import type { Transaction } from '../transaction/transaction.ts'
import { refusePromise, type SyncResult, type Transactions } from '../transaction/transactions.ts'
import type { Inbox, NamedEvent } from './inbox.ts'

/** What became of an event that was to be processed once. */
export type Processed<T> = { readonly isNew: true; readonly result: T } | { readonly isNew: false }

/** The ways to consume events, however often they come. */
export interface Consumption {
  /**
   * Runs a callback for an event unless it was run for that event before, in one transaction with the note that it was:
   * both commit, or neither, and so do the events that it emits. Two events are the same by (ns, source, epoch, lsn); if
   * one has no LSN, by (ns, id). Throws what the callback throws: then the event counts as new when it comes again.
   *
   * @param event with `id` and `ns` and, of a log, `lsn`, `source` and `epoch`, as events and records have them. Its
   *   correlation id goes into the events that are emitted.
   * @throws {CDCError} `event-invalid` if it names no event; `event-forgotten` if its log arrived so far out of order that
   *   the inbox no longer knows whether it was processed.
   */
  processOnce<T>(event: NamedEvent, callback: (tx: Transaction) => T | Promise<T>): Promise<Processed<T>>

  /** The same with a plain callback, in the current turn. */
  processOnceSync<T>(event: NamedEvent, callback: (tx: Transaction) => SyncResult<T>): Processed<T>
}

export class Consumer implements Consumption {
  readonly #inbox: Inbox
  readonly #transactions: Transactions

  constructor(inbox: Inbox, transactions: Transactions) {
    this.#inbox = inbox
    this.#transactions = transactions
  }

  processOnce<T>(event: NamedEvent, callback: (tx: Transaction) => T | Promise<T>): Promise<Processed<T>> {
    return this.#transactions.transaction<Processed<T>>(
      async (tx) => (this.#inbox.takeNote(event) ? { isNew: true, result: await callback(tx) } : { isNew: false }),
      correlationOf(event),
    )
  }

  processOnceSync<T>(event: NamedEvent, callback: (tx: Transaction) => SyncResult<T>): Processed<T> {
    return this.#transactions.transactionSync<Processed<T>>((tx) => {
      if (!this.#inbox.takeNote(event)) return { isNew: false }
      const result: T = callback(tx)
      refusePromise(result)
      return { isNew: true, result }
    }, correlationOf(event))
  }
}

function correlationOf({ correlationId, correlation_id = correlationId }: NamedEvent): Attribution {
  return correlation_id === undefined ? {} : { correlationId: correlation_id }
}
