// Events that the pipeline, or the target of a subscription, refused because of their content, each with its reason, until they
// are redriven or discarded.

import type { EventContent } from '../event/create-event.ts'

/** A refused event, the reason, and its attempts. Times are in milliseconds since 1970. */
export interface DeadLetter {
  readonly lsn: number
  readonly txid: string
  readonly timeMs: number
  readonly event: EventContent
  readonly reason: string
  readonly attempts: number
  readonly firstAttemptMs: number
  readonly lastAttemptMs: number
}

type Row = {
  lsn: number
  txid: string
  time: number
  event: string
  reason: string
  attempts: number
  first_attempt: number
  last_attempt: number
}

export class DeadLetters {
  readonly #storage: DurableObjectStorage
  readonly #subscription: string

  /** @param subscription whose target refused them; without one they are those of the pipeline. */
  constructor(storage: DurableObjectStorage, subscription = '') {
    this.#storage = storage
    this.#subscription = subscription
  }

  add({ lsn, txid, timeMs, event, reason, attempts, firstAttemptMs, lastAttemptMs }: DeadLetter): void {
    this.#storage.sql.exec(
      `INSERT INTO _cdc_dead_letter
         (subscription, lsn, txid, time, event, reason, attempts, first_attempt, last_attempt)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      this.#subscription,
      lsn,
      txid,
      timeMs,
      JSON.stringify(event),
      reason,
      attempts,
      firstAttemptMs,
      lastAttemptMs,
    )
  }

  /** Dead letters from `fromLSN` on, in LSN order, at most `limit`. */
  list(fromLSN: number, limit: number): DeadLetter[] {
    return this.#storage.sql
      .exec<Row>(
        'SELECT * FROM _cdc_dead_letter WHERE subscription = ? AND lsn >= ? ORDER BY lsn LIMIT ?',
        this.#subscription,
        fromLSN,
        limit,
      )
      .toArray()
      .map(readRow)
  }

  get(lsn: number): DeadLetter | undefined {
    const [letter] = this.list(lsn, 1)
    return letter?.lsn === lsn ? letter : undefined
  }

  remove(lsn: number): void {
    this.#storage.sql.exec('DELETE FROM _cdc_dead_letter WHERE subscription = ? AND lsn = ?', this.#subscription, lsn)
  }

  isEmpty(): boolean {
    const first = 'SELECT 1 FROM _cdc_dead_letter WHERE subscription = ? LIMIT 1'
    return this.#storage.sql.exec(first, this.#subscription).toArray().length === 0
  }

  /** Reads every row: if they are so many that counting is slow, that is the smaller problem. */
  count(): number {
    return this.#storage.sql
      .exec<{ count: number }>(
        'SELECT count(*) AS count FROM _cdc_dead_letter WHERE subscription = ?',
        this.#subscription,
      )
      .one().count
  }
}

function readRow(row: Row): DeadLetter {
  return {
    lsn: row.lsn,
    txid: row.txid,
    timeMs: row.time,
    event: JSON.parse(row.event) as EventContent,
    reason: row.reason,
    attempts: row.attempts,
    firstAttemptMs: row.first_attempt,
    lastAttemptMs: row.last_attempt,
  }
}
