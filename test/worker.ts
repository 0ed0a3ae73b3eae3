import { DurableObject } from 'cloudflare:workers'
import {
  type Alarms,
  CDCDurableObject,
  type CDCOptions,
  type CDCState,
  DocumentStore,
  type EventRecord,
  type NamedAlarmInfo,
  type Pipeline,
} from 'durable-outbox'
import { drizzle } from 'drizzle-orm/durable-sqlite'
import { IngestBatches, type IngestBatchesOptions } from 'durable-outbox/ingest'
import { type LakeEnv, LakeIntake, type LakeLimits, LakeTable } from 'durable-outbox/lake'
import { OutboxTail } from 'durable-outbox/tail'
import type { Delivery } from 'durable-outbox/subscriptions'
import { fakePipeline } from 'durable-outbox/testing'
import { faulty, faultyObjects, faultyStorage } from './faulty-bucket.ts'

export { TaskAgent } from '../examples/agent.ts'
export { Project } from '../examples/project.ts'
export { OutboxFleet } from 'durable-outbox/fleet'
export { Lake } from 'durable-outbox/lake'
export { FakePipeline } from 'durable-outbox/testing'

/** Longer than any test: alarms run only when a test runs them. */
const NEVER_MS = 3_600_000

export interface Draft {
  text: string
  stars?: number | null
  tags?: string[]
  done?: boolean
  'a field'?: string
}

/** Options of single objects by name, for tests that need special ones. */
export const configurations = new Map<string, CDCOptions>()

/** Refuses a whole batch because of one event, as a pipeline that checks its input does. */
function refusingPoison(pipeline: Pipeline): Pipeline {
  return {
    async send(records) {
      if (records.some((record) => record.type === 'Poison'))
        throw Object.assign(new Error('the batch contains poison'), { status: 422 })
      await pipeline.send(records)
    },
  }
}

/** Notes in a plain table, so that a test can look at a mutation and its event separately. */
export class Notes extends CDCDurableObject {
  /** Public for the tests. */
  declare ctx: CDCState
  readonly drafts: DocumentStore<Draft>

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)')
    this.drafts = new DocumentStore(this.ctx, 'Draft')
  }

  protected override configure(): CDCOptions {
    return {
      pipeline: refusingPoison(fakePipeline(this.env.EVENTS_PIPELINE)),
      drizzle,
      maxBatchEvents: 5,
      lingerMs: NEVER_MS,
      minRetryDelayMs: NEVER_MS,
      maxRetryDelayMs: NEVER_MS,
      recoveryMs: NEVER_MS,
      sendTimeoutMs: 500,
      retentionMs: 0,
      ...configurations.get(this.ctx.id.name ?? ''),
    }
  }

  /** The named alarms that ran, in order. Those named `fails…` throw each time. */
  readonly ran: { name: string; info: NamedAlarmInfo }[] = []

  protected override async onAlarm(name: string, info: NamedAlarmInfo): Promise<void> {
    this.ran.push({ name, info })
    if (name.startsWith('fails')) throw new Error('on purpose')
    if (name.startsWith('hangs')) await new Promise(() => undefined)
    if (name === 'again' && info.retryCount === 0) this.alarms.set('again later', Date.now() + NEVER_MS)
  }

  /** A note and its event, together. */
  write(text: string): void {
    this.ctx.transactionSync((tx) => {
      tx.execute('INSERT INTO notes (text) VALUES (?)', text)
      tx.emit({ type: 'Note.written', data: { text } })
    })
  }

  draft(text: string): void {
    this.drafts.create({ text })
  }

  snapshotDrafts(chunk: number): void {
    this.outbox.snapshot('document/Draft', { chunk })
  }

  /** Empties the object, as a user does who wants all of it gone. */
  async empty(): Promise<void> {
    await this.ctx.storage.deleteAll()
    this.ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)')
  }

  /** A note, and then its event: what a dual write does. */
  async writeApart(text: string): Promise<void> {
    this.ctx.storage.sql.exec('INSERT INTO notes (text) VALUES (?)', text)
    await this.ctx.storage.sync()
    this.ctx.transactionSync((tx) => tx.emit({ type: 'Note.written', data: { text } }))
  }

  /** An event that says it was written, before it is. */
  async writeLater(text: string): Promise<void> {
    await this.ctx.transaction((tx) => {
      tx.emit({ type: 'Note.written', data: { text } })
    })
    this.ctx.storage.sql.exec('INSERT INTO notes (text) VALUES (?)', text)
  }

  /** Notes the LSN of each event that a subscription of another object brings, once. */
  receive(delivery: Delivery): number {
    return this.ctx.processEachSync(
      delivery,
      (tx, { lsn }) => void tx.execute('INSERT INTO notes (text) VALUES (?)', String(lsn)),
    )
  }

  /** Public for the tests. */
  get timers(): Alarms {
    return this.alarms
  }

  notes(): string[] {
    return this.ctx.storage.sql
      .exec<{ text: string }>('SELECT text FROM notes ORDER BY id')
      .toArray()
      .map((row) => row.text)
  }
}

/** A class without the library, in which a test opens outboxes over the object's database itself. */
export class Plain extends DurableObject {
  override alarm(): void {}
}

/** The lake's variables, once it wakes. */
export const lakeVariables: Omit<Partial<LakeEnv>, 'LAKE_BUCKET'> = {}

/** Limits of the lake in place of those of the tests, once it wakes. */
export const lakeLimits: Partial<LakeLimits> = {}

/** How far the clock of the lake is ahead, and how long the lake holds runs. */
export const lakeClock = { aheadMs: 0 }
export const HOLD_MS = 60_000
/** Whether the platform's alarms do nothing, so that only a test calls what they do: two runs at once can't be told apart. */
export const lakeAlarms = { areByTest: false }
const REST_COMMIT_MS = 3_000

/** The lake, over a bucket that may fail. It commits only when a test calls it. */
export class SlowLakeTable extends LakeTable {
  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, lakeEnv(env))
    faultyStorage(ctx.storage)
  }

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    if (info === undefined || !lakeAlarms.areByTest) await super.alarm(info)
  }

  protected override now(): number {
    return Date.now() + lakeClock.aheadMs
  }

  protected override configure(): LakeLimits {
    return slowLimits(super.configure())
  }
}

/** A shard of it, which hands over only when a test calls it. */
export class SlowLakeIntake extends LakeIntake {
  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, lakeEnv(env))
    faultyStorage(ctx.storage)
  }

  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    if (info === undefined || !lakeAlarms.areByTest) await super.alarm(info)
  }

  protected override now(): number {
    return Date.now() + lakeClock.aheadMs
  }

  protected override configure(): LakeLimits {
    return slowLimits(super.configure())
  }
}

function lakeEnv(env: Cloudflare.Env) {
  const { LAKE_CATALOG: catalog } = lakeVariables
  return {
    ...env,
    ...lakeVariables,
    LAKE_BUCKET: faulty(env.LAKE_BUCKET),
    LAKE_TABLE: faultyObjects(env.LAKE_TABLE),
    LAKE_INTAKE: faultyObjects(env.LAKE_INTAKE),
    ...(catalog && { LAKE_CATALOG: faulty(catalog) }),
  }
}

function slowLimits(limits: LakeLimits): LakeLimits {
  return {
    ...limits,
    rollMs: NEVER_MS,
    // With shards it would be that long too.
    commitMs: limits.commitMs ?? (lakeVariables.LAKE_CATALOG_URI === undefined ? 0 : REST_COMMIT_MS),
    maxCommitEvents: 100,
    maxBufferBytes: 100_000,
    rollEvents: 400,
    maxCommitPartitions: 40,
    freshnessMs: 4 * NEVER_MS,
    holdMs: HOLD_MS,
    maxHoldBytes: 20_000,
    minCompactFiles: 4,
    maxManifests: 10,
    snapshotsKept: 5,
    graceMs: 0,
    maxSeenEvents: 4,
    ...lakeLimits,
  }
}

/** Options of the ingest's objects by name, for tests that need special ones. */
export const batchesOptions = new Map<string, IngestBatchesOptions>()

/** The ingest's memory, with a pipeline that can be made to fail. */
export class Batches extends IngestBatches {
  protected override configure(): IngestBatchesOptions {
    return {
      pipeline: fakePipeline(this.env.EVENTS_PIPELINE),
      sendTimeoutMs: 500,
      ...batchesOptions.get(this.ctx.id.name ?? ''),
    }
  }
}

/** Whether a tail may read the lake, as the pipeline of the notes is none; and how far its clock is ahead. */
export const tailOptions = { hasLake: true, isLakeDown: false, failed: new Set<string>(), aheadMs: 0 }

async function failToRead({ ns }: { ns: string }): Promise<never> {
  tailOptions.failed.add(ns)
  throw new Error('on purpose')
}

export class Tails extends OutboxTail {
  protected override lake(): unknown {
    if (tailOptions.isLakeDown) return { readLog: failToRead }
    return tailOptions.hasLake ? this.env.LAKE : super.lake()
  }

  protected override now(): number {
    return super.now() + tailOptions.aheadMs
  }
}
/** The records that the queue has brought, of all objects. */
export const queued: EventRecord[] = []

export default {
  fetch(): Response {
    return new Response(null, { status: 404 })
  },
  queue({ messages }: MessageBatch<EventRecord>): void {
    queued.push(...messages.map(({ body }) => body))
  },
}

/** An object without data, in which a test creates the stores that it needs. */
export class Stores extends CDCDurableObject {
  /** Public for the tests. */
  declare ctx: CDCState

  protected override configure(): CDCOptions {
    return { drizzle, lingerMs: NEVER_MS, ...configurations.get(this.ctx.id.name ?? '') }
  }
}
