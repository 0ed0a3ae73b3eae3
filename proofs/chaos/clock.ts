// The clock of a life of the runtime: now and then it is wrong, as after a restart of a machine whose clock was not set.

import type { ChaosEnv } from './env.ts'
import { choose, createRandom } from '../harness/random.ts'

const HOUR_MS = 3_600_000

const CLOCKS = { right: 6, 'an hour ahead': 1, 'an hour behind': 1, 'a day ahead': 1 } as const

const AHEAD_MS: Readonly<Record<keyof typeof CLOCKS, number>> = {
  right: 0,
  'an hour ahead': HOUR_MS,
  'an hour behind': -HOUR_MS,
  'a day ahead': 24 * HOUR_MS,
}

/**
 * The time as the objects of this life have it. The platform's alarms go by the machine's, so one that is set in a life that is ahead
 * lies far ahead in the next ones; the last two lives, in which everything must land, are right.
 */
export function nowIn({ SEED, LIFE, KILLS }: Pick<ChaosEnv, 'SEED' | 'LIFE' | 'KILLS'>): number {
  if (Number(LIFE) >= Number(KILLS)) return Date.now()
  return Date.now() + AHEAD_MS[choose(createRandom(SEED, 'clock', LIFE), CLOCKS)]
}
