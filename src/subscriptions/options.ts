// What a subscription is, as a class configures it.

import { CDCError } from '../error.ts'
import { Fields } from '../event/fields.ts'
import { checked, kindOf, listOf, oneOf, optional, textLike, whole } from '../event/kinds.ts'
import type { Target } from '../pipeline/target.ts'
import type { RelayLimits } from '../relay/relay.ts'
import { type Filter, filterFields } from './filter.ts'

/** An object's events, or some of them, for another receiver than the pipeline. */
export interface Subscription<Types = unknown> {
  /** Its name for ever: receivers know by it what they have processed. */
  name: string
  /** Which events. Default: all. */
  filter?: Filter<Types>
  /** `toObject`, `toQueue`, `toPipeline` or `toWebhook`, of durable-outbox/targets; or anything else that delivers. */
  target: Target
  /** Where a new subscription begins: with what is committed from now on, or with the oldest event that is kept. Default: now. */
  from?: 'now' | 'oldest'
  /** As for the pipeline, and by default the same. In milliseconds. */
  lingerMs?: number
  minRetryDelayMs?: number
  maxRetryDelayMs?: number
}

/** How many an object has at most: each is asked at every commit. */
const SUBSCRIPTIONS_MAX = 20

const delay = whole({ from: 0, to: 24 * 3_600_000 })
const target = kindOf<Target>({}, (value) =>
  typeof Object(value).deliver === 'function' ? undefined : 'must be a target, such as toQueue(binding)',
)

const subscriptionFields = new Fields<Subscription>(
  {
    name: textLike(/^[\w-]{1,64}$/, 'must be 1 to 64 letters, digits, - or _'),
    filter: optional(filterFields),
    target,
    from: optional(oneOf(['now', 'oldest'])),
    lingerMs: optional(delay),
    minRetryDelayMs: optional(delay),
    maxRetryDelayMs: optional(delay),
  },
  { others: 'is not known here' },
)

/** @throws {CDCError} `invalid-config`, naming the option. */
export function checkSubscriptions(given: unknown): readonly Subscription[] {
  const subscriptions = checked(
    listOf(subscriptionFields, { to: SUBSCRIPTIONS_MAX }),
    given,
    'configure: subscriptions',
    'invalid-config',
  )
  const names = subscriptions.map(({ name }) => name)
  const doubled = names.find((name, index) => names.indexOf(name) !== index)
  if (doubled === undefined) return subscriptions
  throw new CDCError('invalid-config', `configure: subscriptions: there are two of the name ${doubled}`)
}

/** The limits of one subscription's relay. */
export function relayLimitsOf({ target, ...own }: Subscription, limits: RelayLimits): RelayLimits {
  return {
    ...limits,
    lingerMs: own.lingerMs ?? limits.lingerMs,
    minRetryDelayMs: own.minRetryDelayMs ?? limits.minRetryDelayMs,
    maxRetryDelayMs: own.maxRetryDelayMs ?? limits.maxRetryDelayMs,
    maxBatchEvents: target.maxEvents,
    maxBatchBytes: target.maxBytes,
  }
}
