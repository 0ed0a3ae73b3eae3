// The Worker that `wrangler dev` runs: the deployed one, with the lake in place of Basin Pipelines.

import { Hono } from 'hono'
import type { Lake } from './lake/index.ts'
import worker from './worker.ts'

export * from './worker.ts'
export { Lake, LakeTable } from './lake/index.ts'

const local = new Hono<{ Bindings: { EVENTS_PIPELINE: Service<Lake> } }>()
local.route('/', worker)
local.get('/lake', async (c) => c.json(await c.env.EVENTS_PIPELINE.status()))

export default local
