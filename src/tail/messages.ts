// What goes over a socket, as JSON text. Every message has a cursor: where the client stands after it, and where it can
// continue. Where a message asks for it, the client sends the cursor back, as it is: it has come so far.

import { utf8Bytes } from '../event/utf8.ts'
import { type Cursor, cursorText } from './cursor.ts'
import type { TailEvent } from './next-events.ts'

/** A message that a tail sends. */
export interface TailMessage<Event = TailEvent> {
  cursor: string
  /** Missing where the cursor has moved past events that the filter leaves out, and in the first message. */
  event?: Event
  /** Whether the client is to send the cursor back. It is asked for in time, and seldom, as each such message is a request. */
  ack?: true
  /** The epoch of a log that begins anew. What was left of the former one is not to be had. */
  began?: string
}

/** An event, ready to be sent to any number of clients. */
export interface EventMessage {
  readonly cursor: Cursor
  readonly event: TailEvent
  readonly text: string
  /** UTF-8 bytes of the text. */
  readonly bytes: number
}

export function eventMessage(epoch: string, event: TailEvent): EventMessage {
  const cursor = { epoch, lsn: event.lsn }
  const text = `{"cursor":"${cursorText(cursor)}","event":${JSON.stringify(event)}}`
  return { cursor, event, text, bytes: utf8Bytes(text) }
}

export function cursorMessage(cursor: Cursor, began?: string): string {
  const message: TailMessage = { cursor: cursorText(cursor), ...(began !== undefined && { began }) }
  return JSON.stringify(message)
}

/** The same message, which asks the client to send its cursor back. */
export function askingBack(text: string): string {
  return `{"ack":true,${text.slice(1)}`
}

/** Why a tail closes a socket: the code, and what begins the reason. A cursor to continue from ends it. */
export const CLOSE_CODES = {
  /** The client has sent something else than a cursor that it was given. */
  'not-a-cursor': 4400,
  /** It has acknowledged nothing for a minute, with all in flight that may be. */
  slow: 4408,
  /** The log ends before its cursor. */
  ahead: 4409,
  /** What comes next is neither in the object nor in a lake. */
  gone: 4410,
  /** What comes next could not be read for a minute: try again. */
  unavailable: 4503,
  /** The Worker is not configured as it has to be. */
  'invalid-config': 4500,
} as const
export type CloseReason = keyof typeof CLOSE_CODES
