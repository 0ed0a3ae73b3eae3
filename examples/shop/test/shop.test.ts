import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { assertLog, drain, landed, nextFates } from 'durable-outbox/testing'
import { expect, it } from 'vitest'

const lamp = { id: 'lamp', title: 'A lamp', cents: 1_900, pieces: 1, look: [1, 0, 0] }

it('sells the last piece once, through all faults of the pipeline', async () => {
  const shop = env.SHOP.getByName('oslo')
  nextFates('oslo', 'lose-answer', 'hang', { do: 'reject', error: { retryable: true, status: 503 } })
  await shop.stockUp(lamp)
  const customer = await shop.signUp('Alice', 'alice@example.com')
  await shop.order(customer, 'lamp')
  await drain(shop)
  assertLog('oslo')
  expect(landed('oslo').filter(({ type }) => type === 'Order.placed')).toHaveLength(1)

  const before = landed('oslo').length
  // Called inside the object: an error that crosses RPC is also reported as an unhandled rejection of the test run.
  await runInDurableObject(shop, (object) => expect(object.order(customer, 'lamp')).rejects.toThrow('lamp is sold out'))
  await drain(shop)
  expect(landed('oslo')).toHaveLength(before)
  expect(await shop.orders()).toHaveLength(1)
})

it('shows no address in the log', async () => {
  const shop = env.SHOP.getByName('bergen')
  await shop.stockUp(lamp)
  await shop.order(await shop.signUp('Bob', 'bob@example.com'), 'lamp')
  await drain(shop)
  const [order] = landed('bergen').filter(({ table }) => table === 'orders')
  expect(order?.after).toMatchObject({ email: '***', state: 'placed' })
})

it('ships an order once, also if its event arrives twice and the warehouse was evicted', async () => {
  const [shop, warehouse] = [env.SHOP.getByName('tromso'), env.WAREHOUSE.getByName('tromso')]
  await shop.stockUp(lamp)
  await shop.order(await shop.signUp('Carol', 'carol@example.com'), 'lamp')
  const records = await drain(shop)
  await warehouse.receive(records)
  await evictDurableObject(warehouse)
  await warehouse.receive(records)
  expect(await warehouse.parcels()).toHaveLength(1)
})
