import { type EventRecord, isCommitted } from '../event/record.ts'

/**
 * The idempotency key of a batch, in characters that an HTTP header can hold: the same for every attempt, and for no other
 * batch. Consecutive events of a log are `<epoch>/<first lsn>-<last lsn>`, as an epoch belongs to one outbox. The key of any
 * other batch is a hash of its ids.
 */
export async function batchKey(records: readonly EventRecord[]): Promise<string> {
  const [first] = records
  const last = records.at(-1)
  if (first !== undefined && last !== undefined && isCommitted(first) && isCommitted(last) && areConsecutive(records))
    return `${first.epoch}/${first.lsn}-${last.lsn}`
  const ids = new TextEncoder().encode(records.map(({ id }) => id).join())
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', ids))
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function areConsecutive(records: readonly EventRecord[]): boolean {
  return records.every((record, index) => {
    const before = records[index - 1]
    if (before === undefined) return true
    return record.epoch === before.epoch && record.lsn === (before.lsn ?? Number.NaN) + 1
  })
}
