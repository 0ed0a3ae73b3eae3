// The Worker under test, and the routes by which the outer process drives it and looks inside.

import { lakeRoutes, outboxRoutes } from 'durable-outbox/admin'
import { Hono } from 'hono'
import * as z from 'zod'
import { activity, mercy, setTrap } from './activity.ts'
import type { ChaosEnv } from './env.ts'
import { operationSchema } from './operation.ts'
import { phaseSchema } from './phases.ts'
import type { Cellar } from './cellar.ts'
import type { Warehouse } from './warehouse.ts'

export { Lake } from 'durable-outbox/lake'
export { Cellar } from './cellar.ts'
export { ChaosPipeline } from './chaos-pipeline.ts'
export { FaultLog } from './fault-log.ts'
export { SlowLakeIntake, SlowLakeTable } from './slow-lake.ts'
export { Warehouse } from './warehouse.ts'

interface Bindings extends ChaosEnv {
  WAREHOUSES: DurableObjectNamespace<Warehouse>
  CELLARS: DurableObjectNamespace<Cellar>
}

const app = new Hono<{ Bindings: Bindings }>()

app.get('/', (c) => c.text('up'))

app.post('/warehouses/:name', async (c) => {
  const operations = z.array(operationSchema).parse(await c.req.json())
  return c.json(await c.env.WAREHOUSES.getByName(c.req.param('name')).apply(operations))
})
app.get('/warehouses/:name/ledger', async (c) => {
  return c.json(await c.env.WAREHOUSES.getByName(c.req.param('name')).ledger(Number(c.req.query('after') ?? 0)))
})
app.get('/warehouses/:name/stock', async (c) => {
  return c.json(await c.env.WAREHOUSES.getByName(c.req.param('name')).stock())
})

app.post('/cellars/:name/fill', async (c) => {
  const tokens = z.array(z.string()).parse(await c.req.json())
  await c.env.CELLARS.getByName(c.req.param('name')).fill(tokens)
  return c.json('done')
})
app.post('/cellars/:name/take-stock', async (c) => {
  await c.env.CELLARS.getByName(c.req.param('name')).takeStock()
  return c.json('done')
})
app.post('/cellars/:name/empty', async (c) => {
  await c.env.CELLARS.getByName(c.req.param('name')).empty()
  return c.json('done')
})
app.get('/cellars/:name', async (c) => c.json(await c.env.CELLARS.getByName(c.req.param('name')).report()))

app.get('/landed', async (c) => c.json(await c.env.LAKE.status()))
app.route(
  '/lake',
  lakeRoutes<Bindings>((env) => env.LAKE),
)
app.route(
  '/admin/outbox',
  outboxRoutes<Bindings>((env, className, object) => {
    if (className === 'warehouse') return env.WAREHOUSES.getByName(object)
    return className === 'cellar' ? env.CELLARS.getByName(object) : undefined
  }),
)
app.get('/faults', async (c) => c.json(await c.env.FAULT_LOG.getByName('faults').counts()))

app.get('/activity', (c) => c.json(activity))
app.post('/mercy', (c) => {
  mercy.isGranted = true
  return c.json('done')
})
app.post('/trap/:phase', (c) => {
  setTrap(phaseSchema.parse(c.req.param('phase')))
  return c.text('set')
})

app.onError((error, c) => c.text(`${error.name}: ${error.message}`, 500))

export default app
