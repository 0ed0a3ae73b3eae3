// What an error of `send` means. Usually the outcome is unknown. RPC turns errors into plain ones with own properties, so
// they are judged by these properties, and never by their message.

import { messageOf } from '../error.ts'

/** HTTP statuses that mean that the request itself is bad (RFC 9110): bad request, content too large, unprocessable. */
const REFUSING_STATUS: readonly unknown[] = [400, 413, 422]
/** A pipeline that asks for a longer delay is tried again after an hour. */
export const RETRY_AFTER_MS_MAX = 3_600_000

/** How an attempt to send failed. */
export type Failure =
  /** The pipeline failed or did not answer: whether it accepted is unknown. */
  | { readonly name: 'failed'; readonly reason: string; readonly retryAfterMs: number }
  /** The pipeline refused the batch itself: it accepted nothing of it, and never will. */
  | { readonly name: 'refused'; readonly reason: string }

/**
 * Distinguishes a refusal of the batch from a failure of the attempt. If the error has a `status`, that decides: 400, 413
 * and 422 refuse the batch; any other, such as 401 for an expired token, is not the events' fault. Otherwise a `CDCError`
 * with `retryable: false` refuses it. A failure may carry `retryAfter`, in seconds.
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
