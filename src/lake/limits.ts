// What bounds a lake, and how it is configured.

import * as z from 'zod'
import { CDCError } from '../error.ts'
import { parseJSON } from '../event/json.ts'
import type { IntakeLimits } from './intake/intake.ts'
import type { RollLimits } from './schedule.ts'
import type { UpkeepLimits } from './upkeep/upkeep.ts'

/** Limits of a lake. Times are in milliseconds. */
export interface LakeLimits extends RollLimits, IntakeLimits, UpkeepLimits {
  /** Snapshots that the table remembers, and as many metadata files before the current one. */
  readonly snapshotsKept: number
}

const ms = z.number().nonnegative()
const count = z.number().positive()

const limitsSchema = z.strictObject({
  rollMs: ms.default(2_000),
  rollEvents: count.default(50_000),
  rollBytes: count.default(16_000_000),
  maxCommitEvents: count.default(50_000),
  maxCommitBytes: count.default(16_000_000),
  maxBufferBytes: count.default(64_000_000),
  holdMs: ms.default(60_000),
  maxHoldBytes: count.default(16_000_000),
  snapshotsKept: z.int().positive().default(100),
  graceMs: ms.default(3_600_000),
  minCompactFiles: count.default(16),
  maxCompactFiles: z.int().min(2).default(64),
  maxCompactEvents: count.default(50_000),
  maxManifests: count.default(64),
  sweepMs: ms.default(24 * 3_600_000),
  orphanMs: ms.default(24 * 3_600_000),
  seenMs: ms.default(24 * 3_600_000),
  maxSeenEvents: count.default(1_000_000),
  idsMs: ms.default(31 * 24 * 3_600_000),
} satisfies Record<keyof LakeLimits, z.ZodType>)

/** The limits that JSON sets, with defaults for the others. @throws {CDCError} `invalid-config`, naming the limit. */
export function limitsFrom(json = '{}'): LakeLimits {
  const given = parseJSON(json)
  if (given === undefined) throw new CDCError('invalid-config', `LAKE_LIMITS is not valid JSON: ${json}`)
  const parsed = limitsSchema.safeParse(given)
  if (parsed.success) return parsed.data
  throw new CDCError('invalid-config', `LAKE_LIMITS: ${z.prettifyError(parsed.error)}`)
}
