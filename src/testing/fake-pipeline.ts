// Stands in for a Basin Pipelines (Cloudflare Pipelines) binding, with its limits and its manners: whatever is sent goes
// through JSON, a request is at most 5 MB, what doesn't fit the stream is accepted and dropped, nothing is deduplicated,
// and an error says nothing about what was kept.

import { WorkerEntrypoint } from 'cloudflare:workers'
import { messageOf } from '../error.ts'
import type { EventRecord } from '../event/record.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import { type DetailedFate, type Failure, takeFate } from './fate.ts'
import { acceptedBatches, keep, noteAttempt, nsOf } from './received.ts'

/** UTF-8 bytes of a request as JSON: what Basin Pipelines documents, 5 MB. */
export const REQUEST_BYTES_MAX = 5_000_000

/**
 * How long a send to the binding hangs before it fails after all: twice the relay's own default of patience. For ever is
 * not possible there, because workerd ends a request that waits for nothing at once.
 */
export const HANG_MS = 60_000

/** What a send comes to: kept, failed, or never answered. */
export type Outcome = Failure | 'no-answer' | undefined

const utf8 = new TextEncoder()

/**
 * The fake pipeline as a binding: export it from the test's Worker, and bind it as `EVENTS_PIPELINE` with a
 * `[[services]]` entry of its wrangler.toml.
 */
export class FakePipeline extends WorkerEntrypoint implements Pipeline {
  /** @throws {Error} whatever `nextFates` and `setFate` want; workerd prints each as an uncaught exception. */
  async send(records: EventRecord[]): Promise<void> {
    const outcome = await receive(records)
    if (outcome === 'no-answer') await scheduler.wait(HANG_MS)
    throwFailure(outcome === 'no-answer' ? { message: 'the connection broke, much later' } : outcome)
  }

  /** Like `send`, but says what it comes to: for `fakePipeline(binding)`, which does it where nothing is printed. */
  attempt(records: EventRecord[]): Promise<Outcome> {
    return receive(records)
  }
}

/**
 * The fake pipeline as an object to return from `configure()`. It fails without a line in the log.
 *
 * @param binding a bound `FakePipeline`: then the records go through a real RPC call, as to a real pipeline.
 */
export function fakePipeline(binding?: Pick<FakePipeline, 'attempt'>): Pipeline {
  return {
    async send(records) {
      // No pipeline answers within the turn of its caller: other requests come between here as they would there.
      if (binding === undefined) await scheduler.wait(0)
      const outcome = await (binding === undefined ? receive(records) : binding.attempt(records))
      // Here, in the object that waits, and not as a call that is open: an eviction would wait for its end.
      if (outcome === 'no-answer') return new Promise<never>(() => undefined)
      throwFailure(outcome)
    },
  }
}

/** Takes what was sent as it is, of whatever type. */
async function receive(records: unknown): Promise<Outcome> {
  if (!Array.isArray(records)) return { message: 'send: records must be an array' }
  const body = encode(records)
  if (typeof body !== 'string') return body
  const batch = JSON.parse(body) as unknown[]
  noteAttempt(batch)
  const bytes = utf8.encode(body).byteLength
  if (bytes > REQUEST_BYTES_MAX)
    return { message: `send: the request is ${bytes} bytes, the limit is ${REQUEST_BYTES_MAX}` }
  return meetFate(takeFate(nsOf(batch)), batch)
}

function encode(records: unknown[]): string | Failure {
  try {
    return JSON.stringify(records)
  } catch (error) {
    return { message: `send: records are no JSON: ${messageOf(error)}` }
  }
}

async function meetFate(fate: DetailedFate, batch: unknown[]): Promise<Outcome> {
  switch (fate.do) {
    case 'accept':
      keep(batch)
      return undefined
    case 'reject':
      return { message: 'the pipeline refused', ...fate.error }
    case 'lose-answer':
      keep(batch)
      return { message: 'the connection broke', ...fate.error }
    case 'hang':
      return 'no-answer'
    case 'deliver-twice':
      keep(batch)
      keep(batch)
      return undefined
    case 'replay-older':
      keep(batch)
      keep(acceptedBatches(nsOf(batch))[0] ?? [])
      return undefined
    case 'full':
      return { message: 'the stream is full', retryable: true, status: 429 }
    case 'delay':
      await scheduler.wait(fate.ms)
      keep(batch)
      return undefined
    case 'slow':
      await scheduler.wait(fate.msPerRecord * batch.length)
      keep(batch)
      return undefined
  }
}

function throwFailure(failure: Failure | undefined): void {
  if (failure === undefined) return
  const { message, ...properties } = failure
  throw Object.assign(new Error(message), properties)
}
