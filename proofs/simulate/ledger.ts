// The object of the simulation. Beside each event it writes the event's number into a table of its own, in the same transaction:
// what the outbox holds and what the table holds can then be compared.

import { CDCDurableObject, type CDCOptions, type CDCState, DocumentStore, type Transaction } from 'durable-outbox'
import type { Block, Emission, Work } from './work.ts'

export interface LedgerEnv {
  readonly options: CDCOptions
  /** Waits inside a transaction, for something other than the network. */
  readonly pause: () => Promise<void>
}

const ALARM_NAME = 'of the user'

export class Ledger extends CDCDurableObject<LedgerEnv> {
  declare ctx: CDCState
  #drafts: DocumentStore<{ n: number }>

  constructor(ctx: DurableObjectState, env: LedgerEnv) {
    super(ctx, env)
    this.#drafts = this.#open()
  }

  protected override configure(): CDCOptions {
    return this.env.options
  }

  protected override onAlarm(): void {
    this.ctx.storage.sql.exec('SELECT 1')
  }

  async write(work: Work): Promise<void> {
    if (work.kind === 'captured') this.#insertCaptured(work.ns)
    else if (work.kind === 'async') await this.#runAsync(work)
    else this.#runSync(work)
  }

  async deleteAll(): Promise<void> {
    await this.ctx.storage.deleteAll()
    this.#drafts = this.#open()
  }

  pause(): void {
    this.outbox.pause()
  }

  resume(): void {
    this.outbox.resume()
  }

  async flush(): Promise<void> {
    await this.outbox.flush()
  }

  async replay(fromLSN: number, toLSN: number): Promise<void> {
    await this.outbox.replay({ fromLSN, toLSN })
  }

  setAlarm(delayMs: number): void {
    this.alarms.set(ALARM_NAME, Date.now() + delayMs)
  }

  #open(): DocumentStore<{ n: number }> {
    const { sql } = this.ctx.storage
    sql.exec('CREATE TABLE IF NOT EXISTS ledger (place INTEGER PRIMARY KEY, n INTEGER NOT NULL)')
    sql.exec('CREATE TABLE IF NOT EXISTS items (n INTEGER PRIMARY KEY)')
    this.ctx.capture('items')
    return new DocumentStore(this.ctx, 'Draft')
  }

  #insertCaptured(ns: readonly number[]): void {
    this.ctx.storage.transactionSync(() => {
      for (const n of ns) this.#note(n)
      this.ctx.storage.sql.exec('INSERT INTO items (n) SELECT value FROM json_each(?)', JSON.stringify(ns))
    })
  }

  #runAsync(block: Block): Promise<void> {
    return this.ctx.transaction(async (tx) => {
      for (const each of block.does) {
        await this.env.pause()
        if ('by' in each) this.#emit(each, tx)
        else if (each.kind === 'async') await this.#runAsync(each).catch(() => undefined)
        else attempt(() => this.#runSync(each, tx))
      }
      if (block.fails) throw new Error('on purpose')
    })
  }

  #runSync(block: Block, outer?: Transaction): void {
    const run = (tx: Transaction | undefined): void => {
      for (const each of block.does) {
        if ('by' in each) this.#emit(each, tx)
        else attempt(() => this.#runSync(each, tx))
      }
      if (block.fails) throw new Error('on purpose')
    }
    if (block.kind === 'platform') this.ctx.storage.transactionSync(() => run(outer))
    else this.ctx.transactionSync(run)
  }

  /** Outside of our transactions an event needs its own. */
  #emit(emission: Emission, tx: Transaction | undefined): void {
    if (tx === undefined) return this.ctx.transactionSync((own) => this.#emit(emission, own))
    const { n, by } = emission
    this.#note(n)
    if (by === 'store') this.#drafts.create({ n })
    else tx.emit({ type: by === 'poison' ? 'Poison' : 'Noted', data: { n } })
  }

  #note(n: number): void {
    this.ctx.storage.sql.exec('INSERT INTO ledger (n) VALUES (?)', n)
  }
}

/** A block that fails inside another one, which continues. */
function attempt(run: () => void): void {
  try {
    run()
  } catch {
    // What is left shows the result.
  }
}
