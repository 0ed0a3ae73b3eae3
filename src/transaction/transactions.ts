// Transactions whose changes and events commit together (I1). Only the outermost one writes its events, when all is done,
// so that LSNs follow the order of commits and leave no gap (I2).

import { CDCError } from '../error.ts'
import type { EncodedEvent } from '../event/create-event.ts'
import type { EventTypes } from '../event/event-types.ts'
import type { Attribution } from '../event/unified-event.ts'
import type { OutboxTransaction } from '../outbox/outbox.ts'
import type { FollowedStorage } from './followed-storage.ts'
import { type DrizzleFactory, Transaction, type UnitOfWork } from './transaction.ts'

/** Refuses, at compile time, a callback that returns a promise where only a synchronous one is atomic. */
export type SyncResult<T> = T extends PromiseLike<unknown> ? never : T

/** The two ways into a transaction, named after the platform's own on `ctx.storage`. */
export interface Transactions<Types = unknown> {
  /**
   * Runs a plain or an async callback in one SQLite transaction; it commits when the callback's promise resolves and
   * rolls back when it rejects. Other requests wait meanwhile, and the platform resets the object after 30 s, so no
   * network belongs inside. Called inside a transaction it becomes part of it.
   *
   * @param attribution who did it and for which request, for all events inside that don't name their own.
   */
  transaction<T>(callback: (tx: Transaction<Types>) => T | Promise<T>, attribution?: Attribution): Promise<T>

  /**
   * Runs a plain callback in one SQLite transaction, without leaving the current turn: the fast way.
   *
   * @param attribution as for `transaction`.
   * @throws {CDCError} `async-callback` if the callback returns a promise; everything it did is rolled back.
   */
  transactionSync<T>(callback: (tx: Transaction<Types>) => SyncResult<T>, attribution?: Attribution): T
}

/** The transaction that a write belongs to. */
export interface CurrentTransaction extends Attribution {
  readonly txid: string
}

interface TransactionsPorts {
  readonly storage: FollowedStorage
  readonly drizzle: DrizzleFactory | undefined
  readonly types: EventTypes | undefined
  readonly now: () => number
  readonly createId: () => string
  /** Writes a transaction's events, as part of the SQLite transaction that is open. */
  readonly append: (transaction: OutboxTransaction) => void
}

/** A transaction that is open: its handle, and what it is nested in. */
interface Scope {
  readonly tx: Transaction
  readonly unit: UnitOfWork
  readonly attribution: Attribution
  readonly current: CurrentTransaction
  readonly isAsync: boolean
  readonly outer: Scope | undefined
}

export class OutboxTransactions implements Transactions {
  readonly #ports: TransactionsPorts
  readonly #beforeAppend: (() => void)[] = []
  /** The innermost transaction that is open now. */
  #open: Scope | undefined
  /** What is written in a transaction of the platform's that none of ours is around belongs to. */
  #foreign: { readonly transaction: object; readonly current: CurrentTransaction } | undefined
  /** The same for what is written in no transaction in this turn. */
  #turn: CurrentTransaction | undefined

  constructor(ports: TransactionsPorts) {
    this.#ports = ports
    ports.storage.onBegin(() => {
      this.#turn = undefined
      return this.#markEvents()
    })
  }

  /** Calls the listener before a transaction's events are written. */
  onAppend(listener: () => void): void {
    this.#beforeAppend.push(listener)
  }

  async transaction<T>(callback: (tx: Transaction) => T | Promise<T>, attribution?: Attribution): Promise<T> {
    if (this.#open !== undefined && !this.#open.isAsync)
      throw new CDCError(
        'transaction-nested',
        'transaction: inside transactionSync it would run after that one, on its own; call transactionSync',
      )
    return this.#ports.storage.storage.transaction(async () => {
      const scope = this.#begin(true, attribution)
      try {
        const result = await callback(scope.tx)
        this.#commit(scope)
        return result
      } finally {
        this.#end(scope)
      }
    })
  }

  transactionSync<T>(callback: (tx: Transaction) => SyncResult<T>, attribution?: Attribution): T {
    return this.#ports.storage.storage.transactionSync(() => {
      const scope = this.#begin(false, attribution)
      try {
        const result: T = callback(scope.tx)
        refusePromise(result)
        this.#commit(scope)
        return result
      } finally {
        this.#end(scope)
      }
    })
  }

  /** A transaction of the library's own, whose callback returns events that are encoded already. */
  commitEncoded(change: (tx: Transaction) => readonly EncodedEvent[]): void {
    this.transactionSync((tx) => {
      const events = change(tx)
      this.#open?.unit.events.push(...events)
    })
  }

  /** What is written now belongs to: our transaction, one of the platform's, or the turn. The same object for the same one. */
  current(): CurrentTransaction {
    if (this.#open !== undefined) return this.#open.current
    const { storage, createId } = this.#ports
    const transaction = storage.openTransaction
    if (transaction === undefined) return (this.#turn ??= this.#beginTurn())
    if (this.#foreign?.transaction !== transaction) this.#foreign = { transaction, current: { txid: createId() } }
    return this.#foreign.current
  }

  /** The platform commits what is written outside of any transaction together, up to the next await. */
  #beginTurn(): CurrentTransaction {
    queueMicrotask(() => (this.#turn = undefined))
    return { txid: this.#ports.createId() }
  }

  #begin(isAsync: boolean, attribution: Attribution | undefined): Scope {
    const { storage, createId, drizzle, types } = this.#ports
    const outer = this.#open
    const unit = outer?.unit ?? { txid: createId(), events: [] }
    const attributed =
      attribution === undefined ? (outer?.attribution ?? {}) : { ...outer?.attribution, ...attribution }
    const tx = new Transaction({ storage: storage.storage, drizzle, unit, attribution: attributed, createId, types })
    const current = { ...attributed, txid: unit.txid }
    this.#open = { tx, unit, attribution: attributed, current, isAsync, outer }
    return this.#open
  }

  #commit(scope: Scope): void {
    if (this.#open !== scope)
      throw new CDCError(
        'transaction-nested',
        'transaction: one inside another continues after its end; await every transaction inside its callback',
      )
    const { outer, unit } = scope
    if (outer !== undefined || unit.events.length === 0) return
    for (const listener of this.#beforeAppend) listener()
    this.#ports.append({ txid: unit.txid, timeMs: this.#ports.now(), events: unit.events })
  }

  #end(scope: Scope): void {
    scope.tx.end()
    // One that was not awaited may have been closed with its outer one: then it is no longer in the chain.
    if (this.#isOpen(scope)) this.#open = scope.outer
  }

  #isOpen(scope: Scope): boolean {
    for (let open = this.#open; open !== undefined; open = open.outer) if (open === scope) return true
    return false
  }

  /** A rollback takes the events with it that were emitted since, as SQLite takes what was written since (I1). */
  #markEvents(): () => void {
    const events = this.#open?.unit.events
    const count = events?.length ?? 0
    return () => {
      if (events !== undefined) events.length = count
    }
  }
}

export function refusePromise(result: unknown): void {
  if (typeof result !== 'object' || result === null || !('then' in result)) return
  if (typeof result.then !== 'function') return
  // What the callback does after its first await fails on a closed handle, and that failure is no news.
  result.then(undefined, () => undefined)
  throw new CDCError(
    'async-callback',
    'transactionSync: the callback returned a promise, and only what it did before its first await would be atomic; ' +
      'use transaction for async callbacks',
  )
}
