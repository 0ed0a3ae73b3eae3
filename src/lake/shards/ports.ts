// How the objects of a lake that has shards call each other: the one that commits, and those that take in beside each other.

import type { Answer, Question } from '../intake/intake.ts'
import type { OfferName, ShardName } from '../intake/offer.ts'
import type { LSNRange } from '../intake/ranges.ts'
import type { PartitionValue } from '../iceberg/partition.ts'
import type { TableMetadata } from '../iceberg/metadata.ts'
import type { LogKey } from '../log.ts'
import type { ClosedLayout, CurrentLayout } from './layouts.ts'

/** What a shard needs to know of the table to write files for it. */
export interface FileTarget {
  readonly metadata: TableMetadata
  /** What the table's keys begin with in the bucket. */
  readonly prefix: string
}

/** The object that commits, as a shard and the entrypoint call it. */
export interface Committer {
  send(json: string): Promise<void>
  layout(): Promise<CurrentLayout>
  /** @returns the layouts before the shard's own; nothing if its layout is not the current one. */
  enter(shard: ShardName): Promise<ClosedLayout[] | undefined>
  settled(logs: readonly LogKey[]): Promise<[LogKey, LSNRange[]][]>
  recall(question: Question): Promise<Answer>
  /** @returns a `FileTarget` as JSON. */
  fileTarget(): Promise<string>
  /** @returns whether a file for each of these partitions may be added. @throws {CDCError} `lake-full`, `lake-behind`. */
  admit(partitions: readonly (readonly PartitionValue[])[]): Promise<boolean>
  /** Takes an `Offer`, as exact JSON, once. */
  offer(json: string): Promise<OfferAnswer>
  /** After this the offer is taken, or never will be, and then its files are garbage. */
  renounce(offer: OfferName, keys: readonly string[]): Promise<Renounced>
}

export interface OfferAnswer {
  /** False if it is not the shard's next offer, or if some of it has come by another way. Then it must be renounced. */
  readonly isTaken: boolean
  /** Whether the shard's layout is still the current one. */
  readonly isCurrent: boolean
}

export interface Renounced {
  readonly isTaken: boolean
  /** That of the shard's last offer: the next one has one more. */
  readonly number: number
}

/** What waits in a shard. */
export interface ShardStatus extends ShardName {
  bufferedEvents: number
  bufferedBytes: number
  heldEvents: number
  lagMs: number
  isBehind: boolean
  /** Why the last hand-over failed, or why the shard can't be asked; missing after a success. */
  lastError?: string
}

/** A shard, as the object that commits, the entrypoint and later shards call it. */
export interface Shard {
  send(json: string): Promise<void>
  recall(question: Question): Promise<Answer>
  status(): Promise<ShardStatus>
  /** Lets it take in nothing more, and hand over all that it has. @returns whether nothing waits in it any more. */
  close(): Promise<boolean>
  /** Lets it ask anew what has landed, as after the table has lost rows. */
  refresh(): Promise<void>
  /** Lets it forget all that it knows. It must be closed and empty. */
  retire(): Promise<void>
}
