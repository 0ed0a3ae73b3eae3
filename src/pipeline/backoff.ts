// How long the relay and the senders wait before they retry.

/** Limits of the delay before a retry. */
export interface BackoffLimits {
  readonly minRetryDelayMs: number
  readonly maxRetryDelayMs: number
}

/**
 * Exponential backoff with full jitter (aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter), so that
 * after an outage not all objects retry at the same moment. In milliseconds.
 *
 * @param failures how often this batch has failed so far, at least 1.
 * @param random a number in [0, 1).
 */
export function retryDelayMs(
  failures: number,
  random: number,
  { minRetryDelayMs, maxRetryDelayMs }: BackoffLimits,
): number {
  // 2 ** 31 is beyond every sensible limit, and keeps the product finite.
  const ceiling = Math.min(maxRetryDelayMs, minRetryDelayMs * 2 ** Math.min(failures, 31))
  return Math.round(Math.max(minRetryDelayMs, random * ceiling))
}
