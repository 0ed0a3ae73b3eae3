import type { EventRecord } from '../event/record.ts'

/**
 * Where batches go: a Basin Pipelines (Cloudflare Pipelines) binding, the lake, or anything else with `send`.
 *
 * `send` resolves once the records are durable. If it rejects, or does not answer in time, the outcome is unknown: the
 * relay sends the same records again, so a receiver must land each (source, epoch, lsn) once.
 */
export interface Pipeline {
  send(records: EventRecord[]): Promise<void>
}
