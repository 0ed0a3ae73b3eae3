import { type EventRecord, isCommitted } from '../event/record.ts'

/**
 * The idempotency key of a batch, as an HTTP header can hold it: the same for every attempt, and for no other batch. A part
 * of a log is `<epoch>/<first lsn>-<last lsn>`, as an epoch belongs to one outbox; anything else is named by a hash of its ids.
 */
export async function batchKey(records: readonly EventRecord[]): Promise<string> {
  const [first] = records
  const last = records.at(-1)
  if (first !== undefined && last !== undefined && isCommitted(first) && isCommitted(last) && isLogPart(records))
    return `${first.epoch}/${first.lsn}-${last.lsn}`
  const ids = new TextEncoder().encode(records.map(({ id }) => id).join())
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', ids))
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function isLogPart(records: readonly EventRecord[]): boolean {
  return records.every((record, index) => {
    const before = records[index - 1]
    if (before === undefined) return true
    return record.epoch === before.epoch && record.lsn === (before.lsn ?? Number.NaN) + 1
  })
}
