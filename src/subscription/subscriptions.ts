// The subscriptions of an object: each has a cursor, a target, and a relay of its own between the two, so that one that fails
// holds back neither the pipeline nor another.

import { CDCError, messageOf, propertyOf, reasonOf } from '../error.ts'
import { toEvent } from '../outbox/log.ts'
import { type DeadLetter, DeadLetters } from '../outbox/dead-letters.ts'
import type { Backlog, Batch, Outbox } from '../outbox/outbox.ts'
import type { OutboxTables } from '../outbox/tables.ts'
import { type CommittedRecord, toRecord } from '../event/record.ts'
import type { Progress } from '../pipeline/target.ts'
import { type AlarmShares, Relay, type RelayLimits } from '../relay/relay.ts'
import type { OutboxTransactions } from '../transaction/transactions.ts'
import { type AttemptFacts, Cursor, NO_FACTS, type SubscriptionChange } from './cursor.ts'
import { isMatch } from './filter.ts'
import { relayLimitsOf, type Subscription, type SubscriptionLimits } from './options.ts'
import { readSubscriptions, type SubscriptionState } from './state.ts'

/** Type of the event that says what became of a subscription. */
const SUBSCRIPTION_TYPE = 'cdc.subscription'
/** A status by which a receiver says that it is gone for good (RFC 9110). */
const GONE = 410

/** A subscription that there is, and whether the code names it. */
export type ListedSubscription = SubscriptionState & { readonly isInCode: boolean }

interface SubscriptionsPorts {
  readonly storage: DurableObjectStorage
  readonly tables: OutboxTables
  readonly outbox: Outbox
  readonly alarm: AlarmShares
  readonly transactions: Pick<OutboxTransactions, 'transactionSync'>
  readonly limits: RelayLimits & SubscriptionLimits
  readonly now: () => number
  readonly random: () => number
}

/** A subscription that the code names, at work. */
class Feed {
  readonly cursor: Cursor
  readonly relay: Relay
  readonly #subscription: Subscription
  readonly #ports: SubscriptionsPorts
  readonly #limits: RelayLimits

  constructor(subscription: Subscription, ports: SubscriptionsPorts) {
    const { name, filter = {} } = subscription
    this.#subscription = subscription
    this.#ports = ports
    this.#limits = relayLimitsOf(subscription, ports.limits)
    this.cursor = new Cursor(name, {
      ...ports,
      disableAfterMs: ports.limits.disableAfterMs,
      isMatch: (record) => isMatch(filter, record),
      tell: (change) => this.#tell(change),
    })
    this.relay = new Relay({
      log: this.cursor,
      receiver: { send: (batch) => this.#deliver(batch) },
      alarm: ports.alarm,
      limits: this.#limits,
      now: ports.now,
      random: ports.random,
    })
  }

  /** Makes its row, if this is a new subscription. */
  begin(): void {
    const { outbox } = this.#ports
    const isFromNow = (this.#subscription.from ?? 'now') === 'now'
    const epochLSN = outbox.state()?.epochLSN ?? 1
    this.cursor.begin(isFromNow ? outbox.backlog().lastLSN : Math.max(epochLSN, outbox.oldestLSN()) - 1)
  }

  /** Delivers what is due. Never rejects, as the relay does not. */
  async run({ isForced }: { isForced: boolean }): Promise<void> {
    const state = this.cursor.state()
    if (state === undefined || state.isPaused || this.cursor.backlog().events === 0) return
    if (!isForced && (this.relay.dueMs() ?? 0) > this.#ports.now() && state.nextAttemptMs > 0) return
    await this.relay.run({ isForced })
  }

  /** Delivers a dead letter, while no batch is in flight; then it is none any more. @throws what the target throws. */
  async redrive(letter: DeadLetter): Promise<void> {
    const { lsn } = letter
    const record = recordOf(this.#ports.outbox, letter)
    const { epoch } = record
    await this.relay.replay({
      firstLSN: lsn,
      lastLSN: lsn,
      key: this.cursor.name,
      epoch,
      retries: 0,
      records: [record],
    })
    this.cursor.deadLetters.remove(lsn)
  }

  async #deliver(batch: Batch): Promise<void> {
    const { firstLSN, lastLSN, epoch, records } = batch
    const { ns = '', source = '' } = records[0] ?? {}
    const { sendTimeoutMs } = this.#limits
    const { now } = this.#ports
    let facts = { ...NO_FACTS, startedMs: now() }
    const know = (more: Partial<AttemptFacts>): void => this.cursor.noteFacts((facts = { ...facts, ...more }))
    know({})
    const signal = AbortSignal.timeout(sendTimeoutMs)
    const progress: Progress = {
      signal,
      reached: (lsn) => {
        // After the time is over, another attempt may have begun.
        if (signal.aborted) return false
        know({ reachedLSN: lsn })
        return now() - facts.startedMs < sendTimeoutMs / 2
      },
    }
    const delivery = { subscription: this.cursor.name, ns, source, epoch, firstLSN, lastLSN, records }
    try {
      await this.#subscription.target.deliver(delivery, progress)
    } catch (error) {
      const index = propertyOf(error, 'index')
      const refused = typeof index === 'number' ? records[index] : undefined
      if (!signal.aborted) know({ refusedLSN: refused?.lsn, isGone: propertyOf(error, 'status') === GONE })
      throw error
    }
  }

  /** For people in the log of the Worker, and for programs in the log of the object. */
  #tell(change: SubscriptionChange): void {
    const { name } = this.cursor
    console.error(`subscription ${name}: ${describe(change)}`)
    try {
      this.#ports.transactions.transactionSync((tx) => {
        tx.emit({ type: SUBSCRIPTION_TYPE, data: { subscription: name, ...change } })
      })
    } catch (error) {
      // The outbox may be full. `stats` says it too.
      console.error(`subscription ${name}: ${messageOf(error)}`)
    }
  }
}

export class Subscriptions {
  readonly #ports: SubscriptionsPorts
  readonly #feeds: ReadonlyMap<string, Feed>

  constructor(subscriptions: readonly Subscription[], ports: SubscriptionsPorts) {
    this.#ports = ports
    this.#feeds = new Map(subscriptions.map((each) => [each.name, new Feed(each, ports)]))
    this.#begin()
    ports.tables.onCreated(() => this.#begin())
  }

  /** Whether any has something to do, so that it needs the alarm. */
  get isPending(): boolean {
    return this.#all.some(({ relay }) => relay.dueMs() !== undefined)
  }

  /** Makes an alarm due for the events that a transaction is about to commit, as part of it. */
  committed(before: Backlog, after: Backlog): void {
    for (const { cursor, relay } of this.#feeds.values())
      relay.committed(cursor.backlogOf(before), cursor.backlogOf(after))
  }

  async wake(): Promise<void> {
    for (const { relay } of this.#all) await relay.wake()
  }

  /** Whether one of them needs the alarm that has fired. */
  isDue(): boolean {
    const nowMs = this.#ports.now()
    return this.#all.some(({ relay }) => (relay.dueMs() ?? Infinity) <= nowMs)
  }

  /** Delivers what is due, or with `isForced` what is pending, all at once. Never rejects. */
  async run(options: { isForced: boolean }): Promise<void> {
    for (const { cursor } of this.#all) {
      try {
        cursor.passOver()
      } catch (error) {
        console.error(`subscription ${cursor.name}: ${reasonOf(error)}`)
      }
    }
    await Promise.all(this.#all.map((feed) => feed.run(options)))
  }

  emptied(): void {
    for (const { cursor } of this.#all) cursor.forget()
  }

  rolledBack(): void {
    for (const { cursor } of this.#all) cursor.forget()
  }

  /** The state of each, also of those that are no longer in the code. */
  list(): ListedSubscription[] {
    return readSubscriptions(this.#ports.storage.sql).map((state) => ({
      ...state,
      isInCode: this.#feeds.has(state.name),
    }))
  }

  /** @throws {CDCError} `not-found`. */
  get(name: string, caller: string): Feed {
    const feed = this.#feeds.get(name)
    if (feed !== undefined) return feed
    const known = [...this.#feeds.keys()].join(', ') || 'none'
    throw new CDCError('not-found', `${caller}: the class has no subscription ${name}; it has ${known}`)
  }

  /** The events that its target has refused, also if it is no longer in the code. */
  deadLettersOf(name: string): DeadLetters {
    return new DeadLetters(this.#ports.storage, name)
  }

  /** Deletes what is kept of a subscription that is no longer in the code. @throws {CDCError} `not-found`, `invalid-argument`. */
  drop(name: string): void {
    if (this.#feeds.has(name))
      throw new CDCError('invalid-argument', `outbox.drop: ${name} is in configure(); take it out there first`)
    const { storage } = this.#ports
    if (!this.list().some((state) => state.name === name))
      throw new CDCError('not-found', `outbox.drop: there is no subscription ${name}`)
    storage.transactionSync(() => {
      storage.sql.exec('DELETE FROM _cdc_subscription WHERE name = ?', name)
      storage.sql.exec('DELETE FROM _cdc_dead_letter WHERE subscription = ?', name)
    })
  }

  get #all(): Feed[] {
    return [...this.#feeds.values()]
  }

  #begin(): void {
    for (const feed of this.#all) feed.begin()
  }
}

function recordOf(outbox: Outbox, { lsn, txid, timeMs, event }: DeadLetter): CommittedRecord {
  const identity = outbox.state()
  if (identity === undefined) throw new Error('I9: an open outbox has a state')
  const { epoch } = identity
  return { ...toRecord(toEvent(identity, { lsn, txid, time: timeMs }, event)), epoch, lsn, txid }
}

function describe(change: SubscriptionChange): string {
  if (change.change === 'disabled')
    return `disabled, until it is resumed: its target has failed for too long, or is gone: ${change.reason}`
  const { firstLSN, lastLSN } = change
  return `missed the events from LSN ${firstLSN} to ${lastLSN}, which are no longer kept: it was behind by more than maxLagMs or maxLagBytes`
}
