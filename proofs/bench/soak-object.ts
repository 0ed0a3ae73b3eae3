// The object of the soak, as a user would have it.

import { CDCDurableObject, type CDCOptions } from 'durable-outbox'
import type { Lake } from 'durable-outbox/lake'

interface SoakEnv {
  LAKE: Service<Lake>
}

const CREATE = 'CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, name TEXT NOT NULL)'
const INSERT = 'INSERT INTO item (name) VALUES (?)'
const EVENTS = 3

/** With the defaults, into the lake. */
export class SoakObject extends CDCDurableObject<SoakEnv> {
  constructor(ctx: DurableObjectState, env: SoakEnv) {
    super(ctx, env)
    ctx.storage.sql.exec(CREATE)
  }

  protected override configure(): CDCOptions {
    return { pipeline: this.env.LAKE }
  }

  write(): void {
    this.ctx.transactionSync((tx) => {
      for (let event = 0; event < EVENTS; event += 1) {
        tx.execute(INSERT, 'a film like any other')
        tx.emit({ type: 'Film.added', data: { event, name: 'a film like any other' } })
      }
    })
  }
}
