/** Every way in which this library refuses or fails: a closed list, over which callers can switch. */
export type CDCErrorCode =
  | 'already-exists'
  | 'async-callback'
  | 'event-forgotten'
  | 'event-invalid'
  | 'event-too-large'
  | 'invalid-argument'
  | 'invalid-config'
  | 'lake-behind'
  | 'lake-conflict'
  | 'lake-full'
  | 'migration-failed'
  | 'not-found'
  | 'outbox-full'
  | 'pipeline-failed'
  | 'pipeline-timeout'
  | 'record-invalid'
  | 'schema-newer'
  | 'transaction-ended'
  | 'transaction-nested'

/**
 * The one error that this library throws.
 *
 * The message tells where, what, the limit if there is one, and what to do:
 * `tx.emit: event is 2.4 MB, the limit is 1 MB; put the body in R2 and emit its key`.
 * `code` and `retryable` are own properties, so they survive an RPC call, where the class does not.
 */
export class CDCError extends Error {
  override readonly name = 'CDCError'
  readonly code: CDCErrorCode
  /** Whether the same call can succeed later without a change. */
  readonly retryable: boolean

  constructor(code: CDCErrorCode, message: string, options: { retryable?: boolean; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
  }
}

/** The message of a thrown value, which need not be an `Error`, nor anything that has a text. */
export function messageOf(thrown: unknown): string {
  if (thrown instanceof Error) return thrown.message
  try {
    return String(thrown)
  } catch {
    return `a thrown ${typeof thrown} without a text`
  }
}
