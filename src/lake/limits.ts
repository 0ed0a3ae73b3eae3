// What bounds a lake, and how it is configured.

import { CDCError } from '../error.ts'
import { Fields } from '../event/fields.ts'
import { parseJSON } from '../event/json.ts'
import { optional, whole, withDefault } from '../event/kinds.ts'
import type { IntakeLimits } from './intake/intake.ts'
import type { RollLimits } from './schedule.ts'
import type { BucketLimits } from './table/bucket.ts'
import type { UpkeepLimits } from './upkeep/upkeep.ts'

/** Limits of a lake. Times are in milliseconds. */
export interface LakeLimits extends RollLimits, IntakeLimits, UpkeepLimits, BucketLimits {
  /** Snapshots that the table remembers, and as many metadata files before the current one. */
  readonly snapshotsKept: number
  /**
   * The shortest time from one commit to the next, on average. Default: 3,000 if the table is in another catalog than the lake's
   * own, as Basin Catalog (R2 Data Catalog) takes 20 a minute; otherwise 0.
   */
  readonly commitMs?: number
  /**
   * Partitions of one commit and of the table: a type on a day. The rows of a commit that would have more go into one file that
   * has no partition.
   */
  readonly maxCommitPartitions: number
  readonly maxPartitions: number
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

// Each has a largest value: a limit that is absurd by mistake would stop the lake as surely as a fault does.
const count = whole({ to: 10_000_000 })
const bytes = whole({ to: 1_000_000_000 })
const delay = whole({ from: 0, to: HOUR_MS })
const days = whole({ from: 0, to: 366 * DAY_MS })

const limitFields = new Fields<LakeLimits>(
  {
    rollMs: withDefault(delay, 2_000),
    rollEvents: withDefault(count, 50_000),
    rollBytes: withDefault(bytes, 16_000_000),
    maxCommitEvents: withDefault(count, 50_000),
    maxCommitBytes: withDefault(bytes, 16_000_000),
    maxBufferBytes: withDefault(bytes, 64_000_000),
    freshnessMs: withDefault(whole({ to: DAY_MS }), 120_000),
    holdMs: withDefault(delay, 60_000),
    maxHoldBytes: withDefault(bytes, 16_000_000),
    commitMs: optional(delay),
    bucketMs: withDefault(whole({ to: 10 * MINUTE_MS }), 30_000),
    snapshotsKept: withDefault(whole({ to: 10_000 }), 100),
    maxCommitPartitions: withDefault(whole({ to: 10_000 }), 100),
    maxPartitions: withDefault(count, 50_000),
    graceMs: withDefault(days, HOUR_MS),
    minCompactFiles: withDefault(count, 16),
    maxCompactFiles: withDefault(whole({ from: 2, to: 10_000 }), 64),
    maxCompactEvents: withDefault(count, 50_000),
    maxManifests: withDefault(count, 64),
    sweepMs: withDefault(days, DAY_MS),
    orphanMs: withDefault(days, DAY_MS),
    seenMs: withDefault(days, DAY_MS),
    maxSeenEvents: withDefault(count, 1_000_000),
    idsMs: withDefault(days, 31 * DAY_MS),
  },
  {
    others: 'is not a limit of the lake',
    // Otherwise the promise would be broken by design.
    rule: ({ rollMs, commitMs = 0, holdMs, freshnessMs }) => {
      const [slowest, ms] = commitMs > rollMs ? ['commitMs', commitMs] : ['rollMs', rollMs]
      return freshnessMs < ms + holdMs
        ? `freshnessMs is ${freshnessMs}, below ${slowest} + holdMs, which is ${ms + holdMs}; raise it`
        : undefined
    },
  },
)

/** The limits that JSON sets, with defaults for the others. @throws {CDCError} `invalid-config`, naming the limit. */
export function limitsFrom(json = '{}'): LakeLimits {
  const given = parseJSON(json)
  if (given === undefined) throw new CDCError('invalid-config', `LAKE_LIMITS is not valid JSON: ${json}`)
  return checkLimits(given, 'LAKE_LIMITS')
}

/** Limits from anywhere, with defaults for those that are missing. @throws {CDCError} `invalid-config`, naming the limit. */
export function checkLimits(given: unknown, caller: string): LakeLimits {
  const limits = limitFields.parse(given, caller, 'invalid-config')
  // A rule sees only what was given, so the defaults are checked with it.
  return limitFields.parse(limits, caller, 'invalid-config')
}
