// The admin RPC: `await env.CUSTOMERS.getByName('acme').outbox.stats()`. Every read is bounded, whatever the size of the
// log: it walks along LSNs, and says where to go on.

import { RpcTarget } from 'cloudflare:workers'
import type { Capture } from '../capture/capture.ts'
import { CDCError } from '../error.ts'
import type { EncodedEvent, EventContent } from '../event/create-event.ts'
import { Fields } from '../event/fields.ts'
import { listOf, name, oneOf, optional, text, ulid, whole, withDefault } from '../event/kinds.ts'
import { type CommittedEvent, type StoreType, storeType } from '../event/unified-event.ts'
import { utf8Bytes } from '../event/utf8.ts'
import type { DeadLetter } from '../outbox/dead-letters.ts'
import { toEvent, readRow } from '../outbox/log.ts'
import { type Batch, createBatch, type Outbox } from '../outbox/outbox.ts'
import type { OutboxState } from '../outbox/state.ts'
import type { OutboxTables } from '../outbox/tables.ts'
import type { Relay, RelayLimits } from '../relay/relay.ts'
import { SNAPSHOT_CHUNK, SNAPSHOT_CHUNK_MAX, type SnapshotProgress, type Snapshots } from '../snapshot/snapshots.ts'
import type { OutboxTransactions } from '../transaction/transactions.ts'

/** Events that one call of `list` or `deadLetters` returns, and that one call of `redrive` or `discard` changes. */
const PAGE_EVENTS_MAX = 1_000
const PAGE_EVENTS = 100
/** What one call reads of the log, at most, however few of its events are asked for. An RPC call carries 32 MB. */
const PAGE_ROWS_MAX = 1_000
const PAGE_BYTES_MAX = 8_000_000

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

/** Which dead letters: these ids, or all that match, or `{ all: true }`. */
export interface DeadLetterChoice extends OutboxMatch {
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
const matchFields = new Fields<Filled<OutboxMatch>>(match, { others })
const choice = { ...match, ids: optional(listOf(ulid, { to: PAGE_EVENTS_MAX })), all: optional(oneOf([true])) }
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

/** A JSON object, in words that the types of RPC understand: `unknown` they refuse, and a recursive type is too deep. */
type JSONObject = Record<string, string | number | boolean | null | object>

/** An event as it goes over RPC. */
export type RPCEvent = Omit<CommittedEvent, 'before' | 'after' | 'data'> & {
  before?: JSONObject
  after?: JSONObject
  data?: JSONObject
}
export type ListedEvent = RPCEvent & { status: 'pending' | 'delivered' }

/** A page of something by LSN. `nextLSN`, if there is one, is the `from` of the page after it. */
export interface Page<Item> {
  items: Item[]
  nextLSN?: number
}

/** A refused event, why, and how often and when it was tried. Times are ISO 8601, UTC. */
export interface ListedDeadLetter {
  lsn: number
  id: string
  event: RPCEvent
  reason: string
  attempts: number
  firstAttempt: string
  lastAttempt: string
}

/** Where an outbox and its relay stand. Times are ISO 8601, UTC; sizes are UTF-8 bytes on the wire. */
export interface OutboxStats {
  ns: string
  source: string
  epoch: string
  pendingEvents: number
  pendingBytes: number
  /** Age of the oldest pending event: how far the table is behind. */
  lagMs: number
  lastLSN: number
  ackedLSN: number
  /** Events of this database that the pipeline has accepted, records of dead letters among them. */
  deliveredEvents: number
  retainedBytes: number
  deadLetters: number
  isPaused: boolean
  /** By captured table: `live`, or why what is written to it is not captured as it must be. */
  captured: Record<string, string>
  /** The snapshots that were ever begun, the latest of each store. */
  snapshots: SnapshotProgress[]
  /** The batch that was begun and is not accepted yet. */
  inFlight?: { firstLSN: number; lastLSN: number; attempts: number; since: string; nextAttempt?: string }
  lastError?: string
}

/** What came of a flush. */
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
  readonly limits: RelayLimits
  readonly now: () => number
  readonly snapshots: Snapshots
  readonly capture: Capture
  readonly transactions: OutboxTransactions
}

/** The outbox of one object, for people and programs that look after it. Reads cost what they return, not what there is. */
export class OutboxAdmin extends RpcTarget {
  /** `pageEvents` of one call of `list` and the like, and rows of one `snapshotChunk`. */
  static readonly limits = { pageEvents: PAGE_EVENTS_MAX, snapshotChunk: SNAPSHOT_CHUNK_MAX } as const

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
      ...(state.batchLSN > state.ackedLSN && { inFlight: describeBatch(state) }),
      ...(state.lastError !== null && { lastError: state.lastError }),
    }
  }

  /** The events of the log that match, in LSN order, both pending ones and those that were delivered and are kept. */
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

  /** One event of the log; nothing where it never was, or is not kept any more. */
  get(lsn: number): ListedEvent | undefined {
    const at = parse(placeFields, { lsn }, 'get').lsn
    return this.list({ from: at, to: at, limit: 1 }).items[0]
  }

  /** Sends what is pending now, without waiting for a backoff to end, and says what came of it. */
  async flush(): Promise<FlushOutcome> {
    const { outbox, relay } = this.#ports
    const before = this.#state().ackedLSN
    await relay.run({ isForced: true })
    // A run that had begun before may have been about to end.
    if (outbox.backlog().events > 0 && this.#state().lastError === null) await relay.run({ isForced: true })
    const { ackedLSN, isPaused, lastError } = this.#state()
    return {
      // Less than before where the storage was emptied meanwhile.
      delivered: Math.max(0, ackedLSN - before),
      pendingEvents: outbox.backlog().events,
      deadLetters: outbox.deadLetters.count(),
      isPaused,
      ...(lastError !== null && { lastError }),
    }
  }

  /** Stops sending, after the batch that is on its way. Events go on to be captured, and no alarm is armed for them. */
  pause(): void {
    this.#ports.relay.pause()
  }

  resume(): void {
    this.#ports.relay.resume()
  }

  /** The events that the pipeline refused and nobody has redriven or discarded, in LSN order. */
  deadLetters(query: OutboxMatch = {}): Page<ListedDeadLetter> {
    const state = this.#state()
    const { items, ...rest } = this.#findDeadLetters(parse(matchFields, query, 'deadLetters'))
    return { items: items.map((letter) => listed(state, letter)), ...rest }
  }

  /**
   * Sends dead letters again: each under a new LSN, with its own id, and with the LSN that it had in
   * `_meta.redrivenFrom`.
   *
   * @returns how many, and `nextLSN` where there may be more.
   */
  redrive(choice: DeadLetterChoice): { redriven: number; nextLSN?: number } {
    const { items: letters, ...rest } = this.#findDeadLetters(parse(choiceFields, choice, 'redrive'))
    if (letters.length > 0)
      this.#ports.transactions.commitEncoded(() => {
        for (const { lsn } of letters) this.#ports.outbox.deadLetters.remove(lsn)
        // What happened keeps its time, however late it is sent.
        return letters.map(({ lsn, event, timeMs }) =>
          encode({ timestamp: new Date(timeMs).toISOString(), ...event, redrivenFrom: lsn }),
        )
      })
    return { redriven: letters.length, ...rest }
  }

  /**
   * Emits the present rows of a store or a captured table as `r` events, a chunk at a time over alarms, while writes go
   * on: for a table that already holds rows when its capture begins, or a reader that begins anew. Goes on after the end
   * of the runtime; `stats()` says how far it has come.
   *
   * @param store `<kind>/<table>`, such as `document/Customer`, or the table alone, or the store itself.
   * @param options.chunk rows of one transaction, 500 unless told, at most 1,000.
   * @throws {CDCError} `not-found`, `invalid-argument`.
   */
  snapshot(store: string | { readonly name: string }, options: { chunk?: number } = {}): SnapshotProgress {
    const given = { ...options, store: Object(store).name ?? store }
    const { store: name, chunk } = parse(snapshotFields, given, 'snapshot')
    return this.#ports.snapshots.start(name, chunk)
  }

  /** Drops dead letters for good. A `cdc.dead_letter_discarded` event says which and why, and lands like any other. */
  discard(choice: DeadLetterChoice & { reason: string }): { discarded: number; nextLSN?: number } {
    const { reason, ...which } = parse(discardFields, choice, 'discard')
    const { items: letters, ...rest } = this.#findDeadLetters(which)
    if (letters.length > 0)
      this.#ports.transactions.commitEncoded((tx) => {
        for (const { lsn, event } of letters) {
          this.#ports.outbox.deadLetters.remove(lsn)
          tx.emit({ type: 'cdc.dead_letter_discarded', data: { lsn, id: event.id, type: event.type, reason } })
        }
        return []
      })
    return { discarded: letters.length, ...rest }
  }

  /**
   * Sends delivered events again under their own identities: a receiver that lands each once changes nothing. For a
   * receiver that lost some.
   *
   * @returns how many were sent, and `nextLSN` where the range goes on.
   * @throws {CDCError} `not-found` where the first of them is not kept any more, `pipeline-failed` with its reason.
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
      throw new CDCError('not-found', `replay: LSN ${fromLSN} was not delivered in this epoch, or is not kept any more`)
    await this.#sendApart(createBatch(state, rows, { first: fromLSN, last, retries: 0 }))
    const isDone = last >= toLSN || last >= state.ackedLSN
    return { replayed: last - fromLSN + 1, ...(!isDone && { nextLSN: last + 1 }) }
  }

  async #sendApart(batch: Batch): Promise<void> {
    try {
      await this.#ports.relay.sendApart(batch)
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause)
      throw new CDCError('pipeline-failed', `replay: the pipeline did not accept ${batch.key}: ${reason}`, {
        retryable: true,
        cause,
      })
    }
  }

  #findDeadLetters({ ids, from, to = Infinity, limit, ...match }: Filled<DeadLetterChoice>): Page<DeadLetter> {
    const scanned = this.#ports.outbox.deadLetters.list(from, PAGE_ROWS_MAX)
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

  #state(): OutboxState {
    this.#ports.tables.open()
    const state = this.#ports.outbox.state()
    if (state === undefined) throw new Error('I9: an open outbox has a state')
    return state
  }
}

function encode(content: EventContent): EncodedEvent {
  const json = JSON.stringify(content)
  return { id: content.id, json, bytes: utf8Bytes(json) }
}

/** It was read from JSON, so that is what it holds. */
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
