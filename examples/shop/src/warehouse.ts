// Ships what shops have sold. It learns of orders from their events, which may arrive more than once.

import { CDCDurableObject, type EventRecord, type NamedEvent } from 'durable-outbox'
import { shopEvents, warehouseEvents } from './events.ts'

const PACKING_MS = 1_000

export class Warehouse extends CDCDurableObject<Env, {}, typeof warehouseEvents> {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS parcels (id TEXT PRIMARY KEY, product TEXT)')
  }

  protected override configure() {
    return { events: warehouseEvents }
  }

  receive(records: EventRecord[]): void {
    for (const record of records) {
      const event = shopEvents.read(record)
      if (event?.type === 'Order.placed') this.#pack(event, event.data)
    }
  }

  #pack(event: NamedEvent, { order, product }: { order: string; product: string }): void {
    this.ctx.processOnceSync(event, (tx) => {
      tx.execute('INSERT INTO parcels VALUES (?, ?)', order, product)
      this.alarms.set(`ship ${order}`, Date.now() + PACKING_MS)
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
