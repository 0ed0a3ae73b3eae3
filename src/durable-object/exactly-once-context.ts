// A transaction whose changes and events commit together (I1), on its own or inside CDCDurableObject.

import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import { Capture, type CurrentTransaction } from '../capture/capture.ts'
import type { CaptureOptions } from '../capture/captured-table.ts'
import type { CaptureContext } from '../capture/capture-context.ts'
import { CDCError } from '../error.ts'
import type { EncodedEvent } from '../event/create-event.ts'
import { createIdFactory } from '../event/id.ts'
import type { Attribution } from '../event/unified-event.ts'
import { Inbox, type NamedEvent } from '../inbox/inbox.ts'
import { type BacklogLimits, Outbox } from '../outbox/outbox.ts'
import { Relay, type RelayLimits } from '../relay/relay.ts'
import { Alarms, OWN_PREFIX } from './alarms.ts'
import { AttachedStores } from '../snapshot/attached-stores.ts'
import type { AttachedStore, StoreSQL } from '../store.ts'
import type { SyncResult } from '../transaction/transactions.ts'
import { OutboxAdmin } from '../admin/outbox-admin.ts'
import { type CDCOptions, resolveOptions } from './options.ts'
import { Snapshots } from '../snapshot/snapshots.ts'
import { Transaction, type TransactionParts } from '../transaction/transaction.ts'

/** What became of an event that was to be processed once. */
export type Processed<T> = { readonly isNew: true; readonly result: T } | { readonly isNew: false }

/** The ways to consume events, however often they come. */
export interface Consumption {
  /**
   * Runs a callback for an event unless it was run for that event before, in one transaction with the note that it was:
   * both commit, or neither, and so do the events that it emits. Two events are the same by (ns, source, epoch, lsn); where
   * one has no LSN, by (ns, id). Throws what the callback throws: then the event counts as new when it comes again.
   *
   * @param event with `id` and `ns` and, of a log, `lsn`, `source` and `epoch`, as events and records have them. Its
   *   correlation id goes into the events that are emitted.
   * @throws {CDCError} `event-invalid` where it names no event; `event-forgotten` where its log went on so far out of
   *   order that what was seen of it is not known any more.
   */
  processOnce<T>(event: NamedEvent, callback: (tx: Transaction) => T | Promise<T>): Promise<Processed<T>>

  /** The same with a plain callback, in the current turn. */
  processOnceSync<T>(event: NamedEvent, callback: (tx: Transaction) => SyncResult<T>): Processed<T>
}

/** What `drizzle(ctx.storage)` returns, as far as it matters here. */
export interface DrizzleDatabase {
  readonly $client: DurableObjectStorage
}

const SNAPSHOT = 'snapshot'
const SNAPSHOT_ALARM = OWN_PREFIX + SNAPSHOT

/**
 * An outbox over one Durable Object's database.
 *
 * `CDCDurableObject` has one inside. A class that extends something else makes its own, in its constructor, and hands
 * its `alarm(info)` on to `context.alarm(info)`.
 */
export class ExactlyOnceContext implements CaptureContext, Consumption {
  readonly storage: DurableObjectStorage
  /** Alarms by name, beside the relay's own: the platform gives an object only one. */
  readonly alarms: Alarms
  /** The admin RPC of the outbox, to be given out by the object's own `get outbox()`. */
  readonly outbox: OutboxAdmin
  readonly #outbox: Outbox
  readonly #inbox: Inbox
  readonly #relay: Relay
  readonly #limits: RelayLimits & BacklogLimits
  readonly #now: () => number
  readonly #createId: () => string
  readonly #stores: AttachedStores
  readonly #capture: Capture
  readonly #snapshots: Snapshots
  /** The innermost transaction that is open now. */
  #open: Scope | undefined
  /** How deep we are in transactions of the platform, ours among them, and the txid of what is written there. */
  #depth = 0
  #platformTxid: string | undefined

  /**
   * @param db the object's `ctx`; or a drizzle database over its storage, which doesn't know the object's name, so that
   *   `ns` must be given where the outbox is new.
   * @throws {CDCError} `invalid-config`, `schema-newer` or `migration-failed`.
   */
  constructor(db: DurableObjectState | DrizzleDatabase, options: CDCOptions = {}) {
    const state = '$client' in db ? undefined : db
    this.storage = '$client' in db ? db.$client : db.storage
    const { pipeline, ns, source, limits, onAlarm, now, random } = resolveOptions(options, 'DO')
    this.#stores = new AttachedStores(this.storage)
    this.#now = now
    this.#limits = limits
    this.#createId = createIdFactory(now)
    const owner = { object: state?.id.toString(), ns: ns ?? state?.id.name, source }
    this.#outbox = new Outbox(this.storage, owner, this.#createId)
    this.#inbox = new Inbox(this.storage, limits, now)
    this.alarms = new Alarms({
      storage: this.storage,
      now,
      handler: (name, info) => (name === SNAPSHOT_ALARM ? this.#snapshots.run() : onAlarm(name, info)),
      recoveryMs: limits.recoveryMs,
      relayDueMs: () => this.#relay.dueMs(),
      openTables: () => this.#outbox.open(),
    })
    this.#relay = new Relay({ outbox: this.#outbox, pipeline, alarm: this.alarms.forRelay, limits, now, random })
    this.#snapshots = new Snapshots({
      storage: this.storage,
      stores: this.#stores,
      now,
      transactionSync: (callback) => this.transactionSync(callback),
      openTables: () => this.#outbox.open(),
      wakeAt: (atMs) => this.alarms.setOwn(SNAPSHOT, atMs),
    })
    this.outbox = new OutboxAdmin({
      outbox: this.#outbox,
      relay: this.#relay,
      limits,
      now,
      snapshots: this.#snapshots,
      captured: () => this.#capture.status(),
      commit: (change) => this.#commitEncoded(change),
    })
    this.#capture = new Capture({
      storage: this.storage,
      outbox: this.#outbox,
      limits,
      now,
      transaction: () => this.#currentTransaction(),
      committed: (before, after) => this.#relay.committed(before, after),
      attach: (store) => this.#stores.attach(store),
    })
    this.#followRollbacks()
    if (this.#outbox.backlog().events > 0 || !this.alarms.isEmpty) void state?.blockConcurrencyWhile(() => this.#heal())
  }

  async transaction<T>(callback: (tx: Transaction) => T | Promise<T>, attribution?: Attribution): Promise<T> {
    if (this.#open !== undefined && !this.#open.isAsync)
      throw new CDCError(
        'transaction-nested',
        'transaction: inside transactionSync it would run after that one, on its own; call transactionSync',
      )
    return this.storage.transaction(async () => {
      const scope = this.#begin({ isAsync: true, attribution })
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
    return this.storage.transactionSync(() => {
      const scope = this.#begin({ isAsync: false, attribution })
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

  processOnce<T>(event: NamedEvent, callback: (tx: Transaction) => T | Promise<T>): Promise<Processed<T>> {
    return this.transaction<Processed<T>>(
      async (tx) => (this.#isNew(event) ? { isNew: true, result: await callback(tx) } : { isNew: false }),
      correlationOf(event),
    )
  }

  processOnceSync<T>(event: NamedEvent, callback: (tx: Transaction) => SyncResult<T>): Processed<T> {
    return this.transactionSync<Processed<T>>((tx) => {
      if (!this.#isNew(event)) return { isNew: false }
      const result: T = callback(tx)
      refusePromise(result)
      return { isNew: true, result }
    }, correlationOf(event))
  }

  attach(store: AttachedStore): StoreSQL {
    return this.#stores.attach(store)
  }

  capture(table: string | SQLiteTable, options: CaptureOptions = {}): void {
    this.#capture.add(table, options)
  }

  /**
   * Drains the outbox and runs the named alarms that are due. To be called by the object's `alarm` method, with what the
   * platform gave it. Never throws: the platform drops an alarm for good after seven failed runs.
   */
  async alarm(info?: AlarmInvocationInfo): Promise<void> {
    this.alarms.begin(info?.scheduledTime ?? 0)
    // Neither waits for the other, but that the platform's next alarm waits for both; so a handler that hangs is left
    // behind after a while, and its alarm comes back.
    const named = this.alarms.runDue()
    // Where no named alarm is due, it is the relay's, whatever the clock says: a clock that steps back stalls nothing.
    await Promise.all([this.#relay.run({ isForced: named === undefined }), named && this.#within(named)])
  }

  #isNew(event: NamedEvent): boolean {
    this.#outbox.open()
    return this.#inbox.takeNote(event)
  }

  /** Whatever has become of the platform's alarm, it is due again when something waits for it (I6). */
  async #heal(): Promise<void> {
    if (this.#outbox.backlog().events > 0) await this.#relay.wake()
    await this.alarms.heal()
  }

  async #within(work: Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, this.#limits.maxAlarmMs)
    await Promise.race([work, promise])
    clearTimeout(timer)
  }

  /** A transaction of the library's own, whose events are made already. */
  #commitEncoded(change: (tx: Transaction) => readonly EncodedEvent[]): void {
    this.storage.transactionSync(() => {
      const scope = this.#begin({ isAsync: false, attribution: undefined })
      try {
        scope.parts.unit.events.push(...change(scope.tx))
        this.#commit(scope)
      } finally {
        this.#end(scope)
      }
    })
  }

  #begin({ isAsync, attribution }: { isAsync: boolean; attribution: Attribution | undefined }): Scope {
    const outer = this.#open
    const parts = {
      storage: this.storage,
      unit: outer?.parts.unit ?? { txid: this.#createId(), events: [] },
      attribution:
        attribution === undefined ? (outer?.parts.attribution ?? {}) : { ...outer?.parts.attribution, ...attribution },
      createId: this.#createId,
    }
    this.#open = {
      tx: new Transaction(parts),
      parts,
      isAsync,
      outer,
    }
    return this.#open
  }

  /**
   * Makes every rollback inside a transaction take the events with it that were emitted since, as SQLite takes what was
   * written since: also one of the platform's own transactions, or drizzle's, that is caught (I1).
   */
  #followRollbacks(): void {
    const { storage } = this
    const transactionSync = storage.transactionSync.bind(storage)
    const transaction = storage.transaction.bind(storage)
    storage.transactionSync = (callback) => {
      const events = this.#open?.parts.unit.events
      const count = events?.length ?? 0
      this.#depth += 1
      try {
        return transactionSync(callback)
      } catch (error) {
        this.#takeBack(events, count)
        throw error
      } finally {
        this.#leave()
      }
    }
    storage.transaction = async (callback) => {
      try {
        return await transaction((txn) => this.#follow(txn, callback))
      } catch (error) {
        // Only now has the platform rolled back; what was read in between is not so any more.
        this.#takeBack(undefined, 0)
        throw error
      }
    }
  }

  async #follow<T>(txn: DurableObjectTransaction, callback: (txn: DurableObjectTransaction) => Promise<T>): Promise<T> {
    const events = this.#open?.parts.unit.events
    const count = events?.length ?? 0
    const rollback = txn.rollback.bind(txn)
    txn.rollback = () => {
      this.#takeBack(events, count)
      rollback()
    }
    this.#depth += 1
    try {
      return await callback(txn)
    } catch (error) {
      this.#takeBack(events, count)
      throw error
    } finally {
      this.#leave()
    }
  }

  #leave(): void {
    this.#depth -= 1
    if (this.#depth === 0) this.#platformTxid = undefined
  }

  /** What a captured write belongs to: our transaction, one of the platform's, or one of its own. */
  #currentTransaction(): CurrentTransaction {
    if (this.#open !== undefined) return { ...this.#open.parts.attribution, txid: this.#open.parts.unit.txid }
    if (this.#depth === 0) return { txid: this.#createId() }
    this.#platformTxid ??= this.#createId()
    return { txid: this.#platformTxid }
  }

  /** Takes back the events of a transaction that came after the first so many. */
  #takeBack(events: EncodedEvent[] | undefined, count: number): void {
    this.#outbox.forgetBacklog()
    this.#capture.forgetStamp()
    this.#stores.forget()
    if (events !== undefined) events.length = count
  }

  /** Only the outermost transaction writes, when all is done: so LSNs follow the order of commits and leave no gap. */
  #commit(scope: Scope): void {
    if (this.#open !== scope)
      throw new CDCError(
        'transaction-nested',
        'transaction: one inside another goes on after its end; await every transaction inside its callback',
      )
    const { outer } = scope
    const { unit } = scope.parts
    if (outer === undefined && unit.events.length > 0) {
      const transaction = { txid: unit.txid, timeMs: this.#now(), events: unit.events }
      const { before, after } = this.#outbox.append(transaction, this.#limits)
      this.#relay.committed(before, after)
    }
  }

  #end(scope: Scope): void {
    scope.tx.end()
    // One that was not awaited may have been closed with its outer one: then it is not in the chain any more.
    if (this.#isOpen(scope)) this.#open = scope.outer
  }

  #isOpen(scope: Scope): boolean {
    for (let open = this.#open; open !== undefined; open = open.outer) if (open === scope) return true
    return false
  }
}

/** A transaction that is open: its handle, and what it is nested in. */
interface Scope {
  readonly tx: Transaction
  readonly parts: TransactionParts
  readonly isAsync: boolean
  readonly outer: Scope | undefined
}

function correlationOf({ correlationId, correlation_id = correlationId }: NamedEvent): Attribution {
  return correlation_id === undefined ? {} : { correlationId: correlation_id }
}

function refusePromise(result: unknown): void {
  if (typeof result !== 'object' || result === null || !('then' in result)) return
  if (typeof result.then !== 'function') return
  // Whatever the callback goes on to do after its first await is lost on a closed handle; its failure says nothing new.
  result.then(undefined, () => undefined)
  throw new CDCError(
    'async-callback',
    'transactionSync: the callback returned a promise, and only what it did before its first await would be atomic; ' +
      'use transaction for async callbacks',
  )
}
