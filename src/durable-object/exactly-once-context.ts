// Wires together the parts of an object with an outbox. Each part is described in its own file.

import type { DrizzleSqliteDODatabase } from 'drizzle-orm/durable-sqlite'
import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import { OutboxAdmin } from '../admin/outbox-admin.ts'
import { Capture } from '../capture/capture.ts'
import type { CaptureContext } from '../capture/capture-context.ts'
import type { CaptureOptions } from '../capture/captured-table.ts'
import { createIdFactory } from '../event/id.ts'
import type { CommittedRecord } from '../event/record.ts'
import type { Attribution } from '../event/unified-event.ts'
import { Consumer, type Consumption, type Processed } from '../inbox/consumer.ts'
import { Inbox, INBOX_RANGES_PER_LOG_MAX, type NamedEvent } from '../inbox/inbox.ts'
import { Membership } from '../membership/membership.ts'
import { type Backlog, Outbox } from '../outbox/outbox.ts'
import { OutboxTables } from '../outbox/tables.ts'
import type { Delivery } from '../pipeline/target.ts'
import { Relay } from '../relay/relay.ts'
import { AttachedStores } from '../snapshot/attached-stores.ts'
import { Snapshots } from '../snapshot/snapshots.ts'
import type { AttachedStore, StoreSQL } from '../store.ts'
import type { Subscriptions } from '../subscription.ts'
import { FollowedStorage } from '../transaction/followed-storage.ts'
import type { DrizzleFactory, Transaction } from '../transaction/transaction.ts'
import { OutboxTransactions, type SyncResult } from '../transaction/transactions.ts'
import { Alarms } from './alarms.ts'
import { tailOf } from '../tail-binding.ts'
import { type CDCOptions, resolveOptions } from './options.ts'
import { NO_ALARM, SharedAlarm } from './shared-alarm.ts'
import { noTail, TailNotice } from './tail-notice.ts'

/** What `drizzle(ctx.storage)` returns. */
type DrizzleDatabase = DrizzleSqliteDODatabase & { readonly $client: DurableObjectStorage }

/**
 * An outbox over one Durable Object's database.
 *
 * `CDCDurableObject` contains one. A class that extends something else makes one in its constructor, and delegates
 * `alarm(info)` to `context.alarm(info)`. If its base has an alarm of its own, as the Agents SDK does, the option `baseAlarm`
 * runs that.
 */
export class ExactlyOnceContext<Types = unknown> implements CaptureContext<Types>, Consumption<Types> {
  /** `inboxRangesPerLog`: how many ranges of LSNs `processOnce` remembers of one log. */
  static readonly limits = { inboxRangesPerLog: INBOX_RANGES_PER_LOG_MAX } as const

  readonly storage: DurableObjectStorage
  /** Alarms by name, beside the relay's: the platform gives an object only one alarm. */
  readonly alarms: Alarms
  /** The admin RPC of the outbox, for the object's own `get outbox()`. */
  readonly outbox: OutboxAdmin
  readonly #transactions: OutboxTransactions
  readonly #consumer: Consumer
  readonly #stores: AttachedStores
  readonly #capture: Capture
  readonly #relay: Relay
  readonly #subscriptions: Subscriptions | undefined
  readonly #alarm: SharedAlarm
  /** Undefined if no fleet is bound, or if the object could not be found by what is known of it. */
  readonly #membership: Membership | undefined
  readonly #tail: TailNotice
  readonly #maxAlarmMs: number

  /**
   * @param db the object's `ctx`; or a drizzle database over its storage. That doesn't know the object's name, so a new
   *   outbox needs the option `ns`.
   * @throws {CDCError} `invalid-config`, `schema-newer` or `migration-failed`.
   */
  constructor(db: DurableObjectState | DrizzleDatabase, options: CDCOptions<Types> = {}) {
    const { storage, owner: object, drizzle } = ownerOf(db)
    const { pipeline, ns, source, limits, onAlarm, now, random, hasAlarm, fleet, className, ...resolved } =
      resolveOptions(options, 'DO')
    const baseAlarm = hasAlarm ? resolved.baseAlarm : undefined
    const createId = createIdFactory(now)
    const followed = new FollowedStorage(storage)

    const owner = { object: object?.id.toString(), ns: ns ?? object?.id.name, source }
    const tables = new OutboxTables(storage, owner, createId)
    const outbox = new Outbox(storage, tables, createId)
    const stores = new AttachedStores(storage.sql)

    const platformAlarm = hasAlarm ? storage : NO_ALARM
    const alarm = new SharedAlarm(
      baseAlarm === undefined
        ? platformAlarm
        : followed.interceptAlarm({
            getAlarm: (...options) => alarms.base.getAlarm(...options),
            setAlarm: (...args) => alarms.base.setAlarm(...args),
            deleteAlarm: (...options) => alarms.base.deleteAlarm(...options),
          }),
    )
    const relay = new Relay({
      log: outbox,
      receiver: { send: ({ records }) => pipeline.send(records) },
      alarm,
      limits,
      now,
      random,
    })
    const alarms = new Alarms({
      storage,
      tables,
      alarm,
      hasAlarm,
      now,
      handler: onAlarm,
      baseAlarm,
      recoveryMs: limits.recoveryMs,
    })

    const tail = new TailNotice({
      exec: followed.exec,
      tail: () => (object === undefined ? noTail() : tailOf(object.id)),
      waitUntil: (promise) => object?.waitUntil(promise),
    })
    const transactions = new OutboxTransactions({
      storage: followed,
      drizzle: resolved.drizzle ?? drizzle,
      types: resolved.types,
      now,
      createId,
      append: (transaction) => {
        const { before, after } = outbox.append(transaction, limits)
        committed(before, after)
        tail.logGrew()
      },
    })
    const subscriptions = resolved.subscriptions?.({
      storage,
      tables,
      outbox,
      alarm,
      transactions,
      limits,
      now,
      random,
    })
    function committed(before: Backlog, after: Backlog): void {
      relay.committed(before, after)
      subscriptions?.committed(before, after)
    }
    const snapshots = new Snapshots({ storage, tables, stores, transactions, now, alarms })
    const capture = new Capture({
      storage: followed,
      tables,
      outbox,
      limits,
      now,
      transactions,
      committed,
      written: () => tail.logGrew(),
      snapshots,
    })

    const followers = [tables, stores, outbox, ...(subscriptions === undefined ? [] : [subscriptions]), capture]
    followed.onEmptied(() => {
      for (const follower of followers) follower.emptied()
      alarm.forget()
      tail.logGrew()
    })
    followed.onRollback(() => {
      for (const follower of followers) follower.rolledBack()
      alarm.forget()
    })

    alarm.onChange(() => capture.beforeOwnWrite())
    transactions.onAppend(() => capture.beforeOwnWrite())

    this.storage = storage
    this.alarms = alarms
    this.outbox = new OutboxAdmin({
      storage,
      tables,
      outbox,
      relay,
      subscriptions,
      limits,
      now,
      snapshots,
      capture,
      transactions,
      follow: () => tail.follow(),
    })
    this.#transactions = transactions
    this.#consumer = new Consumer(new Inbox(storage, tables, limits, now), transactions)
    this.#stores = stores
    this.#capture = capture
    this.#relay = relay
    this.#subscriptions = subscriptions
    this.#alarm = alarm
    if (fleet !== undefined && className !== undefined && object !== undefined)
      this.#membership = new Membership({
        outbox,
        fleet,
        id: object.id.toString(),
        className,
        name: object.id.name,
        now,
      })
    this.#tail = tail
    this.#maxAlarmMs = limits.maxAlarmMs

    snapshots.wake()
    const isPending = outbox.backlog().events > 0
    if (isPending || subscriptions?.isPending === true || !alarms.isEmpty)
      void object?.blockConcurrencyWhile(() => this.#heal(isPending))
    else if (baseAlarm !== undefined) void object?.blockConcurrencyWhile(() => alarms.adopt())
  }

  transaction<T>(callback: (tx: Transaction<Types>) => T | Promise<T>, attribution?: Attribution): Promise<T> {
    return this.#transactions.transaction(callback, attribution)
  }

  transactionSync<T>(callback: (tx: Transaction<Types>) => SyncResult<T>, attribution?: Attribution): T {
    return this.#transactions.transactionSync(callback, attribution)
  }

  processOnce<T>(event: NamedEvent, callback: (tx: Transaction<Types>) => T | Promise<T>): Promise<Processed<T>> {
    return this.#consumer.processOnce(event, callback)
  }

  processOnceSync<T>(event: NamedEvent, callback: (tx: Transaction<Types>) => SyncResult<T>): Processed<T> {
    return this.#consumer.processOnceSync(event, callback)
  }

  processEach(
    delivery: Delivery,
    callback: (tx: Transaction<Types>, event: CommittedRecord) => void | Promise<void>,
  ): Promise<number> {
    return this.#consumer.processEach(delivery, callback)
  }

  processEachSync<T>(
    delivery: Delivery,
    callback: (tx: Transaction<Types>, event: CommittedRecord) => SyncResult<T>,
  ): number {
    return this.#consumer.processEachSync(delivery, callback)
  }

  attach(store: AttachedStore): StoreSQL {
    return this.#stores.attach(store)
  }

  capture(table: string | SQLiteTable, options: CaptureOptions = {}): void {
    this.#capture.add(table, options)
  }

  uncapture(tableName: string): void {
    this.#capture.remove(tableName)
  }

  /**
   * Drains the outbox, delivers what subscriptions are due, and runs the named alarms that are due. To be called by the object's `alarm` method, with its
   * argument. Never throws: the platform drops an alarm for good after seven failed runs.
   */
  async alarm(info?: AlarmInvocationInfo): Promise<void> {
    this.#alarm.begin(info?.scheduledTime ?? 0)
    this.#tail.sendDue()
    // Neither waits for the other, but the platform's next alarm waits for both. So this run does not wait for a handler that
    // hangs for longer than `maxAlarmMs`, and its alarm is due again.
    const named = this.alarms.runDue()
    // If nothing else is due, it is the relay's, even if the clock has stepped back since it was set.
    const isForced = named === undefined && this.#subscriptions?.isDue() !== true
    await Promise.all([
      this.#subscriptions?.run({ isForced: false }),
      this.#relay.run({ isForced }).then(() => this.#membership?.tell()),
      named && this.#within(named),
    ])
  }

  /** Makes the platform's alarm due if something needs it, even if the platform has lost it, or it is far ahead (I6). */
  async #heal(isPending: boolean): Promise<void> {
    if (isPending) await this.#relay.wake()
    await this.#subscriptions?.wake()
    await this.alarms.heal()
  }

  async #within(work: Promise<void>): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, this.#maxAlarmMs)
    await Promise.race([work, promise])
    clearTimeout(timer)
  }
}

interface DatabaseOwner {
  readonly storage: DurableObjectStorage
  /** The object, if it is known. */
  readonly owner: DurableObjectState | undefined
  readonly drizzle: DrizzleFactory | undefined
}

function ownerOf(db: DurableObjectState | DrizzleDatabase): DatabaseOwner {
  if (!('$client' in db)) return { storage: db.storage, owner: db, drizzle: undefined }
  return { storage: db.$client, owner: undefined, drizzle: () => db }
}
