// The one row of _cdc_state, with the names of the code.

import type { Identity } from './identity.ts'

/** A part of the log that takes no more rows, in a table of its own: what its last row has. */
export interface Segment {
  readonly lastLSN: number
  /** The running total. */
  readonly bytes: number
  readonly timeMs: number
}

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
  /** Oldest first. */
  readonly segments: readonly Segment[]
  readonly sealedLSN: number
  readonly sealedBytes: number
  readonly fleet: string
}

/** A row of _cdc_state, as the migrations have it. */
type StateRow = {
  object: string | null
  ns: string
  source: string
  epoch: string
  epoch_lsn: number
  acked_lsn: number
  acked_bytes: number
  pruned_bytes: number
  paused: number
  batch_lsn: number
  attempts_begun: number
  attempts_ended: number
  first_attempt: number
  next_attempt: number
  last_error: string | null
  suspect_lsn: number
  segments: string
  sealed_lsn: number
  sealed_bytes: number
  fleet: string
}

/** The state; undefined if there is none yet. */
export function readState(sql: Pick<SqlStorage, 'exec'>): OutboxState | undefined {
  const [row] = sql.exec<StateRow>('SELECT * FROM _cdc_state').toArray()
  return row === undefined ? undefined : parseState(row)
}

function parseState({ object, ns, source, epoch, ...state }: StateRow): OutboxState {
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
    segments: state.segments === '[]' ? [] : parseSegments(state.segments),
    sealedLSN: state.sealed_lsn,
    sealedBytes: state.sealed_bytes,
    fleet: state.fleet,
  }
}

/** As `_cdc_state` has them. */
export function segmentsText(segments: readonly Segment[]): string {
  return JSON.stringify(segments.map(({ lastLSN, bytes, timeMs }) => [lastLSN, bytes, timeMs]))
}

function parseSegments(text: string): Segment[] {
  // What `segmentsText` wrote.
  return (JSON.parse(text) as [number, number, number][]).map(([lastLSN, bytes, timeMs]) => ({
    lastLSN,
    bytes,
    timeMs,
  }))
}
