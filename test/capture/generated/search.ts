// Looks for scripts that fail, and shrinks the first.

import * as fc from 'fast-check'
import { runScript } from './compare.ts'
import type { Features } from './features.ts'
import { type Failure, minimize } from './minimize.ts'
import { plan } from './plan.ts'
import { scriptSpecs } from './script.ts'
import { showScript } from './show.ts'

/** Scripts of one seed. */
const BATCH = 50
const SHRINK_MS_MAX = 30_000

export interface Search {
  readonly features: Features
  readonly seed: number
  readonly runs: number
}

export interface Found {
  readonly ran: number
  readonly perSecond: number
}

/** Runs scripts. @throws {Error} the first that fails, shrunk, as a person would write it down. */
export async function search({ features, seed, runs }: Search): Promise<Found> {
  const specs = scriptSpecs(features)
  const startedMs = Date.now()
  const count = (ran: number) => ({ ran, perSecond: Math.round((ran * 1_000) / (Date.now() - startedMs)) })
  for (let ran = 0; ran < runs; ran += BATCH) {
    const batchSeed = seed + ran
    const batch = fc.sample(specs, { seed: batchSeed, numRuns: Math.min(BATCH, runs - ran) })
    // One at a time: the runtime takes many times as long for objects that run at once.
    for (const [at, spec] of batch.entries()) {
      const finding = await runScript(plan(spec, features), features)
      if (finding === undefined) continue
      const { perSecond } = count(ran + at + 1)
      const failure = await explain({ features, seed: batchSeed, path: String(at) })
      throw new Error(`script ${ran + at + 1}, at ${perSecond} a second: ${failure}`)
    }
  }
  return count(runs)
}

async function explain({ features, seed, path }: { features: Features; seed: number; path: string }): Promise<string> {
  let failure: Failure | undefined
  const { failed } = await fc.check(
    fc.asyncProperty(scriptSpecs(features), async (spec) => {
      const script = plan(spec, features)
      const finding = await runScript(script, features)
      if (finding === undefined || (failure !== undefined && finding.kind !== failure.finding.kind)) return
      failure = { script, finding }
      throw new Error(finding.what)
    }),
    { seed, path, numRuns: 1, interruptAfterTimeLimit: SHRINK_MS_MAX },
  )
  if (!failed || failure === undefined) return `a script of seed ${seed}, path ${path} failed once, and did not again`
  const { script, finding } = await minimize(failure, features)
  return `${finding.kind}: ${finding.what}\n\n${showScript(script, finding)}\n\nseed ${seed}, path ${path}`
}
