// The pipeline of the shop's objects. What an object has emitted reaches the one that acts on it, and then the lake.

import { exports, WorkerEntrypoint } from 'cloudflare:workers'
import type { EventRecord } from 'durable-outbox'

export class Events extends WorkerEntrypoint<Env> {
  /** If one of the two fails, the relay sends the same records again: each of them takes a record once. */
  async send(records: EventRecord[]): Promise<void> {
    // A batch is of one object, so of one ns.
    const [first] = records
    if (first?.source === 'DO/Shop') await this.env.WAREHOUSE.getByName(first.ns).receive(records)
    await exports.Lake.send(records)
  }
}
