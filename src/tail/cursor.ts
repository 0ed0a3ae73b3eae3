// A place in the logs of one object: after the event of an LSN in an epoch. As text it is `<epoch>/<lsn>`. Epochs of one object
// sort in the order in which they began, so cursors have an order.

import { CDCError } from '../error.ts'
import { ulid } from '../event/kinds.ts'

export interface Cursor {
  readonly epoch: string
  /** 0 is before the first event. */
  readonly lsn: number
}

export function cursorText({ epoch, lsn }: Cursor): string {
  return `${epoch}/${lsn}`
}

/** @returns nothing if a text is not a cursor. */
export function parseCursor(text: string): Cursor | undefined {
  const [, epoch, digits = ''] = /^(\w{26})\/(\d{1,16})$/.exec(text) ?? []
  const lsn = Number(digits)
  if (epoch === undefined || ulid.problem(epoch) !== undefined || !Number.isSafeInteger(lsn)) return undefined
  return { epoch, lsn }
}

/** @throws {CDCError} `invalid-argument`. */
export function requireCursor(text: string): Cursor {
  const cursor = parseCursor(text)
  if (cursor !== undefined) return cursor
  throw new CDCError('invalid-argument', `tail: a cursor is <epoch>/<lsn>, not ${JSON.stringify(text.slice(0, 60))}`)
}

/** Negative if `a` is before `b`. */
export function compareCursors(a: Cursor, b: Cursor): number {
  if (a.epoch === b.epoch) return a.lsn - b.lsn
  return a.epoch < b.epoch ? -1 : 1
}
