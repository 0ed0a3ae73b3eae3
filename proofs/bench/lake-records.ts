// Records for the lake of the benchmark, the same in the Worker and beside it.

import type { EventRecord } from 'durable-outbox'

export interface IngestLoad {
  /** The number of outboxes that send, how many records each sends, and the first LSN of each. */
  readonly sources: number
  readonly eventsPerSource: number
  readonly firstLSN: number
  /** Records in a batch. A batch comes from one outbox, or from several if one has too few. */
  readonly batch: number
}

const EPOCH = '01ARZ3NDEKTSV4RRFFQ69G5FAV'
const TYPES = ['cdc.insert', 'cdc.update', 'cdc.delete', 'Customer.created', 'Order.paid', 'Order.sent']

/** Batches of records of 480 bytes as JSON, of six types, like those that stores emit. The same load gives the same records. */
export function createBatches(load: IngestLoad): EventRecord[][] {
  const records = createRecords(load)
  return Array.from({ length: Math.ceil(records.length / load.batch) }, (_, index) =>
    records.slice(index * load.batch, (index + 1) * load.batch),
  )
}

/** The same, one after the other. */
export function createRecords({ sources, eventsPerSource, firstLSN }: IngestLoad): EventRecord[] {
  return Array.from({ length: sources * eventsPerSource }, (_, index) =>
    createRecord(Math.floor(index / eventsPerSource), firstLSN + (index % eventsPerSource)),
  )
}

function createRecord(outbox: number, lsn: number): EventRecord {
  const source = `DO/Customers-${outbox}`
  const key = `cust_${(lsn * 7919) % 100_000}`
  return {
    id: `01ARZ3NDEK${digitsOf(outbox, lsn)}`,
    type: TYPES[lsn % TYPES.length] ?? '',
    timestamp: new Date(1_795_300_000_000 + lsn * 13).toISOString(),
    ns: `tenant-${outbox}`,
    source,
    epoch: EPOCH,
    lsn,
    txid: `01ARZ3NDEK${digitsOf(outbox, -lsn)}`,
    op: 'u',
    store: 'document',
    table: 'Customer',
    key,
    actor: `User/${lsn % 50}`,
    after: { $id: key, name: `Customer ${lsn}`, email: `${key}@example.com`, visits: lsn % 97, plan: 'pro' },
    _meta: { schemaVersion: 1, source, epoch: EPOCH },
  }
}

const DIGITS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'

/** Sixteen digits of a ULID, as random as real ones: counted digits would be compressed away. */
function digitsOf(outbox: number, lsn: number): string {
  let digits = ''
  let state = Math.imul(outbox + 1, 0x9e3779b1) ^ Math.imul(lsn, 0x85ebca6b)
  for (let digit = 0; digit < 16; digit++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + digit
    state ^= state >>> 13
    digits += DIGITS.charAt(state & 31)
  }
  return digits
}
