// Stands in for a Basin Pipelines (Cloudflare Pipelines) binding, with its limits and its manners: whatever is sent goes
// through JSON, a request is at most 5 MB, nothing is deduplicated, and an error says nothing about what was kept.

import { env, WorkerEntrypoint } from 'cloudflare:workers'
import type { EventRecord, Pipeline } from 'durable-outbox'

const REQUEST_BYTES_MAX = 5_000_000
/** Long after the tests' relay has given up; no test waits for it. */
const HANG_MS = 2_000

/** What becomes of one `send`: accepted, refused, accepted with the answer lost, or never answered. */
export type Fate = 'accept' | 'reject' | 'lose-answer' | 'hang'

const FAILURES: Record<Fate, string | undefined> = {
  accept: undefined,
  reject: 'the pipeline refused',
  'lose-answer': 'the connection broke',
  hang: 'the connection broke, much later',
}

const accepted: EventRecord[][] = []
const attempted: EventRecord[][] = []
const fates = new Map<string, Fate[]>()

export class FakePipeline extends WorkerEntrypoint {
  async send(records: EventRecord[]): Promise<void> {
    const failure = await this.meetFate(records)
    if (failure !== undefined) throw new Error(failure)
  }

  /** Like `send`, but says how it failed: the runtime prints what an entrypoint throws, and tests throw much. */
  async meetFate(records: EventRecord[]): Promise<string | undefined> {
    if (!Array.isArray(records)) return 'records must be an array'
    const body = JSON.stringify(records)
    if (new TextEncoder().encode(body).byteLength > REQUEST_BYTES_MAX) return 'the request is larger than 5 MB'
    const received = JSON.parse(body) as EventRecord[]
    attempted.push(received)
    const fate = fates.get(received[0]?.ns ?? '')?.shift() ?? 'accept'
    if (fate === 'accept' || fate === 'lose-answer') accepted.push(received)
    if (fate === 'hang') await scheduler.wait(HANG_MS)
    return FAILURES[fate]
  }
}

/** The binding, failing quietly. */
export const fakePipeline: Pipeline = {
  async send(records) {
    const failure = await env.EVENTS_PIPELINE.meetFate(records)
    if (failure !== undefined) throw new Error(failure)
  },
}

/** What the next sends of an object will meet, in order; after these, and without any, all is accepted. */
export function nextFates(ns: string, ...next: Fate[]): void {
  fates.set(ns, next)
}

/** The batches of one object that were accepted, in order. */
export function acceptedBatches(ns: string): EventRecord[][] {
  return accepted.filter((batch) => batch[0]?.ns === ns)
}

/** The records of one object that were accepted, in order, as often as they were. */
export function acceptedRecords(ns: string): EventRecord[] {
  return acceptedBatches(ns).flat()
}

/** Every send of one object, whatever became of it. */
export function attemptedBatches(ns: string): EventRecord[][] {
  return attempted.filter((batch) => batch[0]?.ns === ns)
}
