// A table in an Iceberg REST catalog, to which others commit too. The catalog checks that nobody was faster; the id of the
// lake's last snapshot, which it carries in a property, tells whether a commit has happened whose answer was lost.

import { IcebergError, IcebergRestCatalog } from 'iceberg-js'
import { CDCError, reasonOf } from '../../error.ts'
import type { TableMetadata } from '../iceberg/metadata.ts'
import { createSchema } from '../iceberg/schema.ts'
import type { Catalog, CatalogTable } from '../table/catalog.ts'
import { type Location, parseLocation } from '../table/location.ts'
import { EVENTS_COLUMNS, EVENTS_PARTITION } from '../table/table.ts'
import type { TableState } from '../table/table-state.ts'
import { ownSnapshotOf } from '../table/watermarks.ts'
import type { CatalogConfig } from './config.ts'
import { parseMetadata } from './metadata.ts'
import { commitRequest } from './request.ts'
import { Transport } from './transport.ts'

export interface RestCatalogPorts {
  readonly config: CatalogConfig
  readonly bucket: R2Bucket
  readonly state: TableState
  /** Where the table is to be created; where the catalog likes if it is not given. */
  readonly location: string | undefined
  readonly fetch: typeof fetch
  readonly now: () => number
}

/** What a catalog answers with the table. */
interface Answer {
  readonly metadata: unknown
  readonly 'metadata-location'?: string | undefined
}

export class RestCatalog implements Catalog {
  readonly isShared = true
  readonly #ports: RestCatalogPorts
  readonly #transport: Transport
  readonly #client: IcebergRestCatalog

  constructor(ports: RestCatalogPorts) {
    const { config, fetch, now } = ports
    this.#ports = ports
    this.#transport = new Transport({ fetch, auth: config.auth, now })
    this.#client = new IcebergRestCatalog({
      baseUrl: config.uri,
      fetch: this.#transport.fetch,
      ...(config.warehouse !== undefined && { warehouse: config.warehouse }),
    })
  }

  get location(): Location {
    const pinned = this.#ports.state.pinned()
    if (pinned !== undefined) return parseLocation(pinned.location)
    throw new CDCError(
      'not-found',
      `lake: the catalog at ${this.#ports.config.uri} has not been asked for the table yet`,
    )
  }

  get busyUntilMs(): number {
    return this.#transport.busyUntilMs
  }

  async load(): Promise<CatalogTable | undefined> {
    try {
      // Otherwise the client continues without the catalog's configuration if it does not get that.
      await this.#client.loadConfig()
      const answer = await this.#client.loadTableResult(this.#identifier)
      return answer === null ? undefined : await this.#accept(answer)
    } catch (error) {
      if (!isMissing(error)) throw this.#failure('load the table', error)
    }
    if (this.#ports.state.pinned() === undefined) return undefined
    throw this.#conflict('the table is gone from it')
  }

  async create(): Promise<CatalogTable> {
    const { namespace, table: name } = this.#ports.config
    const { location } = this.#ports
    const request = {
      name,
      schema: { ...createSchema(EVENTS_COLUMNS), fields: [...createSchema(EVENTS_COLUMNS).fields] },
      'partition-spec': { 'spec-id': 0, fields: [...EVENTS_PARTITION] },
      properties: { 'write.parquet.compression-codec': 'zstd' },
      ...(location !== undefined && { location }),
    }
    const create = () => this.#client.createTableResult({ namespace }, request)
    try {
      const answer = await create().catch(async (error: unknown) => {
        if (!isMissing(error)) throw error
        await this.#client.createNamespaceIfNotExists({ namespace })
        return create()
      })
      return await this.#accept(answer)
    } catch (error) {
      // Its answer may have been lost before.
      const found = error instanceof IcebergError && error.isConflict() ? await this.load() : undefined
      if (found !== undefined) return found
      throw this.#failure('create the table', error)
    }
  }

  async commit({ metadata }: CatalogTable, next: TableMetadata): Promise<CatalogTable | undefined> {
    try {
      return await this.#accept(await this.#client.updateTable(this.#identifier, commitRequest(metadata, next)))
    } catch (error) {
      if (isRaceLost(error)) return undefined
      throw this.#failure('commit', error)
    }
  }

  async announce(): Promise<void> {}

  /** They are the catalog's. */
  retiredKeys(): string[] {
    return []
  }

  get #identifier() {
    const { namespace, table: name } = this.#ports.config
    return { namespace, name }
  }

  /** Checks that an answer is about this lake's table. The first time it is any table to which no lake has committed. */
  async #accept({ metadata: value, 'metadata-location': path }: Answer): Promise<CatalogTable> {
    const { config, state } = this.#ports
    const metadata = parseMetadata(value, config.uri)
    const { 'table-uuid': uuid, location } = metadata
    const pinned = state.pinned()
    if (pinned !== undefined && pinned.uuid !== uuid) throw this.#conflict('the table was dropped and created anew')
    if (pinned !== undefined && pinned.location !== location)
      throw this.#conflict(`the table was moved from ${pinned.location} to ${location}`)
    const last = ownSnapshotOf(metadata)
    const isKnown = last === undefined || [state.snapshots().own, ...state.open().map(idOf)].includes(last)
    if (!isKnown)
      throw this.#conflict(
        'the table has commits of a lake that this one does not know: if another lake writes to it, give one of the two a ' +
          "LAKE_CATALOG_TABLE of its own; otherwise this lake's database is new or from an older copy",
      )
    if (pinned === undefined) {
      await this.#checkBucket(path ?? '', location)
      state.pin({ uuid, location })
    }
    return { metadata }
  }

  /** The lake writes to its bucket, and readers read from the catalog's: the catalog's own file shows that both are the same. */
  async #checkBucket(metadataPath: string, location: string): Promise<void> {
    const key = /^s3:\/\/[^/]+\/(.+)$/.exec(metadataPath)?.[1]
    if (key !== undefined && location.startsWith('s3://') && (await this.#ports.bucket.head(key)) !== null) return
    throw new CDCError(
      'invalid-config',
      `lake: the catalog at ${this.#ports.config.uri} keeps the table at ${location}, and its metadata file ${metadataPath} is ` +
        "not in the bucket that is bound as LAKE_BUCKET; bind the catalog's bucket",
    )
  }

  #conflict(problem: string): CDCError {
    const { uri, namespace, table } = this.#ports.config
    return new CDCError(
      'lake-conflict',
      `lake: ${[...namespace, table].join('.')} in the catalog at ${uri}: ${problem}`,
    )
  }

  #failure(what: string, error: unknown): unknown {
    if (error instanceof CDCError) return error
    const status = error instanceof IcebergError ? error.status : 0
    const hint = [401, 403].includes(status)
      ? '; check LAKE_CATALOG_TOKEN or LAKE_CATALOG_CREDENTIAL, and its rights'
      : ''
    return new CDCError(
      'catalog-failed',
      `lake: the catalog at ${this.#ports.config.uri} did not ${what} (${status || 'no answer'}): ${reasonOf(error)}${hint}`,
      { retryable: status === 0 || status === 429 || status >= 500, cause: error },
    )
  }
}

function idOf({ snapshotId }: { readonly snapshotId: number }): string {
  return String(snapshotId)
}

/** Whether there is no such table, or no such namespace; and not, for example, no catalog at all. */
function isMissing(error: unknown): boolean {
  return error instanceof IcebergError && error.isNotFound() && error.icebergType?.startsWith('NoSuch') === true
}

/** Basin Catalog tells it by 409, or by 400 and the type. */
function isRaceLost(error: unknown): boolean {
  if (!(error instanceof IcebergError)) return false
  return error.isConflict() || (error.status === 400 && error.icebergType === 'ConcurrentUpdateError')
}
