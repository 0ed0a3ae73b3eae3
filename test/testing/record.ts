import type { CommittedRecord } from 'durable-outbox'

export const EPOCH = '01ARZ3NDEKTSV4RRFFQ69G5FAV'
export const NEXT_EPOCH = '01BX5ZZKBKACTAV9WEVGEMMVRZ'

/** A record as a relay sends it. */
export function record(ns: string, lsn: number, fields: Partial<CommittedRecord> = {}): CommittedRecord {
  const { source = 'DO/Test', epoch = EPOCH } = fields
  return {
    id: `01ARZ3NDEKTSV4RRFFQ6${String(lsn).padStart(6, '0')}`,
    type: 'N',
    timestamp: '2026-11-22T08:30:00.000Z',
    ns,
    source,
    epoch,
    lsn,
    txid: 'tx',
    _meta: { schemaVersion: 1, source, epoch },
    ...fields,
  }
}

/** The records of some LSNs, in the order given. */
export function batch(ns: string, ...lsns: number[]): CommittedRecord[] {
  return lsns.map((lsn) => record(ns, lsn))
}
