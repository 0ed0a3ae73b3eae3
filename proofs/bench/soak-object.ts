// Objects for the soak: one that a user would have with the library, and the same without it.

import { DurableObject } from 'cloudflare:workers'
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

/** The same, into a pipeline that keeps nothing. */
export class AloneSoakObject extends SoakObject {
  protected override configure(): CDCOptions {
    return {}
  }
}

export class BareSoakObject extends DurableObject {
  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    ctx.storage.sql.exec(CREATE)
  }

  write(): void {
    this.ctx.storage.transactionSync(() => {
      for (let event = 0; event < EVENTS; event += 1) this.ctx.storage.sql.exec(INSERT, 'a film like any other')
    })
  }
}
