// The lake of the benchmark: records in, committed Parquet out, and nothing that runs by itself.

import { type LakeLimits, LakeTable } from 'durable-outbox/lake'
import { createRecords, type IngestLoad } from './lake-records.ts'

export interface IngestTimes {
  /** From the first `send` to the answer to the last, and to the end of the commit. */
  readonly sendMs: number
  readonly commitMs: number
}

const NEVER_MS = 3_600_000

/** Takes in and commits only when told so. Each has a table of its own. */
export class BenchLakeTable extends LakeTable {
  constructor(ctx: DurableObjectState, env: { LAKE_BUCKET: R2Bucket }) {
    super(ctx, { ...env, LAKE_LOCATION: `s3://lake/${ctx.id.name}/events` })
  }

  /** What the alarm does. */
  async commit(): Promise<void> {
    await this.alarm()
  }

  protected override configure(): LakeLimits {
    return {
      ...super.configure(),
      rollMs: NEVER_MS,
      rollEvents: Infinity,
      rollBytes: Infinity,
      bufferBytesMax: Infinity,
      // Upkeep has figures of its own.
      compactFilesMin: Infinity,
      manifestsMax: Infinity,
      sweepMs: NEVER_MS,
    }
  }
}

/** Sends the records as a relay does, batch after batch, and then has them committed. */
export async function ingest(table: DurableObjectStub<BenchLakeTable>, load: IngestLoad): Promise<IngestTimes> {
  const records = createRecords(load)
  const begin = performance.now()
  for (let index = 0; index < records.length; index += load.batch)
    await table.send(JSON.stringify(records.slice(index, index + load.batch)))
  const sent = performance.now()
  await table.commit()
  return { sendMs: sent - begin, commitMs: performance.now() - sent }
}
