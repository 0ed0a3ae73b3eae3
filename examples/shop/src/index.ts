import { exports } from 'cloudflare:workers'
import { lakeRoutes, outboxRoutes } from 'durable-outbox/admin'
import { Hono } from 'hono'
import type { Product } from './shop.ts'

export { Lake, LakeTable } from 'durable-outbox/lake'
export { Events } from './pipeline.ts'
export { Shop } from './shop.ts'
export { Till } from './till.ts'
export { Warehouse } from './warehouse.ts'

const app = new Hono<{ Bindings: Env }>()

app.post('/shops/:shop/products', async (c) => {
  const product = await c.req.json<Product>()
  await c.env.SHOP.getByName(c.req.param('shop')).stockUp(product)
  return c.json({ product: product.id }, 201)
})
app.post('/shops/:shop/customers', async (c) => {
  const { name, email, referredBy } = await c.req.json<{ name: string; email: string; referredBy?: string }>()
  return c.json({ customer: await c.env.SHOP.getByName(c.req.param('shop')).signUp(name, email, referredBy) }, 201)
})
app.post('/shops/:shop/orders', async (c) => {
  const { customer, product } = await c.req.json<{ customer: string; product: string }>()
  return c.json({ order: await c.env.SHOP.getByName(c.req.param('shop')).order(customer, product) }, 201)
})
app.get('/shops/:shop/orders', async (c) => c.json(await c.env.SHOP.getByName(c.req.param('shop')).orders()))
app.get('/shops/:shop/turnover', async (c) => c.json(await c.env.SHOP.getByName(c.req.param('shop')).turnover()))
app.get('/shops/:shop/parcels', async (c) => c.json(await c.env.WAREHOUSE.getByName(c.req.param('shop')).parcels()))
app.post('/tills/:till', async (c) => {
  const { cents } = await c.req.json<{ cents: number }>()
  await c.env.TILL.getByName(c.req.param('till')).ring(cents)
  return c.json({ cents }, 201)
})

app.route(
  '/lake',
  lakeRoutes(() => exports.Lake),
)
app.route(
  '/admin/outbox',
  outboxRoutes<Env>((env, className, object) => {
    if (className === 'shop') return env.SHOP.getByName(object)
    if (className === 'warehouse') return env.WAREHOUSE.getByName(object)
    return className === 'till' ? env.TILL.getByName(object) : undefined
  }),
)

export default app
