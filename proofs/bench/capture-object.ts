// The object that counts what it writes to a captured table, with all that the library writes beside it.

import { CDCDurableObject, type CDCOptions } from 'durable-outbox'
import { RowMeter, totalRows } from './row-meter.ts'

/** Transactions of the platform, which each insert rows. */
export interface CaptureLoad {
  transactions: number
  rows: number
}

/** Longer than the figure takes: what the relay writes is counted elsewhere. */
const NEVER_MS = 3_600_000

export class CaptureObject extends CDCDurableObject {
  readonly #meter: RowMeter

  protected override configure(): CDCOptions {
    return { lingerMs: NEVER_MS }
  }

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    // Before the library, which keeps the platform's methods as it finds them.
    const meter = new RowMeter(ctx.storage)
    super(ctx, env)
    this.#meter = meter
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, name TEXT NOT NULL)')
    this.ctx.capture('item')
  }

  /** @returns the rows written. */
  run({ transactions, rows }: CaptureLoad): number {
    const { storage } = this.ctx
    this.#meter.take()
    for (let transaction = 0; transaction < transactions; transaction += 1)
      storage.transactionSync(() => {
        for (let row = 0; row < rows; row += 1) storage.sql.exec('INSERT INTO item (name) VALUES (?)', 'a film')
      })
    return totalRows(this.#meter.take())
  }
}
