// What the fake pipeline has received. In the test runner a test and the Worker under test share one isolate, so both see the
// same; each test file has its own, and within a file tests are kept separate by the ns of their objects.

import type { EventRecord } from '../event/record.ts'
import { ALL_NS, forgetFates, type NsChoice } from './fate.ts'
import { findMisfit, type Misfit, takeColumns } from './stream-schema.ts'

/** A record that was accepted and then dropped, because it doesn't fit the stream. */
export interface DroppedRecord extends Misfit {
  /** As it was read from JSON. */
  readonly record: unknown
}

let attempted: unknown[][] = []
let accepted: EventRecord[][] = []
let dropped: DroppedRecord[] = []
const drained = new Map<string, number>()

/** How many sends have arrived, of all objects. */
export function countAttempts(): number {
  return attempted.length
}

/** Notes that a batch has arrived, accepted or not. */
export function noteAttempt(batch: unknown[]): void {
  attempted.push(batch)
}

/** Keeps the records of a batch that fit the stream, and drops the others. */
export function keep(batch: readonly unknown[]): void {
  const kept: EventRecord[] = []
  for (const record of batch) {
    const misfit = findMisfit(record)
    if (misfit !== undefined) dropped.push({ record, ...misfit })
    // It was just checked against the stream; its other fields are as typed as its sender was.
    else kept.push(takeColumns(record as EventRecord))
  }
  accepted.push(kept)
}

/** The ns that a batch belongs to, by its first record. */
export function nsOf(batch: readonly unknown[]): string {
  const ns = fieldOf(batch[0], 'ns')
  return typeof ns === 'string' ? ns : ''
}

/** Every send of an object in the order of arrival, as it was sent, accepted or not. */
export function attemptedBatches(ns: NsChoice): EventRecord[][] {
  // As typed as their sender was; records that don't fit the stream are among them.
  return batchesOf(ns, attempted as EventRecord[][])
}

/** The batches of an object that were accepted, in the order of arrival, as often as they arrived. */
export function acceptedBatches(ns: NsChoice): EventRecord[][] {
  return batchesOf(ns, accepted)
}

/** The records of an object that were accepted, in the order of arrival, as often as they arrived. */
export function acceptedRecords(ns: NsChoice): EventRecord[] {
  return acceptedBatches(ns).flat()
}

/** The records of an object that were accepted and then dropped, with the reason. */
export function droppedRecords(ns: NsChoice): DroppedRecord[] {
  return dropped.filter(({ record }) => isOf(ns, record))
}

/** The records that were accepted since the last call for this ns. */
export function takeAccepted(ns: string): EventRecord[] {
  const records = acceptedRecords(ns)
  const since = records.slice(drained.get(ns) ?? 0)
  drained.set(ns, records.length)
  return since
}

/** Forgets all that was received of an object, and its fates, as at the beginning of a test file. */
export function forget(ns: NsChoice): void {
  forgetFates(ns)
  attempted = batchesWithout(ns, attempted)
  accepted = batchesWithout(ns, accepted)
  dropped = dropped.filter(({ record }) => !isOf(ns, record))
  if (ns === ALL_NS) drained.clear()
  else drained.delete(ns)
}

function batchesOf<Item>(ns: NsChoice, batches: readonly Item[][]): Item[][] {
  return batches.map((batch) => batch.filter((record) => isOf(ns, record))).filter((batch) => batch.length > 0)
}

function batchesWithout<Item>(ns: NsChoice, batches: readonly Item[][]): Item[][] {
  return batches.map((batch) => batch.filter((record) => !isOf(ns, record))).filter((batch) => batch.length > 0)
}

function isOf(ns: NsChoice, record: unknown): boolean {
  return ns === ALL_NS || fieldOf(record, 'ns') === ns
}

function fieldOf(record: unknown, name: string): unknown {
  return typeof record === 'object' && record !== null
    ? Object.getOwnPropertyDescriptor(record, name)?.value
    : undefined
}
