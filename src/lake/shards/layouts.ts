// How many shards take in, and since when: layout after layout, as the object that commits keeps it.

import type { OfferName, ShardName } from '../intake/offer.ts'

export interface Layout {
  readonly layout: number
  /** 0 if the object that commits takes in itself. */
  readonly shards: number
}

export interface CurrentLayout extends Layout {
  /** Whether its shards are being closed, for another number of them. */
  readonly isClosing: boolean
}

export interface ClosedLayout extends Layout {
  readonly closedMs: number
}

type LastOffer = Pick<OfferName, 'number' | 'id'>

/** What a lake begins with. */
const FIRST: CurrentLayout = { layout: 0, shards: 0, isClosing: false }

export class Layouts {
  readonly #sql: SqlStorage
  #current: CurrentLayout

  constructor(sql: SqlStorage) {
    this.#sql = sql
    this.#current = this.#read()
  }

  get current(): CurrentLayout {
    return this.#current
  }

  startClosing(): void {
    const { layout, shards } = this.#current
    this.#sql.exec('INSERT OR REPLACE INTO lake_layout VALUES (?, ?, 1, NULL)', layout, shards)
    this.#current = this.#read()
  }

  /** Begins another layout, once nothing waits in the shards of the one before. */
  begin(shards: number, nowMs: number): void {
    const { layout, shards: before } = this.#current
    this.#sql.exec('INSERT OR REPLACE INTO lake_layout VALUES (?, ?, 1, ?)', layout, before, nowMs)
    this.#sql.exec('INSERT INTO lake_layout VALUES (?, ?, 0, NULL)', layout + 1, shards)
    this.#current = this.#read()
  }

  /** The layouts before the current one. */
  closed(): ClosedLayout[] {
    return this.#sql
      .exec<{ layout: number; shards: number; closedMs: number }>(
        'SELECT layout, shards, closed_ms AS closedMs FROM lake_layout WHERE closed_ms IS NOT NULL ORDER BY layout',
      )
      .toArray()
  }

  isForgotten(layout: number): boolean {
    return layout < this.#current.layout && !this.closed().some((closed) => closed.layout === layout)
  }

  forget(layout: number): void {
    this.#sql.exec('DELETE FROM lake_layout WHERE layout = ?', layout)
    this.#sql.exec('DELETE FROM lake_shard WHERE layout = ?', layout)
  }

  /** The last offer of a shard that was taken or renounced. */
  lastOffer({ layout, shard }: ShardName): LastOffer | undefined {
    return this.#sql
      .exec<{ number: number; id: string }>(
        'SELECT number, offer AS id FROM lake_shard WHERE layout = ? AND shard = ?',
        layout,
        shard,
      )
      .toArray()[0]
  }

  noteOffer({ layout, shard, number, id }: OfferName): void {
    this.#sql.exec('INSERT OR REPLACE INTO lake_shard VALUES (?, ?, ?, ?)', layout, shard, number, id)
  }

  #read(): CurrentLayout {
    const [row] = this.#sql
      .exec<{ layout: number; shards: number; isClosing: number }>(
        'SELECT layout, shards, is_closing AS isClosing FROM lake_layout WHERE closed_ms IS NULL ORDER BY layout DESC LIMIT 1',
      )
      .toArray()
    return row === undefined ? FIRST : { ...row, isClosing: row.isClosing === 1 }
  }
}
