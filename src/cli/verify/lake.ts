// What waits in the lake, outside the table: a table that is whole proves nothing about what never reaches it.

import { messageOf } from '../../error.ts'
import { count } from '../values.ts'
import type { LakeReport, WorkerClient } from '../worker.ts'

/** What the lake reports, or why it does not. */
export type LakeAnswer = LakeReport | { readonly refusal: string }

/** Asks the lake. Never rejects: that it can't be asked is an answer too. */
export async function askLake(client: WorkerClient): Promise<LakeAnswer> {
  try {
    return await client.lakeStatus()
  } catch (error) {
    return { refusal: messageOf(error) }
  }
}

/** What is wrong with the lake; nothing if it keeps its promise, or was not to be asked. */
export function lakeProblem(
  lake: LakeAnswer | undefined,
): { readonly brief: string; readonly text: string } | undefined {
  if (lake === undefined) return undefined
  if ('refusal' in lake) return { brief: 'the lake was not asked', text: `it can't be asked: ${lake.refusal}` }
  if (!lake.isBehind) return undefined
  const { bufferedEvents, heldEvents, lagMs, freshnessMs, lastError } = lake
  const events = count(bufferedEvents + heldEvents, 'event waits', 'events wait')
  const reason = lastError === undefined ? '' : `; the last commit failed: ${lastError}`
  return {
    brief: 'the lake is behind',
    text: `${events}, the oldest for ${lagMs} ms, the limit is ${freshnessMs} (freshnessMs)${reason}`,
  }
}
