// The fleet, page by page: one object of `OUTBOX_FLEET` after the other.

import { CDCError } from '../error.ts'
import { FLEET_SHARDS, fleetShard, shardOf } from '../membership/fleet.ts'
import type { ClassSummary, KnownMember, MemberFilter } from './members.ts'

/** The binding, as far as it is used here. */
export interface FleetNamespace {
  getByName(name: string): {
    list(page: MemberFilter & { after?: string; limit?: number }): PromiseLike<KnownMember[]>
    summary(): PromiseLike<ClassSummary[]>
    get(id: string): PromiseLike<KnownMember | null>
  }
}

export interface FleetEnv {
  OUTBOX_FLEET?: FleetNamespace
}

export interface MemberPage {
  readonly members: KnownMember[]
  /** Where the next page begins, if there may be one. */
  readonly next?: string
}

/** @param after the `next` of the page before. @throws {CDCError} `invalid-argument`. */
export async function readPage(
  fleet: FleetNamespace,
  filter: MemberFilter,
  { after, limit }: { after: string | undefined; limit: number },
): Promise<MemberPage> {
  const members: KnownMember[] = []
  let place = parsePlace(after)
  while (place.shard < FLEET_SHARDS) {
    const wanted = limit - members.length
    const found = await fleet
      .getByName(fleetShard(place.shard))
      .list({ ...filter, ...(place.id !== '' && { after: place.id }), limit: wanted })
    members.push(...found)
    const isShardRead = found.length < wanted
    place = isShardRead ? { shard: place.shard + 1, id: '' } : { shard: place.shard, id: found.at(-1)?.id ?? '' }
    if (members.length === limit) return { members, next: `${place.shard}.${place.id}` }
  }
  return { members }
}

/** What all of it adds up to, class by class. */
export async function summarize(fleet: FleetNamespace): Promise<ClassSummary[]> {
  const shards = Array.from({ length: FLEET_SHARDS }, (_, index) => fleet.getByName(fleetShard(index)).summary())
  const byClass = Map.groupBy((await Promise.all(shards)).flat(), ({ className }) => className)
  return Array.from(byClass.values(), (parts) => parts.reduce(add)).toSorted((a, b) =>
    a.className < b.className ? -1 : 1,
  )
}

/** @throws {CDCError} `invalid-config` if no fleet is bound. */
export function fleetOf({ OUTBOX_FLEET: fleet }: FleetEnv): FleetNamespace {
  if (fleet !== undefined) return fleet
  throw new CDCError(
    'invalid-config',
    'fleet: OUTBOX_FLEET is not bound; export OutboxFleet from the Worker, and bind it in the wrangler configuration',
  )
}

/** A member by its id. */
export async function findMember(fleet: FleetNamespace, id: string): Promise<KnownMember | undefined> {
  return (/^[0-9a-f]{4,64}$/.test(id) ? await fleet.getByName(fleetShard(shardOf(id))).get(id) : null) ?? undefined
}

function add(a: ClassSummary, b: ClassSummary): ClassSummary {
  const oldest = Math.min(a.oldestPendingMs ?? Infinity, b.oldestPendingMs ?? Infinity)
  return {
    className: a.className,
    members: a.members + b.members,
    troubled: a.troubled + b.troubled,
    pendingEvents: a.pendingEvents + b.pendingEvents,
    deadLetters: a.deadLetters + b.deadLetters,
    paused: a.paused + b.paused,
    ...(oldest < Infinity && { oldestPendingMs: oldest }),
  }
}

function parsePlace(after = '0.'): { shard: number; id: string } {
  const [, shard, id = ''] = /^(\d)\.([0-9a-f]{0,64})$/.exec(after) ?? []
  if (shard === undefined) throw new CDCError('invalid-argument', 'fleet: after must be the `next` of a page')
  return { shard: Number(shard), id }
}
