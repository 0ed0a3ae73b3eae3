// Consumes the events of other objects, each once.

import { traceparent as traceparentKind } from '../event/kinds.ts'
import type { CommittedRecord } from '../event/record.ts'
import type { Attribution } from '../event/unified-event.ts'
import type { Delivery } from '../pipeline/target.ts'
import type { Transaction } from '../transaction/transaction.ts'
import { refusePromise, type SyncResult, type Transactions } from '../transaction/transactions.ts'
import type { Inbox, NamedEvent } from './inbox.ts'

/** Whether an event was new, and then the callback's result. */
export type Processed<T> = { readonly isNew: true; readonly result: T } | { readonly isNew: false }

/** How an object consumes events that may arrive more than once. */
export interface Consumption<Types = unknown> {
  /**
   * Runs a callback for an event, unless it was run for that event before. That it was run is recorded in the same
   * transaction: the record, the callback's changes and the events that it emits commit together, or not at all. Two events
   * are the same by (ns, source, epoch, lsn); without an LSN, by (ns, id). Throws what the callback throws: then the event
   * counts as new when it arrives again.
   *
   * @param event with `id` and `ns`; of a log also with `lsn`, `source` and `epoch`, as events and records have them. The
   *   emitted events take over its correlation id.
   * @throws {CDCError} `event-invalid` if it identifies no event; `event-forgotten` if its log arrived so far out of order
   *   that the inbox no longer knows whether it was processed.
   */
  processOnce<T>(event: NamedEvent, callback: (tx: Transaction<Types>) => T | Promise<T>): Promise<Processed<T>>

  /** The same with a plain callback, in the current turn. */
  processOnceSync<T>(event: NamedEvent, callback: (tx: Transaction<Types>) => SyncResult<T>): Processed<T>
  /**
   * Runs a callback for each event of a delivery that this subscription has not brought before, in LSN order and in one
   * transaction: all of it commits, or nothing.
   *
   * @param delivery what a subscription to `toObject` calls the object with.
   * @returns how many were new.
   * @throws {CDCError} as `processOnce`; or what the callback throws. Then the delivery is tried again.
   */
  processEach(
    delivery: Delivery,
    callback: (tx: Transaction<Types>, event: CommittedRecord) => void | Promise<void>,
  ): Promise<number>
  /** The same with a plain callback, in the current turn. */
  processEachSync<T>(
    delivery: Delivery,
    callback: (tx: Transaction<Types>, event: CommittedRecord) => SyncResult<T>,
  ): number
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
      async (tx) => (this.#inbox.record(event) ? { isNew: true, result: await callback(tx) } : { isNew: false }),
      correlationOf(event),
    )
  }

  processOnceSync<T>(event: NamedEvent, callback: (tx: Transaction) => SyncResult<T>): Processed<T> {
    return this.#transactions.transactionSync<Processed<T>>((tx) => {
      if (!this.#inbox.record(event)) return { isNew: false }
      const result: T = callback(tx)
      refusePromise(result)
      return { isNew: true, result }
    }, correlationOf(event))
  }

  processEach(
    delivery: Delivery,
    callback: (tx: Transaction, event: CommittedRecord) => void | Promise<void>,
  ): Promise<number> {
    return this.#transactions.transaction(async () => {
      const events = this.#inbox.recordDelivery(delivery)
      for (const event of events)
        await this.#transactions.transaction((tx) => callback(tx, event), correlationOf(event))
      return events.length
    })
  }

  processEachSync<T>(delivery: Delivery, callback: (tx: Transaction, event: CommittedRecord) => SyncResult<T>): number {
    return this.#transactions.transactionSync(() => {
      const events = this.#inbox.recordDelivery(delivery)
      for (const event of events)
        this.#transactions.transactionSync<T>((tx) => callback(tx, event), correlationOf(event))
      return events.length
    })
  }
}

function correlationOf({ correlationId, correlation_id = correlationId, _meta }: NamedEvent): Attribution {
  const { traceparent: given } = _meta ?? {}
  // Somebody else wrote the event, and what is wrong in it must not keep it from being processed.
  const traceparent = typeof given === 'string' && traceparentKind.problem(given) === undefined ? given : undefined
  return {
    ...(correlation_id !== undefined && { correlationId: correlation_id }),
    ...(traceparent !== undefined && { traceparent }),
  }
}
