import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { scripts, Trial } from './trial.ts'

const { VITE_FAST_CHECK_RUNS: runs = '20', VITE_FAST_CHECK_SEED: seed } = import.meta.env

it('[I3] [I4] [I6] subscriptions deliver each event that matches at least once and in order, and objects act on it once', async () => {
  const property = fc.asyncProperty(scripts, async (script) => {
    const trial = new Trial()
    for (const step of script) await trial.take(step)
    await trial.finish()
    await trial.check()
  })
  const details = await fc.check(property, { numRuns: Number(runs), ...(seed !== undefined && { seed: Number(seed) }) })
  expect(fc.defaultReportMessage(details)).toBeUndefined()
}, 600_000)
