// A bucket for S3 clients on this machine, as far as Iceberg's library writes to one. Signatures are not looked at. wrangler has an S3
// API too; it stores the chunks of a signed body as they come.

import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { buffer } from 'node:stream/consumers'
import * as z from 'zod'

const addressShape = z.object({ port: z.int() })

/** Serves `/<name>/<key>`. */
export async function serveBucket(bucket: R2Bucket, name: string): Promise<{ url: string; stop: () => void }> {
  const server = createServer((request, response) => {
    void answer(bucket, name, request, response).catch(() => response.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = addressShape.parse(server.address())
  return {
    url: `http://127.0.0.1:${port}`,
    stop() {
      server.close()
      server.closeAllConnections()
    },
  }
}

async function answer(
  bucket: R2Bucket,
  name: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const key = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname).slice(name.length + 2)
  const body = await buffer(request)
  if (request.method === 'PUT') {
    const isChunked = String(request.headers['x-amz-content-sha256']).startsWith('STREAMING-')
    const object = await bucket.put(key, isChunked ? withoutChunks(body) : body)
    response.writeHead(200, { etag: object?.httpEtag ?? '' }).end()
    return
  }
  const object = await bucket.get(key)
  if (object === null) {
    response.writeHead(404).end()
    return
  }
  const bytes = Buffer.from(await object.arrayBuffer())
  const [, first = '0', last = String(bytes.length - 1)] =
    /^bytes=(\d+)-(\d+)?$/.exec(request.headers.range ?? '') ?? []
  const part = bytes.subarray(Number(first), Number(last) + 1)
  const range = { 'content-range': `bytes ${first}-${last}/${bytes.length}` }
  response.writeHead(request.headers.range === undefined ? 200 : 206, {
    'content-length': part.length,
    etag: object.httpEtag,
    ...(request.headers.range !== undefined && range),
  })
  response.end(request.method === 'HEAD' ? undefined : part)
}

/** The content of a body in which each chunk follows a line with its length and its signature; the last chunk is empty. */
function withoutChunks(body: Buffer): Buffer {
  const chunks: Buffer[] = []
  for (let at = 0; at < body.length;) {
    const begin = body.indexOf('\r\n', at) + 2
    const length = Number.parseInt(body.subarray(at, begin).toString(), 16)
    if (length === 0) break
    chunks.push(body.subarray(begin, begin + length))
    at = begin + length + 2
  }
  return Buffer.concat(chunks)
}
