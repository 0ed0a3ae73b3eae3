// The lake's table over a bucket that is slow, fails, and loses answers.

import { type LakeLimits, LakeTable } from 'durable-outbox/lake'
import { during, passThrough } from './activity.ts'
import { nowIn } from './clock.ts'
import type { ChaosEnv } from './env.ts'
import { between, createRandom, type Random } from '../harness/random.ts'

const FAILURES = 0.02
/** The share of lives at whose beginning the bucket can't be written, and for how long. */
const OUTAGES = 0.2
const OUTAGE_MS = 1_500
const EVICTIONS = 0.008

/** A lake that was evicted must not meet the same faults in the same order, or it would never get past them. */
let constructed = 0

export class SlowLakeTable extends LakeTable {
  readonly #chaos: ChaosEnv

  constructor(ctx: DurableObjectState, env: ChaosEnv) {
    constructed += 1
    const random = createRandom(env.SEED, 'bucket', env.LIFE, constructed)
    const isAway = createRandom(env.SEED, 'outage', env.LIFE)() < OUTAGES
    const faults: Faults = {
      random,
      awayUntilMs: isAway ? Date.now() + OUTAGE_MS : 0,
      count: (fault) => env.FAULT_LOG.getByName('faults').count(fault),
      evict: () => ctx.abort('evicted on purpose'),
    }
    super(ctx, { ...env, LAKE_BUCKET: slowBucket(env.LAKE_BUCKET, faults) })
    this.#chaos = env
  }

  protected override now(): number {
    // The base class asks before this one is made.
    return #chaos in this ? nowIn(this.#chaos) : Date.now()
  }

  protected override configure(): LakeLimits {
    return { ...super.configure(), rollMs: 200, holdMs: 10_000, maxCommitEvents: 3_000, snapshotsKept: 20 }
  }
}

interface Faults {
  readonly random: Random
  readonly awayUntilMs: number
  readonly count: (fault: string) => Promise<void>
  readonly evict: () => void
}

function slowBucket(bucket: R2Bucket, faults: Faults): R2Bucket {
  return new Proxy(bucket, {
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
    await count('lake evicted during a put')
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
