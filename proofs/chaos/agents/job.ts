// What a client asks an agent for, and what the agent reports. Shared by the Worker and the outer process.

import * as z from 'zod'

/** Who calls the agent back: a schedule or the queue of the SDK, or a named alarm of the outbox. */
export const WAYS = ['schedule', 'queue', 'named alarm'] as const

export const jobSchema = z.object({ id: z.string(), way: z.enum(WAYS), seconds: z.int().min(0) })

export type Job = z.infer<typeof jobSchema>

export const reportSchema = z.object({
  /** The id of each job that committed, in order. */
  asked: z.array(z.string()),
  /** How many times each job was carried out. */
  runs: z.record(z.string(), z.int()),
  /** The number of jobs in the agent's state, which the SDK keeps. */
  stateJobs: z.int(),
  pendingEvents: z.int(),
  deadLetters: z.int(),
})

export type Report = z.infer<typeof reportSchema>
