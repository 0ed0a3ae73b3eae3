// What a catalog is asked about one table, and what its refusals mean.

import { type CommitTableRequest, IcebergError, IcebergRestCatalog } from 'iceberg-js'
import { CDCError, reasonOf } from '../../error.ts'
import { isObject } from '../../event/kinds.ts'
import { createSchema } from '../iceberg/schema.ts'
import { EVENTS_COLUMNS, EVENTS_PARTITION } from '../table/table.ts'
import type { CatalogConfig } from './config.ts'
import { Transport, type TransportPorts } from './transport.ts'

export interface ClientPorts extends Omit<TransportPorts, 'auth'> {
  readonly config: CatalogConfig
}

/** What a catalog answers with a table. */
export interface TableAnswer {
  readonly metadata: unknown
  /** Where the catalog has stored that metadata. */
  readonly path: string
}

export class CatalogClient {
  readonly #config: CatalogConfig
  readonly #transport: Transport
  /** Once the catalog has given its configuration. */
  #catalog: IcebergRestCatalog | undefined

  constructor({ config, fetch, now }: ClientPorts) {
    this.#config = config
    this.#transport = new Transport({ fetch, auth: config.auth, now })
  }

  /** Until when the catalog has asked to be left alone, in milliseconds since 1970. */
  get busyUntilMs(): number {
    return this.#transport.busyUntilMs
  }

  /** The table; nothing if there is none. @throws {CDCError} `catalog-failed`. */
  async load(): Promise<TableAnswer | undefined> {
    const catalog = await this.#connect()
    try {
      const answer = await catalog.loadTableResult(this.#identifier)
      return answer === null ? undefined : answerOf(answer)
    } catch (error) {
      if (isMissing(error)) return undefined
      throw this.#failure('load the table', error)
    }
  }

  /**
   * Creates the table, and its namespace if that is missing.
   *
   * @param location where it is to be; where the catalog likes if it is not given.
   * @returns nothing if there is one already.
   * @throws {CDCError} `catalog-failed`.
   */
  async create(location: string | undefined): Promise<TableAnswer | undefined> {
    const { namespace, table: name } = this.#config
    const schema = createSchema(EVENTS_COLUMNS)
    const request = {
      name,
      schema: { ...schema, fields: [...schema.fields] },
      'partition-spec': { 'spec-id': 0, fields: [...EVENTS_PARTITION] },
      properties: { 'write.parquet.compression-codec': 'zstd' },
      ...(location !== undefined && { location }),
    }
    const catalog = await this.#connect()
    const create = () => catalog.createTableResult({ namespace }, request)
    try {
      const answer = await create().catch(async (error: unknown) => {
        if (!isMissing(error)) throw error
        await catalog.createNamespaceIfNotExists({ namespace })
        return create()
      })
      return answerOf(answer)
    } catch (error) {
      if (error instanceof IcebergError && error.isConflict()) return undefined
      throw this.#failure('create the table', error)
    }
  }

  /**
   * @returns the table after the commit; nothing if somebody else was faster.
   * @throws {CDCError} `catalog-failed`; if it can be retried, nobody knows whether the commit has happened.
   */
  async commit(request: CommitTableRequest): Promise<TableAnswer | undefined> {
    const catalog = await this.#connect()
    try {
      return answerOf(await catalog.updateTable(this.#identifier, request))
    } catch (error) {
      if (isRaceLost(error)) return undefined
      throw this.#failure('commit', error)
    }
  }

  /**
   * Asks for the catalog's configuration first: without it the client would guess. It also takes the warehouse for the prefix of
   * paths if the catalog names none, while the specification has no prefix then.
   */
  async #connect(): Promise<IcebergRestCatalog> {
    if (this.#catalog !== undefined) return this.#catalog
    const { warehouse } = this.#config
    const catalog = this.#clientOf(warehouse === undefined ? {} : { warehouse })
    const { overrides, defaults } = await catalog.loadConfig().catch((error: unknown) => {
      throw this.#failure('give its configuration', error)
    })
    const hasPrefix = [overrides, defaults].some((given) => isObject(given) && given['prefix'] !== undefined)
    this.#catalog = hasPrefix ? catalog : this.#clientOf({})
    return this.#catalog
  }

  #clientOf(options: { warehouse?: string }): IcebergRestCatalog {
    return new IcebergRestCatalog({ baseUrl: this.#config.uri, fetch: this.#transport.fetch, ...options })
  }

  get #identifier() {
    const { namespace, table: name } = this.#config
    return { namespace, name }
  }

  #failure(what: string, error: unknown): CDCError {
    if (error instanceof CDCError) return error
    const cause = error instanceof IcebergError && error.details instanceof CDCError ? error.details : error
    const status = error instanceof IcebergError ? error.status : 0
    const hint = [401, 403].includes(status)
      ? '; check LAKE_CATALOG_TOKEN or LAKE_CATALOG_CREDENTIAL, and its rights'
      : ''
    return new CDCError(
      'catalog-failed',
      `lake: the catalog at ${this.#config.uri} did not ${what} (${status || 'no answer'}): ${reasonOf(cause)}${hint}`,
      { retryable: status === 0 || status === 429 || status >= 500, cause },
    )
  }
}

function answerOf(answer: { metadata: unknown; 'metadata-location'?: string | undefined }): TableAnswer {
  return { metadata: answer.metadata, path: answer['metadata-location'] ?? '' }
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
