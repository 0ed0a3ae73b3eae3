/** What a request to the ingest may be. Over a limit it is refused as a whole, and nothing of it is forwarded. */

import { EVENT_BYTES_MAX, EVENT_DEPTH_MAX } from '../event/limits.ts'

/** Bytes of a body: as it is sent, decompressed, and as JSON on its way to the pipeline, which takes 5 MB a request. */
export const BODY_BYTES_MAX = 5_000_000

/** Records of one request. */
export const RECORDS_MAX = 10_000

/** UTF-8 bytes of one record as JSON: an event with its envelope. */
export const RECORD_BYTES_MAX = EVENT_BYTES_MAX + 100_000

/** Levels of nesting in a body: an array of records, with the event's own levels in them. */
export const BODY_DEPTH_MAX = EVENT_DEPTH_MAX + 2

/** Arrays and objects in a body: an empty one is 3 bytes to send, and over 50 to hold. */
export const CONTAINERS_MAX = 200_000

/** Characters of an `Idempotency-Key`. */
export const KEY_LENGTH_MAX = 2_048

/** How long a sender may take for its body, in milliseconds. */
export const BODY_TIMEOUT_MS = 30_000

/** How long the pipeline may take for a batch, in milliseconds: less than a `ManagedPipeline` waits for the answer. */
export const SEND_TIMEOUT_MS = 15_000
