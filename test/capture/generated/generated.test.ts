import { expect, it } from 'vitest'
import { featuresOf } from './features.ts'
import { search } from './search.ts'

const SCRIPTS = 320

/** On two idle cores it takes a tenth of that. */
const TIMEOUT_MS = 240_000

it(
  '[I11] is not noticed by any SQL, and its log folds to the tables',
  async () => {
    const { ran } = await search({ features: featuresOf('+counters'), seed: 1, runs: SCRIPTS })
    expect(ran).toBe(SCRIPTS)
  },
  TIMEOUT_MS,
)
