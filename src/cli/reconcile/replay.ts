// Asks an outbox to send events again that it has delivered, as far as it still keeps them.

import * as z from 'zod'
import type { LSNRange } from '../../lake/intake/ranges.ts'
import { readAnswer, RefusedError, type Target, type WorkerClient } from '../worker.ts'

const replayedSchema = z.object({ replayed: z.int(), nextLSN: z.int().optional() })
const keptSchema = z.object({ items: z.array(z.object({ lsn: z.int() })) })

/** The result for a range. */
export interface Replayed {
  readonly replayed: number
  readonly notKept: readonly LSNRange[]
}

/** @throws {RefusedError} if the pipeline does not accept them, or the call is refused for another reason. */
export async function replayRange(client: WorkerClient, target: Target, range: LSNRange): Promise<Replayed> {
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

async function firstKept(client: WorkerClient, target: Target, { first, last }: LSNRange): Promise<number | undefined> {
  const answer = await client.call(target, 'list', { from: first, to: last, status: 'delivered', limit: 1 })
  return readAnswer(keptSchema, answer).items[0]?.lsn
}

/** @returns nothing if the first of them has just been pruned. */
async function replay(client: WorkerClient, target: Target, { first, last }: LSNRange) {
  try {
    return readAnswer(replayedSchema, await client.call(target, 'replay', { fromLSN: first, toLSN: last }))
  } catch (error) {
    if (error instanceof RefusedError && error.code === 'not-found') return undefined
    throw error
  }
}
