// A row of _cdc_subscription, with the names of the code.

import type { Identity } from './identity.ts'

/** What became of a delivery. Times are in milliseconds since 1970. */
export interface DeliveryNote {
  /** When its last attempt ended. */
  readonly atMs: number
  readonly firstLSN: number
  readonly lastLSN: number
  readonly events: number
  readonly attempts: number
  /** How long its last attempt took, in milliseconds. */
  readonly durationMs: number
  readonly status: 'delivered' | 'failed' | 'refused'
  readonly reason?: string
}

export interface SubscriptionState {
  readonly name: string
  readonly ackedLSN: number
  readonly isPaused: boolean
  /** Since when it is disabled, and since when each attempt has failed: in milliseconds since 1970; 0 if it is not so. */
  readonly disabledMs: number
  readonly failingMs: number
  readonly batchLSN: number
  readonly batchEvents: number
  readonly attemptsBegun: number
  readonly attemptsEnded: number
  readonly firstAttemptMs: number
  readonly nextAttemptMs: number
  readonly lastError: string | null
  readonly suspectLSN: number
  readonly delivered: number
  readonly missed: number
  readonly missedLSN: number
  readonly deliveries: readonly DeliveryNote[]
  /** The log that ended before its events were delivered, and the last of its LSNs. */
  readonly past: { readonly identity: Identity; readonly lastLSN: number } | undefined
}

type Row = {
  name: string
  acked_lsn: number
  paused: number
  disabled: number
  batch_lsn: number
  batch_events: number
  attempts_begun: number
  attempts_ended: number
  first_attempt: number
  next_attempt: number
  last_error: string | null
  suspect_lsn: number
  failing: number
  delivered: number
  missed: number
  missed_lsn: number
  deliveries: string
  past_log: string | null
  past_lsn: number
}

/** All subscriptions that there are, by name, also those that no code of this version names. */
export function readSubscriptions(sql: Pick<SqlStorage, 'exec'>): SubscriptionState[] {
  return sql.exec<Row>('SELECT * FROM _cdc_subscription ORDER BY name').toArray().map(parse)
}

export function readSubscription(sql: Pick<SqlStorage, 'exec'>, name: string): SubscriptionState | undefined {
  const [row] = sql.exec<Row>('SELECT * FROM _cdc_subscription WHERE name = ?', name).toArray()
  return row && parse(row)
}

/** Deletes what is kept of a subscription, and its dead letters. */
export function dropSubscription(storage: DurableObjectStorage, name: string): void {
  storage.transactionSync(() => {
    storage.sql.exec('DELETE FROM _cdc_subscription WHERE name = ?', name)
    storage.sql.exec('DELETE FROM _cdc_dead_letter WHERE subscription = ?', name)
  })
}

function parse(row: Row): SubscriptionState {
  return {
    name: row.name,
    ackedLSN: row.acked_lsn,
    isPaused: row.paused === 1,
    disabledMs: row.disabled,
    failingMs: row.failing,
    batchLSN: row.batch_lsn,
    batchEvents: row.batch_events,
    attemptsBegun: row.attempts_begun,
    attemptsEnded: row.attempts_ended,
    firstAttemptMs: row.first_attempt,
    nextAttemptMs: row.next_attempt,
    lastError: row.last_error,
    suspectLSN: row.suspect_lsn,
    delivered: row.delivered,
    missed: row.missed,
    missedLSN: row.missed_lsn,
    // What `noteDelivery` returned.
    deliveries: JSON.parse(row.deliveries) as DeliveryNote[],
    past: row.past_lsn > row.acked_lsn && row.past_log !== null ? parsePast(row.past_log, row.past_lsn) : undefined,
  }
}

function parsePast(log: string, lastLSN: number): SubscriptionState['past'] {
  const [ns = '', source = '', epoch = ''] = JSON.parse(log) as string[]
  return { identity: { ns, source, epoch }, lastLSN }
}
