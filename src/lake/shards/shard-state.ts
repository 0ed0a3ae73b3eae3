// What a shard keeps about itself, and about the offer that is on its way.

import type { OfferName } from '../intake/offer.ts'
import type { ClosedLayout } from './layouts.ts'

/** An offer whose files are being stored, or that was handed over without an answer yet. */
export interface OpenOffer extends Pick<OfferName, 'number' | 'id'> {
  /** The last row of the buffer in it. */
  readonly throughSeq: number
  /** The time of arrival of its last row. */
  readonly latestMs: number
  /** Its files, relative to the table's location. */
  readonly keys: readonly string[]
}

export interface IntakeState {
  readonly isClosed: boolean
  readonly elders: readonly ClosedLayout[]
  /** That of the last offer that was taken or renounced. */
  readonly number: number
  /** The time of arrival of the last row that was handed over; 0 if none was. */
  readonly latestMs: number
}

type StateRow = { is_closed: number; elders: string; number: number; latest_ms: number }
type OfferRow = { number: number; id: string; throughSeq: number; latestMs: number; keys: string }

/** A key takes 1,024 bytes at most, and a row 2 MB. */
const KEYS_PER_ROW = 1_000

export class ShardState {
  readonly #sql: SqlStorage

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** Undefined until it was opened or closed. */
  read(): IntakeState | undefined {
    const [row] = this.#sql.exec<StateRow>('SELECT * FROM lake_intake').toArray()
    return (
      row && {
        isClosed: row.is_closed === 1,
        elders: JSON.parse(row.elders) as ClosedLayout[],
        number: row.number,
        latestMs: row.latest_ms,
      }
    )
  }

  /** It stays closed if it was. */
  open(elders: readonly ClosedLayout[]): void {
    this.#sql.exec('INSERT OR IGNORE INTO lake_intake VALUES (1, 0, ?, 0, 0)', JSON.stringify(elders))
  }

  close(): void {
    this.#sql.exec(`INSERT INTO lake_intake VALUES (1, 1, '[]', 0, 0) ON CONFLICT DO UPDATE SET is_closed = 1`)
  }

  openOffer(): OpenOffer | undefined {
    const rows = this.#sql
      .exec<OfferRow>(
        'SELECT number, offer AS id, through_seq AS throughSeq, latest_ms AS latestMs, keys FROM lake_offer ORDER BY seq',
      )
      .toArray()
    const [first] = rows
    return first && { ...first, keys: rows.flatMap(({ keys }) => JSON.parse(keys) as string[]) }
  }

  /** To be called before the first of its files is stored. */
  beginOffer({ number, id, throughSeq, latestMs, keys }: OpenOffer): void {
    for (let index = 0; index < keys.length; index += KEYS_PER_ROW)
      this.#sql.exec(
        'INSERT INTO lake_offer (number, offer, through_seq, latest_ms, keys) VALUES (?, ?, ?, ?, ?)',
        number,
        id,
        throughSeq,
        latestMs,
        JSON.stringify(keys.slice(index, index + KEYS_PER_ROW)),
      )
  }

  /** @param number that of the next offer is one more. @param latestMs if it was taken. */
  endOffer(number: number, latestMs?: number): void {
    this.#sql.exec('DELETE FROM lake_offer')
    this.#sql.exec('UPDATE lake_intake SET number = ?, latest_ms = coalesce(?, latest_ms)', number, latestMs ?? null)
  }
}
