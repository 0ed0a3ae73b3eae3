/** How long to wait before the next attempt, in milliseconds. */
export interface BackoffLimits {
  readonly minRetryDelayMs: number
  readonly maxRetryDelayMs: number
}

/**
 * Exponential backoff with full jitter (aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter), so that
 * the objects that one outage stopped do not all come back in the same moment.
 *
 * @param failures how often this batch has failed so far, at least 1.
 * @param random a number in [0, 1).
 */
export function retryDelayMs(
  failures: number,
  random: number,
  { minRetryDelayMs, maxRetryDelayMs }: BackoffLimits,
): number {
  // 2 ** 31 is past every sensible limit, and keeps the product finite.
  const ceiling = Math.min(maxRetryDelayMs, minRetryDelayMs * 2 ** Math.min(failures, 31))
  return Math.round(Math.max(minRetryDelayMs, random * ceiling))
}
