// The port by which an object makes itself known to the fleet: all objects with an outbox, whether or not their events land.

import { env } from 'cloudflare:workers'

/** An object with an outbox. */
export interface Member {
  /** The Durable Object's id. */
  id: string
  /** Its class, as the Worker exports it. */
  className: string
  /** Its name, if it was reached by one. */
  name?: string
  ns: string
  source: string
  epoch: string
}

/** Why an object needs somebody to look at it. Times are in milliseconds since 1970. */
export interface Trouble {
  pendingEvents: number
  /** When the oldest pending event was committed. */
  oldestPendingMs?: number
  deadLetters: number
  /** How often the batch in flight has failed. */
  failures: number
  isPaused: boolean
  lastError?: string
}

/** Where objects make themselves known. */
export interface Fleet {
  /** Notes a member, and its trouble; without trouble it has none. May be called again with the same. */
  report(member: Member, trouble?: Trouble): Promise<void>
}

/** Objects of the binding `OUTBOX_FLEET` among which members are shared out, by their ids. */
export const FLEET_SHARDS = 8

/** The name of the object that knows a member. */
export function fleetShard(index: number): string {
  return `fleet-${index}`
}

/** An id is hexadecimal digits, and as good as random. */
export function shardOf(id: string): number {
  return Number.parseInt(id.slice(-4), 16) % FLEET_SHARDS
}

/** The default fleet: the binding `OUTBOX_FLEET`; undefined if there is none. */
export function boundFleet(): Fleet | undefined {
  const bound: unknown = 'OUTBOX_FLEET' in env ? env.OUTBOX_FLEET : undefined
  if (!isNamespace(bound)) return undefined
  return {
    async report(member, trouble) {
      await bound.getByName(fleetShard(shardOf(member.id))).report(member, trouble)
    },
  }
}

interface FleetNamespace {
  getByName(name: string): Fleet
}

function isNamespace(candidate: unknown): candidate is FleetNamespace {
  return typeof candidate === 'object' && candidate !== null && 'getByName' in candidate
}
