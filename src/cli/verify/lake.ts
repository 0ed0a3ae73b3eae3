// What waits in the lake, outside the table: a table that is whole proves nothing about what never reaches it.

import { messageOf } from '../../error.ts'
import { count } from '../values.ts'
import type { LakeReport, WorkerClient } from '../worker.ts'

/** What the lake reports, or why it does not. */
export type LakeAnswer = (LakeReport & { readonly tableVersion: number }) | { readonly refusal: string }

/** Asks the lake, after the table was read at a version. Never rejects: that it can't be asked is an answer too. */
export async function askLake(client: WorkerClient, tableVersion: number): Promise<LakeAnswer> {
  try {
    return { ...(await client.lakeStatus()), tableVersion }
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
  if (lake.version < lake.tableVersion)
    return {
      brief: 'the lake has lost its place',
      text:
        `its own database is at version ${lake.version} and the table at ${lake.tableVersion}, so it can't commit: the ` +
        'database is new or from an older copy, or another lake writes to the table; see durable-outbox recover',
    }
  if (!lake.isBehind)
    return lake.lastError === undefined
      ? undefined
      : { brief: 'the lake does not commit', text: `the last commit failed: ${lake.lastError}` }
  const { bufferedEvents, heldEvents, lagMs, freshnessMs, lastError } = lake
  const events = count(bufferedEvents + heldEvents, 'event waits', 'events wait')
  const reason = lastError === undefined ? '' : `; the last commit failed: ${lastError}`
  return {
    brief: 'the lake is behind',
    text: `${events}, the oldest for ${lagMs} ms, the limit is ${freshnessMs} (freshnessMs)${reason}`,
  }
}
