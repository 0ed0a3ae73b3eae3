import { CDCError } from '../error.ts'
import type { EventRecord } from '../event/record.ts'
import { within } from '../within.ts'
import type { Pipeline } from './pipeline.ts'

/**
 * Sends a batch, and waits for the answer for a limited time.
 *
 * @throws {CDCError} `pipeline-timeout`, retryable; or what the pipeline throws.
 */
export async function sendWithin(
  pipeline: Pipeline,
  records: EventRecord[],
  { timeoutMs, batch }: { timeoutMs: number; batch: string },
): Promise<void> {
  await within(
    timeoutMs,
    pipeline.send(records),
    () => new CDCError('pipeline-timeout', `${batch}: no answer in ${timeoutMs} ms`, { retryable: true }),
  )
}
