import type { EventRecord } from '../event/record.ts'
import { boundPipeline } from '../pipeline/bound-pipeline.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import { sendWithin } from '../pipeline/send-within.ts'
import type { IngestBatch } from './batch.ts'
import type { CheckedOptions } from './options.ts'
import { type Outcome, outcomeOf } from './outcome.ts'

/** Sends a batch to the pipeline. Never rejects. */
export type SendBatch = (batch: IngestBatch) => Promise<Outcome>

/** Through the objects that remember what was sent, if they are configured; otherwise directly. */
export function createSend({ batches, pipeline, sendTimeoutMs }: CheckedOptions): SendBatch {
  if (batches === undefined) {
    const target = pipeline ?? boundPipeline()
    return ({ records }) => forward(target, records, sendTimeoutMs)
  }
  return async (batch) => {
    try {
      const outcome = await batches.getByName(objectNameOf(batch)).take(batch)
      outcome[Symbol.dispose]?.()
      return outcome
    } catch (error) {
      // This is the object's own failure, not the pipeline's verdict on the batch.
      console.error('ingest: the object of the batch failed:', error)
      return {
        name: 'failed',
        reason: "the object of the batch failed; see the Worker's log",
        retryAfterSeconds: 0,
      }
    }
  }
}

/** The same batch always reaches the same object. */
function objectNameOf({ records: [first] }: IngestBatch): string {
  return first?.ns ?? ''
}

/** Sends records to the pipeline. Never rejects. */
export async function forward(pipeline: Pipeline, records: EventRecord[], timeoutMs: number): Promise<Outcome> {
  try {
    await sendWithin(pipeline, records, { timeoutMs, batch: 'the pipeline' })
    return { name: 'accepted' }
  } catch (error) {
    return outcomeOf(error)
  }
}
