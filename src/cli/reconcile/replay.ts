// Asks an outbox for events again that it has delivered, as far as it still keeps them.

import * as z from 'zod'
import type { LSNRange } from '../../lake/intake/ranges.ts'
import { type AdminClient, readAnswer, RefusedError, type Target } from '../admin-client.ts'

const replayedSchema = z.object({ replayed: z.int(), nextLSN: z.int().optional() })
const keptSchema = z.object({ items: z.array(z.object({ lsn: z.int() })) })

/** What came of a range. */
export interface Replayed {
  readonly replayed: number
  readonly notKept: readonly LSNRange[]
}

/** @throws {RefusedError} where the pipeline does not accept them, or whatever else goes wrong. */
export async function replayRange(client: AdminClient, target: Target, range: LSNRange): Promise<Replayed> {
  const notKept: LSNRange[] = []
  let replayed = 0
  for (let from: number | undefined = range.first; from !== undefined && from <= range.last;) {
    const keptLSN: number | undefined = await firstKept(client, target, { first: from, last: range.last })
    if (keptLSN !== from) notKept.push({ first: from, last: (keptLSN ?? range.last + 1) - 1 })
    if (keptLSN === undefined) break
    const answer: z.infer<typeof replayedSchema> | undefined = await replay(client, target, {
      first: keptLSN,
      last: range.last,
    })
    replayed += answer?.replayed ?? 0
    from = answer === undefined ? keptLSN : answer.nextLSN
  }
  return { replayed, notKept }
}

async function firstKept(client: AdminClient, target: Target, { first, last }: LSNRange): Promise<number | undefined> {
  const answer = await client.call(target, 'list', { from: first, to: last, status: 'delivered', limit: 1 })
  return readAnswer(keptSchema, answer).items[0]?.lsn
}

/** @returns nothing where they are not kept any more, since a moment ago. */
async function replay(client: AdminClient, target: Target, { first, last }: LSNRange) {
  try {
    return readAnswer(replayedSchema, await client.call(target, 'replay', { fromLSN: first, toLSN: last }))
  } catch (error) {
    if (error instanceof RefusedError && error.code === 'not-found') return undefined
    throw error
  }
}
