// Which events an object has processed, so that an event that arrives again is not processed again. For a log these are
// ranges of LSNs: one row, however long the log is, while it arrives without holes.

import { CDCError } from '../error.ts'
import { Fields } from '../event/fields.ts'
import { name, ulid, whole } from '../event/kinds.ts'
import type { CommittedRecord } from '../event/record.ts'
import type { Delivery } from '../pipeline/target.ts'
import type { OutboxTables } from '../outbox/tables.ts'

/** How much the inbox remembers. */
export interface InboxLimits {
  /** How long an id is remembered, and a log after its last event, in milliseconds. */
  readonly inboxMs: number
  /** How many ids of events without an LSN are remembered. */
  readonly maxInboxIds: number
}

/** Ranges of LSNs that are remembered of one log. An event below them is refused, because it may be new or not. */
export const INBOX_RANGES_PER_LOG_MAX = 256

/** What identifies an event: its LSN in a log, or its id. A `CommittedEvent`, `UnifiedEvent` or `EventRecord` has it. */
export interface NamedEvent {
  readonly id: string
  readonly ns: string
  readonly lsn?: number | undefined
  readonly source?: string | undefined
  readonly epoch?: string | undefined
  readonly correlationId?: string | undefined
  readonly correlation_id?: string | undefined
  readonly _meta?:
    | {
        readonly source?: string | undefined
        readonly epoch?: string | undefined
        readonly traceparent?: unknown
      }
    | undefined
}

const idFields = new Fields<{ ns: string; id: string }>({ ns: name, id: ulid })
const placeFields = new Fields<{ ns: string; source: string; epoch: string; lsn: number }>({
  ns: name,
  source: name,
  epoch: ulid,
  lsn: whole(),
})

const deliveryFields = new Fields<Omit<Delivery, 'records'>>({
  subscription: name,
  ns: name,
  source: name,
  epoch: ulid,
  firstLSN: whole(),
  lastLSN: whole(),
})

/** LSNs of a log that were processed, both ends included. From 0: they may have been. */
interface Range {
  readonly first: number
  readonly last: number
}

/** Rows that one event may delete from the inbox. */
const FORGOTTEN_AT_ONCE = 100

export class Inbox {
  readonly #storage: DurableObjectStorage
  readonly #tables: OutboxTables
  readonly #limits: InboxLimits
  readonly #now: () => number

  constructor(storage: DurableObjectStorage, tables: OutboxTables, limits: InboxLimits, now: () => number) {
    this.#storage = storage
    this.#tables = tables
    this.#limits = limits
    this.#now = now
  }

  /**
   * Records an event, in the open transaction. @returns whether it was new.
   *
   * @throws {CDCError} `event-invalid` if nothing identifies it; `event-forgotten` if the inbox no longer knows.
   */
  record(event: NamedEvent): boolean {
    this.#tables.open()
    const { id, ns, lsn, source = event._meta?.source, epoch = event._meta?.epoch } = event
    if (lsn === undefined && epoch === undefined) {
      const names = idFields.parse({ ns, id }, 'processOnce', 'event-invalid')
      return this.#recordId(JSON.stringify([names.ns, names.id]))
    }
    const place = placeFields.parse({ ns, source, epoch, lsn }, 'processOnce', 'event-invalid')
    return this.#recordLSN(JSON.stringify([place.ns, place.source, place.epoch]), place.lsn)
  }

  /**
   * Records a delivery, in the open transaction: all of its range, so that what is not for its subscription leaves no hole.
   *
   * @returns the events that are new.
   * @throws {CDCError} as `record`.
   */
  recordDelivery({ records, ...delivery }: Delivery): CommittedRecord[] {
    this.#tables.open()
    const { subscription, ns, source, epoch, ...range } = deliveryFields.parse(delivery, 'processEach', 'event-invalid')
    const log = JSON.stringify([ns, source, epoch, subscription])
    const lsns = { first: range.firstLSN, last: range.lastLSN }
    const known = this.#touching(log, lsns)
    const added = records.filter(({ lsn }) => !isKnown(known, log, lsn))
    this.#cover(log, lsns, known)
    return added
  }

  #recordLSN(log: string, lsn: number): boolean {
    const lsns = { first: lsn, last: lsn }
    const known = this.#touching(log, lsns)
    if (isKnown(known, log, lsn)) return false
    this.#cover(log, lsns, known)
    return true
  }

  /** The ranges that overlap one, or lie next to it. */
  #touching(log: string, { first, last }: Range): Range[] {
    return this.#ranges('log = ? AND first_lsn <= ? AND last_lsn >= ? ORDER BY first_lsn', log, last + 1, first - 1)
  }

  /** Makes one range of a new one and those that it touches. */
  #cover(log: string, { first, last }: Range, touching: readonly Range[]): void {
    const nowMs = this.#now()
    const forgotten = touching.find((range) => range.first === 0)?.last ?? 0
    const merged = touching.filter((range) => range.first > 0)
    const from = Math.min(Math.max(first, forgotten + 1), ...merged.map((range) => range.first))
    const to = Math.max(last, ...merged.map((range) => range.last))
    if (to < from) return
    for (const range of merged)
      if (range.first !== from) this.#exec('DELETE FROM _cdc_inbox WHERE log = ? AND first_lsn = ?', log, range.first)
    this.#exec(
      `INSERT INTO _cdc_inbox (log, first_lsn, last_lsn, time) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET last_lsn = excluded.last_lsn, time = excluded.time`,
      log,
      from,
      to,
      nowMs,
    )
    if (merged.length === 0) this.#forgetRanges(log, nowMs)
  }

  /** Keeps the rows of a log within their limit, and deletes logs that are quiet. Called when a row was added. */
  #forgetRanges(log: string, nowMs: number): void {
    const quietSince = nowMs - this.#limits.inboxMs
    this.#exec(
      `DELETE FROM _cdc_inbox WHERE log IN (
         SELECT log FROM _cdc_inbox GROUP BY log HAVING max(time) < ? LIMIT ${FORGOTTEN_AT_ONCE})`,
      quietSince,
    )
    const ranges = this.#ranges('log = ? ORDER BY first_lsn', log)
    const surplus = ranges.slice(0, Math.max(0, ranges.length - INBOX_RANGES_PER_LOG_MAX))
    const last = surplus.at(-1)?.last
    if (last === undefined) return
    this.#exec('DELETE FROM _cdc_inbox WHERE log = ? AND first_lsn <= ?', log, last)
    // From 0, which is not an LSN: events in this range may have been processed or not.
    this.#exec('INSERT INTO _cdc_inbox (log, first_lsn, last_lsn, time) VALUES (?, 0, ?, ?)', log, last, nowMs)
  }

  #recordId(name: string): boolean {
    const nowMs = this.#now()
    const { inboxMs, maxInboxIds } = this.#limits
    const { rowsWritten } = this.#exec(
      'INSERT INTO _cdc_inbox_id (name, time) VALUES (?, ?) ON CONFLICT DO NOTHING',
      name,
      nowMs,
    )
    if (rowsWritten === 0) return false
    this.#exec(
      `DELETE FROM _cdc_inbox_id WHERE seq IN (SELECT seq FROM _cdc_inbox_id ORDER BY seq LIMIT ${FORGOTTEN_AT_ONCE})
         AND (time < ? OR seq <= (SELECT max(seq) FROM _cdc_inbox_id) - ?)`,
      nowMs - inboxMs,
      maxInboxIds,
    )
    return true
  }

  #ranges(where: string, ...values: SqlStorageValue[]): Range[] {
    return this.#storage.sql
      .exec<{ first: number; last: number }>(
        `SELECT first_lsn AS first, last_lsn AS last FROM _cdc_inbox WHERE ${where}`,
        ...values,
      )
      .toArray()
  }

  #exec(statement: string, ...values: SqlStorageValue[]): { rowsWritten: number } {
    return this.#storage.sql.exec(statement, ...values)
  }
}

/** @throws {CDCError} `event-forgotten`. */
function isKnown(ranges: readonly Range[], log: string, lsn: number): boolean {
  const known = ranges.find(({ first, last }) => first <= lsn && lsn <= last)
  if (known?.first !== 0) return known !== undefined
  throw new CDCError(
    'event-forgotten',
    `processOnce: LSN ${lsn} of ${log} is below the ${INBOX_RANGES_PER_LOG_MAX} ranges that are remembered of its log, ` +
      'so it may have been processed or not; events of one log must arrive nearly in order',
  )
}
