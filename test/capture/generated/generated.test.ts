import { expect, it } from 'vitest'
import { featuresOf } from './features.ts'
import { search } from './search.ts'

const SCRIPTS = 320

it('[I1] is not noticed by any SQL, and its log folds to the tables', async () => {
  const { ran } = await search({ features: featuresOf(undefined), seed: 1, runs: SCRIPTS })
  expect(ran).toBe(SCRIPTS)
})
