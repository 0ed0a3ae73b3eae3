// Whether an event that was seen is the one that was committed. What the model can't know (ids that the library makes) is
// learnt when it is first seen, and must not change.

import { expect } from 'vitest'
import type { Entry, EpochLog } from './model.ts'

/** What a listed event and a record on the wire have in common. */
export interface Seen {
  readonly lsn: number
  readonly id: string
  readonly type: string
  readonly timestamp: string
  readonly txid: string
  readonly data?: object
  readonly _meta: object
}

/** The reason of a dead letter whose sends were interrupted: an earlier one of them may have been accepted. */
const INTERRUPTED = /^the runtime ended/

/** Checks an event against the entry of its LSN: it is that event, or the record of the dead letter that it became. */
export function checkEvent(seen: Seen, entry: Entry, log: EpochLog): void {
  const isRecord = seen.type === 'cdc.dead_letter'
  const { redrivenFrom } = entry
  const timeMs = isRecord ? entry.timeMs : (entry.happenedMs ?? entry.timeMs)
  if (isRecord && entry.refusal === undefined)
    throw new Error(`I3: LSN ${seen.lsn} is the record of a dead letter, and there is none`)
  entry.txid ??= seen.txid
  expect(seen, `I1/I2: the event of LSN ${seen.lsn}`).toMatchObject({
    lsn: entry.lsn,
    timestamp: new Date(timeMs).toISOString(),
    txid: entry.txid,
    ...(isRecord ? expectedRecord(seen, entry) : expectedEvent(seen, entry)),
    _meta: {
      epoch: log.epoch,
      source: log.source,
      ...(redrivenFrom !== undefined && !isRecord && { redrivenFrom }),
    },
  })
}

/** Checks that what was delivered is allowed: no poison, and the record in place of a dead letter. */
export function checkDelivered({ type, lsn }: Pick<Seen, 'type' | 'lsn'>, { refusal }: Entry): void {
  if (type === 'Poison') throw new Error(`I3: the poison of LSN ${lsn} counts as delivered`)
  if (refusal !== undefined && type !== 'cdc.dead_letter' && !INTERRUPTED.test(refusal.reason))
    throw new Error(`I3: LSN ${lsn} was delivered and is a dead letter: ${refusal.reason}`)
}

function expectedEvent(seen: Seen, entry: Entry): Pick<Seen, 'id' | 'type' | 'data'> {
  entry.id ??= seen.id
  const { id, type, data } = entry
  return { id, type, data }
}

function expectedRecord(seen: Seen, { id, type, refusal = { reason: '' } }: Entry): Pick<Seen, 'id' | 'data'> {
  refusal.recordId ??= seen.id
  return { id: refusal.recordId, data: { id, type, reason: refusal.reason } }
}
