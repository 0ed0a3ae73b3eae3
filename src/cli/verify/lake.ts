// What waits in the lake, outside the table: a table that is whole proves nothing about what never reaches it.

import { messageOf } from '../../error.ts'
import { count } from '../values.ts'
import type { LakeReport, WorkerClient } from '../worker.ts'

/** What the lake reports, or why it does not. */
export type LakeAnswer = { readonly refusal: string } | (LakeReport & CheckedVersion)

interface CheckedVersion {
  /** The version of the table that was read, and the one that the lake had committed before. */
  readonly checkedVersion: number
  readonly committedVersion: number
}

/**
 * Asks the lake before and after the table is checked: what it had committed before must be in the table, and what waits
 * after is late. Never rejects because of the lake: that it can't be asked is an answer too.
 */
export async function askAround<Checked extends { readonly version: number }>(
  client: WorkerClient,
  check: () => Promise<Checked>,
): Promise<Checked & { readonly lake: LakeAnswer }> {
  const before = await ask(client)
  const report = await check()
  if ('refusal' in before) return { ...report, lake: before }
  const after = await ask(client)
  if ('refusal' in after) return { ...report, lake: after }
  return { ...report, lake: { ...after, checkedVersion: report.version, committedVersion: before.version } }
}

async function ask(client: WorkerClient): Promise<LakeReport | { readonly refusal: string }> {
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
  const { checkedVersion, committedVersion } = lake
  if (checkedVersion < committedVersion)
    return {
      brief: 'the bucket is older than the lake',
      text:
        `it has committed version ${committedVersion} of the table, and the newest in the bucket is ${checkedVersion}: ` +
        'this is another bucket than its own, or an older copy was restored; see durable-outbox recover',
    }
  // In a catalog that is not the lake's own, others may have committed since it did.
  if (lake.version < checkedVersion && lake.catalog === undefined)
    return {
      brief: 'the lake has lost its place',
      text:
        `its own database is at version ${lake.version} and the table at ${checkedVersion}, so it can't commit: the ` +
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
