// The first document's "Emitting Events", as it is printed there; only the import path and the `{...}` are ours.

import { env } from 'cloudflare:workers'
import { CDCEmitter } from 'durable-outbox'
import { acceptedRecords } from 'durable-outbox/testing'
import { describe, expect, it } from 'vitest'

describe('the snippet of the first document', () => {
  it('sends a change, a domain event and a batch to the pipeline', async () => {
    const cdc = new CDCEmitter(env.EVENTS_PIPELINE, {
      ns: 'startups.studio',
      source: 'DO/customers',
    })

    // CDC event (from store mutation)
    await cdc.emit({
      op: 'c',
      store: 'document',
      table: 'Customer',
      key: 'cust_123',
      after: { name: 'Alice', email: 'alice@example.com' },
    })

    // Domain event (business logic)
    await cdc.emit({
      type: 'Customer.created',
      actor: 'User/nathan',
      data: { customerId: 'cust_123', source: 'signup' },
    })

    // Batch events
    await cdc.emitBatch([
      { op: 'c', store: 'document', table: 'Order', key: 'ord_1', after: { total: 1 } },
      { op: 'c', store: 'document', table: 'Order', key: 'ord_2', after: { total: 2 } },
    ])

    expect(acceptedRecords('startups.studio')).toMatchObject([
      { type: 'cdc.insert', key: 'cust_123', after: { name: 'Alice' }, source: 'DO/customers' },
      { type: 'Customer.created', actor: 'User/nathan', data: { customerId: 'cust_123' } },
      { type: 'cdc.insert', key: 'ord_1', after: { total: 1 } },
      { type: 'cdc.insert', key: 'ord_2', after: { total: 2 } },
    ])
  })
})
