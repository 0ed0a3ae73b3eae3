// The lake as an Iceberg REST catalog, for engines that attach to one: only its reading routes, since a table has one writer.
// As open-api/rest-catalog-open-api.yaml of Apache Iceberg 1.11.0 defines it.

import { Hono } from 'hono'
import { CDCError } from '../../error.ts'
import { secretOf } from '../../http/secret.ts'
import type { TableMetadata } from '../iceberg/metadata.ts'
import { locationOf, metadataKey } from '../table/location.ts'
import { ACCESS_KEY_ID, type CatalogEnv, requireToken, TOKEN_NAME } from './access.ts'
import { catalogError } from './errors.ts'

/** What knows the table's current version: the binding of a `Lake`, or the stub of a `LakeTable`. */
export interface LakeHolder {
  version(): PromiseLike<number>
}

const NAMESPACE = 'cdc'
const TABLE = 'events'

const TABLE_PATH = '/namespaces/:namespace/tables/:table'

/** The routes that exist, so that no client tries another. */
const ENDPOINTS = [
  'GET /v1/{prefix}/namespaces',
  'GET /v1/{prefix}/namespaces/{namespace}',
  'HEAD /v1/{prefix}/namespaces/{namespace}',
  'GET /v1/{prefix}/namespaces/{namespace}/tables',
  'GET /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'HEAD /v1/{prefix}/namespaces/{namespace}/tables/{table}',
  'POST /v1/{prefix}/namespaces/{namespace}/tables/{table}/metrics',
]

/**
 * A hono app that is a read-only Iceberg REST catalog with one table, `cdc.events`, to be mounted beside its files:
 *
 *     app.route('/catalog', catalogRoutes<Env>((env) => env.EVENTS_PIPELINE))
 *     app.route('/lake', fileRoutes())
 *
 * A request needs the header `Authorization: Bearer <env.CATALOG_TOKEN>`; while that variable is empty, all requests are
 * refused. A client that asks for `vended-credentials` gets, with the table, the endpoint of its files and the key to them.
 * Refusals are the specification's `{ error: { message, type, code } }`.
 *
 * @param lakeOf returns the lake.
 */
export function catalogRoutes<Env extends CatalogEnv>(lakeOf: (env: Env) => LakeHolder): Hono<{ Bindings: Env }> {
  const routes = new Hono<{ Bindings: Env }>()
  // Engines report on their scans; nothing here uses that.
  routes.post(`${TABLE_PATH}/metrics`, (c) => c.body(null, 204))
  // One page holds everything, so `pageSize` and `pageToken` change nothing.
  routes.get('/namespaces', (c) => {
    const parent = c.req.query('parent') ?? ''
    if (parent !== '' && parent !== NAMESPACE) return noSuchNamespace(parent)
    return c.json({ namespaces: parent === '' ? [[NAMESPACE]] : [], 'next-page-token': null })
  })
  routes.get('/namespaces/:namespace', (c) => {
    const { namespace } = c.req.param()
    if (namespace !== NAMESPACE) return noSuchNamespace(namespace)
    return c.req.method === 'HEAD' ? c.body(null, 204) : c.json({ namespace: [NAMESPACE], properties: {} })
  })
  routes.get('/namespaces/:namespace/tables', async (c) => {
    const { namespace } = c.req.param()
    if (namespace !== NAMESPACE) return noSuchNamespace(namespace)
    const version = await lakeOf(c.env).version()
    const identifiers = version === 0 ? [] : [{ namespace: [NAMESPACE], name: TABLE }]
    return c.json({ identifiers, 'next-page-token': null })
  })
  routes.get(TABLE_PATH, async (c) => {
    const { namespace, table } = c.req.param()
    // Asked in any namespace: Spark first asks for the table `snapshots` of cdc.events, and then makes it itself.
    if (namespace !== NAMESPACE || table !== TABLE) return noSuchTable(`${namespace}.${table}`)
    const version = await lakeOf(c.env).version()
    if (version === 0) return noSuchTable(`${NAMESPACE}.${TABLE} before its first commit`)
    return c.req.method === 'HEAD' ? c.body(null, 204) : loadTable(c.req.raw, c.env, version)
  })

  const app = new Hono<{ Bindings: Env }>()
  app.onError((error) => {
    console.error('catalog:', error)
    return catalogError(500, 'InternalServerError', "internal error; see the Worker's log")
  })
  app.use(requireToken)
  app.use(async (c, next) =>
    c.env.LAKE_CATALOG_URI ? catalogError(404, 'NotFoundException', `ask ${c.env.LAKE_CATALOG_URI}`) : next(),
  )
  app.get('/v1/config', (c) => c.json({ defaults: {}, overrides: {}, endpoints: ENDPOINTS }))
  // A prefix chooses among the catalogs of a server. Here is one, so any prefix is accepted.
  app.route('/v1', routes)
  app.route('/v1/:prefix', routes)
  app.all('*', (c) =>
    ['GET', 'HEAD'].includes(c.req.method)
      ? catalogError(404, 'NotFoundException', 'there is no such route; v1/config lists the routes')
      : catalogError(406, 'UnsupportedOperationException', 'read-only: the lake is the only writer of its table'),
  )
  return app
}

async function loadTable(request: Request, env: CatalogEnv, version: number): Promise<Response> {
  const snapshots = new URL(request.url).searchParams.get('snapshots') ?? 'all'
  if (snapshots !== 'all' && snapshots !== 'refs')
    return catalogError(
      400,
      'BadRequestException',
      `snapshots must be "all" or "refs", not ${JSON.stringify(snapshots)}`,
    )
  const { root, prefix } = locationOf(env)
  const key = metadataKey(version)
  const object = await env.LAKE_BUCKET.get(prefix + key)
  if (object === null) throw new CDCError('not-found', `catalog: ${prefix}${key} is gone from the bucket; restore it`)
  const metadata = await object.json<TableMetadata>()
  const vended = /\bvended-credentials\b/.test(request.headers.get('x-iceberg-access-delegation') ?? '')
  const etag = `"${metadata['table-uuid']}-${version}-${snapshots}${vended ? '-vended' : ''}"`
  if (request.headers.get('if-none-match')?.includes(etag))
    return new Response(null, { status: 304, headers: { etag } })
  const result = {
    'metadata-location': `${root}/${key}`,
    metadata: snapshots === 'refs' ? withoutHistory(metadata) : metadata,
    ...(vended ? vendedCredentials(request, env, root) : { config: {} }),
  }
  return Response.json(result, { headers: { etag } })
}

/** Leaves only the snapshots that a branch or a tag names. */
function withoutHistory(metadata: TableMetadata): TableMetadata {
  const named = new Set(Object.values(metadata.refs).map((ref) => ref['snapshot-id']))
  return { ...metadata, snapshots: metadata.snapshots.filter((snapshot) => named.has(snapshot['snapshot-id'])) }
}

/** The endpoint of the files, and the key to them, which the client has just shown that it has. */
function vendedCredentials(request: Request, env: CatalogEnv, root: string) {
  const config = {
    's3.endpoint': new URL(request.url).origin,
    's3.path-style-access': 'true',
    's3.region': 'auto',
    'client.region': 'auto',
    's3.access-key-id': ACCESS_KEY_ID,
    's3.secret-access-key': secretOf(env, TOKEN_NAME),
  }
  return { config, 'storage-credentials': [{ prefix: root, config }] }
}

function noSuchNamespace(namespace: string): Response {
  return catalogError(404, 'NoSuchNamespaceException', `there is no namespace ${dotted(namespace)}, only ${NAMESPACE}`)
}

function noSuchTable(table: string): Response {
  return catalogError(404, 'NoSuchTableException', `there is no table ${dotted(table)}, only ${NAMESPACE}.${TABLE}`)
}

/** In a path, %1F separates the levels of a namespace. */
function dotted(name: string): string {
  return name.replaceAll('\u001f', '.')
}
