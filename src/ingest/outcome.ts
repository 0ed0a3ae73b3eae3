// What came of an attempt to bring records to the pipeline. It is a value and not an error, because it travels from the
// object that forwards to the Worker that answers.

import { statusOf } from '../http/error-response.ts'
import { readFailure } from '../pipeline/failure.ts'

/** `reason` is for the sender, and says only what was written to be read. */
export type Outcome =
  | { readonly name: 'accepted' }
  /** Sending the same again is of no use. */
  | { readonly name: 'refused'; readonly reason: string }
  /** The pipeline may have them or not; `full` where it says that it is only too much for now. */
  | { readonly name: 'failed' | 'full'; readonly reason: string; readonly retryAfterSeconds: number }

const WORDS: Readonly<Record<Exclude<Outcome['name'], 'accepted'>, string>> = {
  refused: 'the pipeline refused the batch',
  failed: 'the pipeline failed',
  full: 'the pipeline is full',
}

/** What an error of `send` says about the batch, as the relay reads it. */
export function outcomeOf(error: unknown): Exclude<Outcome, { name: 'accepted' }> {
  const failure = readFailure(error)
  const name = failure.name === 'failed' && statusOf(error) === 429 ? 'full' : failure.name
  console.warn(`ingest: ${WORDS[name]}: ${failure.reason}`)
  const reason = isCDCError(error) ? failure.reason : `${WORDS[name]}; the Worker's log says why`
  if (failure.name === 'refused') return { name: 'refused', reason }
  return {
    name: name === 'full' ? 'full' : 'failed',
    reason,
    retryAfterSeconds: Math.ceil(failure.retryAfterMs / 1_000),
  }
}

/** Over RPC an error keeps its name and loses its class. */
function isCDCError(error: unknown): boolean {
  return error instanceof Error && error.name === 'CDCError'
}
