// The port of a store: what an object gives it, and what it gives its object.

import type { EventInput } from './event/unified-event.ts'
import type { Transactions } from './transaction/transactions.ts'

/** What a store needs of its object: `this.ctx` of a `CDCDurableObject`, or an `ExactlyOnceContext`. */
export interface StoreContext extends Transactions {
  readonly storage: DurableObjectStorage
  /** Called by a store in its constructor: makes its tables, and makes it known for snapshots. */
  attach(store: AttachedStore): StoreSQL
}

/** What a store tells the object that it belongs to. */
export interface AttachedStore {
  /** `<kind>/<table>`, such as `document/Customer`. One of it in an object. */
  readonly name: string
  /** Makes its tables where they are not there. */
  createTables(sql: SqlStorage): void
  /**
   * Its present rows as `r` events, page by page in a fixed order, each row as it is now.
   *
   * @param after where the page before ended; nothing for the first.
   */
  readRows(after: string | undefined, maxRows: number): SnapshotPage
}

export interface SnapshotPage {
  readonly events: readonly EventInput[]
  /** Where this page ended; nothing where it was the last one. */
  readonly next: string | undefined
}

/** The object's SQLite, with the store's tables in it whatever has happened to the storage. */
export type StoreSQL = Pick<SqlStorage, 'exec'>
