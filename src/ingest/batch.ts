import type { EventRecord } from '../event/record.ts'

/** What one request asks to forward. */
export interface IngestBatch {
  /** Different for every two batches, of all senders: made from the sender's key and the events. */
  readonly identity: string
  readonly records: EventRecord[]
}

const utf8 = new TextEncoder()

/**
 * The identity is the SHA-256 of the key and of each record's (ns, source, id). Other fields are no part of it:
 * `_meta.retries` changes with each attempt.
 *
 * @param key the `Idempotency-Key`; without one the records alone make the identity.
 */
export async function createBatch(records: EventRecord[], key: string | undefined): Promise<IngestBatch> {
  const events = records.map(({ ns, source, id }) => [ns, source, id])
  const digest = await crypto.subtle.digest('SHA-256', utf8.encode(JSON.stringify([key ?? null, events])))
  return { identity: new Uint8Array(digest).toHex(), records }
}
