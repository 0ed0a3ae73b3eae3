// The options of an object with an outbox and their defaults, checked once when the object wakes.

import { CDCError } from '../error.ts'
import type { EventTypes } from '../event/event-types.ts'
import { Fields } from '../event/fields.ts'
import { name, optional, whole, withDefault } from '../event/kinds.ts'
import { boundFleet, type Fleet } from '../membership/fleet.ts'
import { boundPipeline } from '../pipeline/bound-pipeline.ts'
import { BATCH_BYTES_MAX, BATCH_EVENTS_MAX } from '../pipeline/limits.ts'
import type { InboxLimits } from '../inbox/inbox.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import type { BacklogLimits } from '../outbox/outbox.ts'
import type { RelayLimits } from '../relay/relay.ts'
import type { SubscriptionLimits, SubscriptionsFactory } from '../subscription.ts'
import type { DrizzleFactory } from '../transaction/transaction.ts'
import type { AlarmHandler, BaseAlarm } from './alarms.ts'

/**
 * Options of a `CDCDurableObject` or an `ExactlyOnceContext`. Times are in milliseconds.
 *
 * @typeParam Types of the events that are emitted: see `events`.
 */
export interface CDCOptions<Types = unknown>
  extends Partial<RelayLimits>, Partial<BacklogLimits>, Partial<InboxLimits>, Partial<SubscriptionLimits> {
  /** Where batches go. Default: the binding `EVENTS_PIPELINE`. */
  pipeline?: Pipeline
  /** The tenant that the events belong to. Default: the object's name; without a name, its id. */
  ns?: string
  /** Where the events come from. Default: `DO/<class name>`. */
  source?: string
  /** The types of events that are emitted, as `defineEvents` returns them. No other event is emitted then. */
  events?: Types & EventTypes
  /** Who else gets the events, or some of them: what `subscribe` of durable-outbox/subscriptions returns. */
  subscriptions?: SubscriptionsFactory
  /** drizzle's own function, which `tx.db` needs: `import { drizzle } from 'drizzle-orm/durable-sqlite'`. */
  drizzle?: DrizzleFactory
  /** Where the object makes itself known, for `durable-outbox fleet` and metrics. Default: the binding `OUTBOX_FLEET`, if there is one. */
  fleet?: Fleet
  /** The class, as the Worker exports it. Default: the name of a class that extends `CDCDurableObject`. */
  className?: string
  /** Runs a named alarm. Default: the `onAlarm` method of a `CDCDurableObject`. */
  onAlarm?: AlarmHandler
  /**
   * Runs the alarm of the class or its base, where that has one of its own beside an `ExactlyOnceContext`: `(info) =>
   * super.alarm(info)`. The platform has one alarm for an object. With this option, `storage.setAlarm`, `getAlarm` and
   * `deleteAlarm` are about the alarm of that class only, and it runs when it is due, whatever else needs the alarm.
   */
  baseAlarm?: BaseAlarm
  /**
   * Whether the object has an alarm. Default: true. A facet (`ctx.facets`) has none, so `false` is needed there: then nothing is
   * sent until its parent calls `outbox.flush()`, and there are no named alarms and no table snapshots.
   */
  hasAlarm?: boolean
  /** The clock, in milliseconds since 1970. */
  now?: () => number
  /** A number in [0, 1), for the jitter of retries. */
  random?: () => number
}

export interface ResolvedOptions {
  readonly pipeline: Pipeline
  readonly ns: string | undefined
  readonly source: string
  readonly limits: RelayLimits & BacklogLimits & InboxLimits & SubscriptionLimits
  readonly subscriptions: SubscriptionsFactory | undefined
  readonly types: EventTypes | undefined
  readonly drizzle: DrizzleFactory | undefined
  readonly fleet: Fleet | undefined
  readonly className: string | undefined
  readonly onAlarm: AlarmHandler
  readonly baseAlarm: BaseAlarm | undefined
  readonly hasAlarm: boolean
  readonly now: () => number
  readonly random: () => number
}

const positive = whole()
const nonNegative = whole({ from: 0 })
// Longer waits would stop the relay as surely as a fault does.
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const delay = whole({ from: 0, to: HOUR_MS })
const timeout = whole({ to: HOUR_MS })

const limitFields = new Fields<ResolvedOptions['limits']>(
  {
    maxBatchEvents: withDefault(positive, BATCH_EVENTS_MAX),
    maxBatchBytes: withDefault(whole({ to: 4_500_000 }), BATCH_BYTES_MAX),
    lingerMs: withDefault(delay, 100),
    minRetryDelayMs: withDefault(delay, 500),
    maxRetryDelayMs: withDefault(delay, 60_000),
    sendTimeoutMs: withDefault(timeout, 30_000),
    crashWindowMs: withDefault(timeout, 2_000),
    recoveryMs: withDefault(timeout, 5_000),
    maxBatchesPerAlarm: withDefault(positive, 1_000),
    maxAlarmMs: withDefault(timeout, 60_000),
    maxBacklogEvents: withDefault(positive, 10_000_000),
    maxBacklogBytes: withDefault(positive, 4_000_000_000),
    retentionMs: withDefault(nonNegative, DAY_MS),
    retentionBytes: withDefault(nonNegative, 100_000_000),
    maxLagMs: withDefault(nonNegative, 7 * DAY_MS),
    maxLagBytes: withDefault(nonNegative, 1_000_000_000),
    disableAfterMs: withDefault(positive, 5 * DAY_MS),
    inboxMs: withDefault(nonNegative, 30 * DAY_MS),
    maxInboxIds: withDefault(positive, 100_000),
  },
  {
    rule: ({ minRetryDelayMs, maxRetryDelayMs }) =>
      minRetryDelayMs > maxRetryDelayMs ? 'minRetryDelayMs is above maxRetryDelayMs' : undefined,
  },
)

const nameFields = new Fields<{ ns?: string; source: string; className?: string }>({
  ns: optional(name),
  source: name,
  className: optional(name),
})

/** Fills in the defaults. @throws {CDCError} `invalid-config`, naming the option. */
export function resolveOptions(options: CDCOptions, defaultSource: string): ResolvedOptions {
  const limits = limitFields.parse(options, 'configure', 'invalid-config')
  const names = { ...options, source: options.source ?? defaultSource }
  const { ns, source, className } = nameFields.parse(names, 'configure', 'invalid-config')
  return {
    pipeline: options.pipeline ?? boundPipeline(),
    ns,
    source,
    limits,
    types: options.events,
    subscriptions: options.subscriptions,
    drizzle: options.drizzle,
    fleet: options.fleet ?? boundFleet(),
    className,
    onAlarm: options.onAlarm ?? refuseAlarm,
    baseAlarm: options.baseAlarm,
    hasAlarm: options.hasAlarm ?? true,
    now: options.now ?? Date.now,
    random: options.random ?? Math.random,
  }
}

function refuseAlarm(name: string): never {
  throw new CDCError('invalid-config', `alarm ${name}: there is no handler; define onAlarm(name, info)`)
}
