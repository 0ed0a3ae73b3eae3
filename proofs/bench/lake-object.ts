// The lake of the benchmark: records in, committed Parquet out, and no alarm that runs by itself.

import { type LakeEnv, LakeIntake, type LakeLimits, LakeTable } from 'durable-outbox/lake'
import { onlyShard } from '../../src/lake/shards/routing.ts'
import { StandIn } from '../../test/lake/rest/stand-in.ts'
import { createBatches, type IngestLoad } from './lake-records.ts'

export interface IngestTimes {
  /** From the first `send` to the answer to the last one, from there until all shards have handed over, and the commit. */
  readonly sendMs: number
  readonly handOverMs: number
  readonly commitMs: number
}

const NEVER_MS = 3_600_000
/** More than any figure has, and no more than the lake's limits may be. */
const COUNT_MAX = 10_000_000
const BYTES_MAX = 1_000_000_000

/** A lake whose name says what it is, such as `commits-rest-20ms`; one with the name of a user's lake is like that. */
function settingsOf(name: string) {
  return {
    hasDefaults: /^(cdc\.events|freshness-rest)$/.test(name),
    isInCatalog: /-rest\b/.test(name),
    latencyMs: Number(/-(\d+)ms$/.exec(name)?.[1] ?? 0),
    shards: /^shards-(\d+)$/.exec(name)?.[1],
  }
}

/** The catalogs of the lakes that have one, by the lake's name. All objects of the runtime share this module. */
const catalogs = new Map<string, StandIn>()

export function catalogOf(name: string, bucket: R2Bucket): StandIn {
  const catalog = catalogs.get(name) ?? new StandIn(bucket)
  catalogs.set(name, catalog)
  return catalog
}

/** Commits only when called, except for those that have the defaults. Each has its own table. */
export class BenchLakeTable extends LakeTable {
  constructor(ctx: DurableObjectState, env: LakeEnv) {
    const name = ctx.id.name ?? ''
    const { isInCatalog, latencyMs, shards } = settingsOf(name)
    super(ctx, {
      ...objectsOf(env, name),
      LAKE_BUCKET: slowed(env.LAKE_BUCKET, latencyMs),
      ...(shards !== undefined && { LAKE_SHARDS: shards }),
      ...(isInCatalog
        ? catalogVariables(catalogOf(name, env.LAKE_BUCKET), latencyMs)
        : { LAKE_LOCATION: `s3://lake/${name}/events` }),
    })
  }

  /** What the alarm does. */
  async commit(): Promise<void> {
    await this.alarm()
  }

  protected override configure(): LakeLimits {
    return limitsOf(this.ctx, super.configure())
  }
}

export class BenchLakeIntake extends LakeIntake {
  constructor(ctx: DurableObjectState, env: LakeEnv) {
    super(ctx, objectsOf(env, (ctx.id.name ?? '').replace(/\/.*/, '')))
  }

  /** What the alarm does. */
  async handOver(): Promise<void> {
    await this.alarm()
  }

  protected override configure(): LakeLimits {
    return limitsOf(this.ctx, super.configure())
  }
}

function limitsOf({ id: { name = '' } }: DurableObjectState, limits: LakeLimits): LakeLimits {
  if (settingsOf(name).hasDefaults) return limits
  return {
    ...limits,
    rollMs: NEVER_MS,
    commitMs: 0,
    freshnessMs: 2 * NEVER_MS,
    rollEvents: COUNT_MAX,
    rollBytes: BYTES_MAX,
    maxBufferBytes: BYTES_MAX,
    // Upkeep has figures of its own.
    minCompactFiles: COUNT_MAX,
    maxManifests: COUNT_MAX,
    sweepMs: NEVER_MS,
  }
}

/** The objects of a lake by its name, which is that of a user's otherwise. */
function objectsOf<Env extends LakeEnv>(env: Env, name: string): Env {
  const named = (objects: DurableObjectNamespace): DurableObjectNamespace =>
    new Proxy(objects, {
      get: (target, property) => {
        const value: unknown = Reflect.get(target, property)
        if (property === 'getByName') return (given: string) => target.getByName(given.replace('cdc.events', name))
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  const { LAKE_TABLE: table, LAKE_INTAKE: intake } = env
  return { ...env, ...(table && { LAKE_TABLE: named(table) }), ...(intake && { LAKE_INTAKE: named(intake) }) }
}

function slowed<Binding extends R2Bucket | Fetcher>(binding: Binding, latencyMs: number): Binding {
  if (latencyMs === 0) return binding
  return new Proxy(binding, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property)
      if (typeof value !== 'function') return value
      return async (...args: unknown[]): Promise<unknown> => {
        await scheduler.wait(latencyMs)
        return value.apply(target, args)
      }
    },
  })
}

function catalogVariables(catalog: StandIn, latencyMs: number): Partial<LakeEnv> {
  return {
    LAKE_CATALOG: slowed(catalog.binding, latencyMs),
    LAKE_CATALOG_URI: 'https://catalog.bench/iceberg',
    LAKE_CATALOG_TOKEN: catalog.token,
    LAKE_CATALOG_WAREHOUSE: catalog.warehouse,
  }
}

/** Lets a lake commit one event after the other. @returns milliseconds. */
export async function commitOften(table: DurableObjectStub<BenchLakeTable>, load: IngestLoad): Promise<number> {
  const batches = createBatches(load)
  const begin = performance.now()
  for (const batch of batches) {
    await table.send(JSON.stringify(batch))
    await table.commit()
  }
  return performance.now() - begin
}

/** Outboxes that send at the same time. */
const SENDERS = 4

/**
 * Sends the records as relays do, one batch after the other, and then commits them.
 *
 * @param shards those of the lake, in their order; without them its table takes in.
 */
export async function ingest(
  table: DurableObjectStub<BenchLakeTable>,
  load: IngestLoad,
  shards: readonly DurableObjectStub<BenchLakeIntake>[] = [],
): Promise<IngestTimes> {
  const batches = createBatches(load)
  const begin = performance.now()
  const relay = async (): Promise<void> => {
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
      const json = JSON.stringify(batch)
      const shard = shards.length === 0 ? undefined : shards[onlyShard(batch, shards.length) ?? 0]
      await (shard ?? table).send(json)
    }
  }
  await Promise.all(Array.from({ length: SENDERS }, relay))
  const sent = performance.now()
  await Promise.all(shards.map((shard) => shard.handOver()))
  const handedOver = performance.now()
  await table.commit()
  return { sendMs: sent - begin, handOverMs: handedOver - sent, commitMs: performance.now() - handedOver }
}
