import type { CommittedRecord } from '../event/record.ts'

/** What a subscription delivers at once: the events of a range of one log that it is for, in LSN order. */
export interface Delivery {
  /** The name of the subscription. */
  readonly subscription: string
  /** The log that the events belong to. */
  readonly ns: string
  readonly source: string
  readonly epoch: string
  /** The whole range: what is not among the records is not for this subscription. */
  readonly firstLSN: number
  readonly lastLSN: number
  readonly records: CommittedRecord[]
}

/** Where a subscription delivers to. Delivery is at least once: what a target has taken may be delivered to it again. */
export interface Target {
  /** The most that one delivery holds. It holds one event at least. */
  readonly maxEvents: number
  /** UTF-8 bytes of its records as JSON. */
  readonly maxBytes: number
  /**
   * Resolves once the target has taken what was delivered. If it rejects or does not answer in time, the same events are
   * delivered again, except those up to the LSN that `progress` was last told.
   *
   * An error with a `status` of 413 or 422, or a `CDCError` about a record with its `index`, is a verdict on an event: it makes
   * a dead letter. A `status` of 410 disables the subscription. `retryAfter`, in seconds, is obeyed.
   */
  deliver(delivery: Delivery, progress: Progress): Promise<void>
}

/** How a target that takes one event after the other tells how far it has come. */
export interface Progress {
  /** Aborts when the answer is no longer waited for. */
  readonly signal: AbortSignal
  /**
   * The target has taken all events up to this LSN.
   *
   * @returns whether there is time for more. If not, `deliver` should resolve: the rest is delivered next.
   */
  readonly reached: (lsn: number) => boolean
}
