// One page of the log for those who follow it: what the object itself holds after a place. What it no longer holds is in the
// lake's table, which the reader asks itself.

import { Fields } from '../event/fields.ts'
import { oneOf, optional, ulid, whole, withDefault } from '../event/kinds.ts'
import { readRow } from '../outbox/log.ts'
import type { Outbox, PageLimits } from '../outbox/outbox.ts'
import type { OutboxState } from '../outbox/state.ts'
import type { CommittedEvent } from '../event/unified-event.ts'

/** How many events one page has, and how much of the log it reads. */
export const TAIL_EVENTS_MAX = 256
const TAIL_BYTES_MAX = 256_000

/** Where to read. Without `from` the page is empty, and says where the log ends. */
export interface TailQuery {
  /** LSN of the first event. */
  from?: number
  /** The epoch that the LSN is of. Default: the current one. */
  epoch?: string
  /** How many events at most. Default, and largest: 256. */
  limit?: number
  /** Whether `OutboxTail` is to be told when the log grows, until it answers that nobody follows it. */
  follow?: true
}

export const tailFields = new Fields<TailQuery & { limit: number }>(
  {
    from: optional(whole()),
    epoch: optional(ulid),
    limit: withDefault(whole({ to: TAIL_EVENTS_MAX }), TAIL_EVENTS_MAX),
    follow: optional(oneOf([true])),
  },
  { others: 'is not known here' },
)

/** The events after a place, in LSN order, and what the log is now. */
export interface TailPage<Event = CommittedEvent> {
  ns: string
  source: string
  epoch: string
  /** First LSN of the epoch. */
  epochLSN: number
  lastLSN: number
  /**
   * LSN of the first event from there on that the object still holds; that after the last one if it holds none. If it is
   * above the LSN that was asked for, those before it have left the object.
   */
  firstLSN: number
  events: Event[]
}

/** Reads a page. If the epoch is another one, it is empty. */
export function readTailPage(outbox: Outbox, state: OutboxState, query: TailQuery & { limit: number }): TailPage {
  const { ns, source, epoch, epochLSN } = state
  const { lastLSN } = outbox.backlog()
  const from = Math.max(query.from ?? lastLSN + 1, epochLSN)
  const isHere = query.epoch === undefined || query.epoch === epoch
  const limits: PageLimits = { maxRows: query.limit, maxBytes: TAIL_BYTES_MAX }
  const rows = isHere && from <= lastLSN ? outbox.page(from, lastLSN, limits).rows : []
  const events = rows.flatMap((row) => readRow(state, row, from, lastLSN)).slice(0, query.limit)
  return { ns, source, epoch, epochLSN, lastLSN, firstLSN: events[0]?.lsn ?? lastLSN + 1, events }
}
