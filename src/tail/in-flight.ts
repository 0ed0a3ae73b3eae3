// What was sent to a client and is not acknowledged yet: pure. A client acknowledges a cursor, and with it all that came
// before. The marks between are few, because they have to fit into what a socket keeps while its object sleeps.

import { compareCursors, type Cursor } from './cursor.ts'

/** How many events, and UTF-8 bytes of them, may be on their way to one client. */
export const IN_FLIGHT_EVENTS_MAX = 1_024
export const IN_FLIGHT_BYTES_MAX = 512_000

/** How many are sent at once, at most. One event is, however large it is. */
export const PAGE_EVENTS_MAX = 256
export const PAGE_BYTES_MAX = 256_000

/** If so much of that is on its way, the client is asked how far it has come. */
const ASKING_SHARE = 1 / 4

/** So many parts of what is in flight are acknowledged one by one. */
const MARKS_MAX = 8

/** All that was sent up to a cursor, since the mark before it. */
export interface Mark {
  readonly cursor: Cursor
  readonly events: number
  readonly bytes: number
}

export interface Amount {
  readonly events: number
  readonly bytes: number
}

export function amountOf(marks: readonly Mark[]): Amount {
  return {
    events: marks.reduce((sum, { events }) => sum + events, 0),
    bytes: marks.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}

/** Whether one more page may be sent. If nothing is in flight, it may, however large it is. */
export function hasRoom(marks: readonly Mark[]): boolean {
  const { events, bytes } = amountOf(marks)
  return (
    events === 0 || (events + PAGE_EVENTS_MAX <= IN_FLIGHT_EVENTS_MAX && bytes + PAGE_BYTES_MAX <= IN_FLIGHT_BYTES_MAX)
  )
}

/** Whether the client is to be asked how far it has come. */
export function isWorthAsking(marks: readonly Mark[]): boolean {
  const { events, bytes } = amountOf(marks)
  return events >= IN_FLIGHT_EVENTS_MAX * ASKING_SHARE || bytes >= IN_FLIGHT_BYTES_MAX * ASKING_SHARE
}

export function afterSending(marks: readonly Mark[], sent: Mark): Mark[] {
  const last = marks.at(-1)
  if (sent.events === 0) return [...marks]
  const isSmall =
    last !== undefined &&
    last.events + sent.events <= IN_FLIGHT_EVENTS_MAX / MARKS_MAX &&
    last.bytes + sent.bytes <= IN_FLIGHT_BYTES_MAX / MARKS_MAX
  if (last === undefined || (!isSmall && marks.length < MARKS_MAX)) return [...marks, sent]
  const united = { cursor: sent.cursor, events: last.events + sent.events, bytes: last.bytes + sent.bytes }
  return [...marks.slice(0, -1), united]
}

export function afterAcknowledgement(marks: readonly Mark[], acknowledged: Cursor): Mark[] {
  return marks.filter(({ cursor }) => compareCursors(cursor, acknowledged) > 0)
}
