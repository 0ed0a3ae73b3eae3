import { WorkerEntrypoint } from 'cloudflare:workers'
import type { EventRecord } from '../event/record.ts'
import type { LakeStatus, LakeTable } from './lake-table.ts'

/**
 * The embedded pipeline: bound as a service, it takes the place of a Basin Pipelines (Cloudflare Pipelines) binding.
 * Records that it has accepted land in the Iceberg table `cdc.events` of the bucket `LAKE_BUCKET`, each once.
 */
export class Lake extends WorkerEntrypoint<{ LAKE_TABLE: DurableObjectNamespace<LakeTable> }> {
  /** @throws {CDCError} `record-invalid` or `lake-full`. */
  async send(records: EventRecord[]): Promise<void> {
    await this.#table().send(records)
  }

  status(): Promise<LakeStatus> {
    return this.#table().status()
  }

  /** A table has one writer, so all of them reach the same object. */
  #table(): DurableObjectStub<LakeTable> {
    return this.env.LAKE_TABLE.getByName('cdc.events')
  }
}
