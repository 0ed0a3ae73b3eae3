// The binding of a lake: what has `send`, in front of the one object that writes the table.

import { WorkerEntrypoint } from 'cloudflare:workers'
import { CDCError } from '../error.ts'
import type { EventRecord } from '../event/record.ts'
import type { LakeStatus, LakeTable } from './lake-table.ts'
import type { RecoverOutcome } from './recover/recover.ts'
import type { LogRanges, RepairOutcome } from './upkeep/repair.ts'

interface LakeBindings {
  LAKE_TABLE: DurableObjectNamespace<LakeTable>
  /** Where the object stays in which events wait for their commit, `eu` for example. Set once: another place is another object. */
  LAKE_JURISDICTION?: string
}

/**
 * The embedded pipeline: bound as a service, it takes the place of a Basin Pipelines (Cloudflare Pipelines) binding.
 * Records that it has accepted land in the Iceberg table `cdc.events` of the bucket `LAKE_BUCKET`, each once.
 */
export class Lake extends WorkerEntrypoint<LakeBindings> {
  /** @throws {CDCError} `record-invalid`, `lake-full` or `lake-behind`. */
  async send(records: EventRecord[]): Promise<void> {
    // As text, because an RPC call takes three times as long with the objects.
    await this.#table().send(encode(records))
  }

  status(): Promise<LakeStatus> {
    return this.#table().status()
  }

  /** The table's version; 0 before its first commit. */
  version(): Promise<number> {
    return this.#table().version()
  }

  /** See `LakeTable.repair`. @throws {CDCError} `invalid-argument`. */
  repair(missing: LogRanges[]): Promise<RepairOutcome> {
    return this.#table().repair(missing)
  }

  /** See `LakeTable.recover`. @throws {CDCError} `lake-conflict`. */
  recover(isDryRun: boolean): Promise<RecoverOutcome> {
    return this.#table().recover(isDryRun)
  }

  /** A table has one writer, so every binding reaches the same object. */
  #table(): DurableObjectStub<LakeTable> {
    const { LAKE_TABLE: tables, LAKE_JURISDICTION: jurisdiction } = this.env
    // The platform refuses a name that is no jurisdiction.
    const place = jurisdiction === undefined ? tables : tables.jurisdiction(jurisdiction as DurableObjectJurisdiction)
    return place.getByName('cdc.events')
  }
}

function encode(records: unknown): string {
  try {
    return JSON.stringify(records) ?? 'null'
  } catch (cause) {
    throw new CDCError('record-invalid', 'send: the records cannot be written as JSON', { cause })
  }
}
