// What people write who have no outbox from a library: beside our object, in the same Worker and run. Each inserts a row for a
// request, and has a record of it sent to the same pipeline, except the first.

import { DurableObject, env as bindings } from 'cloudflare:workers'
import { CDCDurableObject } from 'durable-outbox'
import { sql } from 'drizzle-orm'
import { drizzle, type DrizzleSqliteDODatabase } from 'drizzle-orm/durable-sqlite'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

/** An object that takes requests with one mutation each. */
export interface Alternative {
  write(): void | Promise<void>
  /** How many of its records are not sent yet. */
  pending(): number | Promise<number>
}

type Customer = { readonly id: string; readonly name: string; readonly email: string; readonly seats: number }

const LINGER_MS = 100
const BATCH_RECORDS = 1_000
const CREATE = 'CREATE TABLE IF NOT EXISTS customer (id TEXT PRIMARY KEY, name TEXT, email TEXT, seats INTEGER)'
const INSERT = 'INSERT INTO customer (id, name, email, seats) VALUES (?, ?, ?, ?)'

let customers = 0

function newCustomer(): Customer {
  const number = (customers += 1)
  return {
    id: `cust_${number}_${crypto.randomUUID()}`,
    name: 'Alice Johnson',
    email: `alice.${number}@example.com`,
    seats: number % 100,
  }
}

function insert(storage: DurableObjectStorage, { id, name, email, seats }: Customer): void {
  storage.sql.exec(INSERT, id, name, email, seats)
}

/** What a record is to be, for all alternatives. */
function recordOf(after: Customer): Record<string, unknown> {
  const timestamp = new Date().toISOString()
  return {
    id: crypto.randomUUID(),
    type: 'Customer.created',
    txid: crypto.randomUUID(),
    timestamp,
    key: after.id,
    after,
  }
}

interface Receiver {
  send(records: unknown[]): Promise<void>
}

function pipeline(): Receiver {
  return (bindings as unknown as { EVENTS_PIPELINE: Receiver }).EVENTS_PIPELINE
}

abstract class Plain extends DurableObject implements Alternative {
  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    ctx.storage.sql.exec(CREATE)
  }
  abstract write(): void | Promise<void>
  abstract pending(): number | Promise<number>
}

/** Ours, with its defaults. */
export class OursObject extends CDCDurableObject implements Alternative {
  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    ctx.storage.sql.exec(CREATE)
  }
  write(): void {
    this.ctx.transactionSync((tx) => {
      const after = newCustomer()
      insert(this.ctx.storage, after)
      tx.emit({ type: 'Customer.created', key: after.id, after })
    })
  }
  pending(): number {
    return this.outbox.stats().pendingEvents
  }
}

/** The row alone. */
export class BareObject extends Plain {
  write(): void {
    insert(this.ctx.storage, newCustomer())
  }
  pending(): number {
    return 0
  }
}

/** An outbox in plain SQL: one INSERT more, an alarm if none was waiting, and the sent range deleted. */
export class RawOutboxObject extends Plain {
  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS outbox (id INTEGER PRIMARY KEY, record TEXT NOT NULL)')
  }
  write(): void {
    const { storage } = this.ctx
    storage.transactionSync(() => {
      const isEmpty = storage.sql.exec('SELECT 1 FROM outbox LIMIT 1').toArray().length === 0
      const after = newCustomer()
      insert(storage, after)
      storage.sql.exec('INSERT INTO outbox (record) VALUES (?)', JSON.stringify(recordOf(after)))
      if (isEmpty) void storage.setAlarm(Date.now() + LINGER_MS)
    })
  }
  override async alarm(): Promise<void> {
    const { storage } = this.ctx
    for (;;) {
      const rows = storage.sql
        .exec<{ id: number; record: string }>('SELECT id, record FROM outbox ORDER BY id LIMIT ?', BATCH_RECORDS)
        .toArray()
      const last = rows.at(-1)
      if (last === undefined) return
      await pipeline().send(JSON.parse(`[${rows.map(({ record }) => record).join(',')}]`) as unknown[])
      storage.sql.exec('DELETE FROM outbox WHERE id <= ?', last.id)
    }
  }
  pending(): number {
    return this.ctx.storage.sql.exec<{ count: number }>('SELECT count(*) AS count FROM outbox').one().count
  }
}

const customerTable = sqliteTable('customer', {
  id: text('id').primaryKey(),
  name: text('name'),
  email: text('email'),
  seats: integer('seats'),
})
const outboxTable = sqliteTable('outbox', { id: integer('id').primaryKey(), record: text('record').notNull() })

/** The same outbox through drizzle. */
export class DrizzleOutboxObject extends RawOutboxObject {
  readonly #db: DrizzleSqliteDODatabase

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    this.#db = drizzle(ctx.storage)
  }
  override write(): void {
    this.#db.transaction((tx) => {
      const isEmpty =
        tx
          .select({ one: sql`1` })
          .from(outboxTable)
          .limit(1)
          .all().length === 0
      const after = newCustomer()
      tx.insert(customerTable).values(after).run()
      tx.insert(outboxTable)
        .values({ record: JSON.stringify(recordOf(after)) })
        .run()
      if (isEmpty) void this.ctx.storage.setAlarm(Date.now() + LINGER_MS)
    })
  }
}

/** An outbox of keys. */
export class KeyValueOutboxObject extends Plain {
  #next: number | undefined

  async write(): Promise<void> {
    const { storage } = this.ctx
    this.#next ??= [...(await storage.list({ prefix: 'outbox/', reverse: true, limit: 1 })).keys()].map((key) =>
      Number(key.slice(7)),
    )[0]
    const after = newCustomer()
    this.#next = (this.#next ?? 0) + 1
    // Without an await between them, the platform writes all of these together.
    insert(storage, after)
    void storage.put(`outbox/${String(this.#next).padStart(12, '0')}`, recordOf(after))
    if ((await storage.getAlarm()) === null) await storage.setAlarm(Date.now() + LINGER_MS)
  }
  override async alarm(): Promise<void> {
    const { storage } = this.ctx
    for (;;) {
      const records = await storage.list({ prefix: 'outbox/', limit: BATCH_RECORDS })
      if (records.size === 0) return
      await pipeline().send([...records.values()])
      const keys = [...records.keys()]
      for (let index = 0; index < keys.length; index += 128) await storage.delete(keys.slice(index, index + 128))
    }
  }
  async pending(): Promise<number> {
    return (await this.ctx.storage.list({ prefix: 'outbox/', limit: 1 })).size
  }
}

/** No outbox: the row, and then the record. A Worker that ends between the two loses it. */
export class DualWriteObject extends Plain {
  async write(): Promise<void> {
    const after = newCustomer()
    insert(this.ctx.storage, after)
    await pipeline().send([recordOf(after)])
  }
  pending(): number {
    return 0
  }
}
