import { DurableObject } from 'cloudflare:workers'
import { CDCDurableObject, type CDCOptions, type CDCState, DocumentStore } from 'durable-outbox'
import { type LakeLimits, LakeTable } from 'durable-outbox/lake'
import { fakePipeline } from './fake-pipeline.ts'
import { faultyBucket } from './faulty-bucket.ts'

export { FakePipeline } from './fake-pipeline.ts'
export { Lake } from 'durable-outbox/lake'

/** Longer than any test: alarms run when a test runs them. */
const NEVER_MS = 3_600_000

export interface Draft {
  text: string
  stars?: number | null
  tags?: string[]
  done?: boolean
  'a field'?: string
}

/** Notes in a plain table, so that a test can see a mutation and its event apart. */
export class Notes extends CDCDurableObject {
  /** Public here, for the tests. */
  declare ctx: CDCState
  readonly drafts: DocumentStore<Draft>

  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)')
    this.drafts = new DocumentStore(this.ctx, 'Draft')
  }

  protected override configure(): CDCOptions {
    return {
      pipeline: fakePipeline,
      batchEventsMax: 5,
      lingerMs: NEVER_MS,
      retryDelayMsMin: NEVER_MS,
      retryDelayMsMax: NEVER_MS,
      recoveryMs: NEVER_MS,
      sendTimeoutMs: 50,
    }
  }

  notes(): string[] {
    return this.ctx.storage.sql
      .exec<{ text: string }>('SELECT text FROM notes ORDER BY id')
      .toArray()
      .map((row) => row.text)
  }
}

/** A class with nothing of ours, in which a test opens outboxes over the object's database by itself. */
export class Plain extends DurableObject {
  override alarm(): void {}
}

/** The lake, committing only when a test says so, into a bucket that may fail. */
export class SlowLakeTable extends LakeTable {
  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, { ...env, LAKE_BUCKET: faultyBucket(env.LAKE_BUCKET) })
  }

  protected override configure(): LakeLimits {
    return { ...super.configure(), rollMs: NEVER_MS, commitEventsMax: 100, bufferBytesMax: 100_000, snapshotsKept: 5 }
  }
}

export default {
  fetch(): Response {
    return new Response(null, { status: 404 })
  },
}
