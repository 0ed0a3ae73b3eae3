import { CDCError } from '../error.ts'
import { within } from '../within.ts'

/**
 * Sends a batch, and waits for the answer for a limited time.
 *
 * @throws {CDCError} `pipeline-timeout`, retryable; or what the receiver throws.
 */
export async function sendWithin<Sent>(
  receiver: { send(sent: Sent): Promise<void> },
  sent: Sent,
  { timeoutMs, batch }: { timeoutMs: number; batch: string },
): Promise<void> {
  await within(
    timeoutMs,
    receiver.send(sent),
    () => new CDCError('pipeline-timeout', `${batch}: no answer in ${timeoutMs} ms`, { retryable: true }),
  )
}
