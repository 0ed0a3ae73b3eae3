// The last deliveries of a subscription, as they are kept in its row.

import type { DeliveryNote } from '../outbox/subscription-state.ts'

/** So many are kept: they lie in one row, which is written with each. */
const DELIVERIES_KEPT = 20
/** Characters of a reason that are kept here; the last one is in the row as a whole. */
const REASON_LENGTH = 120

/** Adds a delivery. One that is tried again takes the place of its last attempt. */
export function noteDelivery(notes: readonly DeliveryNote[], { reason, ...note }: DeliveryNote): DeliveryNote[] {
  const last = notes.at(-1)
  const isSame = last?.status === 'failed' && last.firstLSN === note.firstLSN
  const added = { ...note, ...(reason !== undefined && { reason: reason.slice(0, REASON_LENGTH).toWellFormed() }) }
  return [...(isSame ? notes.slice(0, -1) : notes), added].slice(-DELIVERIES_KEPT)
}
