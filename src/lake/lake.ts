// The binding of a lake: what has `send`, in front of the object that commits and of the shards that take in.

import { WorkerEntrypoint } from 'cloudflare:workers'
import { CDCError, propertyOf } from '../error.ts'
import type { EventRecord } from '../event/record.ts'
import type { TableMetadata } from './iceberg/metadata.ts'
import { readBatch } from './intake/intake.ts'
import { committerOf, shardAt } from './lake-objects.ts'
import { fetchBy, type LakeEnv, type LakeStatus, type LakeTable } from './lake-table.ts'
import { type LandedPage, type LogPlace, LogReader } from './read-log.ts'
import type { RecoverOutcome } from './recover/recover.ts'
import { CatalogClient } from './rest/client.ts'
import { catalogConfig } from './rest/config.ts'
import { parseMetadata } from './rest/metadata.ts'
import type { Layout } from './shards/layouts.ts'
import { onlyShard, splitRecords } from './shards/routing.ts'
import { locationOf, metadataKey } from './table/location.ts'
import type { LogRanges, RepairOutcome } from './upkeep/repair.ts'

/** The layout that was current when it was last asked for. One that is closed refuses what is sent to it. */
let known: Layout | undefined

/**
 * The embedded pipeline: bound as a service, it takes the place of a Basin Pipelines (Cloudflare Pipelines) binding.
 * Records that it has accepted land in the Iceberg table `cdc.events` of the bucket `LAKE_BUCKET`, each once.
 */
export class Lake extends WorkerEntrypoint<LakeEnv> {
  /** @throws {CDCError} `record-invalid`, `lake-full`, `lake-behind` or `lake-resharding`. */
  async send(records: EventRecord[]): Promise<void> {
    const json = encode(records)
    const layout = known ?? (this.env.LAKE_SHARDS === undefined ? { layout: 0, shards: 0 } : await this.#ask())
    try {
      await this.#sendTo(layout, records, json)
    } catch (error) {
      if (propertyOf(error, 'code') !== 'lake-resharding') throw error
      const current = await this.#ask()
      if (current.layout === layout.layout) throw error
      await this.#sendTo(current, records, json)
    }
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

  /** As text, because an RPC call takes three times as long with the objects. */
  async #sendTo({ layout, shards }: Layout, records: EventRecord[], json: string): Promise<void> {
    if (shards === 0) return this.#table().send(json)
    const only = onlyShard(records, shards)
    if (only !== undefined) return shardAt(this.env, { layout, shard: only }).send(json)
    // All are checked before the first is taken in.
    const divided = splitRecords(readBatch(json).records, shards)
    const sends = Array.from(divided, ([shard, group]) =>
      shardAt(this.env, { layout, shard }).send(JSON.stringify(group)),
    )
    const answers = await Promise.allSettled(sends)
    const refused = answers.find((answer) => answer.status === 'rejected')
    if (refused !== undefined) throw refused.reason
  }

  async #ask(): Promise<Layout> {
    const { layout, shards } = await this.#table().layout()
    known = { layout, shards }
    return known
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

  #table(): DurableObjectStub<LakeTable> {
    return committerOf(this.env) as unknown as DurableObjectStub<LakeTable>
  }
}

function encode(records: unknown): string {
  try {
    return JSON.stringify(records) ?? 'null'
  } catch (cause) {
    throw new CDCError('record-invalid', 'send: the records cannot be written as JSON', { cause })
  }
}
