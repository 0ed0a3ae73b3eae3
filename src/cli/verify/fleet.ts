// Objects that the fleet knows and the table does not: of their events none has landed, so the table alone can't show that they
// are missing.

import * as z from 'zod'
import { count } from '../values.ts'
import type { WorkerClient } from '../worker.ts'
import { type Outboxes, sourceIn } from './outboxes.ts'

/** How long events may wait before that is a failure. */
const WAIT_MS_MAX = 30_000
/** Objects that are named. */
const SHOWN_MAX = 20

const pageSchema = z.object({
  members: z.array(
    z.object({
      className: z.string(),
      name: z.string().optional(),
      id: z.string(),
      ns: z.string(),
      source: z.string(),
      epoch: z.string(),
    }),
  ),
  next: z.string().optional(),
})
type Member = z.infer<typeof pageSchema>['members'][number]

/** What the fleet and the outboxes report of those whose log is not in the table. */
export interface FleetReport {
  readonly members: number
  /** How many have events that should have landed, and the first of them. */
  readonly neverLanded: number
  readonly shown: readonly string[]
}

/** A log by its names, as the set of those in the table has it. */
export function logKey({ ns, source, epoch }: Pick<Member, 'ns' | 'source' | 'epoch'>): string {
  return JSON.stringify([ns, sourceIn({ ns, source }), epoch])
}

/** @returns nothing if the Worker has no fleet. */
export async function askFleet(
  client: WorkerClient,
  outboxes: Outboxes,
  inTable: ReadonlySet<string>,
): Promise<FleetReport | undefined> {
  const shown: string[] = []
  let [members, neverLanded] = [0, 0]
  let after: string | undefined
  do {
    const page = pageSchema.safeParse(await client.fleetIfAny('list', { after })).data
    if (page === undefined) return undefined
    const { members: found, next } = page
    members += found.length
    for (const member of found.filter((each) => !inTable.has(logKey(each)))) {
      const problem = await problemOf(member, outboxes)
      if (problem === undefined) continue
      neverLanded += 1
      if (shown.length < SHOWN_MAX) shown.push(`${member.className}/${member.name ?? member.id}: ${problem}`)
    }
    after = next
  } while (after !== undefined)
  return { members, neverLanded, shown }
}

async function problemOf(member: Member, outboxes: Outboxes): Promise<string | undefined> {
  const outbox = await outboxes.ask([], member)
  if ('refusal' in outbox) return `none of its events is in the table, and it can't be asked: ${outbox.refusal}`
  // It has begun anew since, and what it had before went with its database.
  if (outbox.epoch !== member.epoch || outbox.lastLSN === 0) return undefined
  if (outbox.pendingEvents === outbox.lastLSN && outbox.lagMs < WAIT_MS_MAX) return undefined
  const pending = `${count(outbox.pendingEvents, 'event waits', 'events wait')}, the oldest for ${outbox.lagMs} ms`
  return `none of its ${count(outbox.lastLSN, 'event', 'events')} is in the table; ${pending}`
}

export function fleetProblem(fleet: FleetReport | undefined): string | undefined {
  if (fleet === undefined || fleet.neverLanded === 0) return undefined
  return `${count(fleet.neverLanded, 'object', 'objects')} of which nothing has landed`
}
