// The lake's objects over a bucket that is slow, fails, and loses answers.

import { LakeIntake, type LakeLimits, LakeTable } from 'durable-outbox/lake'
import { during, passThrough } from './activity.ts'
import { nowIn } from './clock.ts'
import type { ChaosEnv } from './env.ts'
import { between, createRandom, type Random } from '../harness/random.ts'

const FAILURES = 0.02
/** The share of lives at whose beginning the bucket can't be written, and for how long. */
const OUTAGES = 0.2
const OUTAGE_MS = 1_500
const EVICTIONS = 0.008

/** The share of lives of a lake with shards in which it has another number of them. */
const OTHER_SHARDS = 0.3

/** A lake that was evicted must not meet the same faults in the same order, or it would never get past them. */
let constructed = 0

export class SlowLakeTable extends LakeTable {
  readonly #chaos: ChaosEnv

  constructor(ctx: DurableObjectState, env: ChaosEnv) {
    super(ctx, { ...env, LAKE_BUCKET: slowBucket(ctx, env), LAKE_SHARDS: shardsIn(env) })
    this.#chaos = env
  }

  protected override now(): number {
    // The base class asks before this one is made.
    return #chaos in this ? nowIn(this.#chaos) : Date.now()
  }

  protected override configure(): LakeLimits {
    return fastLimits(super.configure())
  }
}

export class SlowLakeIntake extends LakeIntake {
  readonly #chaos: ChaosEnv

  constructor(ctx: DurableObjectState, env: ChaosEnv) {
    const objects = env.LAKE_TABLE && interruptedObjects(env.LAKE_TABLE)
    super(ctx, { ...env, LAKE_BUCKET: slowBucket(ctx, env), ...(objects && { LAKE_TABLE: objects }) })
    this.#chaos = env
  }

  protected override now(): number {
    return #chaos in this ? nowIn(this.#chaos) : Date.now()
  }

  protected override configure(): LakeLimits {
    return fastLimits(super.configure())
  }
}

function fastLimits(limits: LakeLimits): LakeLimits {
  return { ...limits, rollMs: 200, commitMs: 200, holdMs: 10_000, maxCommitEvents: 3_000, snapshotsKept: 20 }
}

/** The last two lives, in which everything must land, have as many as were asked for. */
function shardsIn({ SEED, LIFE, KILLS, SHARDS }: ChaosEnv): string {
  const random = createRandom(SEED, 'shards', LIFE)
  const isOther = Number(SHARDS) > 0 && Number(LIFE) < Number(KILLS) && random() < OTHER_SHARDS
  return isOther ? String(between(random, 0, Number(SHARDS))) : SHARDS
}

/** Lets a hand-over be interrupted before it arrives, and before its answer does. */
function interruptedObjects(objects: DurableObjectNamespace): DurableObjectNamespace {
  return new Proxy(objects, {
    get(target, property) {
      const value: unknown = Reflect.get(target, property)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => interruptedStub(value.apply(target, args) as DurableObjectStub)
    },
  })
}

function interruptedStub(stub: DurableObjectStub): DurableObjectStub {
  return new Proxy(stub, {
    get(target, property) {
      return async (...args: unknown[]) => {
        const calls = target as unknown as Record<string | symbol, (...args: unknown[]) => Promise<unknown>>
        if (property === 'offer') await passThrough('shard-offering')
        const result = await calls[property]?.(...args)
        if (property === 'offer') await passThrough('shard-offered')
        return result
      }
    },
  })
}

interface Faults {
  readonly random: Random
  readonly awayUntilMs: number
  readonly count: (fault: string) => Promise<void>
  readonly evict: () => void
}

function slowBucket(ctx: DurableObjectState, env: ChaosEnv): R2Bucket {
  constructed += 1
  const isAway = createRandom(env.SEED, 'outage', env.LIFE)() < OUTAGES
  const faults: Faults = {
    random: createRandom(env.SEED, 'bucket', env.LIFE, constructed),
    awayUntilMs: isAway ? Date.now() + OUTAGE_MS : 0,
    count: (fault) => env.FAULT_LOG.getByName('faults').count(fault),
    evict: () => ctx.abort('evicted on purpose'),
  }
  return new Proxy(env.LAKE_BUCKET, {
    get(target, property) {
      if (property === 'put')
        return (...args: Parameters<R2Bucket['put']>) => during('puts', () => put(target, args, faults))
      const value: unknown = Reflect.get(target, property)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

async function put(
  bucket: R2Bucket,
  args: Parameters<R2Bucket['put']>,
  { random, awayUntilMs, count, evict }: Faults,
): Promise<R2Object | null> {
  const [key] = args
  const fault = random()
  await passBefore(key)
  await scheduler.wait(between(random, 1, 30))
  if (Date.now() < awayUntilMs) {
    await count('bucket away')
    throw new Error(`put ${key} failed on purpose: the bucket is away`)
  }
  if (fault < FAILURES) {
    await count('put failed')
    throw new Error(`put ${key} failed on purpose`)
  }
  if (fault < FAILURES + EVICTIONS) {
    await count('object of the lake evicted during a put')
    // Nothing waits for it: it may be stored after the lake has started again.
    void bucket.put(...args).catch(() => undefined)
    evict()
  }
  const stored = await bucket.put(...args)
  if (isMetadata(key)) await passThrough('lake-after-metadata')
  if (fault > 1 - FAILURES) {
    await count('answer to a put lost')
    throw new Error(`the answer to put ${key} was lost on purpose`)
  }
  return stored
}

async function passBefore(key: string): Promise<void> {
  if (isMetadata(key)) await passThrough('lake-before-metadata')
  else await passThrough(key.endsWith('version-hint.text') ? 'lake-hint' : 'lake-files')
}

function isMetadata(key: string): boolean {
  return key.endsWith('.metadata.json')
}
