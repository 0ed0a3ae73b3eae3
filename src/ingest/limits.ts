// The limits of a request to the ingest. Above one of them it is refused as a whole, and none of it is forwarded.

import { EVENT_BYTES_MAX, EVENT_DEPTH_MAX } from '../event/limits.ts'

/** Bytes of a body: as it is sent, decompressed, and as JSON for the pipeline, which takes 5 MB a request. */
export const BODY_BYTES_MAX = 5_000_000

/** Records of one request. */
export const RECORDS_MAX = 10_000

/** Partitions of the lake that one request may write to: pairs of a type and a day. */
export const PARTITIONS_MAX = 1_000

/** UTF-8 bytes of one record as JSON: an event with its envelope. */
export const RECORD_BYTES_MAX = EVENT_BYTES_MAX + 100_000

/** Levels of nesting in a body: an array of records, with the levels of an event in each. */
export const BODY_DEPTH_MAX = EVENT_DEPTH_MAX + 2

/** Arrays and objects in a body: an empty one takes 3 bytes to send, but more than 50 of memory. */
export const CONTAINERS_MAX = 200_000

/** Characters of an `Idempotency-Key`. */
export const KEY_LENGTH_MAX = 2_048

/** How long a body may take to arrive, in milliseconds. */
export const BODY_TIMEOUT_MS = 30_000

/** How long the pipeline may take for a batch, in milliseconds: less than a `ManagedPipeline` waits for an answer. */
export const SEND_TIMEOUT_MS = 15_000
