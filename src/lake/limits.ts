// What bounds a lake, and how it is configured.

import * as z from 'zod'
import { CDCError } from '../error.ts'
import { parseJSON } from '../event/json.ts'
import type { SliceLimits } from './intake/buffer.ts'
import type { MemoryLimits } from './intake/logs.ts'
import type { UpkeepLimits } from './upkeep/upkeep.ts'

/** Limits of a lake. Times are in milliseconds. */
export interface LakeLimits extends SliceLimits, MemoryLimits, UpkeepLimits {
  /** When what is buffered is committed: so long after the first of it came, or once it is so much. */
  readonly rollMs: number
  readonly rollEvents: number
  readonly rollBytes: number
  /** Bytes in the buffer beyond which `send` is refused until some are committed. */
  readonly maxBufferBytes: number
  /** How long events are held back, and how many bytes of them, because LSNs before them are missing. */
  readonly holdMs: number
  readonly maxHoldBytes: number
  /** Snapshots that the table remembers, and as many metadata files before the current one. */
  readonly snapshotsKept: number
  /** How long a file stays that no snapshot reads any more, for those who read an older one. */
  readonly graceMs: number
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

/** The limits that JSON says, and the defaults of the others. @throws {CDCError} `invalid-config`, naming the limit. */
export function limitsFrom(json = '{}'): LakeLimits {
  const given = parseJSON(json)
  if (given === undefined) throw new CDCError('invalid-config', `LAKE_LIMITS is not JSON: ${json}`)
  const parsed = limitsSchema.safeParse(given)
  if (parsed.success) return parsed.data
  throw new CDCError('invalid-config', `LAKE_LIMITS: ${z.prettifyError(parsed.error)}`)
}
