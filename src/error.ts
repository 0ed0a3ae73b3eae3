/** Every way in which this library refuses or fails: a closed list, over which callers can switch. */
export type CDCErrorCode =
  | 'already-exists'
  | 'async-callback'
  | 'bucket-timeout'
  | 'catalog-failed'
  | 'event-forgotten'
  | 'event-invalid'
  | 'event-too-large'
  | 'invalid-argument'
  | 'invalid-config'
  | 'lake-behind'
  | 'lake-conflict'
  | 'lake-full'
  | 'lake-resharding'
  | 'migration-failed'
  | 'not-found'
  | 'outbox-full'
  | 'pipeline-failed'
  | 'pipeline-timeout'
  | 'record-invalid'
  | 'schema-newer'
  | 'table-damaged'
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
  /** Which record of a batch is to blame, counted from 0, if it is one of them. */
  readonly index?: number

  constructor(
    code: CDCErrorCode,
    message: string,
    options: { retryable?: boolean | undefined; index?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = options.retryable ?? false
    if (options.index !== undefined) this.index = options.index
  }
}

/** Characters of a reason that is kept or logged: what fails elsewhere may say anything, at any length. */
const REASON_LENGTH_MAX = 500

/**
 * The message of a thrown value, which need not be an `Error`, nor anything that has a text: reading it may itself throw. This
 * never does.
 */
export function messageOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown)
  } catch {
    return `a thrown ${typeof thrown} without a text`
  }
}

/** The same, short and clean enough to be stored, logged and sent anywhere. */
export function reasonOf(thrown: unknown): string {
  return cleanReason(messageOf(thrown))
}

export function cleanReason(text: string): string {
  const isLong = text.length > REASON_LENGTH_MAX
  const kept = isLong ? `${text.slice(0, REASON_LENGTH_MAX)}… (${text.length} characters)` : text
  // The cut may have divided a surrogate pair.
  return kept.toWellFormed().replaceAll('\0', '\uFFFD')
}

/** A property of a thrown value, whatever that is; undefined also if reading it throws. */
export function propertyOf(thrown: unknown, name: string): unknown {
  try {
    return Reflect.get(Object(thrown), name) as unknown
  } catch {
    return undefined
  }
}
