import { expect, it } from 'vitest'
import { featuresOf } from '../capture/generated/features.ts'
import { search } from '../capture/generated/search.ts'

/** How many scripts, from which seed, and with which features of the generator. */
const {
  VITE_FAST_CHECK_RUNS: runs = '500',
  VITE_FAST_CHECK_SEED: seed = String(Date.now() % 1_000_000_000),
  VITE_CAPTURE_FEATURES: features,
} = import.meta.env
/** On a machine that does other things beside; else it is a tenth of that. */
const MS_PER_SCRIPT_MAX = 500

it(
  '[I11] is not noticed by any SQL, and its log folds to the tables, whatever the SQL',
  async () => {
    const { ran, perSecond } = await search({
      features: featuresOf(features),
      seed: Number(seed),
      runs: Number(runs),
    })
    console.log(`capture: ${ran} scripts from seed ${seed}, ${perSecond} a second`)
    expect(ran).toBe(Number(runs))
  },
  120_000 + Number(runs) * MS_PER_SCRIPT_MAX,
)
