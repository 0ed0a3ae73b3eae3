// Records for the lake of the benchmark, the same in the Worker and beside it.

import type { EventRecord } from 'durable-outbox'

export interface IngestLoad {
  /** Records of this round, and how many a batch has. */
  readonly events: number
  readonly batch: number
  /** Outboxes that they come from, in turn; and the first LSN of each in this round. */
  readonly sources: number
  readonly firstLSN: number
}

/** Records of 480 bytes as JSON, of six types, like those that stores emit. The same for the same load. */
export function createRecords({ events, sources, firstLSN }: IngestLoad): EventRecord[] {
  return Array.from({ length: events }, (_, index) => {
    const lsn = firstLSN + Math.floor(index / sources)
    const source = `DO/Customers-${index % sources}`
    const epoch = '01ARZ3NDEKTSV4RRFFQ69G5FAV'
    const key = `cust_${(index * 7919) % 100_000}`
    return {
      id: `01ARZ3NDEK${String(index % sources).padStart(6, '0')}${String(lsn).padStart(10, '0')}`,
      type: ['cdc.insert', 'cdc.update', 'cdc.delete', 'Customer.created', 'Order.paid', 'Order.sent'][lsn % 6] ?? '',
      timestamp: new Date(1_795_300_000_000 + lsn * 13).toISOString(),
      ns: `tenant-${index % sources}`,
      source,
      epoch,
      lsn,
      txid: `01ARZ3NDEKTSV4RRFF${String(lsn).padStart(8, '0')}`,
      op: 'u',
      store: 'document',
      table: 'Customer',
      key,
      actor: `User/${lsn % 50}`,
      after: { $id: key, name: `Customer ${lsn}`, email: `${key}@example.com`, visits: lsn % 97, plan: 'pro' },
      _meta: { schemaVersion: 1, source, epoch },
    }
  })
}
