// The port of a catalog: what tells which metadata is the table's, and makes the next one so unless somebody was faster.

import type { TableMetadata } from '../iceberg/metadata.ts'
import type { Location } from './location.ts'

export interface CatalogTable {
  readonly metadata: TableMetadata
  /** Where the metadata is stored, relative to the table's location; missing if the catalog keeps track of that itself. */
  readonly metadataKey?: string
}

export interface Catalog {
  /** Where the table's files are. Known once the table was loaded or created. @throws {CDCError} `not-found` before that. */
  readonly location: Location
  /** Whether others may commit too. Otherwise a commit that the lake does not know is another lake's. */
  readonly isShared: boolean
  /** Until when the catalog wants to be left alone, in milliseconds since 1970; 0 if it has not asked for that. */
  readonly busyUntilMs: number
  /**
   * The table as it is now; nothing if there is none.
   *
   * @throws {CDCError} `lake-conflict` if the lake does not know the table that is there; `table-damaged` if it is gone.
   */
  load(): Promise<CatalogTable | undefined>
  /** The table, new and empty. @throws {CDCError} `lake-conflict` if there is one already. */
  create(): Promise<CatalogTable>
  /**
   * Makes `next` the table's metadata if `base` is.
   *
   * @returns the table after that; nothing if somebody else has committed first.
   * @throws if nobody knows whether it has happened.
   */
  commit(base: CatalogTable, next: TableMetadata): Promise<CatalogTable | undefined>
  /** Called when a commit is applied in the lake's own state. */
  announce(metadata: TableMetadata): Promise<void>
  /** Metadata files, relative to the location, that nobody needs once this is the table's metadata. */
  retiredKeys(metadata: TableMetadata): string[]
}
