// Stands in for a Basin Pipelines (Cloudflare Pipelines) binding, with its limits and its manners: whatever is sent goes
// through JSON, a request is at most 5 MB, nothing is deduplicated, and an error says nothing about what was kept.

import { WorkerEntrypoint } from 'cloudflare:workers'
import type { EventRecord } from '../src/event/record.ts'

const REQUEST_BYTES_MAX = 5_000_000

/** What becomes of one `send`: accepted, refused, or accepted with the answer lost. Then all is accepted again. */
export type Fate = 'accept' | 'reject' | 'lose-answer' | 'hang'

const batches: EventRecord[][] = []
const attempts: EventRecord[][] = []
let fates: Fate[] = []

export class FakePipeline extends WorkerEntrypoint {
  async send(records: EventRecord[]): Promise<void> {
    const body = JSON.stringify(records)
    if (!Array.isArray(records)) throw new TypeError('records must be an array')
    if (new TextEncoder().encode(body).byteLength > REQUEST_BYTES_MAX) throw new Error('request is larger than 5 MB')
    const received = JSON.parse(body) as EventRecord[]
    attempts.push(received)
    const fate = fates.shift() ?? 'accept'
    if (fate === 'hang') await new Promise(() => undefined)
    if (fate === 'reject') throw new Error('the pipeline refused')
    batches.push(received)
    if (fate === 'lose-answer') throw new Error('the connection broke')
  }
}

/** What the next sends will meet, in order. */
export function nextFates(...next: Fate[]): void {
  fates = next
}

/** The batches of one object that were accepted, in order; of all objects, as they share the pipeline, only its own. */
export function acceptedBatches(ns: string): EventRecord[][] {
  return batches.filter((batch) => batch[0]?.ns === ns)
}

/** The records of one object that were accepted, in order, as often as they were. */
export function acceptedRecords(ns: string): EventRecord[] {
  return acceptedBatches(ns).flat()
}

/** Every send of one object, whatever became of it. */
export function attemptedBatches(ns: string): EventRecord[][] {
  return attempts.filter((batch) => batch[0]?.ns === ns)
}
