// The Worker over Basin Pipelines: the example objects, and an HTTP way to each. worker.ts adds the lake.

import { outboxRoutes } from 'durable-outbox/admin'
import { fleetRoutes } from 'durable-outbox/fleet'
import { ingestRoutes } from 'durable-outbox/ingest'
import { tailRoutes } from 'durable-outbox/tail'
import { Hono } from 'hono'
import type { Customers } from './customers.ts'
import type { DatasetCommand, Datasets } from './datasets.ts'
import type { Command, Films } from './films.ts'

export { Customers } from './customers.ts'
export { Datasets } from './datasets.ts'
export { Films } from './films.ts'
export { OutboxFleet } from 'durable-outbox/fleet'
export { IngestBatches } from 'durable-outbox/ingest'
export { OutboxTail } from 'durable-outbox/tail'

interface Bindings {
  CUSTOMERS: DurableObjectNamespace<Customers>
  FILMS: DurableObjectNamespace<Films>
  DATASETS: DurableObjectNamespace<Datasets>
}

const HELP = `durable-outbox

  curl -X POST localhost:8787/customers/acme -d '{"name":"Alice","email":"alice@example.com"}'
  npx durable-outbox query "SELECT type, ns, key, data FROM events"

Pages for people are at /console, once ADMIN_TOKEN is set: in .dev.vars, or by npx wrangler secret put ADMIN_TOKEN.
`

const app = new Hono<{ Bindings: Bindings }>()

app.get('/', (c) => c.text(HELP))

app.post('/customers/:object', async (c) => {
  const body = await c.req
    .json<{ name?: unknown; email?: unknown }>()
    .catch(() => ({ name: undefined, email: undefined }))
  if (typeof body.name !== 'string' || typeof body.email !== 'string')
    return c.json({ error: 'the body must be {"name": string, "email": string}' }, 400)
  return c.json(await c.env.CUSTOMERS.getByName(c.req.param('object')).signUp(body.name, body.email), 201)
})

app.post('/films/:object', async (c) => {
  const commands = await c.req.json<Command[]>()
  return c.json({ failed: await c.env.FILMS.getByName(c.req.param('object')).apply(commands) })
})
app.get('/films/:object', async (c) => {
  return c.json(await c.env.FILMS.getByName(c.req.param('object')).page(Number(c.req.query('offset') ?? 0)))
})
app.get('/films/:object/ledger', async (c) => c.json(await c.env.FILMS.getByName(c.req.param('object')).ledger()))

app.post('/datasets/:object', async (c) => {
  const commands = await c.req.json<DatasetCommand[]>()
  await c.env.DATASETS.getByName(c.req.param('object')).apply(commands)
  return c.json({ failed: [] })
})
app.get('/datasets/:object/:store', async (c) => {
  const { object, store } = c.req.param()
  const page = await c.env.DATASETS.getByName(object).page(store, c.req.query('after'))
  return c.body(page, 200, { 'content-type': 'application/json' })
})

/** The objects whose outboxes can be inspected and followed. */
function find(env: Bindings, className: string, object: string) {
  if (className === 'customers') return env.CUSTOMERS.getByName(object)
  if (className === 'films') return env.FILMS.getByName(object)
  return className === 'datasets' ? env.DATASETS.getByName(object) : undefined
}

app.route('/admin/outbox', outboxRoutes<Bindings>(find))
app.route('/admin/fleet', fleetRoutes())
app.route('/tail', tailRoutes<Bindings>(find))
app.route('/ingest', ingestRoutes<Bindings>())

export default app
