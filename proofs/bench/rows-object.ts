// The object whose written rows are counted: it commits, waits until its own alarm has drained the outbox, and repeats.

import { CDCDurableObject, type CDCOptions } from 'durable-outbox'
import { type RowCount, RowMeter, sumRows } from './row-meter.ts'

/** Rounds of transactions, which each insert rows and emit an event for every row, or none to compare with. */
export interface Load {
  rounds: number
  transactions: number
  rows: number
  emits: boolean
}

const POLL_MS = 20
const DRAIN_MS_MAX = 10_000

/** Keeps nothing that was delivered, so that what sealing and dropping costs is counted. Other options are the defaults. */
export class RowsObject extends CDCDurableObject {
  readonly #meter: RowMeter

  protected override configure(): CDCOptions {
    return { retentionMs: 0 }
  }

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, name TEXT NOT NULL)')
    this.#meter = new RowMeter(ctx.storage)
  }

  /** @returns every row that was written, those of the alarm's runs included. */
  async run(load: Load): Promise<RowCount> {
    const counts: RowCount[] = []
    // Rows written while the object started are left out; `wrangler dev` keeps a table of its own in each object.
    this.#meter.take()
    for (let round = 0; round < load.rounds; round += 1) {
      // In one turn, so that the alarm finds all of them and they leave as one batch.
      for (let index = 0; index < load.transactions; index += 1) this.#commit(load)
      await this.#drained()
      counts.push(this.#meter.take())
    }
    return sumRows(counts)
  }

  #commit({ rows, emits }: Load): void {
    this.ctx.transactionSync((tx) => {
      for (let index = 0; index < rows; index += 1) {
        tx.execute('INSERT INTO item (name) VALUES (?)', 'a film')
        if (emits) tx.emit({ type: 'Item.created', data: { name: 'a film' } })
      }
    })
  }

  /** Resolves once the platform has run the alarm and the relay has delivered everything. */
  async #drained(): Promise<void> {
    for (let waitedMs = 0; waitedMs < DRAIN_MS_MAX; waitedMs += POLL_MS) {
      const { pending } = this.ctx.storage.sql
        .exec<{ pending: number }>('SELECT count(*) AS pending FROM _cdc_outbox, _cdc_state WHERE lsn > acked_lsn')
        .one()
      if (pending === 0 && (await this.ctx.storage.getAlarm()) === null) return
      await scheduler.wait(POLL_MS)
    }
    throw new Error(`rows: the outbox was not drained in ${DRAIN_MS_MAX} ms`)
  }
}
