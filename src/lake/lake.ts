// The binding of a lake: what has `send`, in front of the one object that writes the table.

import { WorkerEntrypoint } from 'cloudflare:workers'
import { CDCError } from '../error.ts'
import type { EventRecord } from '../event/record.ts'
import type { TableMetadata } from './iceberg/metadata.ts'
import { fetchBy, type LakeEnv, type LakeStatus, type LakeTable } from './lake-table.ts'
import { type LandedPage, type LogPlace, LogReader } from './read-log.ts'
import type { RecoverOutcome } from './recover/recover.ts'
import { CatalogClient } from './rest/client.ts'
import { catalogConfig } from './rest/config.ts'
import { parseMetadata } from './rest/metadata.ts'
import { locationOf, metadataKey } from './table/location.ts'
import type { LogRanges, RepairOutcome } from './upkeep/repair.ts'

interface LakeBindings extends LakeEnv {
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

  /**
   * The events of one log that are in the table, in LSN order, after a place. Whoever is bound to the lake may read any log.
   *
   * @throws {CDCError} `table-damaged`, `catalog-failed` or `invalid-config`.
   */
  async readLog(place: LogPlace): Promise<LandedPage> {
    const metadata = await this.#metadata()
    return metadata === undefined ? { events: [] } : new LogReader(this.env.LAKE_BUCKET, metadata).page(place)
  }

  /** See `LakeTable.repair`. @throws {CDCError} `invalid-argument`. */
  repair(missing: LogRanges[]): Promise<RepairOutcome> {
    return this.#table().repair(missing)
  }

  /** See `LakeTable.recover`. @throws {CDCError} `lake-conflict`. */
  recover(isDryRun: boolean): Promise<RecoverOutcome> {
    return this.#table().recover(isDryRun)
  }

  /** The table as it is now; nothing before its first commit. */
  async #metadata(): Promise<TableMetadata | undefined> {
    const { LAKE_BUCKET: bucket, LAKE_CATALOG: binding } = this.env
    const config = catalogConfig(this.env)
    if (config !== undefined) {
      const client = new CatalogClient({ config, fetch: fetchBy(binding), now: Date.now })
      const answer = await client.load()
      return answer && parseMetadata(answer.metadata, config.uri)
    }
    const version = await this.version()
    if (version === 0) return undefined
    const key = locationOf(this.env).prefix + metadataKey(version)
    const object = await bucket.get(key)
    if (object !== null) return object.json<TableMetadata>()
    throw new CDCError('table-damaged', `lake: the bucket has no object ${key}`, { retryable: true })
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
