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

/** Whether this is one of the last lives, in which all that was lost must be sent again, and everything must land. */
export function isCalm({ LIFE, CALM_FROM }: Pick<ChaosEnv, 'LIFE' | 'CALM_FROM'>): boolean {
  return Number(LIFE) >= Number(CALM_FROM)
}

/**
 * The time as the objects of this life have it. The platform's alarms go by the machine's, so one that is set in a life that is ahead
 * lies far ahead in the next ones; in the last ones it is right.
 */
export function nowIn({ SEED, LIFE, CALM_FROM }: Pick<ChaosEnv, 'SEED' | 'LIFE' | 'CALM_FROM'>): number {
  if (isCalm({ LIFE, CALM_FROM })) return Date.now()
  return Date.now() + AHEAD_MS[choose(createRandom(SEED, 'clock', LIFE), CLOCKS)]
}
