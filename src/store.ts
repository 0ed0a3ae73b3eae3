// The port of a store: what an object offers to a store, and what a store offers to its object.

import type { EventInput } from './event/unified-event.ts'
import type { Transactions } from './transaction/transactions.ts'

/** What a store needs from its object: `this.ctx` of a `CDCDurableObject`, or an `ExactlyOnceContext`. */
export interface StoreContext<Types = unknown> extends Transactions<Types> {
  readonly storage: DurableObjectStorage
  /** Called by a store in its constructor: makes its tables, and registers it for snapshots. */
  attach(store: AttachedStore): StoreSQL
}

/** What the object needs from a store. */
export interface AttachedStore {
  /** `<kind>/<table>`, such as `document/Customer`. Unique in an object. */
  readonly name: string
  /** Makes its tables if they are missing. */
  createTables(sql: SqlStorage): void
  /**
   * A page of its current rows as `r` events, in a fixed order.
   *
   * @param after `next` of the page before; undefined for the first.
   */
  readRows(after: string | undefined, maxRows: number): SnapshotPage
}

export interface SnapshotPage {
  readonly events: readonly EventInput[]
  /** Where the next page begins; undefined if this was the last one. */
  readonly next: string | undefined
}

/** The object's SQLite. The store's tables are made again if `deleteAll` has deleted them. */
export type StoreSQL = Pick<SqlStorage, 'exec'>
