import type { Watermarks } from '../lake/table/watermarks.ts'
import type { TableFiles } from './duckdb.ts'

/** The current snapshot of the lake's table. */
export interface LocalTable extends TableFiles {
  /** The version of the table; 0 if there is no table. */
  readonly version: number
  /** The directory that it was read from, as it is shown; or those in which there is none. */
  readonly place: string
  /** The keys of `files` in the bucket. */
  readonly keys: readonly string[]
  /** What the snapshot says about its logs, if that was asked for. */
  readonly watermarks?: Watermarks
}

/** The table as it was read, and what is to be said of that. */
export interface Read {
  readonly table: LocalTable
  readonly note: string
}
