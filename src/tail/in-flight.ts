// What was sent to a client and is not acknowledged yet: pure. A client acknowledges a cursor, and with it all that came
// before. The marks between are few, because they have to fit into what a socket keeps while its object sleeps.

import { compareCursors, type Cursor } from './cursor.ts'

export interface Amount {
  readonly events: number
  /** UTF-8 bytes of their messages. */
  readonly bytes: number
}

/** How much may be on its way to one client. */
export const IN_FLIGHT_MAX: Amount = { events: 1_024, bytes: 512_000 }
/** And to all clients together: each has an equal share of it. */
export const TOTAL_BYTES_MAX = 32_000_000
/** A page is a quarter of that, and so the client is asked after each. At least it is one event, however large. */
const PAGE_SHARE = 1 / 4
/** So many parts of what is in flight are acknowledged one by one. */
const MARKS_MAX = 8

/** What may be on its way to each of so many clients. */
export function limitsOf(clients: number): Amount {
  return { events: IN_FLIGHT_MAX.events, bytes: Math.min(IN_FLIGHT_MAX.bytes, TOTAL_BYTES_MAX / Math.max(1, clients)) }
}

/** What is sent at once. */
export function pageOf({ events, bytes }: Amount): Amount {
  return { events: events * PAGE_SHARE, bytes: bytes * PAGE_SHARE }
}

/** All that was sent up to a cursor, since the mark before it. */
export interface Mark extends Amount {
  readonly cursor: Cursor
}

function amountOf(marks: readonly Mark[]): Amount {
  return {
    events: marks.reduce((sum, { events }) => sum + events, 0),
    bytes: marks.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

/** Whether one more page may be sent. If nothing is in flight, it may, however large it is. */
export function hasRoom(marks: readonly Mark[], limits: Amount): boolean {
  const { events, bytes } = amountOf(marks)
  const page = pageOf(limits)
  return events === 0 || (events + page.events <= limits.events && bytes + page.bytes <= limits.bytes)
}

/** Whether the client is to be asked how far it has come. */
export function isWorthAsking(marks: readonly Mark[], limits: Amount): boolean {
  const { events, bytes } = amountOf(marks)
  const page = pageOf(limits)
  return events >= page.events || bytes >= page.bytes
}

export function afterSending(marks: readonly Mark[], sent: Mark): Mark[] {
  const last = marks.at(-1)
  if (last === undefined) return [sent]
  const isSmall =
    last.events + sent.events <= IN_FLIGHT_MAX.events / MARKS_MAX &&
    last.bytes + sent.bytes <= IN_FLIGHT_MAX.bytes / MARKS_MAX
  if (!isSmall && marks.length < MARKS_MAX) return [...marks, sent]
  const united = { cursor: sent.cursor, events: last.events + sent.events, bytes: last.bytes + sent.bytes }
  return [...marks.slice(0, -1), united]
}

export function afterAcknowledgement(marks: readonly Mark[], acknowledged: Cursor): Mark[] {
  return marks.filter(({ cursor }) => compareCursors(cursor, acknowledged) > 0)
}
