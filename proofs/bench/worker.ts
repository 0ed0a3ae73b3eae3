// The Worker behind the figures: a route for each thing that has to be measured inside a Durable Object.

import { WorkerEntrypoint } from 'cloudflare:workers'
import { tailRoutes } from 'durable-outbox/tail'
import { Hono } from 'hono'
import type { CaptureLoad, CaptureObject } from './capture-object.ts'
import type { Alternative } from './alternatives.ts'
import type { CommitLoad, CommitObject } from './commit-object.ts'
import type { DocumentQueryObject } from './document-query-object.ts'
import { type FreshnessObject, measureFreshness, type SteadyLoad } from './freshness-object.ts'
import type { GraphObject, WalkTask } from './graph-object.ts'
import type { BacklogLoad, BacklogObject, DrainLoad, DrainTimes, RawDrainObject, RelayObject } from './relay-object.ts'
import { type BenchLakeIntake, type BenchLakeTable, commitOften, ingest } from './lake-object.ts'
import type { IngestLoad } from './lake-records.ts'
import type { AlternativeName, RequestLoad } from './request.ts'
import type { Load, RowsObject } from './rows-object.ts'
import type { SearchLoad, SearchObject } from './search-object.ts'
import type { SoakObject } from './soak-object.ts'
import type { StoresObject, StoreTask } from './stores-object.ts'
import type { TailObject } from './tail-object.ts'

export {
  BareObject,
  DrizzleOutboxObject,
  DualWriteObject,
  KeyValueOutboxObject,
  OursObject,
  RawOutboxObject,
} from './alternatives.ts'
export { BacklogObject, RawDrainObject, RelayObject } from './relay-object.ts'
export { CaptureObject } from './capture-object.ts'
export { CommitObject } from './commit-object.ts'
export { DocumentQueryObject } from './document-query-object.ts'
export { FreshnessObject } from './freshness-object.ts'
export { GraphObject } from './graph-object.ts'
export { BenchLakeIntake, BenchLakeTable } from './lake-object.ts'
export { Lake } from 'durable-outbox/lake'
export { RowsObject } from './rows-object.ts'
export { SearchObject } from './search-object.ts'
export { SoakObject } from './soak-object.ts'
export { StoresObject } from './stores-object.ts'
export { TailObject } from './tail-object.ts'
export { OutboxTail } from 'durable-outbox/tail'

type AlternativeNamespace = DurableObjectNamespace<Alternative & Rpc.DurableObjectBranded>

interface Bindings {
  OURS: AlternativeNamespace
  BARE: AlternativeNamespace
  RAW_OUTBOX: AlternativeNamespace
  DRIZZLE_OUTBOX: AlternativeNamespace
  KEY_VALUE_OUTBOX: AlternativeNamespace
  DUAL_WRITE: AlternativeNamespace
  COMMIT: DurableObjectNamespace<CommitObject>
  CAPTURE: DurableObjectNamespace<CaptureObject>
  ROWS: DurableObjectNamespace<RowsObject>
  RELAY: DurableObjectNamespace<RelayObject>
  RAW_DRAIN: DurableObjectNamespace<RawDrainObject>
  BACKLOG: DurableObjectNamespace<BacklogObject>
  DOCUMENTS: DurableObjectNamespace<DocumentQueryObject>
  GRAPH: DurableObjectNamespace<GraphObject>
  SEARCH: DurableObjectNamespace<SearchObject>
  STORES: DurableObjectNamespace<StoresObject>
  LAKE_TABLE: DurableObjectNamespace<BenchLakeTable>
  LAKE_INTAKE: DurableObjectNamespace<BenchLakeIntake>
  LAKE_BUCKET: R2Bucket
  LAKE: Service<import('durable-outbox/lake').Lake>
  FRESHNESS: DurableObjectNamespace<FreshnessObject>
  SOAK: DurableObjectNamespace<SoakObject>
  TAILED: DurableObjectNamespace<TailObject>
}

/** Takes no time itself, so that the figures are about the outbox and the relay. */
export class AcceptingPipeline extends WorkerEntrypoint {
  async send(): Promise<void> {}
}

const app = new Hono<{ Bindings: Bindings }>()

app.post('/commit/:object', async (c) => {
  return c.json(await c.env.COMMIT.getByName(c.req.param('object')).run(await c.req.json<CommitLoad>()))
})

function alternativesOf(env: Bindings): Record<AlternativeName, AlternativeNamespace> {
  return {
    ours: env.OURS,
    bare: env.BARE,
    raw: env.RAW_OUTBOX,
    drizzle: env.DRIZZLE_OUTBOX,
    'key-value': env.KEY_VALUE_OUTBOX,
    'dual-write': env.DUAL_WRITE,
  }
}

app.post('/request', async (c) => {
  const { kind, clients, requests } = await c.req.json<RequestLoad>()
  const object = alternativesOf(c.env)[kind].getByName('request')
  const startMs = performance.now()
  await Promise.all(
    Array.from({ length: clients }, async () => {
      for (let request = 0; request < requests / clients; request += 1) await object.write()
    }),
  )
  const ms = performance.now() - startMs
  // What is left to send would slow down whoever is measured next.
  while ((await object.pending()) > 0) await scheduler.wait(20)
  return c.json(ms)
})

app.post('/rows/:object', async (c) => {
  return c.json(await c.env.ROWS.getByName(c.req.param('object')).run(await c.req.json<Load>()))
})

app.post('/capture/:object', async (c) => {
  return c.json(await c.env.CAPTURE.getByName(c.req.param('object')).run(await c.req.json<CaptureLoad>()))
})

app.post('/drain/:object', async (c) => {
  const { rounds, ...load } = await c.req.json<DrainLoad>()
  const relay = c.env.RELAY.getByName(c.req.param('object'))
  const raw = c.env.RAW_DRAIN.getByName(c.req.param('object'))
  const times: DrainTimes[] = []
  // The first round warms up and is left out.
  for (let round = 0; round <= rounds; round += 1) {
    const { records, ...ours } = await relay.compare(load)
    times.push({ ...ours, rawMs: await raw.drain(load, records) })
  }
  return c.json(times.slice(1))
})
app.post('/backlog/fill/:object', async (c) => {
  await c.env.BACKLOG.getByName(c.req.param('object')).fill(await c.req.json<BacklogLoad>())
  return c.json({})
})
app.post('/backlog/drain/:object', async (c) => {
  return c.json(await c.env.BACKLOG.getByName(c.req.param('object')).drain())
})

app.post('/stores/:object', async (c) => {
  return c.json(await c.env.STORES.getByName(c.req.param('object')).run(await c.req.json<StoreTask>()))
})

app.post('/documents/fill/:object', async (c) => {
  await c.env.DOCUMENTS.getByName(c.req.param('object')).fill(await c.req.json<number>())
  return c.json({})
})
app.post('/documents/query/:object', async (c) => {
  return c.json(await c.env.DOCUMENTS.getByName(c.req.param('object')).measure())
})
app.post('/graph/:object', async (c) => {
  return c.json(await c.env.GRAPH.getByName(c.req.param('object')).run(await c.req.json<WalkTask>()))
})

app.post('/search/:object', async (c) => {
  return c.json(await c.env.SEARCH.getByName(c.req.param('object')).run(await c.req.json<SearchLoad>()))
})

app.post('/lake/ingest/:table', async (c) => {
  const table = c.env.LAKE_TABLE.getByName(c.req.param('table'))
  return c.json(await ingest(table, await c.req.json<IngestLoad>()))
})
app.post('/lake/shards/:shards', async (c) => {
  const shards = Number(c.req.param('shards'))
  const name = `shards-${shards}`
  const stubs = Array.from({ length: shards }, (_, shard) => c.env.LAKE_INTAKE.getByName(`${name}/1/${shard}`))
  return c.json(await ingest(c.env.LAKE_TABLE.getByName(name), await c.req.json<IngestLoad>(), stubs))
})
app.post('/lake/commits/:table', async (c) => {
  const table = c.env.LAKE_TABLE.getByName(c.req.param('table'))
  return c.json({ ms: await commitOften(table, await c.req.json<IngestLoad>()) })
})
app.post('/lake/bytes/:table', async (c) => {
  const { objects } = await c.env.LAKE_BUCKET.list({ prefix: `${c.req.param('table')}/events/data/` })
  return c.json({ bytes: objects.reduce((bytes, { size }) => bytes + size, 0) })
})

app.post('/freshness', async (c) => c.json(await measureFreshness(c.env, await c.req.json<SteadyLoad>())))

app.post('/soak/:object', async (c) => {
  await c.env.SOAK.getByName(c.req.param('object')).write()
  return c.json({})
})

app.route(
  '/tail',
  tailRoutes<Bindings>((env, _, object) => env.TAILED.getByName(object)),
)
app.post('/tail-commit/:object', async (c) => {
  await c.env.TAILED.getByName(c.req.param('object')).commit()
  return c.json({})
})

export default app
