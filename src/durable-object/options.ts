// What can be configured, with its defaults, checked once when the object wakes.

import * as z from 'zod'
import { CDCError } from '../error.ts'
import { NAME_LENGTH_MAX } from '../event/limits.ts'
import { boundPipeline } from '../pipeline/bound-pipeline.ts'
import { BATCH_BYTES_MAX, BATCH_EVENTS_MAX } from '../pipeline/limits.ts'
import type { InboxLimits } from '../inbox/inbox.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import type { BacklogLimits } from '../outbox/outbox.ts'
import type { RelayLimits } from '../relay/relay.ts'
import type { DrizzleFactory } from '../transaction/transaction.ts'
import type { AlarmHandler } from './alarms.ts'

/** Options of a `CDCDurableObject` or an `ExactlyOnceContext`. Times are in milliseconds. */
export interface CDCOptions extends Partial<RelayLimits>, Partial<BacklogLimits>, Partial<InboxLimits> {
  /** Where batches go. Default: the binding `EVENTS_PIPELINE`. */
  pipeline?: Pipeline
  /** The tenant that the events belong to. Default: the object's name, else its id. */
  ns?: string
  /** What the events come from. Default: `DO/<class name>`. */
  source?: string
  /** drizzle's own function, for `tx.db`: `import { drizzle } from 'drizzle-orm/durable-sqlite'`. */
  drizzle?: DrizzleFactory
  /** Runs a named alarm. Default: the `onAlarm` method of a `CDCDurableObject`. */
  onAlarm?: AlarmHandler
  /** The clock, in milliseconds since 1970. */
  now?: () => number
  /** A number in [0, 1), for the jitter of retries. */
  random?: () => number
}

export interface ResolvedOptions {
  readonly pipeline: Pipeline
  readonly ns: string | undefined
  readonly source: string
  readonly limits: RelayLimits & BacklogLimits & InboxLimits
  readonly drizzle: DrizzleFactory | undefined
  readonly onAlarm: AlarmHandler
  readonly now: () => number
  readonly random: () => number
}

const milliseconds = z.int().nonnegative()
const name = z.string().min(1).max(NAME_LENGTH_MAX)

const limitsSchema = z
  .object({
    maxBatchEvents: z.int().positive().default(BATCH_EVENTS_MAX),
    maxBatchBytes: z.int().positive().max(4_500_000).default(BATCH_BYTES_MAX),
    lingerMs: milliseconds.default(100),
    minRetryDelayMs: milliseconds.default(500),
    maxRetryDelayMs: milliseconds.default(60_000),
    sendTimeoutMs: milliseconds.positive().default(30_000),
    crashWindowMs: milliseconds.positive().default(2_000),
    recoveryMs: milliseconds.positive().default(5_000),
    maxBatchesPerAlarm: z.int().positive().default(1_000),
    maxAlarmMs: milliseconds.positive().default(60_000),
    maxBacklogEvents: z.int().positive().default(10_000_000),
    maxBacklogBytes: z.int().positive().default(4_000_000_000),
    retentionMs: milliseconds.default(24 * 3_600_000),
    inboxMs: milliseconds.default(30 * 24 * 3_600_000),
    maxInboxIds: z.int().positive().default(100_000),
    retentionBytes: z.int().nonnegative().default(100_000_000),
  })
  .refine((limits) => limits.minRetryDelayMs <= limits.maxRetryDelayMs, {
    error: 'minRetryDelayMs is above maxRetryDelayMs',
  })

const namesSchema = z.object({ ns: name.optional(), source: name })

/** Fills in the defaults. @throws {CDCError} `invalid-config`, naming the option. */
export function resolveOptions(options: CDCOptions, defaultSource: string): ResolvedOptions {
  const limits = parse(limitsSchema, options)
  const { ns, source } = parse(namesSchema, { ...options, source: options.source ?? defaultSource })
  return {
    pipeline: options.pipeline ?? boundPipeline(),
    ns,
    source,
    limits,
    drizzle: options.drizzle,
    onAlarm: options.onAlarm ?? refuseAlarm,
    now: options.now ?? Date.now,
    random: options.random ?? Math.random,
  }
}

function parse<Output>(schema: z.ZodType<Output>, options: unknown): Output {
  const parsed = schema.safeParse(options)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'options'}: ${issue.message}`)
  throw new CDCError('invalid-config', `configure: ${problems.join('; ')}`)
}

function refuseAlarm(name: string): never {
  throw new CDCError('invalid-config', `alarm ${name}: there is no handler; define onAlarm(name, info)`)
}
