// Where a client begins, and what it wants, as its URL says.

import { CDCError } from '../error.ts'
import { type Cursor, requireCursor } from './cursor.ts'
import { filterFields, type TailFilter } from './filter.ts'

interface Start {
  /** LSN of the first event, in the current epoch. */
  readonly from?: number
  /** The cursor of the last message that it has. */
  readonly after?: Cursor
  readonly filter: TailFilter
}

const NAMES = ['from', 'after', ...filterFields.kinds.keys()]

/** @throws {CDCError} `invalid-argument`. */
export function parseStart(query: URLSearchParams): Start {
  const unknown = [...query.keys()].find((name) => !NAMES.includes(name))
  if (unknown !== undefined)
    throw new CDCError('invalid-argument', `tail: there is no parameter ${unknown}; there are ${NAMES.join(', ')}`)
  const { from, after, ...filter } = Object.fromEntries(query)
  if (from !== undefined && after !== undefined)
    throw new CDCError('invalid-argument', 'tail: give from, an LSN, or after, a cursor, and not both')
  return {
    ...(from !== undefined && { from: requireLSN(from) }),
    ...(after !== undefined && { after: requireCursor(after) }),
    filter: filterFields.parse(filter, 'tail', 'invalid-argument'),
  }
}

function requireLSN(text: string): number {
  const lsn = Number(text)
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(lsn) && lsn > 0) return lsn
  throw new CDCError('invalid-argument', `tail: from is an LSN, a whole number above 0, not ${JSON.stringify(text)}`)
}
