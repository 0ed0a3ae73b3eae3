import type { EventRecord } from '../event/record.ts'

/** What one request wants to be forwarded. */
export interface IngestBatch {
  /** Tells one batch from every other, whoever sends it: what its sender calls it, and which events it holds. */
  readonly identity: string
  readonly records: EventRecord[]
}

const utf8 = new TextEncoder()

/**
 * The identity is the SHA-256 of the key and of each record's (ns, source, id). What else a record says is no part of it:
 * `_meta.retries` is another one each time.
 *
 * @param key the `Idempotency-Key`; without one the records alone tell.
 */
export async function createBatch(records: EventRecord[], key: string | undefined): Promise<IngestBatch> {
  const events = records.map(({ ns, source, id }) => [ns, source, id])
  const digest = await crypto.subtle.digest('SHA-256', utf8.encode(JSON.stringify([key ?? null, events])))
  return { identity: new Uint8Array(digest).toHex(), records }
}
