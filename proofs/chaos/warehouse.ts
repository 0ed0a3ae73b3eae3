// The objects under test. Each transaction changes documents and plain SQL, emits events beside them, and records in a
// ledger, by plain SQL, which events it must have produced.

import { CDCDurableObject, type CDCOptions, DocumentStore, type Transaction } from 'durable-outbox'
import { during, passThrough } from './activity.ts'
import { isCalm, nowIn } from './clock.ts'
import type { ChaosEnv } from './env.ts'
import { HASTY } from './hasty.ts'
import type { Answer, LedgerEntry, LedgerEvent, Operation, Step, Stock } from './operation.ts'
import { between, createRandom } from '../harness/random.ts'

interface Parcel {
  token: string
  text: string
}

type LedgerRow = { seq: number; operation: string; events: string }

const ENTRIES_PER_PAGE = 1_000
/** The share of operations after which the object is evicted. */
const EVICTIONS = 0.004

const evictedAfter = new Set<string>()

export class Warehouse extends CDCDurableObject<ChaosEnv> {
  parcels = new DocumentStore<Parcel>(this.ctx, 'Parcel')

  constructor(ctx: DurableObjectState, env: ChaosEnv) {
    super(ctx, env)
    ctx.storage.sql.exec(`
      CREATE TABLE IF NOT EXISTS ledger (seq INTEGER PRIMARY KEY, operation TEXT UNIQUE, events TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS shelves (shelf TEXT PRIMARY KEY, total INTEGER NOT NULL, token TEXT NOT NULL)`)
  }

  protected override configure(): CDCOptions {
    // Every other object keeps nothing that was delivered, so that its outbox is often empty; until they must send it again.
    const isForgetful = /[02468]$/.test(this.ctx.id.name ?? '') && !isCalm(this.env)
    return {
      ...HASTY,
      ...(isForgetful ? { retentionMs: 0, retentionBytes: 0 } : {}),
      maxBatchEvents: 40,
      maxBatchBytes: 100_000,
      now: () => nowIn(this.env),
    }
  }

  /** Carries out operations one after the other, each in its own transaction. */
  async apply(operations: readonly Operation[]): Promise<Answer[]> {
    const answers: Answer[] = []
    for (const operation of operations) answers.push(await this.#applyOne(operation))
    return answers
  }

  /** The ledger, in pages. */
  ledger(afterSeq: number): LedgerEntry[] {
    return this.ctx.storage.sql
      .exec<LedgerRow>('SELECT * FROM ledger WHERE seq > ? ORDER BY seq LIMIT ?', afterSeq, ENTRIES_PER_PAGE)
      .toArray()
      .map(toEntry)
  }

  async stock(): Promise<Stock> {
    const { sql } = this.ctx.storage
    return {
      parcels: this.parcels.query({ limit: 1_000 }),
      shelves: sql.exec<Stock['shelves'][number]>('SELECT shelf, total, token FROM shelves').toArray(),
      pendingRows: sql
        .exec<{ rows: number }>(
          'SELECT count(*) AS rows FROM _cdc_outbox WHERE lsn > (SELECT acked_lsn FROM _cdc_state)',
        )
        .one().rows,
      deadLetters: sql.exec<{ rows: number }>('SELECT count(*) AS rows FROM _cdc_dead_letter').one().rows,
      alarm: await this.ctx.storage.getAlarm(),
    }
  }

  async #applyOne(operation: Operation): Promise<Answer> {
    try {
      const entry = operation.isAsync ? await this.#carryOutAsync(operation) : this.#carryOut(operation)
      await passThrough('unanswered')
      if (createRandom(this.env.SEED, 'evictions', operation.id)() < EVICTIONS) await this.#evict(operation)
      return { outcome: 'committed', seq: entry.seq, events: entry.events.length }
    } catch (error) {
      if (error instanceof RefusedOnPurpose) return { outcome: 'refused' }
      throw error
    }
  }

  /** The object alone dies, with what it had in memory; everything else continues. */
  async #evict(operation: Operation): Promise<void> {
    // Only once, because its client may repeat the operation until it is answered.
    if (evictedAfter.has(operation.id)) return
    evictedAfter.add(operation.id)
    await this.env.FAULT_LOG.getByName('faults').count('object evicted after a commit')
    this.ctx.abort('evicted on purpose')
  }

  #carryOut(operation: Operation): LedgerEntry {
    return this.ctx.transactionSync(
      (tx) => {
        const known = this.#find(operation.id)
        if (known !== undefined) return known
        const events = operation.steps.flatMap((step, index) => {
          refuseAt(operation, index)
          return this.#take(tx, step, `${operation.id}/${index}`)
        })
        return this.#conclude(operation, events)
      },
      { correlationId: operation.id },
    )
  }

  #carryOutAsync(operation: Operation): Promise<LedgerEntry> {
    const random = createRandom(this.env.SEED, operation.id)
    const callback = async (tx: Transaction): Promise<LedgerEntry> => {
      const known = this.#find(operation.id)
      if (known !== undefined) return known
      const events: LedgerEvent[] = []
      for (const [index, step] of operation.steps.entries()) {
        refuseAt(operation, index)
        events.push(...this.#take(tx, step, `${operation.id}/${index}`))
        await scheduler.wait(between(random, 0, 3))
        await passThrough('transaction-open')
      }
      return this.#conclude(operation, events)
    }
    return during('transactions', () => this.ctx.transaction(callback, { correlationId: operation.id }))
  }

  #conclude(operation: Operation, events: readonly LedgerEvent[]): LedgerEntry {
    const { sql } = this.ctx.storage
    const row = sql
      .exec<LedgerRow>(
        'INSERT INTO ledger (operation, events) VALUES (?, ?) RETURNING *',
        operation.id,
        JSON.stringify(events),
      )
      .one()
    refuseAt(operation, operation.steps.length)
    return toEntry(row)
  }

  #find(operation: string): LedgerEntry | undefined {
    const [row] = this.ctx.storage.sql.exec<LedgerRow>('SELECT * FROM ledger WHERE operation = ?', operation).toArray()
    return row === undefined ? undefined : toEntry(row)
  }

  /** @returns the events that this step must have produced. */
  #take(tx: Transaction, step: Step, token: string): LedgerEvent[] {
    switch (step.do) {
      case 'store':
        return [this.#store(step.parcel, { token, text: 'x'.repeat(step.bytes) })]
      case 'remove':
        return this.parcels.delete(step.parcel) ? [change('cdc.delete', 'd', step.parcel, null)] : []
      case 'count':
        return [this.#count(tx, step, token)]
      case 'announce':
        return announce(tx, step.times, token)
      case 'attempt':
        this.#attempt(step, token)
        return []
    }
  }

  #store(parcel: string, fields: Parcel): LedgerEvent {
    if (this.parcels.get(parcel) === undefined) {
      this.parcels.create({ ...fields, $id: parcel })
      return change('cdc.insert', 'c', parcel, fields.token)
    }
    this.parcels.update(parcel, fields)
    return change('cdc.update', 'u', parcel, fields.token)
  }

  #count(tx: Transaction, { shelf, by }: Step & { do: 'count' }, token: string): LedgerEvent {
    const [row] = tx.execute<{ total: number }>(
      `INSERT INTO shelves VALUES (?, ?, ?)
       ON CONFLICT (shelf) DO UPDATE SET total = total + excluded.total, token = excluded.token RETURNING total`,
      shelf,
      by,
      token,
    )
    const after = { shelf, total: row?.total, token }
    tx.emit({ type: 'Shelf.counted', op: 'u', table: 'Shelf', key: shelf, after })
    return { type: 'Shelf.counted', op: 'u', table: 'Shelf', key: shelf, token }
  }

  /** Nothing of it may remain: no rows and no events, in the store or in plain SQL. */
  #attempt({ parcel, shelf }: Step & { do: 'attempt' }, token: string): void {
    try {
      this.ctx.transactionSync((tx) => {
        this.#store(parcel, { token, text: 'a change that must not last' })
        this.#count(tx, { do: 'count', shelf, by: 1_000_000 }, token)
        throw new RefusedOnPurpose()
      })
    } catch (error) {
      if (!(error instanceof RefusedOnPurpose)) throw error
    }
  }
}

class RefusedOnPurpose extends Error {}

function refuseAt(operation: Operation, stepsDone: number): void {
  if (operation.refuseAfter === stepsDone) throw new RefusedOnPurpose()
}

function announce(tx: Transaction, times: number, token: string): LedgerEvent[] {
  const tokens = Array.from({ length: times }, (_, index) => `${token}/${index}`)
  tx.emitBatch(tokens.map((each) => ({ type: 'Parcel.announced', data: { token: each } })))
  return tokens.map((each) => ({ type: 'Parcel.announced', op: null, table: null, key: null, token: each }))
}

function change(type: string, op: string, parcel: string, token: string | null): LedgerEvent {
  return { type, op, table: 'Parcel', key: parcel, token }
}

function toEntry({ seq, operation, events }: LedgerRow): LedgerEntry {
  return { seq, operation, events: JSON.parse(events) as LedgerEvent[] }
}
