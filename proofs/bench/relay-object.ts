// The object whose relay is timed: against the bare cost of its work, and over backlogs of different sizes.

import { env } from 'cloudflare:workers'
import { CDCDurableObject, type CDCOptions, type EventRecord, eventRecordSchema, type Pipeline } from 'durable-outbox'
import { RowMeter } from './row-meter.ts'

/** How many events a round drains, and how many of them a transaction commits. */
export interface DrainLoad {
  events: number
  eventsPerTransaction: number
  rounds: number
}

export interface BacklogLoad {
  events: number
  eventsPerTransaction: number
}

/** Milliseconds that the same records took to leave, for each round. */
export interface DrainTimes {
  relayMs: number[]
  bareMs: number[]
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

  /** Times the whole relay and its bare work, in turns, over the same records. */
  async compare(load: DrainLoad): Promise<DrainTimes> {
    const times: DrainTimes = { relayMs: [], bareMs: [] }
    await this.fill(load)
    this.#fillBare(load)
    await this.drain()
    // The first round warms up and is left out.
    for (let round = 0; round <= load.rounds; round += 1) {
      await this.fill(load)
      const { ms } = await this.drain()
      const bareMs = await this.#sendBare()
      if (round === 0) continue
      times.relayMs.push(ms)
      times.bareMs.push(bareMs)
    }
    return times
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
  #fillBare({ events, eventsPerTransaction }: DrainLoad): void {
    const [row] = this.outbox.list({ limit: 1 }).items
    if (row === undefined) throw new Error('drain: there is no event to copy')
    const { _meta, status: _, ...rest } = row
    const record: EventRecord = eventRecordSchema.parse({ ...rest, source: _meta.source, epoch: _meta.epoch, _meta })
    const records = JSON.stringify(Array.from({ length: eventsPerTransaction }, () => record)).slice(1, -1)
    for (let index = 0; index < events; index += eventsPerTransaction)
      this.ctx.storage.sql.exec('INSERT INTO bare (records) VALUES (?)', records)
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

function pipeline(): Pipeline {
  return (env as { EVENTS_PIPELINE: Pipeline }).EVENTS_PIPELINE
}
