// A Worker of somebody else's, perhaps in another account. Tills send it their events over HTTP.

import { lakeRoutes } from 'durable-outbox/admin'
import { ingestRoutes } from 'durable-outbox/ingest'
import { Hono } from 'hono'

export { IngestBatches } from 'durable-outbox/ingest'
export { Lake, LakeTable } from 'durable-outbox/lake'

const app = new Hono<{ Bindings: Env }>()
app.route('/ingest', ingestRoutes<Env>())
app.route(
  '/lake',
  lakeRoutes<Env>((env) => env.EVENTS_PIPELINE),
)

export default app
