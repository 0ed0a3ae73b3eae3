// The Worker that is deployed: the example objects, and an HTTP way to each. `wrangler dev` runs worker.local.ts,
// which adds the lake.

import { Hono } from 'hono'
import type { Customers } from '../examples/customers.ts'
import type { DatasetCommand, Datasets } from '../examples/datasets.ts'
import type { Command, Films } from '../examples/films.ts'
import { outboxRoutes } from './admin/index.ts'
import { ingestRoutes } from './ingest/index.ts'

export { Customers } from '../examples/customers.ts'
export { Datasets } from '../examples/datasets.ts'
export { Films } from '../examples/films.ts'
export { IngestBatches } from './ingest/index.ts'

interface Bindings {
  CUSTOMERS: DurableObjectNamespace<Customers>
  FILMS: DurableObjectNamespace<Films>
  DATASETS: DurableObjectNamespace<Datasets>
}

const HELP = `durable-outbox

  curl -X POST localhost:8787/customers/acme -d '{"name":"Alice","email":"alice@example.com"}'
  npx durable-outbox query "SELECT type, ns, key, data FROM events"
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

app.route(
  '/admin/outbox',
  outboxRoutes<Bindings>((env, className, object) => {
    if (className === 'customers') return env.CUSTOMERS.getByName(object)
    if (className === 'films') return env.FILMS.getByName(object)
    return className === 'datasets' ? env.DATASETS.getByName(object) : undefined
  }),
)

app.route('/ingest', ingestRoutes<Bindings>())

export default app
