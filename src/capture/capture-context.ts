import type { SQLiteTable } from 'drizzle-orm/sqlite-core'
import type { StoreContext } from '../store.ts'
import type { CaptureOptions } from './captured-table.ts'

/** An object whose own tables can be captured: `this.ctx` of a `CDCDurableObject`, or an `ExactlyOnceContext`. */
export interface CaptureContext<Types = unknown> extends StoreContext<Types> {
  /**
   * Captures a table of the object's own, drizzle's or plain: from now on no write to it can bypass the outbox, however
   * it is made. To be called whenever the object wakes, in its constructor; a table that was captured once
   * stays captured.
   *
   * @throws {CDCError} `not-found` where there is no such table, `invalid-argument` for options that don't fit it.
   */
  capture(table: string | SQLiteTable, options?: CaptureOptions): void

  /**
   * Ends the capture of a table: later writes emit nothing, and the log has a `cdc.capture` event that says so. A table
   * whose `capture` call was only taken out of the code stays captured.
   *
   * @throws {CDCError} `not-found` if the table is not captured.
   */
  uncapture(tableName: string): void
}
