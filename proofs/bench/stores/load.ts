// The mutations of a store that are timed, and the same SQL without events.

/** One way to write the same rows. `index` makes them differ, and rises over the whole run. */
export interface Side {
  /** One row in its own transaction. */
  single(index: number): void
  /** Several rows in one transaction, from an index on. */
  batch(index: number, rows: number): void
}

export interface StoreLoad {
  /** SQL alone, in `storage.transactionSync`: the statements that the store runs, with the same values. */
  readonly bare: Side
  /** The store. */
  readonly captured: Side
  /** Deletes every row of both sides, with plain SQL. */
  clear(): void
}
