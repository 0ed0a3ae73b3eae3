// Time of an exact vector search against a plain loop over the same embeddings in memory.

import * as z from 'zod'
import type { Figure } from './figure.ts'
import type { SearchLoad } from './search-object.ts'
import { callWorker } from './workerd.ts'

const LOAD: SearchLoad = { vectors: 10_000, dimension: 128, limit: 10, rounds: 15, searches: 20 }

const timesSchema = z.object({
  rounds: z.array(z.object({ loop: z.number().positive(), search: z.number().positive() })),
  afterChangeMs: z.number(),
  fromSQLiteMs: z.number(),
  filteredMs: z.number(),
})

export const searchFigures: readonly Figure[] = [
  {
    name: 'store.vector.search.ratio',
    unit: `× the time of a plain typed-array loop, ${LOAD.vectors} embeddings of ${LOAD.dimension} numbers`,
    goal: { atMost: 3 },
    measure: measureSearch,
  },
]

/** The median over the rounds. */
async function measureSearch(): Promise<number> {
  const { rounds, ...others } = timesSchema.parse(await callWorker('/search/vectors', LOAD))
  const ratios = rounds.map(({ loop, search }) => search / loop).toSorted((a, b) => a - b)
  const perSearch = (side: 'loop' | 'search'): string =>
    (Math.min(...rounds.map((round) => round[side])) / LOAD.searches).toFixed(2)
  console.error(
    `store.vector.search: ratios ${ratios[0]?.toFixed(2)} to ${ratios.at(-1)?.toFixed(2)}; ${perSearch('search')} ms a search, ` +
      `${perSearch('loop')} ms the loop; after a change ${others.afterChangeMs.toFixed(1)} ms, ` +
      `the first one ${others.fromSQLiteMs.toFixed(1)} ms, with a filter for a tenth ${others.filteredMs.toFixed(1)} ms`,
  )
  return ratios[Math.floor(ratios.length / 2)] ?? Number.NaN
}
