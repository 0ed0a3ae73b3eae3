// What the Worker is doing now. All its objects and entrypoints run in one isolate, so they share this module.

import type { Activity, Phase } from './phases.ts'

/** Long enough for the outer process to see it and to kill. Then everything continues, as after a slow moment. */
const HOLD_MS = 4_000

export const activity: Activity = { held: null, transactions: 0, attempts: 0, puts: 0, ghosts: 0 }

let trap: Phase | undefined

/** Whether batches reach the lake unharmed, for the rest of this life. */
export const mercy = { isGranted: false }

/** The next caller that reaches this phase stops there. */
export function setTrap(phase: Phase): void {
  trap = phase
}

/** Stops here if a trap is set for this phase. */
export async function passThrough(phase: Phase): Promise<void> {
  if (trap !== phase) return
  trap = undefined
  activity.held = phase
  await scheduler.wait(HOLD_MS)
  activity.held = null
}

/** Counts work while it runs. */
export async function during<T>(what: Exclude<keyof Activity, 'held'>, work: () => Promise<T>): Promise<T> {
  activity[what] += 1
  try {
    return await work()
  } finally {
    activity[what] -= 1
  }
}
