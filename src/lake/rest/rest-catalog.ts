// A table in an Iceberg REST catalog, to which others commit too. The catalog checks that nobody was faster; the id of the
// lake's last snapshot, which it carries in a property, tells whether a commit has happened whose answer was lost.

import { CDCError } from '../../error.ts'
import type { TableMetadata } from '../iceberg/metadata.ts'
import type { Bucket } from '../table/bucket.ts'
import type { Catalog, CatalogTable } from '../table/catalog.ts'
import { type Location, parseLocation } from '../table/location.ts'
import type { TableState } from '../table/table-state.ts'
import { ownSnapshotOf } from '../table/watermarks.ts'
import { CatalogClient, type ClientPorts, type TableAnswer } from './client.ts'
import { parseMetadata } from './metadata.ts'
import { commitRequest } from './request.ts'

export interface RestCatalogPorts extends ClientPorts {
  readonly bucket: Bucket
  readonly state: TableState
  /** Where the table is to be created; where the catalog likes if it is not given. */
  readonly location: string | undefined
}

export class RestCatalog implements Catalog {
  readonly isShared = true
  readonly #ports: RestCatalogPorts
  readonly #client: CatalogClient

  constructor(ports: RestCatalogPorts) {
    this.#ports = ports
    this.#client = new CatalogClient(ports)
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
    return this.#client.busyUntilMs
  }

  async load(): Promise<CatalogTable | undefined> {
    const answer = await this.#client.load()
    if (answer !== undefined) return this.#accept(answer)
    if (this.#ports.state.pinned() === undefined) return undefined
    throw this.#conflict('the table is gone from it')
  }

  /**
   * The table, whoever has committed to it last, and where the catalog has stored its metadata.
   *
   * @throws {CDCError} `not-found` if there is none.
   */
  async claim(): Promise<{ metadata: TableMetadata; path: string }> {
    const { uri } = this.#ports.config
    const answer = await this.#client.load()
    if (answer === undefined) throw new CDCError('not-found', `lake: there is no table in the catalog at ${uri}`)
    return { metadata: parseMetadata(answer.metadata, uri), path: answer.path }
  }

  async create(): Promise<CatalogTable> {
    const answer = await this.#client.create(this.#ports.location)
    // The answer to an earlier attempt may have been lost.
    const table = answer === undefined ? await this.load() : await this.#accept(answer)
    if (table !== undefined) return table
    throw this.#conflict('the table was dropped just after it was created')
  }

  async commit({ metadata }: CatalogTable, next: TableMetadata): Promise<CatalogTable | undefined> {
    const answer = await this.#client.commit(commitRequest(metadata, next))
    return answer && this.#accept(answer)
  }

  async announce(): Promise<void> {}

  /** They are the catalog's. */
  retiredKeys(): string[] {
    return []
  }

  /** Checks that an answer is about this lake's table. The first time it is any table to which no lake has committed. */
  async #accept({ metadata: value, path }: TableAnswer): Promise<CatalogTable> {
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
          "LAKE_CATALOG_TABLE of its own; otherwise this lake's database is new or from an older copy, and `durable-outbox recover` " +
          'takes the table over',
      )
    if (pinned === undefined) {
      await this.checkBucket(path, location)
      state.pin({ uuid, location })
    }
    return { metadata }
  }

  /**
   * The lake writes to its bucket, and readers read from the catalog's: the catalog's own file shows that both are the same.
   *
   * @throws {CDCError} `invalid-config`.
   */
  async checkBucket(metadataPath: string, location: string): Promise<void> {
    const key = /^s3:\/\/[^/]+\/(.+)$/.exec(metadataPath)?.[1]
    if (key !== undefined && location.startsWith('s3://') && (await this.#ports.bucket.has(key))) return
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
}

function idOf({ snapshotId }: { readonly snapshotId: number }): string {
  return String(snapshotId)
}
