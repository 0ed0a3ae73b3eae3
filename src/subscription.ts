// The port of subscriptions: what the core asks of those that a class has, and what it gives them. They are handed in, because a
// Worker without any is smaller without them.

import type { DeadLetter } from './outbox/dead-letters.ts'
import type { Backlog, Outbox } from './outbox/outbox.ts'
import type { OutboxTables } from './outbox/tables.ts'
import type { AlarmShares, RelayLimits } from './relay/relay.ts'
import type { Transactions } from './transaction/transactions.ts'

/** The limits of all subscriptions of an object. */
export interface SubscriptionLimits {
  /** A subscription whose target has failed for so long is disabled, in milliseconds. */
  readonly disableAfterMs: number
}

export interface SubscriptionsPorts {
  readonly storage: DurableObjectStorage
  readonly tables: OutboxTables
  readonly outbox: Outbox
  readonly alarm: AlarmShares
  readonly transactions: Pick<Transactions, 'transactionSync'>
  readonly limits: RelayLimits & SubscriptionLimits
  readonly now: () => number
  readonly random: () => number
}

/** Makes the subscriptions of an object when it wakes: what `subscribe` returns. */
export type SubscriptionsFactory = (ports: SubscriptionsPorts) => Subscriptions

export interface Subscriptions {
  /** Those that the code names. */
  readonly names: readonly string[]
  /** Whether any has something to do, so that it needs the alarm. */
  readonly isPending: boolean
  /** Whether any needs the alarm that has fired. */
  isDue(): boolean
  /** Makes an alarm due for the events that a transaction is about to commit, as part of it. */
  committed(before: Backlog, after: Backlog): void
  wake(): Promise<void>
  /** Delivers what is due, or with `isForced` what is pending, all at once. Never rejects. */
  run(options: { isForced: boolean }): Promise<void>
  pause(name: string): void
  resume(name: string): void
  /** Delivers a dead letter, while no batch is in flight; then it is none any more. @throws what the target throws. */
  redrive(name: string, letter: DeadLetter): Promise<void>
  emptied(): void
  rolledBack(): void
}
