// The admin RPC: `await (await env.CUSTOMERS.getByName('acme').outbox).stats()`. Every read is bounded, whatever the size of the
// log (I7): it reads a range of LSNs, and returns the LSN of the next page.

import { RpcTarget } from 'cloudflare:workers'
import type { Capture } from '../capture/capture.ts'
import { CDCError, reasonOf } from '../error.ts'
import type { EncodedEvent, EventContent } from '../event/create-event.ts'
import { Fields } from '../event/fields.ts'
import { listOf, name, oneOf, optional, text, ulid, whole, withDefault } from '../event/kinds.ts'
import type { RPCEvent } from '../event/rpc-event.ts'
import { type CommittedEvent, type StoreType, storeType } from '../event/unified-event.ts'
import { utf8Bytes } from '../event/utf8.ts'
import { type DeadLetter, DeadLetters } from '../outbox/dead-letters.ts'
import { toEvent, readRow } from '../outbox/log.ts'
import { type Batch, createBatch, type Outbox } from '../outbox/outbox.ts'
import type { OutboxState } from '../outbox/state.ts'
import { dropSubscription, readSubscriptions, type SubscriptionState } from '../outbox/subscription-state.ts'
import type { OutboxTables } from '../outbox/tables.ts'
import type { Relay, RelayLimits } from '../relay/relay.ts'
import { readTailPage, TAIL_EVENTS_MAX, tailFields, type TailPage, type TailQuery } from './log-page.ts'
import { SNAPSHOT_CHUNK, SNAPSHOT_CHUNK_MAX, type SnapshotProgress, type Snapshots } from '../snapshot/snapshots.ts'
import type { Subscriptions } from '../subscription.ts'
import type { OutboxTransactions } from '../transaction/transactions.ts'
import { type SubscriptionStats, subscriptionStats, subscriptionStatus } from './subscription-stats.ts'

/** How many events one call of `list` or `deadLetters` returns, and one call of `redrive` or `discard` changes. */
const PAGE_EVENTS_MAX = 1_000
const PAGE_EVENTS = 100
/** How much of the log one call reads, however few of its events match. An RPC call carries 32 MB. */
const PAGE_ROWS_MAX = 1_000
const PAGE_BYTES_MAX = 8_000_000

/** Whose relay: that of a subscription; without one, that of the pipeline. */
export interface RelayChoice {
  subscription?: string
}

/** Which events: those with all of these fields, of LSNs `from` to `to`, at most `limit` (default 100, at most 1,000). */
export interface OutboxMatch {
  type?: string
  store?: StoreType
  table?: string
  key?: string
  from?: number
  to?: number
  limit?: number
}

export interface OutboxQuery extends OutboxMatch {
  status?: 'pending' | 'delivered'
}

export interface DeadLetterQuery extends OutboxMatch, RelayChoice {}

/** Which dead letters: these ids, or all that match, or `{ all: true }`. */
export interface DeadLetterChoice extends DeadLetterQuery {
  ids?: string[]
  all?: true
}

const lsn = whole()
const placeFields = new Fields<{ lsn: number }>({ lsn })
const match = {
  type: optional(name),
  store: optional(storeType),
  table: optional(name),
  key: optional(name),
  from: withDefault(lsn, 1),
  to: optional(lsn),
  limit: withDefault(whole({ to: PAGE_EVENTS_MAX }), PAGE_EVENTS),
}
/** Once the defaults are in. */
type Filled<Query extends OutboxMatch> = Query & Required<Pick<Query, 'from' | 'limit'>>

const others = 'is not known here'
const queryFields = new Fields<Filled<OutboxQuery>>(
  { ...match, status: optional(oneOf(['pending', 'delivered'])) },
  { others },
)
const relayChoice = { subscription: optional(name) }
const relayFields = new Fields<RelayChoice>(relayChoice, { others })
const dropFields = new Fields<Required<RelayChoice>>({ subscription: name }, { others })
const letters = { ...match, ...relayChoice }
const lettersFields = new Fields<Filled<DeadLetterQuery>>(letters, { others })
const choice = { ...letters, ids: optional(listOf(ulid, { to: PAGE_EVENTS_MAX })), all: optional(oneOf([true])) }
const choiceFields = new Fields<Filled<DeadLetterChoice>>(choice, { others, rule: choiceProblem })
const discardFields = new Fields<Filled<DeadLetterChoice> & { reason: string }>(
  { ...choice, reason: text(1_000) },
  { others, rule: choiceProblem },
)
const snapshotFields = new Fields<{ store: string; chunk: number }>(
  { store: name, chunk: withDefault(whole({ to: SNAPSHOT_CHUNK_MAX }), SNAPSHOT_CHUNK) },
  { others },
)
const rangeFields = new Fields<{ fromLSN: number; toLSN: number }>(
  { fromLSN: lsn, toLSN: lsn },
  {
    others,
    rule: ({ fromLSN, toLSN }) => (fromLSN > toLSN ? 'fromLSN is above toLSN' : undefined),
  },
)

function choiceProblem({ ids, all, type, store, table, key, to }: DeadLetterChoice): string | undefined {
  const isChosen = [ids, all, type, store, table, key, to].some((choice) => choice !== undefined)
  return isChosen ? undefined : 'say which dead letters: { ids }, a filter, or { all: true }'
}

export type ListedEvent = RPCEvent & { status: 'pending' | 'delivered' }

/** A page in LSN order. `nextLSN` is the `from` of the next page, if there may be one. */
export interface Page<Item> {
  items: Item[]
  nextLSN?: number
}

/** A refused event, the reason, and its attempts. Times are ISO 8601, UTC. */
export interface ListedDeadLetter {
  lsn: number
  id: string
  event: RPCEvent
  reason: string
  attempts: number
  firstAttempt: string
  lastAttempt: string
}

/** How many dead letters were sent again, and the `from` of the next call, if there may be more. */
export interface Redriven {
  redriven: number
  nextLSN?: number
}

/** The state of an outbox and its relay. Times are ISO 8601, UTC; sizes are UTF-8 bytes on the wire. */
export interface OutboxStats {
  ns: string
  source: string
  epoch: string
  pendingEvents: number
  pendingBytes: number
  /** Age of the oldest pending event. */
  lagMs: number
  lastLSN: number
  ackedLSN: number
  /** Events of this database that the pipeline has accepted, including the records of dead letters. */
  deliveredEvents: number
  retainedBytes: number
  deadLetters: number
  isPaused: boolean
  /** By captured table: `live`, or why writes to it may not be captured. */
  captured: Record<string, string>
  /** The latest table snapshot of each store. */
  snapshots: SnapshotProgress[]
  /** By subscription: `live`, or why nothing is delivered. */
  subscriptions: Record<string, string>
  /** The batch that is not accepted yet. */
  inFlight?: { firstLSN: number; lastLSN: number; attempts: number; since: string; nextAttempt?: string }
  lastError?: string
}

/** The result of a flush. */
export interface FlushOutcome {
  delivered: number
  pendingEvents: number
  deadLetters: number
  isPaused: boolean
  lastError?: string
}

interface OutboxAdminPorts {
  readonly tables: OutboxTables
  readonly outbox: Outbox
  readonly relay: Relay
  readonly subscriptions: Subscriptions | undefined
  readonly storage: DurableObjectStorage
  readonly limits: RelayLimits
  readonly now: () => number
  readonly snapshots: Snapshots
  readonly capture: Capture
  readonly transactions: OutboxTransactions
  /** Has the object's tail told when the log grows. */
  readonly follow: () => void
}

/** The outbox of one object, for its operators. A read costs as much as it returns, whatever the size of the log. */
export class OutboxAdmin extends RpcTarget {
  /**
   * `pageEvents`: events that one call returns or changes. `tailEvents`: the same for `tail`. `snapshotChunk`: rows of one chunk
   * of a snapshot.
   */
  static readonly limits = {
    pageEvents: PAGE_EVENTS_MAX,
    tailEvents: TAIL_EVENTS_MAX,
    snapshotChunk: SNAPSHOT_CHUNK_MAX,
  } as const

  readonly #ports: OutboxAdminPorts

  constructor(ports: OutboxAdminPorts) {
    super()
    this.#ports = ports
  }

  stats(): OutboxStats {
    const { outbox, now } = this.#ports
    const state = this.#state()
    const { events, bytes, lastLSN } = outbox.backlog()
    return {
      ns: state.ns,
      source: state.source,
      epoch: state.epoch,
      pendingEvents: events,
      pendingBytes: bytes,
      lagMs: Math.max(0, now() - (outbox.oldestPendingMs() ?? now())),
      lastLSN,
      ackedLSN: state.ackedLSN,
      deliveredEvents: state.ackedLSN,
      retainedBytes: state.ackedBytes - state.prunedBytes,
      deadLetters: outbox.deadLetters.count(),
      isPaused: state.isPaused,
      captured: this.#ports.capture.status(),
      snapshots: this.#ports.snapshots.list(),
      subscriptions: Object.fromEntries(
        this.#subscriptions().map((each) => [each.name, subscriptionStatus(each, this.#isInCode(each.name))]),
      ),
      ...(state.batchLSN > state.ackedLSN && { inFlight: describeBatch(state) }),
      ...(state.lastError !== null && { lastError: state.lastError }),
    }
  }

  /** The matching events of the log in LSN order: pending ones, and delivered ones while they are kept. */
  list(query: OutboxQuery = {}): Page<ListedEvent> {
    const { status, from, to = Infinity, limit, ...match } = parse(queryFields, query, 'list')
    const state = this.#state()
    const first = Math.max(from, state.epochLSN, status === 'pending' ? state.ackedLSN + 1 : 1)
    const last = Math.min(to, status === 'delivered' ? state.ackedLSN : Infinity)
    const { rows, isLast } = this.#ports.outbox.page(first, Math.min(last, Number.MAX_SAFE_INTEGER), {
      maxRows: PAGE_ROWS_MAX,
      maxBytes: PAGE_BYTES_MAX,
    })
    const items: ListedEvent[] = []
    for (const row of rows)
      for (const event of readRow(state, row, first, last)) {
        if (!matches(event, match)) continue
        if (items.length === limit) return { items, nextLSN: event.lsn }
        items.push({ ...forRPC(event), status: event.lsn > state.ackedLSN ? 'pending' : 'delivered' })
      }
    const lastRow = rows.at(-1)
    return isLast || lastRow === undefined ? { items } : { items, nextLSN: lastRow.lsn + 1 }
  }

  /** One event of the log; undefined if there never was one, or if it is no longer kept. */
  get(lsn: number): ListedEvent | undefined {
    const at = parse(placeFields, { lsn }, 'get').lsn
    return this.list({ from: at, to: at, limit: 1 }).items[0]
  }

  /**
   * The events of the log after a place, pending and delivered ones alike: for programs that follow the log page by page. It
   * does not wait for events: `OutboxTail` does, which has clients and not the object awake.
   *
   * @throws {CDCError} `invalid-argument`; with `follow`, `invalid-config` if the Worker has no `OutboxTail`.
   */
  tail(query: TailQuery = {}): TailPage<RPCEvent> {
    const parsed = parse(tailFields, query, 'tail')
    const state = this.#state()
    if (parsed.follow) this.#ports.follow()
    const { events, ...page } = readTailPage(this.#ports.outbox, state, parsed)
    return { ...page, events: events.map(forRPC) }
  }

  /** Sends the pending events now, also to subscriptions, without waiting for the end of a backoff. @returns the result. */
  async flush(): Promise<FlushOutcome> {
    const { outbox, relay, subscriptions } = this.#ports
    const before = this.#state().ackedLSN
    await Promise.all([relay.run({ isForced: true }), subscriptions?.run({ isForced: true })])
    // The call may have joined a run that was about to end.
    if (outbox.backlog().events > 0 && this.#state().lastError === null) await relay.run({ isForced: true })
    const { ackedLSN, isPaused, lastError } = this.#state()
    return {
      // Less than before if the storage was emptied meanwhile.
      delivered: Math.max(0, ackedLSN - before),
      pendingEvents: outbox.backlog().events,
      deadLetters: outbox.deadLetters.count(),
      isPaused,
      ...(lastError !== null && { lastError }),
    }
  }

  /** Stops sending, after the batch in flight. Events are still captured, but no alarm is armed for them. */
  pause(which: RelayChoice = {}): void {
    const { subscription } = parse(relayFields, which, 'pause')
    if (subscription === undefined) this.#ports.relay.pause()
    else this.#working(subscription).pause(subscription)
  }

  /** Sends again what is pending: a subscription that was disabled continues where it stopped. */
  resume(which: RelayChoice = {}): void {
    const { subscription } = parse(relayFields, which, 'resume')
    if (subscription === undefined) this.#ports.relay.resume()
    else this.#working(subscription).resume(subscription)
  }

  /** The state of each subscription with its last deliveries, also of those that are no longer in the code. */
  subscriptions(): SubscriptionStats[] {
    this.#state()
    return this.#subscriptions().map((state) => this.#statsOf(state))
  }

  /** Deletes what is kept of a subscription that is no longer in the code, and its dead letters. @throws {CDCError} `not-found`. */
  drop(which: Required<RelayChoice>): void {
    this.#state()
    const { subscription } = parse(dropFields, which, 'drop')
    if (this.#isInCode(subscription))
      throw new CDCError('invalid-argument', `outbox.drop: ${subscription} is in configure(); take it out there first`)
    dropSubscription(this.#ports.storage, this.#known(subscription))
  }

  /** The refused events that were neither redriven nor discarded, in LSN order. */
  deadLetters(query: DeadLetterQuery = {}): Page<ListedDeadLetter> {
    const state = this.#state()
    const { items, ...rest } = this.#findDeadLetters(parse(lettersFields, query, 'deadLetters'))
    return { items: items.map((letter) => listed(state, letter)), ...rest }
  }

  /**
   * Sends dead letters again: each under a new LSN, with its own id, and with its former LSN in `_meta.redrivenFrom`. Those of a
   * subscription are delivered at once, one after the other, as they are.
   *
   * @returns how many, and `nextLSN` if there may be more.
   * @throws {CDCError} `pipeline-failed` if the target of a subscription does not take one: it and those after it stay.
   */
  redrive(choice: DeadLetterChoice & { subscription: string }): Promise<Redriven>
  redrive(choice: DeadLetterChoice): Redriven
  redrive(choice: DeadLetterChoice): Redriven | Promise<Redriven> {
    const which = parse(choiceFields, choice, 'redrive')
    const { items: letters, ...rest } = this.#findDeadLetters(which)
    if (which.subscription !== undefined) return this.#redeliver(which.subscription, letters, rest)
    if (letters.length > 0)
      this.#ports.transactions.commitEncoded(() => {
        for (const { lsn } of letters) this.#ports.outbox.deadLetters.remove(lsn)
        // The event keeps the time at which it happened, however late it is sent.
        return letters.map(({ lsn, event, timeMs }) =>
          encode({ timestamp: new Date(timeMs).toISOString(), ...event, redrivenFrom: lsn }),
        )
      })
    return { redriven: letters.length, ...rest }
  }

  async #redeliver(name: string, letters: readonly DeadLetter[], rest: { nextLSN?: number }): Promise<Redriven> {
    const subscriptions = this.#working(name)
    for (const [index, letter] of letters.entries()) {
      try {
        await subscriptions.redrive(name, letter)
      } catch (cause) {
        throw new CDCError(
          'pipeline-failed',
          `outbox.redrive: ${index} redriven; ${name} did not take LSN ${letter.lsn}: ${reasonOf(cause)}`,
          { retryable: true, cause },
        )
      }
    }
    return { redriven: letters.length, ...rest }
  }

  /**
   * Emits the current rows of a store or a captured table as `r` events, a chunk at a time over alarms, while writes
   * continue: for a table that has rows when its capture begins, or for a reader that starts from nothing. It continues
   * after the end of the runtime; `stats()` reports its progress.
   *
   * @param store `<kind>/<table>`, such as `document/Customer`, or the table alone, or the store itself.
   * @param options.chunk rows of one transaction. Default: 500; at most 1,000.
   * @throws {CDCError} `not-found`, `invalid-argument`.
   */
  snapshot(store: string | { readonly name: string }, options: { chunk?: number } = {}): SnapshotProgress {
    const given = { ...options, store: Object(store).name ?? store }
    const { store: name, chunk } = parse(snapshotFields, given, 'snapshot')
    return this.#ports.snapshots.start(name, chunk)
  }

  /** Deletes dead letters. For each, a `cdc.dead_letter_discarded` event with the reason lands like any other. */
  discard(choice: DeadLetterChoice & { reason: string }): { discarded: number; nextLSN?: number } {
    const { reason, ...which } = parse(discardFields, choice, 'discard')
    const { items: letters, ...rest } = this.#findDeadLetters(which)
    if (letters.length > 0)
      this.#ports.transactions.commitEncoded((tx) => {
        const { subscription } = which
        for (const { lsn, event } of letters) {
          this.#lettersOf(which).remove(lsn)
          const data = {
            lsn,
            id: event.id,
            type: event.type,
            reason,
            ...(subscription !== undefined && { subscription }),
          }
          tx.emit({ type: 'cdc.dead_letter_discarded', data })
        }
        return []
      })
    return { discarded: letters.length, ...rest }
  }

  /**
   * Sends delivered events again under their own identities, for a receiver that has lost some. A receiver that lands each
   * event once ignores those that it has.
   *
   * @returns how many were sent, and `nextLSN` if the range continues.
   * @throws {CDCError} `not-found` if the first of them is no longer kept, `pipeline-failed` with the pipeline's reason.
   */
  async replay(range: { fromLSN: number; toLSN: number }): Promise<{ replayed: number; nextLSN?: number }> {
    const { fromLSN, toLSN } = parse(rangeFields, range, 'replay')
    const { outbox, limits } = this.#ports
    const state = this.#state()
    const lastLSN = Math.min(toLSN, state.ackedLSN, fromLSN + limits.maxBatchEvents - 1)
    const pageLimits = { maxRows: limits.maxBatchEvents, maxBytes: limits.maxBatchBytes / 2 }
    const rows = lastLSN < fromLSN ? [] : outbox.page(fromLSN, lastLSN, pageLimits).rows
    const last = Math.min(lastLSN, rows.at(-1)?.lsn ?? 0)
    const [oldest] = rows
    if (oldest === undefined || fromLSN < state.epochLSN || oldest.lsn - oldest.count + 1 > fromLSN)
      throw new CDCError('not-found', `replay: LSN ${fromLSN} was not delivered in this epoch, or is no longer kept`)
    await this.#resend(createBatch(state, rows, { first: fromLSN, last, retries: 0 }))
    const isDone = last >= toLSN || last >= state.ackedLSN
    return { replayed: last - fromLSN + 1, ...(!isDone && { nextLSN: last + 1 }) }
  }

  async #resend(batch: Batch): Promise<void> {
    try {
      await this.#ports.relay.replay(batch)
    } catch (cause) {
      const reason = reasonOf(cause)
      throw new CDCError('pipeline-failed', `replay: the pipeline did not accept ${batch.key}: ${reason}`, {
        retryable: true,
        cause,
      })
    }
  }

  #findDeadLetters(choice: Filled<DeadLetterChoice>): Page<DeadLetter> {
    const { ids, from, to = Infinity, limit, ...match } = choice
    const scanned = this.#lettersOf(choice).list(from, PAGE_ROWS_MAX)
    const items: DeadLetter[] = []
    for (const letter of scanned) {
      if (letter.lsn > to) return { items }
      if (ids !== undefined && !ids.includes(letter.event.id)) continue
      if (!matches(letter.event, match)) continue
      if (items.length === limit) return { items, nextLSN: letter.lsn }
      items.push(letter)
    }
    const last = scanned.at(-1)
    return scanned.length < PAGE_ROWS_MAX || last === undefined ? { items } : { items, nextLSN: last.lsn + 1 }
  }

  #lettersOf({ subscription }: RelayChoice): DeadLetters {
    const { outbox, storage } = this.#ports
    return subscription === undefined ? outbox.deadLetters : new DeadLetters(storage, this.#known(subscription))
  }

  #statsOf(state: SubscriptionState): SubscriptionStats {
    const { outbox, now } = this.#ports
    const { name: subscription, ackedLSN } = state
    return subscriptionStats(state, this.#isInCode(subscription), {
      pendingEvents: Math.max(0, outbox.backlog().lastLSN - ackedLSN),
      lagMs: Math.max(0, now() - (outbox.timeAfter(ackedLSN) ?? now())),
      deadLetters: this.#lettersOf({ subscription }).count(),
    })
  }

  /** All subscriptions that there are. */
  #subscriptions(): SubscriptionState[] {
    return readSubscriptions(this.#ports.storage.sql)
  }

  #isInCode(subscription: string): boolean {
    return this.#ports.subscriptions?.names.includes(subscription) === true
  }

  /** @returns the name. @throws {CDCError} `not-found`. */
  #known(subscription: string): string {
    const names = this.#subscriptions().map((state) => state.name)
    if (names.includes(subscription)) return subscription
    throw new CDCError('not-found', `outbox: there is no subscription ${subscription}; there are ${listOfNames(names)}`)
  }

  /** The subscriptions that are at work, this one among them. @throws {CDCError} `not-found`. */
  #working(subscription: string): Subscriptions {
    const { subscriptions } = this.#ports
    if (subscriptions?.names.includes(subscription)) return subscriptions
    const names = listOfNames(subscriptions?.names ?? [])
    throw new CDCError('not-found', `outbox: the code has no subscription ${subscription}; it has ${names}`)
  }

  #state(): OutboxState {
    this.#ports.tables.open()
    const state = this.#ports.outbox.state()
    if (state === undefined) throw new Error('I9: an open outbox has a state')
    return state
  }
}

function listOfNames(names: readonly string[]): string {
  return names.length === 0 ? 'none' : names.join(', ')
}

function encode(content: EventContent): EncodedEvent {
  const json = JSON.stringify(content)
  return { id: content.id, json, bytes: utf8Bytes(json) }
}

/** The event was read from JSON, so it holds nothing else. */
function forRPC(event: CommittedEvent): RPCEvent {
  return event as RPCEvent
}

function listed(state: OutboxState, { lsn, txid, timeMs, event, ...letter }: DeadLetter): ListedDeadLetter {
  return {
    lsn,
    id: event.id,
    event: forRPC(toEvent(state, { lsn, txid, time: timeMs }, event)),
    reason: letter.reason,
    attempts: letter.attempts,
    firstAttempt: new Date(letter.firstAttemptMs).toISOString(),
    lastAttempt: new Date(letter.lastAttemptMs).toISOString(),
  }
}

function describeBatch(state: OutboxState): NonNullable<OutboxStats['inFlight']> {
  const { ackedLSN, batchLSN, attemptsBegun, firstAttemptMs, nextAttemptMs } = state
  return {
    firstLSN: ackedLSN + 1,
    lastLSN: batchLSN,
    attempts: attemptsBegun,
    since: new Date(firstAttemptMs).toISOString(),
    ...(nextAttemptMs > 0 && { nextAttempt: new Date(nextAttemptMs).toISOString() }),
  }
}

type MatchedField = 'type' | 'store' | 'table' | 'key'
type Match = { [Field in MatchedField]?: EventContent[Field] | undefined }

function matches(event: Match, { type, store, table, key }: Match): boolean {
  return (
    (type === undefined || event.type === type) &&
    (store === undefined || event.store === store) &&
    (table === undefined || event.table === table) &&
    (key === undefined || event.key === key)
  )
}

function parse<T extends object>(fields: Fields<T>, argument: object, method: string): T {
  return fields.parse(argument, `outbox.${method}`, 'invalid-argument')
}
