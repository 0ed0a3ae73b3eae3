// What an error of `send` says. Most say nothing: the outcome is unknown. Errors come through RPC as plain ones with
// their own properties, so they are judged by these, and never by their words.

import type { RelayEvent } from './machine.ts'

/** HTTP's ways to say that the request itself is bad (RFC 9110): bad request, content too large, unprocessable. */
const REFUSING_STATUS: readonly unknown[] = [400, 413, 422]
/** A pipeline that asks for more than an hour is tried again after an hour. */
const RETRY_AFTER_MS_MAX = 3_600_000

/** How an attempt to send ended without acceptance. */
export type Failure = Extract<RelayEvent, { name: 'failed' | 'refused' }>

/**
 * Tells a refusal of the batch from a failure of the attempt. A refusal is a `CDCError` that says `retryable: false`,
 * or any error with the `status` 400, 413 or 422. A failure may say `retryAfter`, in seconds.
 */
export function readFailure(error: unknown): Failure {
  const reason = error instanceof Error ? error.message : String(error)
  const { name, retryable, status, retryAfter } = Object(error) as Record<string, unknown>
  if ((name === 'CDCError' && retryable === false) || REFUSING_STATUS.includes(status))
    return { name: 'refused', reason }
  const seconds = typeof retryAfter === 'number' && retryAfter > 0 ? retryAfter : 0
  return { name: 'failed', reason, retryAfterMs: Math.min(seconds * 1_000, RETRY_AFTER_MS_MAX) }
}
