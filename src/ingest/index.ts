export type { IngestBatch } from './batch.ts'
export { ingestOptionsFrom } from './environment.ts'
export { IngestBatches, type IngestBatchesOptions } from './ingest-batches.ts'
export { ingestRoutes } from './ingest-routes.ts'
export {
  BODY_BYTES_MAX,
  BODY_DEPTH_MAX,
  BODY_TIMEOUT_MS,
  CONTAINERS_MAX,
  KEY_LENGTH_MAX,
  PARTITIONS_MAX,
  RECORD_BYTES_MAX,
  RECORDS_MAX,
  SEND_TIMEOUT_MS,
} from './limits.ts'
export {
  type BatchObjects,
  type IngestJWT,
  type IngestOptions,
  type IngestRateLimit,
  type IngestToken,
  JWT_ALGORITHMS,
} from './options.ts'
export type { Outcome } from './outcome.ts'
