// What bounds a lake, and how it is configured.

import { CDCError } from '../error.ts'
import { Fields } from '../event/fields.ts'
import { parseJSON } from '../event/json.ts'
import { whole, withDefault } from '../event/kinds.ts'
import type { IntakeLimits } from './intake/intake.ts'
import type { RollLimits } from './schedule.ts'
import type { UpkeepLimits } from './upkeep/upkeep.ts'

/** Limits of a lake. Times are in milliseconds. */
export interface LakeLimits extends RollLimits, IntakeLimits, UpkeepLimits {
  /** Snapshots that the table remembers, and as many metadata files before the current one. */
  readonly snapshotsKept: number
}

const ms = whole({ from: 0 })
const count = whole()

const limitFields = new Fields<LakeLimits>(
  {
    rollMs: withDefault(ms, 2_000),
    rollEvents: withDefault(count, 50_000),
    rollBytes: withDefault(count, 16_000_000),
    maxCommitEvents: withDefault(count, 50_000),
    maxCommitBytes: withDefault(count, 16_000_000),
    maxBufferBytes: withDefault(count, 64_000_000),
    holdMs: withDefault(ms, 60_000),
    maxHoldBytes: withDefault(count, 16_000_000),
    snapshotsKept: withDefault(count, 100),
    graceMs: withDefault(ms, 3_600_000),
    minCompactFiles: withDefault(count, 16),
    maxCompactFiles: withDefault(whole({ from: 2 }), 64),
    maxCompactEvents: withDefault(count, 50_000),
    maxManifests: withDefault(count, 64),
    sweepMs: withDefault(ms, 24 * 3_600_000),
    orphanMs: withDefault(ms, 24 * 3_600_000),
    seenMs: withDefault(ms, 24 * 3_600_000),
    maxSeenEvents: withDefault(count, 1_000_000),
    idsMs: withDefault(ms, 31 * 24 * 3_600_000),
  },
  { others: 'is not a limit of the lake' },
)

/** The limits that JSON sets, with defaults for the others. @throws {CDCError} `invalid-config`, naming the limit. */
export function limitsFrom(json = '{}'): LakeLimits {
  const given = parseJSON(json)
  if (given === undefined) throw new CDCError('invalid-config', `LAKE_LIMITS is not valid JSON: ${json}`)
  return limitFields.parse(given, 'LAKE_LIMITS', 'invalid-config')
}
