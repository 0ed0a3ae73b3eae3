// What an error of `send` means. Usually the outcome is unknown. RPC turns errors into plain ones with own properties, so
// they are judged by these properties, and never by their message.

import { propertyOf, reasonOf } from '../error.ts'

/** HTTP statuses that are a verdict on what was sent (RFC 9110): content too large, and unprocessable content. */
const CONTENT_STATUS: readonly unknown[] = [413, 422]
/** A bad request may be the fault of who asks, or of a proxy: it is a verdict on a record only if it names the record. */
const BAD_REQUEST = 400
/** Codes that are a verdict on a record, if they name it. Any other is a fault of the receiver, whatever it says. */
const RECORD_CODES: readonly unknown[] = ['record-invalid', 'event-invalid', 'event-too-large']
/** A pipeline that asks for a longer delay is tried again after an hour. */
export const RETRY_AFTER_MS_MAX = 3_600_000

/** How an attempt to send failed. */
export type Failure =
  /** The pipeline failed or did not answer: whether it accepted is unknown. */
  | { readonly name: 'failed'; readonly reason: string; readonly retryAfterMs: number }
  /** The pipeline refused a record of the batch for what it is: it accepted nothing, and never will. */
  | { readonly name: 'refused'; readonly reason: string }

/**
 * Distinguishes a verdict on a record from a failure of the attempt. The first makes dead letters, so it needs evidence: a
 * `status` of 413 or 422; a 400 with the `index` of the record; or, without a status, a `CDCError` with a code about records
 * and the `index`. Everything else, such as an expired token or a receiver whose configuration is not valid, is not the
 * events' fault, whatever its `retryable` says. A failure may carry `retryAfter`, in seconds.
 *
 * Never throws, whatever was thrown.
 */
export function readFailure(error: unknown): Failure {
  const reason = reasonOf(error)
  if (isVerdict(error)) return { name: 'refused', reason }
  const retryAfter = propertyOf(error, 'retryAfter')
  const seconds = typeof retryAfter === 'number' && retryAfter > 0 ? retryAfter : 0
  return { name: 'failed', reason, retryAfterMs: Math.min(seconds * 1_000, RETRY_AFTER_MS_MAX) }
}

function isVerdict(error: unknown): boolean {
  const status = propertyOf(error, 'status')
  const index = propertyOf(error, 'index')
  const namesRecord = typeof index === 'number' && Number.isSafeInteger(index) && index >= 0
  if (typeof status === 'number') return CONTENT_STATUS.includes(status) || (status === BAD_REQUEST && namesRecord)
  return propertyOf(error, 'name') === 'CDCError' && RECORD_CODES.includes(propertyOf(error, 'code')) && namesRecord
}
