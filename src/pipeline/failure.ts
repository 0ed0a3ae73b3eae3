// What an error of `send` says. Most say nothing: the outcome is unknown. Errors come through RPC as plain ones with
// their own properties, so they are judged by these, and never by their words.

import { messageOf } from '../error.ts'

/** HTTP's ways to say that the request itself is bad (RFC 9110): bad request, content too large, unprocessable. */
const REFUSING_STATUS: readonly unknown[] = [400, 413, 422]
/** A pipeline that asks for more than an hour is tried again after an hour. */
const RETRY_AFTER_MS_MAX = 3_600_000

/** How an attempt to send ended without acceptance. */
export type Failure =
  /** The pipeline refused, broke off or did not answer: whether it accepted is unknown. */
  | { readonly name: 'failed'; readonly reason: string; readonly retryAfterMs: number }
  /** The pipeline said that the batch itself is bad: it accepted nothing of it, and never will. */
  | { readonly name: 'refused'; readonly reason: string }

/**
 * Tells a refusal of the batch from a failure of the attempt. Where the error has a `status`, that decides: 400, 413 and
 * 422 refuse the batch, and any other, such as the 401 of a token that has expired, is no fault of the events. Without one,
 * a `CDCError` that says `retryable: false` refuses it. A failure may say `retryAfter`, in seconds.
 */
export function readFailure(error: unknown): Failure {
  const reason = messageOf(error)
  const { name, retryable, status, retryAfter } = Object(error) as Record<string, unknown>
  const isRefused =
    typeof status === 'number' ? REFUSING_STATUS.includes(status) : name === 'CDCError' && retryable === false
  if (isRefused) return { name: 'refused', reason }
  const seconds = typeof retryAfter === 'number' && retryAfter > 0 ? retryAfter : 0
  return { name: 'failed', reason, retryAfterMs: Math.min(seconds * 1_000, RETRY_AFTER_MS_MAX) }
}
