// The one row of _cdc_state, as the code sees it.

import * as z from 'zod'
import type { Identity } from './identity.ts'

export interface OutboxState extends Identity {
  readonly object: string | null
  readonly epochLSN: number
  readonly ackedLSN: number
  readonly ackedBytes: number
  readonly prunedBytes: number
  readonly isPaused: boolean
  readonly batchLSN: number
  readonly attemptsBegun: number
  readonly attemptsEnded: number
  readonly firstAttemptMs: number
  readonly nextAttemptMs: number
  readonly lastError: string | null
  readonly suspectLSN: number
}

const rowSchema = z.object({
  object: z.string().nullable(),
  ns: z.string(),
  source: z.string(),
  epoch: z.string(),
  epoch_lsn: z.number(),
  acked_lsn: z.number(),
  acked_bytes: z.number(),
  pruned_bytes: z.number(),
  paused: z.number(),
  batch_lsn: z.number(),
  attempts_begun: z.number(),
  attempts_ended: z.number(),
  first_attempt: z.number(),
  next_attempt: z.number(),
  last_error: z.string().nullable(),
  suspect_lsn: z.number(),
})

/** The state; undefined if there is none yet. */
export function readState(sql: Pick<SqlStorage, 'exec'>): OutboxState | undefined {
  const [row] = sql.exec('SELECT * FROM _cdc_state').toArray()
  return row === undefined ? undefined : parseState(row)
}

function parseState(row: Record<string, SqlStorageValue>): OutboxState {
  const { object, ns, source, epoch, ...state } = rowSchema.parse(row)
  return {
    object,
    ns,
    source,
    epoch,
    epochLSN: state.epoch_lsn,
    ackedLSN: state.acked_lsn,
    ackedBytes: state.acked_bytes,
    prunedBytes: state.pruned_bytes,
    isPaused: state.paused === 1,
    batchLSN: state.batch_lsn,
    attemptsBegun: state.attempts_begun,
    attemptsEnded: state.attempts_ended,
    firstAttemptMs: state.first_attempt,
    nextAttemptMs: state.next_attempt,
    lastError: state.last_error,
    suspectLSN: state.suspect_lsn,
  }
}
