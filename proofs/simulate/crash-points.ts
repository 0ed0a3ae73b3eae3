// The runtime ends after each step of a small script, and after each two of them: nothing is left to chance.

import { runScript, type Verdict } from './episode.ts'
import { createSmallScript, type Script } from './script.ts'

/** Scripts with more steps are stopped after each one only: the pairs would be too many. */
const PAIRED_STEPS_MAX = 40

export interface CrashPoints {
  readonly script: Script
  /** Runs, and the steps of all of them. */
  runs: number
  steps: number
  failed?: { readonly after: readonly number[]; readonly failure: NonNullable<Verdict['failure']> }
}

/** @returns what was found up to the first run that failed. */
export async function crashEverywhere(seed: number): Promise<CrashPoints> {
  const script = createSmallScript(seed)
  const found: CrashPoints = { script, runs: 0, steps: 0 }
  const { steps } = await runScript(script)
  for (const after of pointsOf(steps)) {
    const verdict = await runScript(script, { crashAfter: new Set(after) })
    found.runs += 1
    found.steps += verdict.steps
    if (verdict.failure !== undefined) return { ...found, failed: { after, failure: verdict.failure } }
  }
  return found
}

function* pointsOf(steps: number): Generator<number[]> {
  for (let first = 1; first <= steps; first++) {
    yield [first]
    if (steps <= PAIRED_STEPS_MAX) for (let second = first + 1; second <= steps; second++) yield [first, second]
  }
}
