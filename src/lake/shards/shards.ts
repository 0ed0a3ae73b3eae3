// The side of the object that commits: takes what shards offer, each offer once, and changes their number.

import { CDCError, reasonOf } from '../../error.ts'
import type { PartitionValue } from '../iceberg/partition.ts'
import type { Intake } from '../intake/intake.ts'
import type { Offer, OfferName, ShardName } from '../intake/offer.ts'
import { parseExact } from '../table/exact-json.ts'
import type { TableState } from '../table/table-state.ts'
import type { TableWriter } from '../table/table-writer.ts'
import type { ClosedLayout, Layout, Layouts } from './layouts.ts'
import type { OfferAnswer, Renounced, Shard, ShardStatus } from './ports.ts'

export interface ShardsPorts {
  readonly layouts: Layouts
  readonly intake: Intake
  readonly state: TableState
  readonly writer: TableWriter
  /** How many shards the configuration wants. */
  readonly wanted: number
  /** How long the shards of a closed layout are asked for what they have taken in, in milliseconds. */
  readonly memoryMs: number
  readonly shardAt: (name: ShardName) => Shard
  readonly now: () => number
}

/** How soon a shard that is being closed is asked again whether it is empty. */
const CLOSE_POLL_MS = 250

export class Shards {
  readonly #ports: ShardsPorts

  constructor(ports: ShardsPorts) {
    this.#ports = ports
  }

  /** @throws {CDCError} `lake-resharding` if others take in, or will in a moment. */
  checkTakesIn(): void {
    const { shards, isClosing } = this.#ports.layouts.current
    if (shards > 0 || isClosing) throw resharding()
  }

  /** Those that took in before, as long as they are remembered. */
  elders(): ClosedLayout[] {
    const { layouts, memoryMs, now } = this.#ports
    return layouts.closed().filter(({ closedMs }) => closedMs + memoryMs > now())
  }

  isCurrent({ layout, shard }: ShardName): boolean {
    const { current } = this.#ports.layouts
    return layout === current.layout && shard < current.shards && !current.isClosing
  }

  /** Whether a file for each of these partitions may be added. @throws {CDCError} `lake-full` or `lake-behind`. */
  admit(partitions: readonly (readonly PartitionValue[])[]): boolean {
    this.#ports.intake.checkRoom()
    return this.#ports.writer.mayPartition(partitions)
  }

  take(json: string): OfferAnswer {
    const { layouts, intake } = this.#ports
    const offer = parseExact(json) as Offer
    let isTaken = false
    intake.transaction(() => {
      const last = layouts.lastOffer(offer)
      isTaken = isSame(last, offer)
      if (isTaken || offer.number !== (last?.number ?? 0) + 1) return
      isTaken = intake.takeOffer(offer)
      if (isTaken) layouts.noteOffer(offer)
    })
    return { isTaken, isCurrent: this.isCurrent(offer) }
  }

  renounce(offer: OfferName, keys: readonly string[]): Renounced {
    const { layouts, intake, state, now } = this.#ports
    const last = layouts.lastOffer(offer)
    if (last !== undefined && isSame(last, offer)) return { isTaken: true, number: last.number }
    const number = Math.max(offer.number, last?.number ?? 0)
    // If it arrives late after all, it is not the next.
    intake.transaction(() => {
      layouts.noteOffer({ ...offer, number, id: `${offer.id} renounced` })
      state.garbage.add(keys, 0, now())
    })
    return { isTaken: false, number }
  }

  /** Whether a file that nothing names may be of an offer that is still to come: also of a shard that is not known here. */
  mayBeOffered(key: string): boolean {
    const name = shardOfKey(key)
    if (name === undefined) return false
    const { layouts } = this.#ports
    return !layouts.isForgotten(name.layout) && name.number > (layouts.lastOffer(name)?.number ?? 0)
  }

  /** Whether a file is of an offer that is still to come. */
  isExpected(key: string): boolean {
    const name = shardOfKey(key)
    return name !== undefined && this.#ports.layouts.lastOffer(name) !== undefined && this.mayBeOffered(key)
  }

  /** When another step towards the wanted number of shards is due, and when shards of long ago may be forgotten. */
  dueMs(): number[] {
    const { layouts, memoryMs, now } = this.#ports
    return [
      ...(this.#mustChange() ? [now() + CLOSE_POLL_MS] : []),
      ...layouts.closed().map(({ closedMs }) => closedMs + memoryMs),
    ]
  }

  /** Begins to change the number of shards. From then on nothing is taken in by those that did. */
  startChange(): void {
    const { layouts, intake } = this.#ports
    if (!this.#mustChange()) return
    if (layouts.current.shards > 0) {
      if (!layouts.current.isClosing) layouts.startClosing()
      return
    }
    // What waits here is to be committed here, whoever takes in.
    intake.releaseAll()
    this.#begin()
  }

  /** Continues it: once nothing waits in the shards, others take in. And lets those of long ago forget. */
  async continueChange(): Promise<void> {
    this.startChange()
    const { layouts, memoryMs, now } = this.#ports
    const { current } = layouts
    if (current.isClosing) {
      const isEmpty = await Promise.all(this.#of(current).map((shard) => shard.close()))
      if (isEmpty.every(Boolean)) this.#begin()
    }
    for (const closed of layouts.closed().filter(({ closedMs }) => closedMs + memoryMs <= now())) {
      await Promise.all(this.#of(closed).map((shard) => shard.retire()))
      layouts.forget(closed.layout)
    }
  }

  /** Lets all who take in ask anew what has landed. */
  async refresh(): Promise<void> {
    await Promise.all(this.#of(this.#ports.layouts.current).map((shard) => shard.refresh()))
  }

  /** What waits in the shards. One that can't be asked is named. */
  async status(): Promise<ShardStatus[]> {
    const { layout, shards } = this.#ports.layouts.current
    const ask = async (shard: Shard, index: number): Promise<ShardStatus> => {
      try {
        return await shard.status()
      } catch (error) {
        const nothing = { bufferedEvents: 0, bufferedBytes: 0, heldEvents: 0, lagMs: 0, isBehind: false }
        return { layout, shard: index, ...nothing, lastError: `it can't be asked: ${reasonOf(error)}` }
      }
    }
    return Promise.all(this.#of({ layout, shards }).map(ask))
  }

  #mustChange(): boolean {
    const { layouts, wanted } = this.#ports
    return layouts.current.isClosing || layouts.current.shards !== wanted
  }

  #begin(): void {
    const { layouts, intake, wanted, now } = this.#ports
    intake.transaction(() => layouts.begin(wanted, now()))
  }

  #of({ layout, shards }: Layout): Shard[] {
    return Array.from({ length: shards }, (_, shard) => this.#ports.shardAt({ layout, shard }))
  }
}

export function resharding(): CDCError {
  return new CDCError('lake-resharding', 'send: the lake is changing the number of its shards; try again', {
    retryable: true,
  })
}

function isSame(last: Pick<OfferName, 'number' | 'id'> | undefined, { number, id }: OfferName): boolean {
  return last?.number === number && last.id === id
}

/** The name of a file of an offer, before `.parquet`: it tells of which offer it is. */
export function fileName({ layout, shard, number }: OfferName): string {
  return `shard-${layout}-${shard}-${number}-${crypto.randomUUID()}`
}

function shardOfKey(key: string): (ShardName & { readonly number: number }) | undefined {
  const [, layout, shard, number] = /\/shard-(\d+)-(\d+)-(\d+)-[^/]+$/.exec(key) ?? []
  return layout === undefined ? undefined : { layout: Number(layout), shard: Number(shard), number: Number(number) }
}
