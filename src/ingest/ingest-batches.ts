// Remembers which batches were accepted, so that a repeated one is answered and not forwarded again. A batch that it forgot,
// or that it never noted because the runtime ended after the pipeline's answer, is forwarded again under the same identities,
// and the receiver behind lands each of them once.

import { DurableObject } from 'cloudflare:workers'
import { needsAlarm, settableMs, willFireBy } from '../due.ts'
import { hideFromRPC } from '../hide-from-rpc.ts'
import { Fields } from '../event/fields.ts'
import { whole, withDefault } from '../event/kinds.ts'
import { boundPipeline } from '../pipeline/bound-pipeline.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import type { IngestBatch } from './batch.ts'
import { SEND_TIMEOUT_MS } from './limits.ts'
import type { Outcome } from './outcome.ts'
import { forward } from './send.ts'

/** What `configure()` of a class that extends `IngestBatches` may return. Times are in milliseconds. */
export interface IngestBatchesOptions {
  /** Where batches go. Default: the binding `EVENTS_PIPELINE`. */
  pipeline?: Pipeline
  /** How long a batch may take the pipeline. Default: 15,000. */
  sendTimeoutMs?: number
  /** How long an accepted batch is remembered. Default: 24 hours. */
  rememberedMs?: number
  /** How many are remembered; if there are more, the oldest are forgotten. Default: 100,000. */
  maxBatches?: number
  /** How many are sent to the pipeline at once. Default: 6, as many requests as an object may have open. */
  maxSends?: number
  /** The clock, in milliseconds since 1970. */
  now?: () => number
}

type BatchLimits = Required<Omit<IngestBatchesOptions, 'pipeline' | 'now'>>

const limitFields = new Fields<BatchLimits>({
  sendTimeoutMs: withDefault(whole({ to: 3_600_000 }), SEND_TIMEOUT_MS),
  rememberedMs: withDefault(whole({ to: 366 * 24 * 3_600_000 }), 24 * 3_600_000),
  maxBatches: withDefault(whole({ to: 10_000_000 }), 100_000),
  maxSends: withDefault(whole({ to: 1_000 }), 6),
})

/** Rows that one run of the alarm deletes, and how soon the next one continues if there are more. */
const SWEEP_ROWS_MAX = 10_000
const SWEEP_CONTINUES_MS = 1_000
/** Otherwise the next run is not sooner than this. */
const SWEEP_EVERY_MS = 3_600_000
/** The share of `maxBatches` that stays if there are more: finding the oldest reads all of them, so many go at once. */
const LEFT_SHARE = 0.9

/**
 * The object that forwards the batches of one ns, so that each is accepted once in 24 hours. Bind it as `INGEST_BATCHES`, and
 * export it from the Worker.
 */
export class IngestBatches<Env = Cloudflare.Env> extends DurableObject<Env> {
  readonly #limits: BatchLimits
  readonly #pipeline: Pipeline
  readonly #now: () => number
  readonly #sending = new Map<string, Promise<Outcome>>()
  #count: number
  /** When the alarm is due, as far as known; otherwise 0. */
  #sweepMs = 0

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    hideFromRPC(this, 'configure')
    const options = this.configure()
    this.#limits = limitFields.parse(options, 'configure', 'invalid-config')
    this.#pipeline = options.pipeline ?? boundPipeline()
    this.#now = options.now ?? Date.now
    this.#sql(
      'CREATE TABLE IF NOT EXISTS batches (identity TEXT PRIMARY KEY, accepted_ms INTEGER NOT NULL) WITHOUT ROWID',
    )
    this.#count = this.#countRows()
    if (this.#count > 0) void ctx.blockConcurrencyWhile(() => this.#wake())
  }

  protected configure(): IngestBatchesOptions {
    return {}
  }

  /** Sends a batch to the pipeline, unless it was accepted before or is being sent. */
  async take({ identity, records }: IngestBatch): Promise<Outcome> {
    if (this.#isAccepted(identity)) return { name: 'accepted' }
    const running = this.#sending.get(identity)
    if (running !== undefined) return running
    if (this.#sending.size >= this.#limits.maxSends)
      return {
        name: 'full',
        reason: `${this.#limits.maxSends} batches of this ns are being sent already; try again`,
        retryAfterSeconds: 1,
      }
    const sending = this.#send({ identity, records })
    this.#sending.set(identity, sending)
    return sending
  }

  async #send({ identity, records }: IngestBatch): Promise<Outcome> {
    try {
      const outcome = await forward(this.#pipeline, records, this.#limits.sendTimeoutMs)
      if (outcome.name === 'accepted') await this.#remember(identity)
      return outcome
    } finally {
      this.#sending.delete(identity)
    }
  }

  #isAccepted(identity: string): boolean {
    const since = this.#now() - this.#limits.rememberedMs
    return this.#sql('SELECT 1 FROM batches WHERE identity = ? AND accepted_ms > ?', identity, since).length > 0
  }

  async #remember(identity: string): Promise<void> {
    this.#sql('INSERT OR REPLACE INTO batches (identity, accepted_ms) VALUES (?, ?)', identity, this.#now())
    this.#count++
    const isFull = this.#count > this.#limits.maxBatches
    await this.#sweepBy(this.#now() + (isFull ? 0 : this.#limits.rememberedMs))
  }

  /** Makes the alarm due for what is remembered, whatever has become of it (I6). */
  async #wake(): Promise<void> {
    this.#correctTimes()
    const oldestMs = this.#oldestMs()
    if (oldestMs !== undefined) await this.#sweepBy(Math.max(this.#now(), oldestMs + this.#limits.rememberedMs))
  }

  /** Lets what was accepted in the future, by a clock that was ahead, have been accepted now. */
  #correctTimes(): void {
    this.#sql('UPDATE batches SET accepted_ms = ?1 WHERE accepted_ms > ?1', this.#now())
  }

  /** Sets the alarm to a time, unless it is due earlier. */
  async #sweepBy(atMs: number): Promise<void> {
    const now = this.#now()
    if (willFireBy(this.#sweepMs, atMs, now)) return
    const alarmMs = await this.ctx.storage.getAlarm()
    const isNeeded = needsAlarm(alarmMs, atMs, now)
    this.#sweepMs = isNeeded ? atMs : (alarmMs ?? 0)
    if (isNeeded) await this.ctx.storage.setAlarm(atMs)
  }

  /** Forgets the oldest batches: those remembered for long enough, and those in excess of `maxBatches`. */
  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    const now = this.#now()
    this.#correctTimes()
    const due = Math.max(this.#countExpired(now), this.#countExcess())
    this.#sql(
      'DELETE FROM batches WHERE identity IN (SELECT identity FROM batches ORDER BY accepted_ms LIMIT ?)',
      Math.min(due, SWEEP_ROWS_MAX),
    )
    this.#count = this.#countRows()
    this.#sweepMs = 0
    const oldestMs = this.#oldestMs()
    if (oldestMs === undefined) return
    const nextMs =
      due > SWEEP_ROWS_MAX
        ? now + SWEEP_CONTINUES_MS
        : Math.max(now + SWEEP_EVERY_MS, oldestMs + this.#limits.rememberedMs)
    this.#sweepMs = settableMs(nextMs, info?.scheduledTime)
    await this.ctx.storage.setAlarm(this.#sweepMs)
  }

  #countExpired(now: number): number {
    const before = now - this.#limits.rememberedMs
    return this.#sql<{ n: number }>('SELECT count(*) AS n FROM batches WHERE accepted_ms <= ?', before)[0]?.n ?? 0
  }

  #countExcess(): number {
    const { maxBatches } = this.#limits
    const count = this.#countRows()
    return count > maxBatches ? count - Math.floor(maxBatches * LEFT_SHARE) : 0
  }

  #oldestMs(): number | undefined {
    const [row] = this.#sql<{ ms: number | null }>('SELECT min(accepted_ms) AS ms FROM batches')
    return row?.ms ?? undefined
  }

  #countRows(): number {
    return this.#sql<{ n: number }>('SELECT count(*) AS n FROM batches')[0]?.n ?? 0
  }

  #sql<Row extends Record<string, SqlStorageValue>>(statement: string, ...params: SqlStorageValue[]): Row[] {
    return this.ctx.storage.sql.exec<Row>(statement, ...params).toArray()
  }
}
