// The lake of the benchmark: records in, committed Parquet out, and no alarm that runs by itself.

import { type LakeLimits, LakeTable } from 'durable-outbox/lake'
import { createBatches, type IngestLoad } from './lake-records.ts'

export interface IngestTimes {
  /** From the first `send` to the answer to the last one, and from there to the end of the commit. */
  readonly sendMs: number
  readonly commitMs: number
}

const NEVER_MS = 3_600_000
/** More than any figure has, and no more than the lake's limits may be. */
const COUNT_MAX = 10_000_000
const BYTES_MAX = 1_000_000_000

/** Commits only when called, except for the one that has the name of a user's lake. Each has its own table. */
export class BenchLakeTable extends LakeTable {
  constructor(ctx: DurableObjectState, env: { LAKE_BUCKET: R2Bucket }) {
    super(ctx, { ...env, LAKE_LOCATION: `s3://lake/${ctx.id.name}/events` })
  }

  /** What the alarm does. */
  async commit(): Promise<void> {
    await this.alarm()
  }

  protected override configure(): LakeLimits {
    if (this.ctx.id.name === 'cdc.events') return super.configure()
    return {
      ...super.configure(),
      rollMs: NEVER_MS,
      freshnessMs: 2 * NEVER_MS,
      rollEvents: COUNT_MAX,
      rollBytes: BYTES_MAX,
      maxBufferBytes: BYTES_MAX,
      // Upkeep has figures of its own.
      minCompactFiles: COUNT_MAX,
      maxManifests: COUNT_MAX,
      sweepMs: NEVER_MS,
    }
  }
}

/** Outboxes that send at the same time. */
const SENDERS = 4

/** Sends the records as relays do, one batch after the other, and then commits them. */
export async function ingest(table: DurableObjectStub<BenchLakeTable>, load: IngestLoad): Promise<IngestTimes> {
  const batches = createBatches(load)
  const begin = performance.now()
  const relay = async (): Promise<void> => {
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift())
      await table.send(JSON.stringify(batch))
  }
  await Promise.all(Array.from({ length: SENDERS }, relay))
  const sent = performance.now()
  await table.commit()
  return { sendMs: sent - begin, commitMs: performance.now() - sent }
}
