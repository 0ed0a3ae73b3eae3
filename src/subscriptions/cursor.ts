// How far one subscription has come in the log: its own row, as `_cdc_state` is that of the outbox. Its relay reads from here
// what to deliver next, and stores here what became of it.

import type { Identity } from '../outbox/identity.ts'
import { UNREADABLE_TYPE, readOriginals } from '../outbox/log.ts'
import { DeadLetters } from '../outbox/dead-letters.ts'
import type { Backlog, Batch, BatchLimits, Outbox } from '../outbox/outbox.ts'
import type { OutboxTables } from '../outbox/tables.ts'
import type { CommittedRecord } from '../event/record.ts'
import { utf8Bytes } from '../event/utf8.ts'
import type { RelayLog, RelayProgress } from '../relay/relay.ts'
import { type DeliveryNote, readSubscription, type SubscriptionState } from '../outbox/subscription-state.ts'
import { noteDelivery } from './deliveries.ts'

/** How much of the log is read at once in search of events that match, and so how much a batch spans at most. */
const SCAN_LIMITS = { maxRows: 1_000, maxBytes: 2_000_000 }

/** What has happened to a subscription that is told to everybody who reads the log. */
export type SubscriptionChange =
  | { readonly change: 'missed'; readonly firstLSN: number; readonly lastLSN: number }
  | { readonly change: 'disabled'; readonly reason: string }

/** What is known of an attempt beside its outcome. */
export interface AttemptFacts {
  readonly startedMs: number
  /** Up to this LSN the target has taken the events of the batch; undefined if it tells nothing. */
  readonly reachedLSN: number | undefined
  /** The event that it has refused, if it names one. */
  readonly refusedLSN: number | undefined
  /** The target says that it is gone for good. */
  readonly isGone: boolean
}

export const NO_FACTS: AttemptFacts = { startedMs: 0, reachedLSN: undefined, refusedLSN: undefined, isGone: false }

interface CursorPorts {
  readonly storage: DurableObjectStorage
  readonly tables: OutboxTables
  readonly outbox: Outbox
  readonly isMatch: (record: CommittedRecord) => boolean
  readonly disableAfterMs: number
  readonly now: () => number
  readonly tell: (change: SubscriptionChange) => void
}

/** A part of the log: its events that match, and up to where it was read. */
interface Found {
  readonly records: CommittedRecord[]
  readonly throughLSN: number
}

const NO_BATCH =
  'batch_lsn = 0, batch_events = 0, attempts_begun = 0, attempts_ended = 0, first_attempt = 0, next_attempt = 0'

type BatchName = Pick<Batch, 'epoch' | 'lastLSN'>

export class Cursor implements RelayLog {
  readonly name: string
  readonly deadLetters: DeadLetters
  readonly #ports: CursorPorts
  /** The row as it was last read; undefined if it may have changed since. */
  #row: SubscriptionState | undefined
  #facts = NO_FACTS

  constructor(name: string, ports: CursorPorts) {
    this.name = name
    this.deadLetters = new DeadLetters(ports.storage, name)
    this.#ports = ports
  }

  /** To be called when the storage may have changed otherwise: after a rollback, or when it was emptied. */
  forget(): void {
    this.#row = undefined
  }

  /** Makes the row. */
  begin(ackedLSN: number): void {
    this.#write('INSERT INTO _cdc_subscription (name, acked_lsn) VALUES (?, ?)', this.name, ackedLSN)
  }

  /** To be called by who delivers, before the relay reads the answer. */
  noteFacts(facts: AttemptFacts): void {
    this.#facts = facts
  }

  /** Undefined after `deleteAll`, until the next write. */
  row(): SubscriptionState | undefined {
    if (!this.#ports.tables.exist()) return undefined
    return (this.#row ??= readSubscription(this.#ports.storage.sql, this.name))
  }

  state(): RelayProgress | undefined {
    const row = this.row()
    const identity = row && this.#identity(row)
    return identity && { ...row, epoch: identity.epoch, isPaused: row.isPaused || row.disabledMs > 0 }
  }

  /** All events that it has still to look at, whether they match or not. */
  backlog(): Backlog {
    return this.backlogOf(this.#ports.outbox.backlog())
  }

  /** The same, from that of the outbox. */
  backlogOf({ lastLSN }: Backlog): Backlog {
    return { events: Math.max(0, lastLSN - (this.row()?.ackedLSN ?? lastLSN)), bytes: 0, lastLSN }
  }

  oldestPendingMs(): number | undefined {
    const row = this.row()
    return row && this.#ports.outbox.timeAfter(row.ackedLSN)
  }

  /**
   * Moves past the events that do not match, as far as one reading goes, if there are none but these: so that a run for nothing
   * costs no alarm.
   */
  passOver(): void {
    if (this.backlog().events === 0 || this.state()?.isPaused === true) return
    this.#ports.storage.transactionSync(() => {
      this.#passMissed()
      const row = this.row()
      if (row === undefined || row.batchLSN > row.ackedLSN) return
      const { records, throughLSN } = this.#find(row, Infinity, { maxBatchEvents: 1, maxBatchBytes: Infinity }, 0)
      if (records.length === 0) this.#moveTo(throughLSN)
    })
  }

  takeBatch(limits: BatchLimits, nowMs: number): Batch | undefined {
    return this.#ports.storage.transactionSync(() => {
      this.#passMissed()
      const row = this.row()
      const identity = row && this.#identity(row)
      if (row === undefined || identity === undefined || this.backlog().events === 0) return undefined
      const { ackedLSN, batchLSN, suspectLSN, attemptsBegun } = row
      const isRetry = batchLSN > ackedLSN
      const { records, throughLSN } = isRetry
        ? this.#find(row, batchLSN, { maxBatchEvents: Infinity, maxBatchBytes: Infinity }, attemptsBegun)
        : suspectLSN > ackedLSN
          ? firstHalf(this.#find(row, suspectLSN, limits, 0))
          : this.#find(row, Infinity, limits, 0)
      const [first] = records
      if (first === undefined) {
        this.#moveTo(throughLSN)
        return undefined
      }
      this.#write(
        `UPDATE _cdc_subscription SET batch_lsn = ?, batch_events = ?, attempts_begun = ?, attempts_ended = ?,
           first_attempt = ? WHERE name = ?`,
        throughLSN,
        records.length,
        isRetry ? attemptsBegun + 1 : 1,
        isRetry ? row.attemptsEnded : 0,
        isRetry ? row.firstAttemptMs : nowMs,
        this.name,
      )
      this.#facts = NO_FACTS
      return {
        firstLSN: ackedLSN + 1,
        lastLSN: throughLSN,
        key: `${this.name}: ${identity.ns}/${identity.source}/${identity.epoch}/${ackedLSN + 1}-${throughLSN}`,
        epoch: identity.epoch,
        retries: isRetry ? attemptsBegun : 0,
        records,
      }
    })
  }

  isInFlight({ epoch, lastLSN }: BatchName): boolean {
    const state = this.state()
    return state?.epoch === epoch && state.batchLSN === lastLSN
  }

  acknowledge(batch: Batch): void {
    this.#onAnswer(batch, (row) => {
      const { reachedLSN = Infinity } = this.#facts
      const last = batch.records.at(-1)?.lsn ?? batch.lastLSN
      // A target may stop before the end, for lack of time.
      const ackedLSN = reachedLSN < last ? reachedLSN : batch.lastLSN
      const events = batch.records.filter(({ lsn }) => lsn <= ackedLSN).length
      this.#write(
        `UPDATE _cdc_subscription SET acked_lsn = ?, delivered = delivered + ?, suspect_lsn = iif(suspect_lsn > ?1, suspect_lsn, 0),
           ${NO_BATCH}, last_error = NULL, failing = 0, deliveries = ? WHERE name = ?`,
        ackedLSN,
        events,
        this.#noted(row, { lastLSN: ackedLSN, events, status: 'delivered' }),
        this.name,
      )
    })
  }

  recordFailure(batch: Batch, reason: string, nextAttemptMs: number): void {
    this.#onAnswer(batch, (row) => {
      const { now, disableAfterMs, tell } = this.#ports
      const { reachedLSN = row.ackedLSN, isGone } = this.#facts
      const events = batch.records.filter(({ lsn }) => lsn <= reachedLSN).length
      // What has come through says that the target is alive.
      const failingMs = events > 0 || row.failingMs === 0 ? now() : row.failingMs
      const isDisabled = isGone || now() - failingMs >= disableAfterMs
      this.#write(
        `UPDATE _cdc_subscription SET acked_lsn = ?, delivered = delivered + ?, batch_events = batch_events - ?2,
           attempts_ended = attempts_begun, next_attempt = ?, last_error = ?, failing = ?, disabled = ?, deliveries = ?
         WHERE name = ?`,
        Math.max(row.ackedLSN, reachedLSN),
        events,
        nextAttemptMs,
        reason,
        failingMs,
        isDisabled ? now() : 0,
        this.#noted(row, { events: batch.records.length - events, status: 'failed', reason }),
        this.name,
      )
      if (isDisabled) tell({ change: 'disabled', reason })
    })
  }

  recordCrashWindowEnd(batch: Batch): void {
    this.#onAnswer(batch, () =>
      this.#write('UPDATE _cdc_subscription SET attempts_ended = attempts_begun WHERE name = ?', this.name),
    )
  }

  bisect(batch: BatchName, reason: string): void {
    this.#onAnswer(batch, (row) => {
      const { reachedLSN = row.ackedLSN, refusedLSN = batch.lastLSN } = this.#facts
      this.#write(
        `UPDATE _cdc_subscription SET acked_lsn = ?, delivered = delivered + ?, suspect_lsn = ?, ${NO_BATCH}, last_error = ?
         WHERE name = ?`,
        Math.max(row.ackedLSN, reachedLSN),
        this.#find(row, Math.max(row.ackedLSN, reachedLSN), ALL, 0).records.length,
        refusedLSN,
        reason,
        this.name,
      )
    })
  }

  moveToDeadLetters(batch: BatchName, reason: string, nowMs: number): void {
    this.#onAnswer(batch, (row) => {
      const [refused] = this.#find(row, batch.lastLSN, ALL, 0).records
      const original = refused && this.#ports.outbox.originalAt(refused.lsn)
      if (refused === undefined || original === undefined)
        throw new Error(`I3: the event that ${this.name} refused is not in the log`)
      const { lsn } = refused
      const attempts = { attempts: row.attemptsBegun, firstAttemptMs: row.firstAttemptMs, lastAttemptMs: nowMs }
      this.deadLetters.add({ ...original, lsn, reason, ...attempts })
      this.#write(
        `UPDATE _cdc_subscription SET acked_lsn = ?, suspect_lsn = iif(suspect_lsn > ?1, suspect_lsn, 0), ${NO_BATCH},
           last_error = ?, failing = 0, deliveries = ? WHERE name = ?`,
        lsn,
        reason,
        this.#noted(row, { lastLSN: lsn, events: 1, status: 'refused', reason }),
        this.name,
      )
    })
  }

  /** Its dead letters stay out of the log, so that no record takes their place. */
  typeAt(): undefined {
    return undefined
  }

  /** A subscription that was disabled is no longer, once it is resumed, and is tried at once. */
  setPaused(isPaused: boolean): void {
    if (isPaused) this.#write('UPDATE _cdc_subscription SET paused = 1 WHERE name = ?', this.name)
    else
      this.#write(
        'UPDATE _cdc_subscription SET paused = 0, disabled = 0, failing = 0, next_attempt = 0 WHERE name = ?',
        this.name,
      )
  }

  /** The log that the next events belong to. */
  #identity({ past }: SubscriptionState): Identity | undefined {
    return past?.identity ?? this.#ports.outbox.state()
  }

  /** The events that match, from the one after the cursor up to an LSN, within the limits of a batch and of one reading. */
  #find(row: SubscriptionState, lastLSN: number, limits: BatchLimits, retries: number): Found {
    const { outbox, isMatch } = this.#ports
    const identity = this.#identity(row)
    const last = Math.min(lastLSN, row.past?.lastLSN ?? Infinity, outbox.backlog().lastLSN)
    if (identity === undefined || last <= row.ackedLSN) return { records: [], throughLSN: row.ackedLSN }
    const { rows, isLast } = outbox.page(row.ackedLSN + 1, last, SCAN_LIMITS)
    const end = isLast ? last : (rows.at(-1)?.lsn ?? last)
    const records: CommittedRecord[] = []
    let bytes = 0
    for (const record of readOriginals(identity, rows, { first: row.ackedLSN + 1, last: end, retries })) {
      if (record.type === UNREADABLE_TYPE || !isMatch(record)) continue
      if (limits.maxBatchBytes < Infinity) bytes += utf8Bytes(JSON.stringify(record))
      const isFull = records.length === limits.maxBatchEvents || bytes > limits.maxBatchBytes
      if (isFull && records.length > 0) return { records, throughLSN: record.lsn - 1 }
      records.push(record)
    }
    return { records, throughLSN: end }
  }

  /** Events that are no longer kept are missed: never in silence. */
  #passMissed(): void {
    const row = this.row()
    if (row === undefined || this.backlog().events === 0) return
    const firstLSN = row.ackedLSN + 1
    const lastLSN = this.#ports.outbox.oldestLSN() - 1
    if (lastLSN < firstLSN) return
    this.#write(
      `UPDATE _cdc_subscription SET acked_lsn = ?1, missed = missed + ?2, missed_lsn = ?1, suspect_lsn = 0, ${NO_BATCH}
       WHERE name = ?3`,
      lastLSN,
      lastLSN - row.ackedLSN,
      this.name,
    )
    this.#ports.tell({ change: 'missed', firstLSN, lastLSN })
  }

  #moveTo(lsn: number): void {
    if (lsn > (this.row()?.ackedLSN ?? lsn))
      this.#write('UPDATE _cdc_subscription SET acked_lsn = ? WHERE name = ?', lsn, this.name)
  }

  #noted(
    row: SubscriptionState,
    note: Pick<DeliveryNote, 'events' | 'status'> & Partial<Pick<DeliveryNote, 'lastLSN' | 'reason'>>,
  ): string {
    const { reachedLSN = row.ackedLSN, startedMs } = this.#facts
    const atMs = this.#ports.now()
    const whole = {
      atMs,
      firstLSN: (note.status === 'failed' ? Math.max(row.ackedLSN, reachedLSN) : row.ackedLSN) + 1,
      lastLSN: row.batchLSN,
      attempts: row.attemptsBegun,
      // The clock may have stepped back; and the runtime may have ended since it began.
      durationMs: startedMs === 0 ? 0 : Math.max(0, atMs - startedMs),
      ...note,
    }
    return JSON.stringify(noteDelivery(row.deliveries, whole))
  }

  /** Applies an answer, if the batch still waits for it. */
  #onAnswer(batch: BatchName, change: (row: SubscriptionState) => void): void {
    if (!this.isInFlight(batch)) return
    this.#ports.storage.transactionSync(() => {
      const row = this.row()
      if (row !== undefined) change(row)
    })
    this.#facts = NO_FACTS
  }

  #write(statement: string, ...values: SqlStorageValue[]): void {
    this.#row = undefined
    this.#ports.storage.sql.exec(statement, ...values)
  }
}

const ALL: BatchLimits = { maxBatchEvents: Infinity, maxBatchBytes: Infinity }

/** The half of a range that holds a bad event. */
function firstHalf({ records, throughLSN }: Found): Found {
  const half = Math.ceil(records.length / 2)
  const next = records[half]
  return { records: records.slice(0, half), throughLSN: next === undefined ? throughLSN : next.lsn - 1 }
}
