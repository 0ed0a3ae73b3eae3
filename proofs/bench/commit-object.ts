// The object whose commits are timed: the same inserts alone, with an event each in an outbox that a hand would write in plain
// SQL, and with an event each in ours.

import { CDCDurableObject, type CDCOptions } from 'durable-outbox'

/** Rounds of turns, in each of which both sides run the same transactions, which each insert rows. */
export interface CommitLoad {
  rounds: number
  turns: number
  transactions: number
  rows: number
}

/** What the turns of one round took, in milliseconds. */
export interface CommitTimes {
  bare: number
  raw: number
  ours: number
}

/** A type and not an interface, because only a type is a `Record` to the compiler. */
type Customer = {
  readonly id: string
  readonly name: string
  readonly email: string
  readonly company: string
  readonly plan: string
  readonly country: string
  readonly seats: number
  readonly createdAt: string
}

/** Longer than any figure takes: the alarm must not run while something is timed. */
const NEVER_MS = 3_600_000

const WARM_UP_ROUNDS = 2

export class CommitObject extends CDCDurableObject {
  #customers = 0

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    ctx.storage.sql.exec(
      `CREATE TABLE IF NOT EXISTS customer (
         id TEXT PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, company TEXT NOT NULL,
         plan TEXT NOT NULL, country TEXT NOT NULL, seats INTEGER NOT NULL, created_at TEXT NOT NULL
       )`,
    )
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS raw_outbox (id INTEGER PRIMARY KEY, event TEXT NOT NULL)')
  }

  protected override configure(): CDCOptions {
    // Delivered rows are deleted at once, so that every turn finds the log equally short.
    return { lingerMs: NEVER_MS, retentionMs: 0 }
  }

  /** @returns the times of each round, without those of the rounds in which the runtime warmed up. */
  async run(load: CommitLoad): Promise<CommitTimes[]> {
    const rounds: CommitTimes[] = []
    for (let round = 0; round < WARM_UP_ROUNDS + load.rounds; round += 1) rounds.push(await this.#round(load))
    return rounds.slice(WARM_UP_ROUNDS)
  }

  /** The sides take turns of a few milliseconds, so that other work on the machine slows both of them. */
  async #round(load: CommitLoad): Promise<CommitTimes> {
    const times = { bare: 0, raw: 0, ours: 0 }
    for (let turn = 0; turn < load.turns; turn += 1) {
      times.bare += await this.#time(() => this.#commitBare(load))
      times.raw += await this.#time(() => this.#commitRaw(load))
      times.ours += await this.#time(() => this.#commitOurs(load))
    }
    return times
  }

  #commitBare({ transactions, rows }: CommitLoad): void {
    for (let transaction = 0; transaction < transactions; transaction += 1)
      this.ctx.storage.transactionSync(() => {
        for (let row = 0; row < rows; row += 1) this.#insert(this.#newCustomer())
      })
  }

  /** What a careful program does without a library: one more INSERT for each event, and an alarm if none was waiting. */
  #commitRaw({ transactions, rows }: CommitLoad): void {
    const { storage } = this.ctx
    for (let transaction = 0; transaction < transactions; transaction += 1)
      storage.transactionSync(() => {
        const isEmpty = storage.sql.exec('SELECT 1 FROM raw_outbox LIMIT 1').toArray().length === 0
        const txid = crypto.randomUUID()
        for (let row = 0; row < rows; row += 1) {
          const after = this.#newCustomer()
          this.#insert(after)
          const timestamp = new Date().toISOString()
          const event = { id: crypto.randomUUID(), type: 'Customer.created', txid, timestamp, key: after.id, after }
          storage.sql.exec('INSERT INTO raw_outbox (event) VALUES (?)', JSON.stringify(event))
        }
        if (isEmpty) void storage.setAlarm(Date.now() + NEVER_MS)
      })
  }

  #commitOurs({ transactions, rows }: CommitLoad): void {
    for (let transaction = 0; transaction < transactions; transaction += 1)
      this.ctx.transactionSync((tx) => {
        for (let row = 0; row < rows; row += 1) {
          const after = this.#newCustomer()
          this.#insert(after)
          tx.emit({ op: 'c', store: 'document', table: 'Customer', key: after.id, after })
        }
      })
  }

  /**
   * Times work that is done in one turn, in which no alarm can run. Its rows and events are deleted afterwards.
   * Writing to disk is not timed: it would hide what the outbox costs the object's only thread.
   */
  async #time(work: () => void): Promise<number> {
    const start = performance.now()
    work()
    const elapsed = performance.now() - start
    await this.alarm()
    this.ctx.storage.sql.exec('DELETE FROM customer')
    this.ctx.storage.sql.exec('DELETE FROM raw_outbox')
    await this.ctx.storage.sync()
    return elapsed
  }

  #newCustomer(): Customer {
    const number = (this.#customers += 1)
    return {
      id: `cust_${number}`,
      name: 'Alice Johnson',
      email: `alice.${number}@example.com`,
      company: 'Startups Studio',
      plan: 'enterprise',
      country: 'Denmark',
      seats: number % 100,
      createdAt: '2026-11-22T08:30:00.000Z',
    }
  }

  #insert({ id, name, email, company, plan, country, seats, createdAt }: Customer): void {
    this.ctx.storage.sql.exec(
      `INSERT INTO customer (id, name, email, company, plan, country, seats, created_at)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
      id,
      name,
      email,
      company,
      plan,
      country,
      seats,
      createdAt,
    )
  }
}
