// One socket of a tail. What is known of it is kept with the socket, by the platform, so that the tail's object may sleep.

import { type Cursor, compareCursors, cursorText, parseCursor } from './cursor.ts'
import { matches, type TailFilter } from './filter.ts'
import { afterAcknowledgement, afterSending, type Amount, hasRoom, isWorthAsking, type Mark } from './in-flight.ts'
import { askingBack, CLOSE_CODES, type CloseReason, cursorMessage, type EventMessage } from './messages.ts'

/** UTF-8 bytes that the reason of a close may have (RFC 6455, section 5.5). */
const REASON_BYTES_MAX = 123

/** What comes next is neither in the object nor in the table yet; or it could not be read. */
export type Hindrance = 'gone' | 'unavailable'

interface ClientState {
  readonly cursor: Cursor
  /** Up to here it has everything for certain. */
  readonly acknowledged: Cursor
  readonly marks: readonly Mark[]
  readonly filter: TailFilter
  /** Whether an acknowledgement was asked for, and has not come yet. */
  readonly isAsked: boolean
  /** Since when it can't go on, in milliseconds since 1970, and as what it is closed if that lasts. */
  readonly stuck?: { readonly why: 'slow' | Hindrance; readonly sinceMs: number }
}

export class Client {
  readonly #socket: WebSocket
  #state: ClientState

  private constructor(socket: WebSocket, state: ClientState) {
    this.#socket = socket
    this.#state = state
  }

  /** A client that has just connected. Its first message tells where it stands. */
  static begin(socket: WebSocket, cursor: Cursor, filter: TailFilter): Client {
    const client = new Client(socket, { cursor, acknowledged: cursor, marks: [], filter, isAsked: false })
    client.#keep({})
    client.#send(cursorMessage(cursor))
    return client
  }

  /** A client that was connected before the object slept. */
  static restore(socket: WebSocket): Client {
    // What `#keep` has stored.
    return new Client(socket, socket.deserializeAttachment() as ClientState)
  }

  get cursor(): Cursor {
    return this.#state.cursor
  }

  hasRoom(limits: Amount): boolean {
    return hasRoom(this.#state.marks, limits)
  }

  get stuck(): ClientState['stuck'] {
    return this.#state.stuck
  }

  /** Sends the events that the client wants. The last message moves its cursor to the end of the page in any case. */
  send(page: readonly EventMessage[], limits: Amount): void {
    const last = page.at(-1)
    if (last === undefined) return
    const wanted = page.filter(({ event }) => matches(event, this.#state.filter))
    const texts = wanted.map(({ text }) => text)
    if (wanted.at(-1) !== last) texts.push(cursorMessage(last.cursor))
    const bytes = wanted.reduce((sum, { bytes }) => sum + bytes, 0)
    const marks = afterSending(this.#state.marks, { cursor: last.cursor, events: texts.length, bytes })
    const isAsked = isWorthAsking(marks, limits)
    texts.push(...texts.splice(-1).map((text) => (isAsked ? askingBack(text) : text)))
    for (const text of texts) this.#send(text)
    this.#keep({ cursor: last.cursor, marks, ...(isAsked && { isAsked }) })
  }

  /**
   * Asks a client that has no room how far it has come, unless it was asked before.
   *
   * @returns since when it has no room, in milliseconds since 1970.
   */
  askForRoom(nowMs: number): number {
    const { isAsked, cursor, stuck } = this.#state
    if (!isAsked) this.#send(askingBack(cursorMessage(cursor)))
    if (stuck?.why === 'slow') return stuck.sinceMs
    this.#keep({ isAsked: true, stuck: { why: 'slow', sinceMs: nowMs } })
    return nowMs
  }

  /** Tells that the log begins anew. */
  begin(cursor: Cursor): void {
    this.#send(cursorMessage(cursor, cursor.epoch))
    this.#keep({ cursor })
  }

  /** Notes that the client has to wait, unless it does already. */
  wait(why: Hindrance, nowMs: number): void {
    const { stuck = { sinceMs: nowMs } } = this.#state
    this.#keep({ stuck: { why, sinceMs: stuck.sinceMs } })
  }

  /** @returns whether it was a cursor that the client had been given. */
  acknowledge(text: string): boolean {
    const acknowledged = parseCursor(text)
    if (acknowledged === undefined || compareCursors(acknowledged, this.#state.cursor) > 0) return false
    if (compareCursors(acknowledged, this.#state.acknowledged) <= 0) return true
    const marks = afterAcknowledgement(this.#state.marks, acknowledged)
    this.#keep({ acknowledged, marks, isAsked: false })
    return true
  }

  /** Closes the socket. The reason ends with the cursor up to which the client has certainly got everything. */
  close(why: CloseReason, detail = ''): void {
    const after = ` after=${cursorText(this.#state.acknowledged)}`
    const said = detail === '' ? why : `${why}: ${detail.replaceAll(/[^ -~]/g, '?')}`
    this.#socket.close(CLOSE_CODES[why], said.slice(0, REASON_BYTES_MAX - after.length) + after)
  }

  /** What is not given stays as it is, except that a client that is moved is not stuck any more. */
  #keep(change: Partial<ClientState>): void {
    const { stuck: _stuck, ...state } = this.#state
    this.#state = { ...state, ...change }
    this.#socket.serializeAttachment(this.#state)
  }

  #send(text: string): void {
    try {
      this.#socket.send(text)
    } catch {
      // It is closing; the platform tells when it is closed.
    }
  }
}
