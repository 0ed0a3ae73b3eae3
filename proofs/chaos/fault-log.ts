// Remembers across kills which faults there were, and batches to deliver again much later.

import { DurableObject } from 'cloudflare:workers'
import type { EventRecord } from 'durable-outbox'

const BATCHES_MAX = 60

export class FaultLog extends DurableObject {
  constructor(ctx: DurableObjectState, env: Cloudflare.Env) {
    super(ctx, env)
    ctx.storage.sql.exec(`
      CREATE TABLE IF NOT EXISTS faults (fault TEXT PRIMARY KEY, times INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS batches (slot INTEGER PRIMARY KEY, records TEXT NOT NULL)`)
  }

  count(fault: string): void {
    this.ctx.storage.sql.exec(
      'INSERT INTO faults VALUES (?, 1) ON CONFLICT (fault) DO UPDATE SET times = times + 1',
      fault,
    )
  }

  counts(): Record<string, number> {
    const rows = this.ctx.storage.sql.exec<{ fault: string; times: number }>('SELECT * FROM faults ORDER BY fault')
    return Object.fromEntries(rows.toArray().map(({ fault, times }) => [fault, times]))
  }

  /** Keeps a batch in place of another. `chance` is in [0, 1). */
  remember(records: readonly EventRecord[], chance: number): void {
    const slot = Math.floor(chance * BATCHES_MAX)
    this.ctx.storage.sql.exec('INSERT OR REPLACE INTO batches VALUES (?, ?)', slot, JSON.stringify(records))
  }

  /** An earlier batch, or undefined if none is remembered yet. */
  recall(chance: number): EventRecord[] | undefined {
    const rows = this.ctx.storage.sql.exec<{ records: string }>('SELECT records FROM batches').toArray()
    const row = rows[Math.floor(chance * rows.length)]
    return row === undefined ? undefined : (JSON.parse(row.records) as EventRecord[])
  }
}
