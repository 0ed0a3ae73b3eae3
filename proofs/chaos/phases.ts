// Where in the work of the library a kill falls. Shared by the Worker, which stops there on request, and the outer
// process, which then kills it.

import * as z from 'zod'

/** The phases in which a kill can be made to fall, in words for the summary. */
export const PHASES = {
  'transaction-open': 'inside an async transaction of an object',
  unanswered: 'after an object committed, before its answer',
  'relay-taken': 'in a relay attempt, before the lake has the batch',
  'relay-accepted': 'in a relay attempt, after the lake accepted the batch',
  'lake-files': "in the lake's commit, while data files and manifests are put",
  'lake-before-metadata': "in the lake's commit, prepared, before the metadata file is put",
  'lake-after-metadata': "in the lake's commit, metadata file put, pointer not moved",
  snapshot: 'inside a running table snapshot',
  'delete-all': 'inside a deleteAll',
  'lake-hint': "in the lake's commit, pointer moved, hint not put",
  'shard-offering': 'in a hand-over of a shard, before the lake has the offer',
  'shard-offered': 'in a hand-over of a shard, after the lake took the offer',
} as const

/** Those that are only in a lake with shards, and only in one with its own catalog. */
const OF_SHARDS: readonly Phase[] = ['shard-offering', 'shard-offered']
const OF_OWN_CATALOG: readonly Phase[] = ['lake-before-metadata', 'lake-after-metadata', 'lake-hint']

/** The phases that there are in a lake. */
export function phasesOf({ hasShards, hasOwnCatalog }: { hasShards: boolean; hasOwnCatalog: boolean }): Phase[] {
  return phaseSchema.options.filter(
    (phase) => (hasShards || !OF_SHARDS.includes(phase)) && (hasOwnCatalog || !OF_OWN_CATALOG.includes(phase)),
  )
}

export type Phase = keyof typeof PHASES

export const phaseSchema = z.enum(Object.keys(PHASES) as [Phase, ...Phase[]])

/** What the Worker is doing. `held` is the phase in which it waits to be killed. */
export const activitySchema = z.object({
  held: phaseSchema.nullable(),
  transactions: z.number(),
  attempts: z.number(),
  puts: z.number(),
  ghosts: z.number(),
})

export type Activity = z.infer<typeof activitySchema>
