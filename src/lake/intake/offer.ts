// What a shard hands over: data files that it has stored, and which events are in them. Its number and its id tell whether it was
// handed over before.

import type { WrittenFile } from '../iceberg/commit.ts'
import type { Run } from './runs.ts'

/** One of the objects that take in beside each other. */
export interface ShardName {
  /** Which division of all logs it belongs to. A lake that changes the number of its shards begins another layout. */
  readonly layout: number
  /** From 0. */
  readonly shard: number
}

export interface OfferName extends ShardName {
  /** One more than that of the shard's offer before. */
  readonly number: number
  readonly id: string
}

export interface Offer extends OfferName {
  /** When the oldest of its events came. */
  readonly takenMs: number
  readonly events: number
  /** Those of its events that have a place in a log. */
  readonly runs: readonly Run[]
  readonly files: readonly WrittenFile[]
}
