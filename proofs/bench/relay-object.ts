// The object whose relay is timed: against the bare cost of its work, and over backlogs of different sizes.

import { DurableObject, env } from 'cloudflare:workers'
import { CDCDurableObject, type CDCOptions, type EventRecord, eventRecordSchema, type Pipeline } from 'durable-outbox'
import { RowMeter } from './row-meter.ts'

/** How many events a round drains, and how many of them a transaction commits. */
export interface BacklogLoad {
  events: number
  eventsPerTransaction: number
}

export interface DrainLoad extends BacklogLoad {
  rounds: number
}

/** Milliseconds that the same records took to leave in one round. */
export interface DrainTimes {
  relayMs: number
  bareMs: number
  rawMs: number
}

/** Those of one object, and the JSON of the records of a transaction. */
interface DrainRound extends Omit<DrainTimes, 'rawMs'> {
  records: string
}

export interface BacklogTimes {
  ms: number
  rowsRead: number
}

const BATCH_EVENTS = 1_000
/** Transactions to commit before the platform may write them to disk. */
const TRANSACTIONS_PER_TURN = 2_000

const event = {
  op: 'c',
  store: 'document',
  table: 'Film',
  key: 'film_0001',
  after: { title: 'The Land Girls', gross: 146_083, distributor: 'Gramercy', rating: 6.1, votes: 1_071, genre: null },
} as const

export class RelayObject extends CDCDurableObject {
  readonly #meter: RowMeter

  constructor(ctx: DurableObjectState, bindings: Cloudflare.Env) {
    super(ctx, bindings)
    this.#meter = new RowMeter(ctx.storage)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, records TEXT NOT NULL)')
  }

  /** Times the whole relay, and its bare work over the same records. */
  async compare(load: BacklogLoad): Promise<DrainRound> {
    await this.fill(load)
    const records = this.#fillBare(load)
    const { ms } = await this.drain()
    return { relayMs: ms, bareMs: await this.#sendBare(), records }
  }

  /** Commits a backlog while the relay is paused. */
  async fill({ events, eventsPerTransaction }: BacklogLoad): Promise<void> {
    this.outbox.pause()
    const batch = Array.from({ length: eventsPerTransaction }, () => event)
    for (let committed = 0; committed < events; committed += eventsPerTransaction) {
      this.ctx.transactionSync((tx) => void tx.emitBatch(batch))
      if ((committed / eventsPerTransaction) % TRANSACTIONS_PER_TURN === 0) await this.ctx.storage.sync()
    }
    await this.ctx.storage.sync()
    this.#meter.takeRead()
  }

  async drain(): Promise<BacklogTimes> {
    const startMs = performance.now()
    this.outbox.resume()
    for (let left = 1; left > 0;) left = (await this.outbox.flush()).pendingEvents
    return { ms: performance.now() - startMs, rowsRead: this.#meter.takeRead() }
  }

  /** Rows as a program would keep them that only wants to send them: the records themselves. */
  #fillBare({ events, eventsPerTransaction }: BacklogLoad): string {
    const { sql } = this.ctx.storage
    const [known] = sql.exec<{ records: string }>('SELECT records FROM bare LIMIT 1').toArray()
    if (known !== undefined) return known.records
    const [row] = this.outbox.list({ limit: 1 }).items
    if (row === undefined) throw new Error('drain: there is no event to copy')
    const { _meta, status: _, ...rest } = row
    const record: EventRecord = eventRecordSchema.parse({ ...rest, source: _meta.source, epoch: _meta.epoch, _meta })
    const records = JSON.stringify(Array.from({ length: eventsPerTransaction }, () => record)).slice(1, -1)
    for (let index = 0; index < events; index += eventsPerTransaction)
      sql.exec('INSERT INTO bare (records) VALUES (?)', records)
    return records
  }

  /** Read, parse, send: no order, no state, no retry, nothing deleted. */
  async #sendBare(): Promise<number> {
    const { sql } = this.ctx.storage
    const startMs = performance.now()
    const perRow =
      sql.exec<{ records: string }>('SELECT records FROM bare LIMIT 1').one().records.split('"id"').length - 1
    const limit = BATCH_EVENTS / perRow
    for (let after = 0; ; after += limit) {
      const rows = sql
        .exec<{ records: string }>('SELECT records FROM bare WHERE id > ? ORDER BY id LIMIT ?', after, limit)
        .toArray()
      if (rows.length === 0) return performance.now() - startMs
      const records = JSON.parse(`[${rows.map((row) => row.records).join(',')}]`) as EventRecord[]
      await pipeline().send(records)
    }
  }
}

/** The same without retention: the default prunes large backlogs and not small ones. */
export class BacklogObject extends RelayObject {
  protected override configure(): CDCOptions {
    return { retentionMs: 0 }
  }
}

/** An outbox in plain SQL, in a database of its own: what it deletes must not slow down the other. */
export class RawDrainObject extends DurableObject {
  constructor(ctx: DurableObjectState, bindings: Cloudflare.Env) {
    super(ctx, bindings)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, records TEXT NOT NULL)')
  }

  /** What a hand would write: the oldest rows are sent, and then deleted. @returns milliseconds. */
  async drain({ events, eventsPerTransaction }: BacklogLoad, records: string): Promise<number> {
    const { storage } = this.ctx
    for (let index = 0; index < events; index += eventsPerTransaction)
      storage.sql.exec('INSERT INTO outbox (records) VALUES (?)', records)
    await storage.sync()
    const startMs = performance.now()
    for (;;) {
      const rows = storage.sql
        .exec<{ id: number; records: string }>(
          'SELECT id, records FROM outbox ORDER BY id LIMIT ?',
          BATCH_EVENTS / eventsPerTransaction,
        )
        .toArray()
      const last = rows.at(-1)
      if (last === undefined) return performance.now() - startMs
      await pipeline().send(JSON.parse(`[${rows.map((row) => row.records).join(',')}]`) as EventRecord[])
      storage.sql.exec('DELETE FROM outbox WHERE id <= ?', last.id)
    }
  }
}

function pipeline(): Pipeline {
  return (env as { EVENTS_PIPELINE: Pipeline }).EVENTS_PIPELINE
}
