// Where in the work of the library a kill falls. Shared by the Worker, which stops there when it is told to, and by the
// process outside, which then kills it.

import * as z from 'zod'

/** The moments at which a kill can be made to fall, and what each is. */
export const PHASES = {
  'transaction-open': 'inside an async transaction of an object',
  unanswered: 'after an object committed, before its answer',
  'relay-taken': 'in a relay attempt, before the lake has the batch',
  'relay-accepted': 'in a relay attempt, after the lake accepted the batch',
  'lake-files': "in the lake's commit, while data files and manifests are put",
  'lake-before-metadata': "in the lake's commit, prepared, before the metadata file is put",
  'lake-after-metadata': "in the lake's commit, metadata file put, pointer not moved",
  'lake-hint': "in the lake's commit, pointer moved, hint not put",
} as const

export type Phase = keyof typeof PHASES

export const phaseSchema = z.enum(Object.keys(PHASES) as [Phase, ...Phase[]])

/** What goes on in the Worker. `held` is where it has stopped, waiting for its death. */
export const activitySchema = z.object({
  held: phaseSchema.nullable(),
  transactions: z.number(),
  attempts: z.number(),
  puts: z.number(),
  ghosts: z.number(),
})

export type Activity = z.infer<typeof activitySchema>
