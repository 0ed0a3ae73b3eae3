// Ships what shops have sold. It learns of orders from their events, which may arrive more than once.

import { CDCDurableObject, type EventRecord } from 'durable-outbox'

const PACKING_MS = 1_000

export class Warehouse extends CDCDurableObject<Env> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS parcels (id TEXT PRIMARY KEY, product TEXT)')
  }

  receive(records: EventRecord[]): void {
    for (const record of records)
      if (record.type === 'Order.placed')
        this.ctx.processOnceSync(record, (tx) => {
          const { order, product } = record.data ?? {}
          tx.execute('INSERT INTO parcels VALUES (?, ?)', order, product)
          this.alarms.set(`ship ${String(order)}`, Date.now() + PACKING_MS)
        })
  }

  protected override onAlarm(name: string): void {
    const order = name.replace('ship ', '')
    this.ctx.transactionSync((tx) => tx.emit({ type: 'Order.shipped', data: { order } }))
  }

  parcels(): Record<string, SqlStorageValue>[] {
    return this.ctx.storage.sql.exec('SELECT * FROM parcels ORDER BY id').toArray()
  }
}
