// Where committed events wait for the relay. Keeps I2 (LSNs without a gap) and the storage half of I3, I4 and I7. Like a
// write-ahead log: one row is one committed transaction.

import { CDCError, cleanReason, reasonOf } from '../error.ts'
import type { EncodedEvent, EventContent } from '../event/create-event.ts'
import type { CommittedRecord } from '../event/record.ts'
import { textOf } from '../sqlite/bytes.ts'
import { DeadLetters } from './dead-letters.ts'
import { LAST_BYTES, LAST_LSN } from './end-of-log.ts'
import { checkTime, type Identity } from './identity.ts'
import { DEAD_LETTER_TYPE } from './limits.ts'
import {
  originalOf,
  type OutboxRow,
  parseContents,
  readContents,
  readRecords,
  splitRows,
  UNREADABLE_TYPE,
} from './log.ts'
import { HEAD, type LagLimits, type RetentionLimits, Segments, tablesOf } from './segments.ts'
import { type OutboxState, readState } from './state.ts'
import type { OutboxTables } from './tables.ts'

/** The events of one transaction, ready to be written with it. */
export interface OutboxTransaction {
  readonly txid: string
  readonly timeMs: number
  readonly events: readonly EncodedEvent[]
}

/** The limits of a batch. It holds whole rows, at least one, unless the relay is looking for a bad event in it. */
export interface BatchLimits {
  readonly maxBatchEvents: number
  readonly maxBatchBytes: number
}

/** How much may wait while the pipeline is not available. */
export interface BacklogLimits {
  readonly maxBacklogEvents: number
  readonly maxBacklogBytes: number
}

/** The limits of a page of the log: rows, and characters of JSON. */
export interface PageLimits {
  readonly maxRows: number
  readonly maxBytes: number
}

/** The rows of LSNs ?1 to ?2 in a table. The one that holds the last may end after it: it is the first that does not end before it. */
function rangeIn(table: string): string {
  return `lsn >= ?1 AND lsn <= coalesce((SELECT min(lsn) FROM ${table} WHERE lsn >= ?2), ?2)`
}

/** A range of the log in flight to the pipeline. A retry has the same range, key and records, except for `retries`. */
export interface Batch {
  readonly firstLSN: number
  readonly lastLSN: number
  /** Idempotency key: `<ns>/<source>/<epoch>/<first lsn>-<last lsn>`. */
  readonly key: string
  readonly epoch: string
  /** How often it was sent before. */
  readonly retries: number
  readonly records: CommittedRecord[]
}

/** How much waits for the pipeline, and the last LSN of the log. */
export interface Backlog {
  readonly events: number
  readonly bytes: number
  readonly lastLSN: number
}

type Position = { ackedLSN: number; ackedBytes: number; lastLSN: number; lastBytes: number }

export class Outbox {
  readonly deadLetters: DeadLetters
  readonly #storage: DurableObjectStorage
  readonly #tables: OutboxTables
  readonly #createId: () => string
  readonly #segments: Segments
  /** The backlog after the last transaction; undefined if it may have changed since. */
  #backlog: Backlog | undefined

  constructor(storage: DurableObjectStorage, tables: OutboxTables, createId: () => string) {
    this.#storage = storage
    this.#tables = tables
    this.#createId = createId
    this.deadLetters = new DeadLetters(storage)
    this.#segments = new Segments(storage)
  }

  /** Undefined after `deleteAll`, until the next write; then nothing is pending either. */
  state(): OutboxState | undefined {
    return this.#tables.exist() ? readState(this.#storage.sql) : undefined
  }

  /** How much waits for the pipeline. Reads two rows, however much it is. */
  backlog(): Backlog {
    if (!this.#tables.exist()) return { events: 0, bytes: 0, lastLSN: 0 }
    return backlogOf(this.#position())
  }

  /** When the oldest pending event was committed, in milliseconds since 1970. Reads two rows. */
  oldestPendingMs(): number | undefined {
    const state = this.state()
    return state === undefined ? undefined : this.timeAfter(state.ackedLSN, state)
  }

  /** When the first event after an LSN was committed, in milliseconds since 1970; undefined if there is none. */
  timeAfter(lsn: number, state = this.state()): number | undefined {
    const [row] = this.#storage.sql
      .exec<{ time: number }>(
        `SELECT time FROM ${this.#tableOf(lsn + 1, state)} WHERE lsn > ? ORDER BY lsn LIMIT 1`,
        lsn,
      )
      .toArray()
    return row?.time
  }

  /** LSN of the oldest event that is kept; of the next event if none is. */
  oldestLSN(): number {
    const [row] = this.#storage.sql
      .exec<{ first: number }>(`SELECT lsn - count + 1 AS first FROM ${this.#tableOf(1)} ORDER BY lsn LIMIT 1`)
      .toArray()
    return row?.first ?? this.backlog().lastLSN + 1
  }

  /** An event as it happened, and the transaction that it belongs to; undefined if it is not in the log. */
  originalAt(lsn: number): { txid: string; timeMs: number; event: EventContent } | undefined {
    const [row] = this.rows(lsn, lsn)
    const content = row && readContents(row).at(lsn - row.lsn - 1)
    return content && { txid: row.txid, timeMs: row.time, event: originalOf(content) }
  }

  /**
   * Writes a transaction's events, as part of the open SQLite transaction.
   *
   * @returns the backlog before and after. If it was empty before, no alarm is due, and the caller sets one in the same
   *   transaction. It is remembered from one transaction to the next, because reading it costs as much as appending.
   * @throws {CDCError} `outbox-full` or `invalid-config`, which roll the transaction back.
   */
  append({ txid, timeMs, events }: OutboxTransaction, limits: BacklogLimits): { before: Backlog; after: Backlog } {
    checkTime(timeMs)
    this.#tables.open()
    const rows = splitRows(events, this.#tables.envelopeBytes)
    const before = this.latestBacklog()
    const after = {
      events: before.events + events.length,
      bytes: before.bytes + rows.reduce((sum, row) => sum + row.bytes, 0),
      lastLSN: before.lastLSN + events.length,
    }
    // An empty outbox takes a transaction of any size: one that is larger than the limit could never commit otherwise.
    if (before.events > 0) checkBacklog(after, limits)
    for (const row of rows) this.#storage.sql.exec(APPEND_ROW, row.count, row.bytes, txid, timeMs, row.events)
    this.#backlog = after
    return { before, after }
  }

  /**
   * Takes the batch that is to be sent now, and records the attempt. It is the batch in flight if there is one; otherwise
   * half of the range that holds a bad event, or the next rows within the limits. Costs one row written, whatever its size.
   */
  takeBatch(limits: BatchLimits, nowMs: number): Batch | undefined {
    const state = this.state()
    if (state === undefined) return undefined
    return this.#storage.transactionSync(() => {
      const { ackedLSN, batchLSN, suspectLSN, attemptsBegun } = state
      const isRetry = batchLSN > ackedLSN
      const fixedLSN = isRetry
        ? batchLSN
        : suspectLSN > ackedLSN
          ? ackedLSN + Math.ceil((suspectLSN - ackedLSN) / 2)
          : 0
      const rows = fixedLSN > 0 ? this.rows(ackedLSN + 1, fixedLSN) : this.#nextRows(state, limits)
      const lastLSN = fixedLSN > 0 ? fixedLSN : rows.at(-1)?.lsn
      if (lastLSN === undefined || rows.length === 0) return undefined
      this.#storage.sql.exec(
        `UPDATE _cdc_state SET batch_lsn = ?, attempts_begun = ?, attempts_ended = ?, first_attempt = ?`,
        lastLSN,
        isRetry ? attemptsBegun + 1 : 1,
        isRetry ? state.attemptsEnded : 0,
        isRetry ? state.firstAttemptMs : nowMs,
      )
      const range = { first: ackedLSN + 1, last: lastLSN, retries: isRetry ? attemptsBegun : 0 }
      try {
        return createBatch(state, rows, range)
      } catch {
        return createBatch(state, this.#replaceUnreadable(rows, nowMs), range)
      }
    })
  }

  /** Records that the pipeline accepted a batch, and drops what is beyond the retention. */
  acknowledge(batch: Batch, retention: RetentionLimits & LagLimits, nowMs: number): void {
    this.#onAnswer(batch, (state) => {
      const { lastLSN } = batch
      const ackedBytes = this.#bytesAt(lastLSN, state) ?? state.ackedBytes
      const suspectLSN = state.suspectLSN > lastLSN ? state.suspectLSN : 0
      this.#storage.sql.exec(
        `UPDATE _cdc_state SET acked_lsn = ?, acked_bytes = ?, suspect_lsn = ?, ${NO_BATCH}, last_error = NULL`,
        lastLSN,
        ackedBytes,
        suspectLSN,
      )
      this.#keepUp({ ...state, ackedLSN: lastLSN, ackedBytes }, retention, nowMs)
    })
  }

  #keepUp(state: OutboxState, retention: RetentionLimits & LagLimits, nowMs: number): void {
    try {
      this.#segments.keepUp(state, retention, nowMs)
    } catch (error) {
      // SQLite drops no table while the user's code reads from any. What was accepted is accepted nonetheless.
      console.warn(`outbox: segments stay until the next batch is accepted: ${reasonOf(error)}`)
    }
  }

  /** Records that an attempt failed: its outcome is unknown, and the same batch is sent again. */
  recordFailure(batch: Batch, error: string, nextAttemptMs: number): void {
    this.#onAnswer(batch, () =>
      this.#storage.sql.exec(
        'UPDATE _cdc_state SET attempts_ended = attempts_begun, last_error = ?, next_attempt = ?',
        error,
        nextAttemptMs,
      ),
    )
  }

  /** Records that the crash window of an attempt is over: if the runtime ends now, this batch is not the cause. */
  recordCrashWindowEnd(batch: Batch): void {
    this.#onAnswer(batch, () => this.#storage.sql.exec('UPDATE _cdc_state SET attempts_ended = attempts_begun'))
  }

  /** Records that some event of the batch is bad: the next batches are halves of it, until that event is alone. */
  bisect(batch: Pick<Batch, 'epoch' | 'lastLSN'>, error: string): void {
    this.#onAnswer(batch, () =>
      this.#storage.sql.exec(
        `UPDATE _cdc_state SET suspect_lsn = ?, ${NO_BATCH}, last_error = ?`,
        batch.lastLSN,
        error,
      ),
    )
  }

  /**
   * Makes a dead letter of the event that is alone in the batch, and puts a `cdc.dead_letter` event in its place, so that
   * its LSN still reaches the pipeline and the log has no hole (I3).
   */
  moveToDeadLetters(batch: Pick<Batch, 'epoch' | 'lastLSN'>, reason: string, nowMs: number): void {
    this.#onAnswer(batch, (state) => {
      const lsn = batch.lastLSN
      const [row] = this.rows(lsn, lsn)
      if (row === undefined) throw new Error(`I3: the event of LSN ${lsn} was deleted before it was accepted`)
      const contents = readContents(row)
      const index = contents.length - 1 - (row.lsn - lsn)
      const refused = contents[index]
      if (refused === undefined) throw new Error(`I2: the row that ends at LSN ${row.lsn} does not hold LSN ${lsn}`)
      const { txid, time } = row
      this.deadLetters.add({
        lsn,
        txid,
        timeMs: time,
        event: refused,
        reason,
        attempts: state.attemptsBegun,
        firstAttemptMs: state.firstAttemptMs,
        lastAttemptMs: nowMs,
      })
      contents[index] = { ...this.#standIn(refused, reason), refused }
      this.#rewrite(row.lsn, contents)
      this.#storage.sql.exec(`UPDATE _cdc_state SET ${NO_BATCH}, last_error = ?`, reason)
    })
  }

  /** The event that takes the place of a refused one: of words that every receiver accepts, whatever the refused one holds. */
  #standIn({ id, type }: Pick<EventContent, 'id' | 'type'>, reason: string): EventContent {
    const data = { id: id.toWellFormed(), type: type.toWellFormed(), reason: cleanReason(reason) }
    return { id: this.#createId(), type: DEAD_LETTER_TYPE, data }
  }

  /** Rows with dead letters in the place of events that can't be read, so that these don't stop the log (I3). */
  #replaceUnreadable(rows: readonly OutboxRow[], nowMs: number): OutboxRow[] {
    return rows.map((row) => {
      const contents = parseContents({ ...row })
      if (!(contents instanceof Error)) return row
      const reason = contents.message
      const letters = Array.from({ length: row.count }, (_, index) => {
        const event = { id: this.#createId(), type: UNREADABLE_TYPE, data: { row: row.events.slice(0, 10_000) } }
        const lsn = row.lsn - row.count + 1 + index
        const times = { timeMs: row.time, firstAttemptMs: nowMs, lastAttemptMs: nowMs }
        this.deadLetters.add({ lsn, txid: row.txid, event, reason, attempts: 0, ...times })
        return this.#standIn(event, reason)
      })
      return { ...row, events: this.#rewrite(row.lsn, letters) }
    })
  }

  #rewrite(lsn: number, contents: readonly EventContent[]): string {
    const events = JSON.stringify(contents)
    this.#storage.sql.exec(`UPDATE ${this.#tableOf(lsn)} SET events = ? WHERE lsn = ?`, events, lsn)
    return events
  }

  /** The type of the event of an LSN; undefined if it is not in the log. */
  typeAt(lsn: number): string | undefined {
    const [row] = this.rows(lsn, lsn)
    return row && readContents(row).at(lsn - row.lsn - 1)?.type
  }

  /** Notes what the fleet knows of an epoch, if that still is the epoch. */
  noteFleet(epoch: string, known: string): void {
    if (this.#tables.exist()) this.#storage.sql.exec('UPDATE _cdc_state SET fleet = ? WHERE epoch = ?', known, epoch)
  }

  setPaused(isPaused: boolean): void {
    this.#storage.sql.exec('UPDATE _cdc_state SET paused = ?', isPaused ? 1 : 0)
  }

  /** The rows that hold the LSNs of a range, both ends included. */
  rows(firstLSN: number, lastLSN: number): OutboxRow[] {
    return this.#tablesOf(firstLSN, lastLSN).flatMap((table) =>
      this.#read(table, `WHERE ${rangeIn(table)} ORDER BY lsn`, firstLSN, lastLSN),
    )
  }

  /** The first of these rows: at least one, and few enough to fit into memory. */
  page(firstLSN: number, lastLSN: number, { maxRows, maxBytes }: PageLimits): { rows: OutboxRow[]; isLast: boolean } {
    const rows: OutboxRow[] = []
    for (const table of this.#tablesOf(firstLSN, lastLSN)) {
      const range = `SELECT lsn, bytes FROM ${table} WHERE ${rangeIn(table)} ORDER BY lsn LIMIT ?3`
      const end = rows[0] === undefined ? `(SELECT min(bytes) FROM (${range}))` : rows[0].bytes
      const limited = `WHERE lsn IN (SELECT lsn FROM (${range}) WHERE bytes <= ${end} + ?4) ORDER BY lsn`
      rows.push(...this.#read(table, limited, firstLSN, lastLSN, maxRows - rows.length, maxBytes))
      const next = (rows.at(-1)?.lsn ?? firstLSN - 1) + 1
      if (this.#hasRows(table, next, lastLSN)) return { rows, isLast: false }
    }
    return { rows, isLast: true }
  }

  #hasRows(table: string, firstLSN: number, lastLSN: number): boolean {
    const select = `SELECT 1 FROM ${table} WHERE ${rangeIn(table)} AND ?1 <= ?2 LIMIT 1`
    return this.#storage.sql.exec(select, firstLSN, lastLSN).toArray().length > 0
  }

  #tablesOf(firstLSN: number, lastLSN: number, state = this.state()): string[] {
    return tablesOf(state?.segments ?? [], firstLSN, lastLSN)
  }

  /** The table with the row of an LSN. */
  #tableOf(lsn: number, state = this.state()): string {
    return this.#tablesOf(lsn, lsn, state)[0] ?? HEAD
  }

  /**
   * Reads rows as arrays, because the runtime takes twice as long to make objects of them; and to the end, because SQLite refuses
   * to drop a table, one of the user's too, while rows of any query are left.
   */
  #read(table: string, clause: string, ...params: number[]): OutboxRow[] {
    const rows = this.#storage.sql
      .exec(`SELECT lsn, count, bytes, txid, time, events FROM ${table} ${clause}`, ...params)
      .raw<[number, number, number, string, number, string]>()
    return Array.from(rows, ([lsn, count, bytes, txid, time, events]) => ({
      lsn,
      count,
      bytes,
      txid,
      time,
      events: events.includes('\uFFFD') ? this.#exactEvents(table, lsn) : events,
    }))
  }

  /** The backlog, as remembered. Rows that triggers have appended since are missing in it, until it is read again. */
  latestBacklog(): Backlog {
    return (this.#backlog ??= backlogOf(this.#position()))
  }

  /** Makes the next `latestBacklog` read it again. */
  forgetBacklog(): void {
    this.#backlog = undefined
  }

  emptied(): void {
    this.forgetBacklog()
    this.#segments.forget()
  }

  rolledBack(): void {
    this.forgetBacklog()
    this.#segments.forget()
  }

  /** A row's events with the bytes that are not UTF-8, for which the platform puts U+FFFD. */
  #exactEvents(table: string, lsn: number): string {
    const { events } = this.#storage.sql
      .exec<{ events: ArrayBuffer }>(`SELECT CAST(events AS BLOB) AS events FROM ${table} WHERE lsn = ?`, lsn)
      .one()
    return textOf(new Uint8Array(events))
  }

  /** The end of the log, and the end of what was accepted. */
  #position(): Position {
    return this.#storage.sql
      .exec<Position>(
        `SELECT acked_lsn AS ackedLSN, acked_bytes AS ackedBytes, ${LAST_LSN} AS lastLSN, ${LAST_BYTES} AS lastBytes
         FROM _cdc_state`,
      )
      .one()
  }

  /** The rows of the next batch: all from one table. */
  #nextRows(state: OutboxState, { maxBatchEvents, maxBatchBytes }: BatchLimits): OutboxRow[] {
    const { ackedLSN, ackedBytes } = state
    const table = this.#tableOf(ackedLSN + 1, state)
    return this.#read(
      table,
      `WHERE lsn > ?1 AND lsn <= max(
           (SELECT min(lsn) FROM ${table} WHERE lsn > ?1),
           coalesce((SELECT lsn FROM ${table} WHERE lsn > ?1 AND lsn <= ?2 AND bytes <= ?3 ORDER BY lsn DESC LIMIT 1), 0)
         ) ORDER BY lsn`,
      ackedLSN,
      ackedLSN + maxBatchEvents,
      ackedBytes + maxBatchBytes,
    )
  }

  /** The running total of bytes at the last row that ends at or before an LSN; undefined if that row has been dropped. */
  #bytesAt(lsn: number, state: OutboxState): number | undefined {
    const { segments, sealedLSN, sealedBytes } = state
    const [row] = this.#storage.sql
      .exec<{ bytes: number }>(
        `SELECT bytes FROM ${this.#tableOf(lsn, state)} WHERE lsn <= ? ORDER BY lsn DESC LIMIT 1`,
        lsn,
      )
      .toArray()
    if (row !== undefined) return row.bytes
    return segments.findLast(({ lastLSN }) => lastLSN <= lsn)?.bytes ?? (sealedLSN <= lsn ? sealedBytes : undefined)
  }

  /** Whether a batch still waits for its answer: it is of this epoch, and was not answered before. */
  isInFlight(batch: Pick<Batch, 'epoch' | 'lastLSN'>): boolean {
    return isBatchOf(this.state(), batch)
  }

  /** Applies an answer, if the batch still waits for it. */
  #onAnswer(batch: Pick<Batch, 'epoch' | 'lastLSN'>, change: (state: OutboxState) => unknown): void {
    const state = this.state()
    if (!isBatchOf(state, batch)) return
    this.#backlog = undefined
    this.#storage.transactionSync(() => void change(state))
  }
}

/** Appends a row. Without RETURNING, because a returned row costs half as much as the written one. */
const APPEND_ROW = `
  INSERT INTO _cdc_outbox (lsn, count, bytes, txid, time, events)
  VALUES (?1 + ${LAST_LSN}, ?1, ?2 + ${LAST_BYTES}, ?3, ?4, ?5)`

function isBatchOf(
  state: OutboxState | undefined,
  { epoch, lastLSN }: Pick<Batch, 'epoch' | 'lastLSN'>,
): state is OutboxState {
  return state?.epoch === epoch && state.batchLSN === lastLSN
}

const NO_BATCH = 'batch_lsn = 0, attempts_begun = 0, attempts_ended = 0, first_attempt = 0, next_attempt = 0'

function backlogOf({ ackedLSN, ackedBytes, lastLSN, lastBytes }: Position): Backlog {
  return { events: lastLSN - ackedLSN, bytes: lastBytes - ackedBytes, lastLSN }
}

/** @throws {CDCError} `outbox-full` if the backlog would be beyond the limits. */
export function checkBacklog({ events, bytes }: Backlog, { maxBacklogEvents, maxBacklogBytes }: BacklogLimits): void {
  if (events <= maxBacklogEvents && bytes <= maxBacklogBytes) return
  throw new CDCError(
    'outbox-full',
    `transaction: ${events} events (${bytes} bytes) would wait for the pipeline, the limits are ` +
      `${maxBacklogEvents} (maxBacklogEvents) and ${maxBacklogBytes} (maxBacklogBytes); try again when it has accepted some`,
    { retryable: true },
  )
}

/** The batch of a range, as it goes over the wire. */
export function createBatch(
  { ns, source, epoch }: Identity,
  rows: readonly OutboxRow[],
  { first, last, retries }: { first: number; last: number; retries: number },
): Batch {
  const records = readRecords({ ns, source, epoch }, rows, { first, last, retries })
  const [firstLSN, lastLSN] = [records[0]?.lsn, records.at(-1)?.lsn]
  if (firstLSN === undefined || lastLSN === undefined) throw new Error('I4: a batch holds at least one event')
  return { firstLSN, lastLSN, key: `${ns}/${source}/${epoch}/${firstLSN}-${lastLSN}`, epoch, retries, records }
}
