// The object that clients follow while it commits.

import { CDCDurableObject } from 'durable-outbox'

export class TailObject extends CDCDurableObject {
  /** Commits one transaction of one event, and says in it when it began. */
  commit(): void {
    const begunMs = Date.now()
    this.ctx.transactionSync((tx) => tx.emit({ type: 'Reading', data: { begunMs, note: 'a reading like any other' } }))
  }
}
