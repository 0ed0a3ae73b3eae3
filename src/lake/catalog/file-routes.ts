// The table's files for S3 clients, as the catalog's answers name them. Read-only, and nothing else in the bucket.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html

import { Hono } from 'hono'
import { type Location, locationOf } from '../table/location.ts'
import { type CatalogEnv, requireKey } from './access.ts'
import { s3Error } from './errors.ts'
import { bytesIn, parseRange } from './range.ts'

/**
 * A hono app that serves the files of the lake's table as an S3 bucket. Mount it at the bucket's name, where S3 clients
 * look: `app.route('/lake', fileRoutes())` for the default location `s3://lake/cdc/events`.
 *
 * `GET` and `HEAD /<bucket>/<key>` with `Range`, `If-Match`, `If-None-Match`, `If-Modified-Since` and
 * `If-Unmodified-Since`. A request is signed with AWS Signature Version 4, with `catalog` as the access key id and
 * `env.CATALOG_TOKEN` as the secret, or has the header `Authorization: Bearer <env.CATALOG_TOKEN>`. While that variable is
 * empty, all requests are refused. A refusal is S3's XML.
 */
export function fileRoutes(): Hono<{ Bindings: CatalogEnv }> {
  const app = new Hono<{ Bindings: CatalogEnv }>()
  app.onError((error) => {
    console.error('files:', error)
    return s3Error(500, 'InternalError', "internal error; see the Worker's log")
  })
  app.use(requireKey)
  app.get('*', (c) => fileResponse(c.req.raw, c.env))
  app.all('*', () =>
    s3Error(405, 'MethodNotAllowed', 'the lake is the only writer of its table', { allow: 'GET, HEAD' }),
  )
  return app
}

async function fileResponse({ method, url, headers }: Request, env: CatalogEnv): Promise<Response> {
  const key = keyOf(new URL(url).pathname, locationOf(env))
  if (key === undefined) return noSuchKey()
  // A request with If-Range may be answered with the whole file, and no engine sends one.
  const range = headers.has('if-range') ? undefined : parseRange(headers.get('range'))
  const { onlyIf, otherwise } = preconditionOf(headers)
  const object =
    method === 'HEAD'
      ? await env.LAKE_BUCKET.head(key)
      : await getObject(env.LAKE_BUCKET, key, { onlyIf, ...(range && { range }) })
  if (object === null) return noSuchKey()
  const { size } = object
  const bytes = range && bytesIn(range, size)
  if (range !== undefined && bytes === undefined)
    return s3Error(416, 'InvalidRange', `the file has ${size} bytes`, { 'content-range': `bytes */${size}` })
  const body = bodyOf(object)
  if (method !== 'HEAD' && body === null) return otherwise(object)
  return new Response(body, {
    status: bytes === undefined ? 200 : 206,
    headers: {
      ...validatorsOf(object),
      'accept-ranges': 'bytes',
      'content-type': 'application/octet-stream',
      'content-length': String(bytes?.length ?? size),
      ...(bytes && { 'content-range': `bytes ${bytes.offset}-${bytes.offset + bytes.length - 1}/${size}` }),
    },
  })
}

/** R2 throws if an object has nothing of the range. Then the object is returned without a body; its size tells why. */
async function getObject(
  bucket: R2Bucket,
  key: string,
  options: R2GetOptions & { onlyIf: Headers; range?: R2Range },
): Promise<R2Object | null> {
  try {
    return await bucket.get(key, options)
  } catch (error) {
    const object = await bucket.head(key)
    if (object !== null && options.range !== undefined && bytesIn(options.range, object.size) === undefined)
      return object
    throw error
  }
}

function bodyOf(object: R2Object): ReadableStream | null {
  return 'body' in object ? (object as R2ObjectBody).body : null
}

interface Precondition {
  readonly onlyIf: Headers
  /** The answer if it does not hold. */
  readonly otherwise: (object: R2Object) => Response
}

/** RFC 9110, section 13.2.2: what the client requires comes before what it has already. */
function preconditionOf(headers: Headers): Precondition {
  const required = choose(headers, ['if-match', 'if-unmodified-since'])
  if ([...required].length > 0)
    return { onlyIf: required, otherwise: () => s3Error(412, 'PreconditionFailed', 'the file is not that one') }
  return {
    onlyIf: choose(headers, ['if-none-match', 'if-modified-since']),
    otherwise: (object) => new Response(null, { status: 304, headers: validatorsOf(object) }),
  }
}

function choose(headers: Headers, names: readonly string[]): Headers {
  return new Headers([...headers].filter(([name]) => names.includes(name)))
}

function validatorsOf({ httpEtag, uploaded }: R2Object): Record<string, string> {
  return { etag: httpEtag, 'last-modified': uploaded.toUTCString() }
}

function noSuchKey(): Response {
  return s3Error(404, 'NoSuchKey', 'the table has no such file')
}

/** The key that a client asks for by `/<bucket>/<key>`; nothing if it is another object's, or not one that a key may have. */
function keyOf(pathname: string, { bucket, prefix }: Location): string | undefined {
  const path = decoded(pathname)
  const root = `/${bucket}/`
  if (path === undefined || !path.startsWith(root + prefix)) return undefined
  const key = path.slice(root.length)
  // R2 takes these literally, but what lies between may not.
  return key.split('/').some((segment) => ['', '.', '..'].includes(segment)) ? undefined : key
}

function decoded(pathname: string): string | undefined {
  try {
    return decodeURIComponent(pathname)
  } catch {
    return undefined
  }
}
