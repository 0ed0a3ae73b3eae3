// The Worker that is deployed: the example objects, the lake that they send to, and the lake's table for engines: a catalog at
// /catalog, and its files where S3 clients look for a bucket named `lake`.

import { lakeRoutes } from 'durable-outbox/admin'
import { consoleRoutes } from 'durable-outbox/console'
import { metricsRoutes, type OutboxFleet } from 'durable-outbox/fleet'
import { type CatalogEnv, catalogRoutes, fileRoutes, type Lake } from 'durable-outbox/lake'
import { Hono } from 'hono'
import objects from './worker.pipelines.ts'

export * from './worker.pipelines.ts'
export { Lake, LakeIntake, LakeTable } from 'durable-outbox/lake'

export interface Bindings extends CatalogEnv {
  EVENTS_PIPELINE: Service<Lake>
  OUTBOX_FLEET: DurableObjectNamespace<OutboxFleet>
}

export const table = new Hono<{ Bindings: Bindings }>()
table.route(
  '/catalog',
  catalogRoutes<Bindings>((env) => env.EVENTS_PIPELINE),
)
table.route('/lake', fileRoutes())

const app = new Hono<{ Bindings: Bindings }>()
app.route('/', objects)
app.route(
  '/lake',
  lakeRoutes<Bindings>((env) => env.EVENTS_PIPELINE),
)
app.route('/console', consoleRoutes<Bindings>({ lake: (env) => env.EVENTS_PIPELINE }))
app.route('/metrics', metricsRoutes<Bindings>({ lake: (env) => env.EVENTS_PIPELINE }))
app.route('/', table)

export default app
