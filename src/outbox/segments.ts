// The log as a sequence of tables: sealed segments, oldest first, and `_cdc_outbox`, which takes new rows. The platform bills
// each row that is deleted, and nothing for a table that is dropped. So delivered rows leave a whole segment at a time.

import { endOfWait } from '../due.ts'
import { type OutboxState, type Segment, segmentsText } from './state.ts'

/** The table that takes new rows. Triggers append to it by this name. */
export const HEAD = '_cdc_outbox'

/** How much of the delivered log is kept, for inspection and replay: at least what is so young, or the last so many bytes of it. */
export interface RetentionLimits {
  readonly retentionMs: number
  readonly retentionBytes: number
}

/** How much of the log is kept for a subscription that lags: what is so young, and among the last so many bytes. */
export interface LagLimits {
  readonly maxLagMs: number
  readonly maxLagBytes: number
}

/** Both limits are divided into so many segments. */
const SEGMENTS_OF_RETENTION = 8
/** So many there are at most, whatever waits; the head grows then. */
const SEGMENTS_MAX = 24
/** Sealing writes each row of `sqlite_master` again. So a segment has this many rows for each of them: then it costs 1 % more. */
const ROWS_OF_SCHEMA_ROW = 100
/** A head of large rows is sealed although it has fewer, at half of the retention, but not below this. */
const LARGE_HEAD_BYTES = 4_000_000

function tableOf({ lastLSN }: Segment): string {
  return `${HEAD}_${lastLSN}`
}

/** The tables that hold the rows of a range of LSNs, in their order. */
export function tablesOf(segments: readonly Segment[], firstLSN: number, lastLSN = Infinity): string[] {
  const tables = segments.filter((segment) => segment.lastLSN >= firstLSN)
  const last = tables.findIndex((segment) => segment.lastLSN >= lastLSN)
  return last < 0 ? [...tables.map(tableOf), HEAD] : tables.slice(0, last + 1).map(tableOf)
}

/** How many of the segments, from the oldest, are delivered and beyond the retention, and no subscription needs them. */
function countOutdated(
  { segments, ackedLSN, ackedBytes }: OutboxState,
  { retentionMs, retentionBytes, maxLagMs, maxLagBytes }: RetentionLimits & LagLimits,
  { nowMs, slowestLSN }: { nowMs: number; slowestLSN: number },
): number {
  const kept = segments.findIndex(({ lastLSN, bytes, timeMs }) => {
    const age = nowMs - timeMs
    const bytesSince = ackedBytes - bytes
    if (lastLSN > ackedLSN || (age < retentionMs && bytesSince < retentionBytes)) return true
    return lastLSN > slowestLSN && age < maxLagMs && bytesSince < maxLagBytes
  })
  return kept < 0 ? segments.length : kept
}

export class Segments {
  readonly #storage: DurableObjectStorage
  /** Below this LSN the head can't have enough rows to be sealed, so they need not be counted. */
  #countFromLSN = 0

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage
  }

  /** To be called when the storage is emptied, or a transaction is rolled back. */
  forget(): void {
    this.#countFromLSN = 0
  }

  /** Drops segments that are beyond the retention, and seals the head if it is large or old enough. */
  keepUp(state: OutboxState, retention: RetentionLimits & LagLimits, nowMs: number): void {
    const slowestLSN = state.segments.length === 0 ? Infinity : this.#slowestLSN()
    const outdated = countOutdated(state, retention, { nowMs, slowestLSN })
    const [out, kept] = [state.segments.slice(0, outdated), state.segments.slice(outdated)]
    const end = kept.length < SEGMENTS_MAX ? this.#endToSeal(state, retention, nowMs) : undefined
    if (out.length === 0 && end === undefined) return
    this.#storage.transactionSync(() => {
      for (const segment of out) this.#storage.sql.exec(`DROP TABLE ${tableOf(segment)}`)
      if (end !== undefined) this.#seal(end)
      const segments = end === undefined ? kept : [...kept, end]
      this.#storage.sql.exec(
        `UPDATE _cdc_state SET segments = ?, pruned_bytes = ?, sealed_lsn = ?, sealed_bytes = ?`,
        segmentsText(segments),
        out.at(-1)?.bytes ?? state.prunedBytes,
        end?.lastLSN ?? state.sealedLSN,
        end?.bytes ?? state.sealedBytes,
      )
    })
  }

  /** How far the slowest subscription has come: to the end of all logs if there is none. */
  #slowestLSN(): number {
    const { lsn } = this.#storage.sql
      .exec<{ lsn: number | null }>('SELECT min(acked_lsn) AS lsn FROM _cdc_subscription')
      .one()
    return lsn ?? Infinity
  }

  /** The end of the head, if that is to be sealed. */
  #endToSeal(state: OutboxState, retention: RetentionLimits, nowMs: number): Segment | undefined {
    const { sql } = this.#storage
    const ends = sql
      .exec<{ lsn: number; bytes: number; time: number }>(
        `SELECT lsn, bytes, time FROM ${HEAD} WHERE lsn IN ((SELECT min(lsn) FROM ${HEAD}), (SELECT max(lsn) FROM ${HEAD})) ORDER BY lsn`,
      )
      .toArray()
    const [first, last] = [ends.at(0), ends.at(-1)]
    if (first === undefined || last === undefined) return undefined
    const end = { lastLSN: last.lsn, bytes: last.bytes, timeMs: last.time }
    const headBytes = last.bytes - state.sealedBytes
    const shareBytes = retention.retentionBytes / SEGMENTS_OF_RETENTION
    const shareMs = retention.retentionMs / SEGMENTS_OF_RETENTION
    if (headBytes >= Math.max(retention.retentionBytes / 2, LARGE_HEAD_BYTES)) return end
    const isDue = headBytes >= shareBytes || endOfWait(first.time + shareMs, shareMs, nowMs) <= nowMs
    return isDue && this.#hasManyRows(last.lsn) ? end : undefined
  }

  #hasManyRows(lastLSN: number): boolean {
    if (lastLSN < this.#countFromLSN) return false
    const { sql } = this.#storage
    const { minimum } = sql
      .exec<{ minimum: number }>(`SELECT count(*) * ${ROWS_OF_SCHEMA_ROW} AS minimum FROM sqlite_master`)
      .one()
    const { rows } = sql
      .exec<{ rows: number }>(`SELECT count(*) AS rows FROM (SELECT 1 FROM ${HEAD} LIMIT ?)`, minimum)
      .one()
    // Each missing row will have one LSN at least.
    this.#countFromLSN = lastLSN + minimum - rows
    return rows === minimum
  }

  #seal(segment: Segment): void {
    const { sql } = this.#storage
    const { create } = sql
      .exec<{ create: string }>(`SELECT sql AS "create" FROM sqlite_master WHERE name = '${HEAD}'`)
      .one()
    const { legacy_alter_table: before } = sql.exec<{ legacy_alter_table: number }>('PRAGMA legacy_alter_table').one()
    // Otherwise SQLite would let the triggers of captured tables append to the segment from now on.
    sql.exec('PRAGMA legacy_alter_table = ON')
    try {
      sql.exec(`ALTER TABLE ${HEAD} RENAME TO ${tableOf(segment)}`)
      sql.exec(create)
    } finally {
      sql.exec(`PRAGMA legacy_alter_table = ${before}`)
    }
  }
}
