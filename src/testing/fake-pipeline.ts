// Takes the place of a Basin Pipelines (Cloudflare Pipelines) binding, with its limits and its behaviour: records go through
// JSON, a request is at most 5 MB, a record that doesn't fit the stream is accepted and dropped, nothing is deduplicated, and
// after an error the records may have been kept or not.

import { WorkerEntrypoint } from 'cloudflare:workers'
import { messageOf } from '../error.ts'
import type { EventRecord } from '../event/record.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import { type DetailedFate, type Failure, takeFate } from './fate.ts'
import { reachPoint } from './points.ts'
import { acceptedBatches, keep, noteAttempt, nsOf } from './received.ts'

/** UTF-8 bytes of a request as JSON. Basin Pipelines documents 5 MB. */
export const REQUEST_BYTES_MAX = 5_000_000

/**
 * How long a send to the binding hangs before it fails after all: twice the default timeout of the relay. It cannot hang for
 * ever, because workerd ends a request at once if it waits for nothing.
 */
export const HANG_MS = 60_000

/** The outcome of a send: undefined if it is answered, a failure, or no answer. */
export type Outcome = Failure | 'no-answer' | undefined

const utf8 = new TextEncoder()

/**
 * The fake pipeline as a binding: export it from the test's Worker, and bind it as `EVENTS_PIPELINE` with a `[[services]]`
 * entry in its wrangler.toml.
 */
export class FakePipeline extends WorkerEntrypoint implements Pipeline {
  /** @throws {Error} as `nextFates` and `setFate` demand; workerd prints each as an uncaught exception. */
  async send(records: EventRecord[]): Promise<void> {
    const outcome = await receive(records)
    if (outcome === 'no-answer') await scheduler.wait(HANG_MS)
    throwFailure(outcome === 'no-answer' ? { message: 'the connection broke, much later' } : outcome)
  }

  /** Like `send`, but returns the outcome: for `fakePipeline(binding)`, whose errors workerd does not print. */
  attempt(records: EventRecord[]): Promise<Outcome> {
    return receive(records)
  }
}

/**
 * The fake pipeline as an object to return from `configure()`. When it fails, nothing is printed.
 *
 * @param binding a bound `FakePipeline`: the records then go through a real RPC call, as to a real pipeline.
 */
export function fakePipeline(binding?: Pick<FakePipeline, 'attempt'>): Pipeline {
  return {
    async send(records) {
      // No pipeline answers within the turn of its caller: other requests run meanwhile, here as there.
      if (binding === undefined) await scheduler.wait(0)
      reachPoint('before the pipeline takes a batch')
      const outcome = await (binding === undefined ? receive(records) : binding.attempt(records))
      reachPoint('after the pipeline took a batch')
      // It hangs here, in the object, and not as an open call: an eviction would wait for the end of that.
      if (outcome === 'no-answer') return new Promise<never>(() => undefined)
      throwFailure(outcome)
    },
  }
}

/** Takes what was sent, of any type. */
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
    return { message: `send: records cannot be JSON: ${messageOf(error)}` }
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
