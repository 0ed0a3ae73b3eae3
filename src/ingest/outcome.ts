// The outcome of sending records to the pipeline. It is a value, not an error, because it travels from the object that forwards
// to the Worker that answers.

import { propertyOf } from '../error.ts'
import { statusOf } from '../http/error-response.ts'
import { readFailure } from '../pipeline/failure.ts'

/** `reason` is for the sender, and holds only words that were written for it. */
export type Outcome =
  | { readonly name: 'accepted' }
  /** The same batch would be refused again. */
  | { readonly name: 'refused'; readonly reason: string }
  /** The pipeline may have them or not; `full` if it answered that it is too much for now. */
  | { readonly name: 'failed' | 'full'; readonly reason: string; readonly retryAfterSeconds: number }

const WORDS: Readonly<Record<Exclude<Outcome['name'], 'accepted'>, string>> = {
  refused: 'the pipeline refused the batch',
  failed: 'the pipeline failed',
  full: 'the pipeline is full',
}

/** What an error of `send` means for the batch. The relay reads it in the same way. */
export function outcomeOf(error: unknown): Exclude<Outcome, { name: 'accepted' }> {
  const failure = readFailure(error)
  const name = failure.name === 'failed' && statusOf(error) === 429 ? 'full' : failure.name
  console.warn(`ingest: ${WORDS[name]}: ${failure.reason}`)
  const reason = isCDCError(error) ? failure.reason : `${WORDS[name]}; see the Worker's log`
  if (failure.name === 'refused') return { name: 'refused', reason }
  return {
    name: name === 'full' ? 'full' : 'failed',
    reason,
    retryAfterSeconds: Math.ceil(failure.retryAfterMs / 1_000),
  }
}

/** Over RPC an error keeps its name and loses its class. */
function isCDCError(error: unknown): boolean {
  return propertyOf(error, 'name') === 'CDCError'
}
