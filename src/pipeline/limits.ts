// Limits of one `send`, unless the outbox is configured otherwise.

export const BATCH_EVENTS_MAX = 1_000

/** UTF-8 bytes of a batch as JSON. Basin Pipelines (Cloudflare Pipelines) accepts 5 MB in a request. */
export const BATCH_BYTES_MAX = 4_000_000
