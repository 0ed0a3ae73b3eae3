// The lake's own catalog, in the bucket itself: the metadata file of the next version is put if there is none, and that is the
// commit. Nobody else commits.

import { CDCError } from '../../error.ts'
import { parseJSON } from '../../event/json.ts'
import { isObject } from '../../event/kinds.ts'
import { createTableMetadata, keyBelow, type TableMetadata } from '../iceberg/metadata.ts'
import type { Bucket } from './bucket.ts'
import type { Catalog, CatalogTable } from './catalog.ts'
import { type Location, metadataKey, VERSION_HINT_KEY, versionOf } from './location.ts'
import { EVENTS_COLUMNS, EVENTS_PARTITION } from './table.ts'
import type { TableState } from './table-state.ts'

export interface OwnCatalogPorts {
  readonly bucket: Bucket
  readonly location: Location
  readonly state: TableState
  /** How many metadata files before the current one are kept. */
  readonly snapshotsKept: number
  readonly now: () => number
}

/** What heals a table or a database that is damaged. */
const RECOVER = '`durable-outbox recover` rebuilds it'

export class OwnCatalog implements Catalog {
  readonly isShared = false
  readonly busyUntilMs = 0
  readonly location: Location
  readonly #ports: OwnCatalogPorts

  constructor(ports: OwnCatalogPorts) {
    this.#ports = ports
    this.location = ports.location
  }

  async load(): Promise<CatalogTable | undefined> {
    const { state } = this.#ports
    const { version } = state.pointer()
    const next = state.hasOpen() ? await this.#read(version + 1) : undefined
    if (next !== undefined) {
      const id = next.metadata['current-snapshot-id']
      if (!state.open().some(({ snapshotId }) => snapshotId === id)) throw this.#conflict()
      return next
    }
    if (version === 0) return undefined
    const current = await this.#read(version)
    if (current === undefined) throw this.#gone(version)
    return current
  }

  async create(): Promise<CatalogTable> {
    const { bucket, now } = this.#ports
    // Its first metadata file may be gone already, so a file of any version shows that there is a table.
    const { objects } = await bucket.list({ prefix: this.#keyOf('metadata/v'), limit: 1 })
    if (objects.length > 0) throw this.#conflict()
    const metadata = createTableMetadata({
      location: this.location.root,
      columns: EVENTS_COLUMNS,
      partition: EVENTS_PARTITION,
      uuid: crypto.randomUUID(),
      nowMs: now(),
    })
    return { metadata }
  }

  async commit(_base: CatalogTable, metadata: TableMetadata): Promise<CatalogTable | undefined> {
    const key = metadataKey(metadata['last-sequence-number'])
    const isDone = await this.#ports.bucket.putNew(this.#keyOf(key), JSON.stringify(metadata))
    return isDone ? { metadata, metadataKey: key } : undefined
  }

  async announce(metadata: TableMetadata): Promise<void> {
    await this.#ports.bucket.put(this.#keyOf(VERSION_HINT_KEY), String(metadata['last-sequence-number']))
  }

  /** Otherwise every commit would leave another copy of the history. */
  retiredKeys(metadata: TableMetadata): string[] {
    const oldest = metadata['last-sequence-number'] - this.#ports.snapshotsKept - 1
    return oldest > 0 ? [metadataKey(oldest)] : []
  }

  /**
   * Checks that the lake's state is that of the table: an older one would take the files of later commits for orphans.
   *
   * @throws {CDCError} like `load`.
   */
  async checkCurrent(): Promise<void> {
    const { state, bucket } = this.#ports
    const { version } = state.pointer()
    const has = (other: number) => bucket.has(this.#keyOf(metadataKey(other)))
    if (version > 0 && !(await has(version))) throw this.#gone(version)
    if (await has(version + 1)) throw this.#conflict()
  }

  /** Tells which files the metadata names, or may name once an open commit is found to have happened. */
  namedFiles({ location, snapshots }: TableMetadata): (key: string) => boolean {
    const { state, snapshotsKept } = this.#ports
    const { version } = state.pointer()
    const lists = new Set(snapshots.map((snapshot) => keyBelow(location, snapshot['manifest-list'])))
    return (key) => key === VERSION_HINT_KEY || lists.has(key) || (versionOf(key) ?? -1) >= version - snapshotsKept
  }

  #keyOf(key: string): string {
    return this.location.prefix + key
  }

  async #read(version: number): Promise<CatalogTable | undefined> {
    const key = metadataKey(version)
    const bytes = await this.#ports.bucket.read(this.#keyOf(key))
    if (bytes === undefined) return undefined
    const metadata = parseJSON(new TextDecoder().decode(bytes))
    if (isObject(metadata)) return { metadata: metadata as unknown as TableMetadata, metadataKey: key }
    throw new CDCError('table-damaged', `lake: ${this.#keyOf(key)} is not valid JSON; ${RECOVER}`)
  }

  #gone(version: number): CDCError {
    return new CDCError(
      'table-damaged',
      `lake: ${this.#keyOf(metadataKey(version))} is gone from the bucket; ${RECOVER}`,
    )
  }

  #conflict(): CDCError {
    return new CDCError(
      'lake-conflict',
      `lake: the table at ${this.location.root} has commits that this lake does not know. If another lake writes to ` +
        `it, give one of the two a LAKE_LOCATION of its own; if this lake's own database is new or from an older copy, ${RECOVER}`,
    )
  }
}
