// The subscriptions of an object: each has a cursor, a target, and a relay of its own between the two, so that one that fails
// holds back neither the pipeline nor another.

import { CDCError, messageOf, propertyOf, reasonOf } from '../error.ts'
import { toEvent } from '../outbox/log.ts'
import type { DeadLetter } from '../outbox/dead-letters.ts'
import type { Backlog, Batch, Outbox } from '../outbox/outbox.ts'
import { type CommittedRecord, toRecord } from '../event/record.ts'
import type { Progress } from '../pipeline/target.ts'
import { Relay, type RelayLimits } from '../relay/relay.ts'
import type { Subscriptions, SubscriptionsFactory, SubscriptionsPorts } from '../subscription.ts'
import { type AttemptFacts, Cursor, NO_FACTS, type SubscriptionChange } from './cursor.ts'
import { isMatch } from './filter.ts'
import { checkSubscriptions, relayLimitsOf, type Subscription } from './options.ts'

/** Type of the event that says what became of a subscription. */
const SUBSCRIPTION_TYPE = 'cdc.subscription'
/** A status by which a receiver says that it is gone for good (RFC 9110). */
const GONE = 410

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
    if (this.cursor.row() !== undefined) return
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

  async redrive(letter: DeadLetter): Promise<void> {
    const { lsn } = letter
    const record = recordOf(this.#ports.outbox, letter)
    const { epoch } = record
    const batch = { firstLSN: lsn, lastLSN: lsn, key: this.cursor.name, epoch, retries: 0, records: [record] }
    try {
      await this.relay.replay(batch)
    } finally {
      // What is known of this attempt says nothing of the next batch.
      this.cursor.noteFacts(NO_FACTS)
    }
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
    // A timer that nobody clears would keep the object in memory.
    const timeout = new AbortController()
    const timer = setTimeout(() => timeout.abort(), sendTimeoutMs)
    const { signal } = timeout
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
    } finally {
      clearTimeout(timer)
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

/**
 * The subscriptions of a class, for its option `subscriptions`.
 *
 * @typeParam Types of the class's events, for filters of types that there are: `typeof` what `defineEvents` returned.
 * @throws {CDCError} `invalid-config`, naming the option.
 */
export function subscribe<Types = unknown>(subscriptions: readonly Subscription<Types>[]): SubscriptionsFactory {
  const checked = checkSubscriptions(subscriptions)
  return (ports) => new Feeds(checked, ports)
}

class Feeds implements Subscriptions {
  readonly names: readonly string[]
  readonly #ports: SubscriptionsPorts
  readonly #feeds: readonly Feed[]

  constructor(subscriptions: readonly Subscription[], ports: SubscriptionsPorts) {
    this.names = subscriptions.map(({ name }) => name)
    this.#ports = ports
    this.#feeds = subscriptions.map((each) => new Feed(each, ports))
    this.#begin()
    ports.tables.onCreated(() => this.#begin())
  }

  get isPending(): boolean {
    return this.#feeds.some(({ relay }) => relay.dueMs() !== undefined)
  }

  isDue(): boolean {
    const nowMs = this.#ports.now()
    return this.#feeds.some(({ relay }) => (relay.dueMs() ?? Infinity) <= nowMs)
  }

  committed(before: Backlog, after: Backlog): void {
    for (const { cursor, relay } of this.#feeds) relay.committed(cursor.backlogOf(before), cursor.backlogOf(after))
  }

  async wake(): Promise<void> {
    for (const { relay } of this.#feeds) await relay.wake()
  }

  async run(options: { isForced: boolean }): Promise<void> {
    for (const { cursor } of this.#feeds) {
      try {
        cursor.passOver()
      } catch (error) {
        console.error(`subscription ${cursor.name}: ${reasonOf(error)}`)
      }
    }
    await Promise.all(this.#feeds.map((feed) => feed.run(options)))
  }

  pause(name: string): void {
    this.#get(name).relay.pause()
  }

  resume(name: string): void {
    this.#get(name).relay.resume()
  }

  redrive(name: string, letter: DeadLetter): Promise<void> {
    return this.#get(name).redrive(letter)
  }

  emptied(): void {
    for (const { cursor } of this.#feeds) cursor.forget()
  }

  rolledBack(): void {
    for (const { cursor } of this.#feeds) cursor.forget()
  }

  #get(name: string): Feed {
    const feed = this.#feeds.find(({ cursor }) => cursor.name === name)
    if (feed === undefined) throw new CDCError('not-found', `there is no subscription ${name}`)
    return feed
  }

  #begin(): void {
    for (const feed of this.#feeds) feed.begin()
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
