// What a client asks an object to do, as plain data.

/**
 * A block of code in a transaction. What is in it happens in order; a failing block throws at its end. Each event has a number
 * that no other event of a script has.
 */
export interface Block {
  /** In our transactions, with `await`s inside or not; or in the platform's `transactionSync`. */
  readonly kind: 'sync' | 'async' | 'platform'
  readonly does: readonly (Emission | Block)[]
  readonly fails: boolean
}

/** One event: of the user's, of a document store, or of a type that the pipeline refuses. */
export interface Emission {
  readonly n: number
  readonly by: 'emit' | 'store' | 'poison'
}

/** Rows that are written into a captured table, in one statement outside of our transactions. */
interface CapturedInsert {
  readonly kind: 'captured'
  readonly ns: readonly number[]
}

export type Work = Block | CapturedInsert
