// Passes the log of one object on to any number of clients. The sockets are here and not in the object, where its own code
// would see them. Nobody is kept awake: the object tells when its log has grown, and until then both may sleep.

import { DurableObject } from 'cloudflare:workers'
import type { TailPage, TailQuery } from '../admin/log-page.ts'
import { CDCError, propertyOf, reasonOf } from '../error.ts'
import { hideFromRPC } from '../hide-from-rpc.ts'
import { errorResponse, Refusal } from '../http/error-response.ts'
import { Client, type Hindrance } from './client.ts'
import { compareCursors, type Cursor, cursorText } from './cursor.ts'
import { IN_FLIGHT_MAX, limitsOf, pageOf, TOTAL_BYTES_MAX } from './in-flight.ts'
import { eventMessage, type EventMessage } from './messages.ts'
import { type LogEnd, type Next, nextEvents, readLake, startOf, type TailEvent } from './next-events.ts'
import { parseStart } from './start.ts'

/** How many clients one object may have. */
const CLIENTS_MAX = 5_000
/** Reads at once, of as many places in the log. The clients that are furthest never wait for the others. */
const READS_AT_ONCE = 4
/** How many places are remembered at which events wait that were read and not yet sent. */
const RESTS_MAX = 4
/** How long a client may acknowledge nothing, or wait for events that should be in the table. */
const PATIENCE_MS = 60_000
/** When what is late is looked for again, and what has failed is tried again. */
const LATE_MS = 1_000
const RETRY_MS = 5_000
/** How often a tail with clients looks at the log by itself, in case that a notice was lost. */
const CHECK_MS = 600_000

/** The header in which `tailRoutes` gives the object's name, percent-encoded. */
export const OBJECT_NAME = 'x-object-name'

/** The object as its stub has it. */
interface FollowedObject {
  readonly outbox: PromiseLike<Disposable & { tail(query: TailQuery): Promise<TailPage<TailEvent>> }>
}

/**
 * The tail of one object, whose id is its name. To be exported by the user's Worker, and bound as `OUTBOX_TAIL`, in the Worker
 * that binds the object's class too.
 */
export class OutboxTail<Env extends object = Cloudflare.Env> extends DurableObject<Env> {
  /**
   * `clients`: of one object. `inFlightEvents` and `inFlightBytes`: what a client has not acknowledged; beyond it, or its equal
   * share of `totalBytes`, nothing more is sent, and after `patienceMs` it is closed. `checkMs`: how late an event is at most if a notice was lost.
   */
  static readonly limits = {
    clients: CLIENTS_MAX,
    inFlightEvents: IN_FLIGHT_MAX.events,
    inFlightBytes: IN_FLIGHT_MAX.bytes,
    totalBytes: TOTAL_BYTES_MAX,
    patienceMs: PATIENCE_MS,
    checkMs: CHECK_MS,
  } as const

  readonly #clients = new Map<WebSocket, Client>()
  /** Where the log ends; undefined if it may have grown since that was known. */
  #end: LogEnd | undefined
  #pokes = 0
  /** The places that are read now, and those at which what comes next is late. */
  readonly #reading = new Set<string>()
  readonly #late = new Set<string>()
  /** What was read beyond a page, by the place before it. */
  readonly #rests = new Map<string, readonly TailEvent[]>()

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    hideFromRPC(this, 'lake', 'now')
    for (const socket of ctx.getWebSockets()) this.#clients.set(socket, Client.restore(socket))
  }

  /** Override if the lake is bound under another name than `EVENTS_PIPELINE`. A binding that is no lake's counts as none. */
  protected lake(): unknown {
    return Reflect.get(this.env, 'EVENTS_PIPELINE')
  }

  /** The time, for a test to choose. */
  protected now(): number {
    return Date.now()
  }

  /** Called by the object when its log has grown. @returns whether anybody follows it. */
  poke(): boolean {
    this.#pokes += 1
    this.#lookAgain()
    // Of a client that is about to connect the object hears again: after a poke the log is read, which asks for pokes.
    return this.#clients.size > 0
  }

  /** Takes a socket. `tailRoutes` has checked who asks; nobody else can reach this. */
  override async fetch(request: Request): Promise<Response> {
    try {
      return await this.#connect(request)
    } catch (error) {
      return errorResponse('tail')(error instanceof Error ? error : new Error(reasonOf(error)))
    }
  }

  async #connect({ url, headers }: Request): Promise<Response> {
    if (this.#clients.size >= CLIENTS_MAX)
      throw new Refusal(429, `tail: the object has ${CLIENTS_MAX} clients, which is the limit`, { retryable: true })
    const { from, after, filter } = parseStart(new URL(url).searchParams)
    this.#keepName(headers.get(OBJECT_NAME))
    const pokes = this.#pokes
    const end = await this.#readObject({ follow: true })
    if (pokes === this.#pokes) this.#end = end
    const { 0: theirs, 1: ours } = new WebSocketPair()
    this.ctx.acceptWebSocket(ours)
    this.#clients.set(ours, Client.begin(ours, after ?? startOf(from, end), filter))
    this.#advanceAll()
    await this.#armBy(this.now() + CHECK_MS)
    return new Response(null, { status: 101, webSocket: theirs })
  }

  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer): void {
    const client = this.#clients.get(socket)
    if (client === undefined) return
    if (typeof message === 'string' && client.acknowledge(message)) return this.#advanceAll()
    this.#close([client], 'not-a-cursor')
  }

  override webSocketClose(socket: WebSocket): void {
    // With older compatibility dates the platform leaves the answer to the object.
    if (socket.readyState === WebSocket.CLOSING) socket.close()
    this.#clients.delete(socket)
    // With fewer clients each may have more in flight.
    this.#advanceAll()
  }

  override webSocketError(socket: WebSocket): void {
    this.webSocketClose(socket)
  }

  override async alarm(): Promise<void> {
    const nowMs = this.now()
    for (const client of this.#clients.values()) {
      const { why, sinceMs } = client.stuck ?? { sinceMs: nowMs }
      if (why !== undefined && sinceMs + PATIENCE_MS <= nowMs) this.#close([client], why)
    }
    this.#lookAgain()
    if (this.#clients.size > 0) await this.#armBy(this.#dueMs(nowMs))
  }

  #lookAgain(): void {
    this.#end = undefined
    this.#late.clear()
    this.#advanceAll()
  }

  /** Reads what comes next for all clients that can take more. Those at one place share what is read for it. */
  #advanceAll(): void {
    this.#askForRoom()
    const places = new Map(this.#takers().map(({ cursor }) => [cursorText(cursor), cursor]))
    const [furthest, ...others] = [...places.values()].toSorted((a, b) => compareCursors(b, a))
    if (furthest !== undefined) this.#startReading(furthest)
    // While the end is not known, one read is enough to know it.
    if (this.#end === undefined) return
    for (const cursor of others) if (this.#reading.size < READS_AT_ONCE) this.#startReading(cursor)
  }

  get #limits() {
    return limitsOf(this.#clients.size)
  }

  #takers(): Client[] {
    const limits = this.#limits
    return [...this.#clients.values()].filter((client) => client.hasRoom(limits))
  }

  /** Clients that can take no more are asked how far they have come, and the alarm looks whether they have answered. */
  #askForRoom(): void {
    const limits = this.#limits
    const full = [...this.#clients.values()].filter((client) => !client.hasRoom(limits))
    if (full.length === 0) return
    const nowMs = this.now()
    const sinceMs = Math.min(...full.map((client) => client.askForRoom(nowMs)))
    this.#arm(Math.max(nowMs, sinceMs + PATIENCE_MS))
  }

  #startReading(cursor: Cursor): void {
    const place = cursorText(cursor)
    const isAtEnd = this.#end?.epoch === cursor.epoch && this.#end.lastLSN === cursor.lsn
    if (isAtEnd || this.#reading.has(place) || this.#late.has(place)) return
    this.#reading.add(place)
    void this.#read(cursor, place)
  }

  async #read(cursor: Cursor, place: string): Promise<void> {
    try {
      const rest = this.#rests.get(place)
      this.#rests.delete(place)
      this.#give(cursor, rest === undefined ? await this.#readNext(cursor) : { kind: 'events', events: rest })
    } catch (error) {
      return this.#failed(cursor, error)
    } finally {
      this.#reading.delete(place)
    }
    this.#advanceAll()
  }

  async #readNext(cursor: Cursor): Promise<Next> {
    const pokes = this.#pokes
    const { next, end } = await nextEvents(cursor, {
      object: (query) => this.#readObject(query),
      lake: (place) => readLake(this.lake(), place),
    })
    this.#end = pokes === this.#pokes ? end : undefined
    return next
  }

  #give(cursor: Cursor, next: Next): void {
    const clients = this.#takers().filter((client) => compareCursors(client.cursor, cursor) === 0)
    switch (next.kind) {
      case 'events': {
        const page = this.#pageOf(cursor, next.events)
        const limits = this.#limits
        for (const client of clients) client.send(page, limits)
        return
      }
      case 'began':
        for (const client of clients) client.begin(next.cursor)
        return
      case 'late':
        return this.#lookAgainLater(cursor, 'gone', LATE_MS)
      case 'gone':
      case 'ahead':
        return this.#close(clients, next.kind, next.reason)
      case 'end':
    }
  }

  /** As many events as one page has. The rest is kept for the next one. */
  #pageOf({ epoch }: Cursor, events: readonly TailEvent[]): EventMessage[] {
    const page: EventMessage[] = []
    const limits = pageOf(this.#limits)
    let bytes = 0
    for (const event of events) {
      const message = eventMessage(epoch, event)
      bytes += message.bytes
      if (page.length > 0 && (page.length === limits.events || bytes > limits.bytes)) break
      page.push(message)
    }
    const last = page.at(-1)
    const rest = events.slice(page.length)
    if (last !== undefined && rest.length > 0) this.#rests.set(cursorText(last.cursor), rest)
    const [oldest] = this.#rests.keys()
    if (this.#rests.size > RESTS_MAX && oldest !== undefined) this.#rests.delete(oldest)
    return page
  }

  #failed(cursor: Cursor, error: unknown): void {
    console.warn(`tail: what comes after ${cursorText(cursor)} could not be read: ${reasonOf(error)}`)
    if (propertyOf(error, 'code') === 'invalid-config')
      this.#close(this.#clientsAt(cursor), 'invalid-config', "see the Worker's log")
    else this.#lookAgainLater(cursor, 'unavailable', RETRY_MS)
  }

  #lookAgainLater(cursor: Cursor, why: Hindrance, delayMs: number): void {
    const nowMs = this.now()
    this.#late.add(cursorText(cursor))
    for (const client of this.#clientsAt(cursor)) client.wait(why, nowMs)
    this.#arm(nowMs + delayMs)
  }

  #clientsAt(cursor: Cursor): Client[] {
    return [...this.#clients.values()].filter((client) => compareCursors(client.cursor, cursor) === 0)
  }

  #close(clients: readonly Client[], ...[why, detail]: Parameters<Client['close']>): void {
    for (const [socket, client] of this.#clients) {
      if (!clients.includes(client)) continue
      client.close(why, detail)
      this.#clients.delete(socket)
    }
  }

  async #readObject(query: TailQuery): Promise<TailPage<TailEvent>> {
    // The stub is kept no longer than that: it would keep the object awake.
    using outbox = await this.#object().outbox
    return await outbox.tail(query)
  }

  /**
   * Reached by its id alone, an object does not know its name, and nor does all that it does until it is evicted. So the tail
   * reaches it by its name, which the first client has brought.
   */
  #keepName(encoded: string | null): void {
    if (encoded === null) return
    const name = decodeURIComponent(encoded)
    if (name !== this.#name) this.ctx.storage.kv.put('name', name)
  }

  get #name(): string | undefined {
    return this.ctx.storage.kv.get<string>('name')
  }

  #object(): FollowedObject {
    const { name: id = '', jurisdiction } = this.ctx.id
    const object = findObject(this.env, { id, name: this.#name, jurisdiction })
    if (object !== undefined) return object
    throw new CDCError(
      'invalid-config',
      'tail: no binding of this Worker leads to the object; bind its class in the Worker that exports OutboxTail',
    )
  }

  /** When the alarm is next needed. */
  #dueMs(nowMs: number): number {
    const stuck = [...this.#clients.values()].flatMap((client) => client.stuck ?? [])
    const times = stuck.map(({ sinceMs }) => sinceMs + PATIENCE_MS)
    return Math.max(nowMs + LATE_MS, Math.min(nowMs + CHECK_MS, ...times))
  }

  #arm(atMs: number): void {
    this.ctx.waitUntil(this.#armBy(atMs))
  }

  async #armBy(atMs: number): Promise<void> {
    const setMs = await this.ctx.storage.getAlarm()
    if (setMs === null || setMs > atMs || setMs <= this.now()) await this.ctx.storage.setAlarm(atMs)
  }
}

interface ObjectAddress {
  readonly id: string
  readonly name: string | undefined
  readonly jurisdiction: string | undefined
}

/** An id is valid in one namespace only, so it tells which binding is the object's. */
function findObject(env: object, { id, name, jurisdiction }: ObjectAddress): FollowedObject | undefined {
  for (const binding of Object.values(env).filter(isObjectNamespace)) {
    const place = jurisdiction === undefined ? binding : binding.jurisdiction(jurisdiction)
    const objectId = idIn(place, id)
    if (objectId !== undefined) return name === undefined ? place.get(objectId) : place.getByName(name)
  }
  return undefined
}

function idIn(place: ObjectNamespace, id: string): DurableObjectId | undefined {
  try {
    return place.idFromString(id)
  } catch {
    return undefined
  }
}

interface ObjectNamespace {
  jurisdiction(jurisdiction: string): ObjectNamespace
  idFromString(id: string): DurableObjectId
  get(id: DurableObjectId): FollowedObject
  getByName(name: string): FollowedObject
}

/** The stub of a service has every name itself; its prototype has not. */
function isObjectNamespace(binding: unknown): binding is ObjectNamespace {
  return typeof binding === 'object' && binding !== null && 'idFromString' in Object(Object.getPrototypeOf(binding))
}
