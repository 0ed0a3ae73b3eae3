// The Worker behind the figures: a route for each thing that has to be measured inside a Durable Object.

import { WorkerEntrypoint } from 'cloudflare:workers'
import { Hono } from 'hono'
import type { Load, RowsObject } from './rows-object.ts'

export { RowsObject } from './rows-object.ts'

interface Bindings {
  ROWS: DurableObjectNamespace<RowsObject>
}

/** Takes no time of its own, so that figures are about the outbox and the relay. */
export class AcceptingPipeline extends WorkerEntrypoint {
  async send(): Promise<void> {}
}

const app = new Hono<{ Bindings: Bindings }>()

app.post('/rows/:object', async (c) => {
  return c.json(await c.env.ROWS.getByName(c.req.param('object')).run(await c.req.json<Load>()))
})

export default app
