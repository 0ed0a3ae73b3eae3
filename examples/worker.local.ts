// The Worker that `wrangler dev` runs: the deployed one, with the lake in place of Basin Pipelines, and the lake's table
// for engines: a catalog at /catalog, and its files where S3 clients look for the bucket `lake`.

import { lakeRoutes } from 'durable-outbox/admin'
import { type CatalogEnv, catalogRoutes, fileRoutes, type Lake } from 'durable-outbox/lake'
import { Hono } from 'hono'
import worker from './worker.ts'

export * from './worker.ts'
export { Lake, LakeTable } from 'durable-outbox/lake'

const LOOPBACK_ADDRESSES = ['127.0.0.1', '::1', '::ffff:127.0.0.1']
const LOOPBACK_HOSTS = ['localhost', '127.0.0.1', '[::1]']
/**
 * Names of headers by which a proxy or a tunnel says that it passes a request on, or for whom. `cf-connecting-ip` is not among
 * them, because `wrangler dev` itself sets it.
 */
const PASSED_ON =
  /forward|proxy|tunnel|tailscale|ngrok|envoy|^via$|^cdn-|^x-(?:original|real|cluster|remote|azure|appengine)-|^(?!cf-connecting-)(?:[a-z]+-)+ip$|^cf-(?!connecting-ip$)/

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
// Before the routes that need a token: on this machine nobody need have one to see how the lake is.
local.get('/lake', async (c, next) => (isFromHere(c.req.raw) ? c.json(await c.env.EVENTS_PIPELINE.status()) : next()))
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
 * address the request came. `wrangler dev` says it of its own connections, so from the same network nobody counts either.
 * A proxy on this machine is one of its own connections, and may change the host: any header by which proxies tell that they
 * pass a request on closes the door. Who reaches the port could leave it out, and by default only this machine does.
 * Deployed, which this Worker is not meant to be, no request has the marks of this machine.
 */
function isFromHere(request: Request): boolean {
  const address = request.headers.get('cf-connecting-ip') ?? ''
  if (!LOOPBACK_ADDRESSES.includes(address) || !LOOPBACK_HOSTS.includes(new URL(request.url).hostname)) return false
  return ![...request.headers.keys()].some((name) => PASSED_ON.test(name))
}

export default local
