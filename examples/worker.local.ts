// The Worker that `wrangler dev` runs: the deployed one, with the lake in place of Basin Pipelines, and the lake's table
// for engines: a catalog at /catalog, and its files where S3 clients look for the bucket `lake`.

import { lakeRoutes } from 'durable-outbox/admin'
import { type CatalogEnv, catalogRoutes, fileRoutes, type Lake } from 'durable-outbox/lake'
import { Hono } from 'hono'
import worker from './worker.ts'

export * from './worker.ts'
export { Lake, LakeIntake, LakeTable } from 'durable-outbox/lake'

const LOOPBACK_ADDRESSES = ['127.0.0.1', '::1', '::ffff:127.0.0.1']
/** What proxies and tunnels add to a request that they pass on. */
const PASSED_ON_HEADERS = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-port',
  'x-forwarded-server',
  'x-original-forwarded-for',
  'x-real-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'true-client-ip',
  'fly-client-ip',
  'cdn-loop',
]
const LOOPBACK_HOSTS = ['localhost', '127.0.0.1', '[::1]']

interface Bindings extends CatalogEnv {
  EVENTS_PIPELINE: Service<Lake>
}

const table = new Hono<{ Bindings: Bindings }>()
table.route(
  '/catalog',
  catalogRoutes<Bindings>((env) => env.EVENTS_PIPELINE),
)
table.route('/lake', fileRoutes())

const local = new Hono<{ Bindings: Bindings }>()
local.route('/', worker)
// Before the routes that need a token: here nobody need have one to see how the lake is.
local.get('/lake', async (c) => c.json(await c.env.EVENTS_PIPELINE.status()))
local.route(
  '/lake',
  lakeRoutes<Bindings>((env) => env.EVENTS_PIPELINE),
)
local.all('/catalog/*', (c) => readTable(c.req.raw, c.env))
local.all('/lake/*', (c) => readTable(c.req.raw, c.env))

/** Shows a token in place of who asks from this machine, while there is none to know. */
function readTable(request: Request, env: Bindings): Response | Promise<Response> {
  if ((env.CATALOG_TOKEN ?? '').trim() !== '' || !isFromHere(request)) return table.fetch(request, env)
  const headers = new Headers(request.headers)
  headers.set('authorization', 'Bearer local')
  return table.fetch(new Request(request, { headers }), { ...env, CATALOG_TOKEN: 'local' })
}

/**
 * Whether a request was made on this machine, and to it by its own name. What comes through a tunnel, or from a web page
 * whose name was made to lead here, has another host; a tunnel that was told to change the host still says from which
 * address the request came, and a proxy usually says that it passed it on. `wrangler dev` says it of its own connections, so from the same network nobody counts either.
 * Who reaches the port could forge both, and by default only this machine does. Deployed, which this Worker is not meant
 * to be, no request has either.
 */
function isFromHere(request: Request): boolean {
  if (PASSED_ON_HEADERS.some((name) => request.headers.has(name))) return false
  const address = request.headers.get('cf-connecting-ip') ?? ''
  return LOOPBACK_ADDRESSES.includes(address) && LOOPBACK_HOSTS.includes(new URL(request.url).hostname)
}

export default local
