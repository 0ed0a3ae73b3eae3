// The objects of a lake, by name: the one that commits, and its shards.

import { CDCError } from '../error.ts'
import type { ShardName } from './intake/offer.ts'
import type { Committer, Shard } from './shards/ports.ts'

export interface LakeObjects {
  LAKE_TABLE?: DurableObjectNamespace
  /** The shards, if there are any. */
  LAKE_INTAKE?: DurableObjectNamespace
  /** How many shards take in. Without it, `LakeTable` does. */
  LAKE_SHARDS?: string
  /** Where the objects stay in which events wait for their commit, `eu` for example. Set once: another place is another object. */
  LAKE_JURISDICTION?: string
}

/** Above it a commit would have more offers than one object can take. */
const SHARDS_MAX = 64

/** @throws {CDCError} `invalid-config`. */
export function wantedShards({ LAKE_SHARDS: text = '0', LAKE_INTAKE: objects }: LakeObjects): number {
  const shards = Number(text)
  if (!/^\d{1,3}$/.test(text) || shards > SHARDS_MAX)
    throw new CDCError('invalid-config', `LAKE_SHARDS is a number from 0 to ${SHARDS_MAX}, not "${text}"`)
  if (shards > 0 && objects === undefined)
    throw new CDCError('invalid-config', 'LAKE_SHARDS needs a binding LAKE_INTAKE to the class LakeIntake')
  return shards
}

/** The object that commits. A table has one writer, so every binding reaches the same one. */
export function committerOf(env: LakeObjects): Committer {
  return placed(env, 'LAKE_TABLE').getByName('cdc.events') as unknown as Committer
}

export function shardAt(env: LakeObjects, { layout, shard }: ShardName): Shard {
  return placed(env, 'LAKE_INTAKE').getByName(`cdc.events/${layout}/${shard}`) as unknown as Shard
}

/** Undefined for an object whose name is not that of a shard. */
export function shardNamed(name: string | undefined): ShardName | undefined {
  const [, layout, shard] = /\/(\d+)\/(\d+)$/.exec(name ?? '') ?? []
  return layout === undefined ? undefined : { layout: Number(layout), shard: Number(shard) }
}

function placed(env: LakeObjects, binding: 'LAKE_TABLE' | 'LAKE_INTAKE'): DurableObjectNamespace {
  const objects = env[binding]
  if (objects === undefined) throw new CDCError('invalid-config', `the lake needs a binding ${binding}`)
  const { LAKE_JURISDICTION: jurisdiction } = env
  // The platform refuses a name that is no jurisdiction.
  return jurisdiction === undefined ? objects : objects.jurisdiction(jurisdiction as DurableObjectJurisdiction)
}
