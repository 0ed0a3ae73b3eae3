// A wait that ends, for an answer that may never come.

/**
 * Waits for an answer for a limited time. After that nobody hears it, but what was asked for may still happen.
 *
 * @throws what `late` returns, if there is no answer in time; or what the answer throws.
 */
export async function within<Answer>(limitMs: number, answer: Promise<Answer>, late: () => Error): Promise<Answer> {
  const { promise: end, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(late()), limitMs)
  try {
    return await Promise.race([answer, end])
  } finally {
    clearTimeout(timer)
  }
}
