// A lake of the tests whose number of shards changes, and its objects.

import { env } from 'cloudflare:workers'
import { abortAllDurableObjects, runInDurableObject } from 'cloudflare:test'
import { lakeVariables, type SlowLakeIntake } from '../../worker.ts'
import { commit, renewTable, table } from '../table.ts'

const STEPS_MAX = 20

/** Deploys a Worker with so many shards. It begins to change their number once its object is asked for something. */
export async function deploy(shards: number): Promise<void> {
  lakeVariables.LAKE_SHARDS = String(shards)
  await killAll()
}

/** All objects of the lake lose what they have in memory. One that others have called can't always be evicted. */
export async function killAll(): Promise<void> {
  await abortAllDurableObjects()
  renewTable()
}

/** Does so, and waits until that many take in. */
export async function reshard(shards: number): Promise<void> {
  await deploy(shards)
  for (let step = 0; step < STEPS_MAX; step += 1) {
    const layout = await table.layout()
    if (layout.shards === shards && !layout.isClosing) return
    await handOver()
    await commit()
  }
  throw new Error(`there are not ${shards} shards after ${STEPS_MAX} steps`)
}

/** The shards that take in. */
export async function shardStubs(): Promise<DurableObjectStub<SlowLakeIntake>[]> {
  const { layout, shards } = await table.layout()
  return Array.from({ length: shards }, (_, shard) => env.LAKE_INTAKE.getByName(`cdc.events/${layout}/${shard}`))
}

/** Does what the alarms of the shards do. */
export async function handOver(): Promise<void> {
  for (const shard of await shardStubs()) await handOverFrom(shard)
}

async function handOverFrom(shard: DurableObjectStub<SlowLakeIntake>): Promise<void> {
  await runInDurableObject(shard, (intake) => (intake as SlowLakeIntake).alarm())
}

/** Does what all alarms do. */
export async function landAll(): Promise<void> {
  await handOver()
  await commit()
}
