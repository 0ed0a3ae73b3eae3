// The tails of a Worker's objects over HTTP: `GET /<class>/<object>` as a WebSocket or as server-sent events, and
// `POST /<class>/<object>/ticket` for browsers.

import { type Context, Hono } from 'hono'
import type { TailPage, TailQuery } from '../admin/log-page.ts'
import { CDCError } from '../error.ts'
import { errorResponse, Refusal } from '../http/error-response.ts'
import { tailOf } from '../tail-binding.ts'
import { Access, protocolsOf, SUBPROTOCOL } from './access.ts'
import { eventStream } from './event-stream.ts'
import type { TailEvent } from './next-events.ts'
import { OBJECT_NAME } from './outbox-tail.ts'

/** The stub of an object with an outbox. */
export interface TailedObject {
  readonly id: DurableObjectId
  readonly outbox: PromiseLike<Disposable & { tail(query?: TailQuery): Promise<TailPage<TailEvent>> }>
}

/**
 * A hono app for the tails of a Worker's objects: `app.route('/tail', tailRoutes(find))`. The Worker exports `OutboxTail`, and
 * binds it as `OUTBOX_TAIL`.
 *
 * A request needs `Authorization: Bearer <token>`: the Worker's `ADMIN_TOKEN`, or a token of `TAIL_TOKENS` or of the issuer
 * whose keys are `TAIL_JWKS`, for the object's ns; all are as the ingest has them. Or it has a ticket. A request of a web page
 * has to come from the same origin, or from one of `TAIL_ORIGINS`.
 *
 * @param find returns the object's stub; undefined if there is no such class, or if its log is not to be followed.
 */
export function tailRoutes<Env extends object>(
  find: (env: Env, className: string, object: string) => TailedObject | undefined,
): Hono<{ Bindings: Env }> {
  const app = new Hono<{ Bindings: Env }>()
  /** Kept across requests: it caches the keys of an issuer. */
  const opened = new WeakMap<Env, Access>()

  async function admit(c: Context<{ Bindings: Env }>, isTicketEnough: boolean): Promise<TailedObject> {
    const access = opened.get(c.env) ?? Access.of(c.env)
    opened.set(c.env, access)
    const { class: className = '', object: name = '' } = c.req.param()
    const object = find(c.env, className, name)
    const wanted = {
      id: object?.id.toString() ?? '',
      ns: async () => (object === undefined ? '' : nsOf(object)),
    }
    await (isTicketEnough ? access.require(c.req.raw.headers, wanted) : access.requireToken(c.req.raw.headers, wanted))
    if (object === undefined) throw new CDCError('not-found', `tail: there is no outbox of ${className}/${name}`)
    return object
  }

  app.onError(errorResponse('tail'))
  app.use(async (c, next) => {
    const origin = requireOrigin(c.req.raw, c.env)
    if (c.req.method === 'OPTIONS') c.res = new Response(null, { status: 204 })
    else await next()
    if (origin !== undefined && c.res.webSocket === null) allowOrigin(c.res.headers, origin)
  })
  app.get('/:class/:object', async (c) => follow(c.req.raw, await admit(c, true)))
  app.post('/:class/:object/ticket', async (c) => {
    const object = await admit(c, false)
    return c.json(await (opened.get(c.env) ?? Access.of(c.env)).ticketFor(object.id.toString()))
  })
  app.all('*', () => {
    throw new CDCError('not-found', 'tail: the path must be /<class>/<object>, with / in a name encoded as %2F')
  })
  return app
}

async function nsOf(object: TailedObject): Promise<string> {
  using outbox = await object.outbox
  return (await outbox.tail()).ns
}

async function follow({ url, headers }: Request, { id }: TailedObject): Promise<Response> {
  const query = new URL(url).searchParams
  const isStream = /\btext\/event-stream\b/i.test(headers.get('accept') ?? '')
  const lastEventId = headers.get('last-event-id') ?? ''
  if (isStream && lastEventId !== '') {
    query.delete('from')
    query.set('after', lastEventId)
  }
  if (!isStream && headers.get('upgrade')?.toLowerCase() !== 'websocket')
    throw new Refusal(426, 'tail: connect with a WebSocket, or send accept: text/event-stream', {
      code: 'upgrade-required',
      headers: { upgrade: 'websocket' },
    })
  const name = id.name === undefined ? {} : { [OBJECT_NAME]: encodeURIComponent(id.name) }
  const response = await tailOf(id).fetch(
    new Request(`https://tail/?${query.toString()}`, { headers: { upgrade: 'websocket', ...name } }),
  )
  const { webSocket } = response
  if (webSocket === null) return response
  if (isStream) return eventStream(webSocket)
  const isOffered = protocolsOf(headers).includes(SUBPROTOCOL)
  return new Response(null, {
    status: 101,
    webSocket,
    ...(isOffered && { headers: { 'sec-websocket-protocol': SUBPROTOCOL } }),
  })
}

/**
 * The origin of a web page that asks from elsewhere; undefined for the same origin, and for other programs.
 *
 * @throws {Refusal} 403 if it may not. No page has a token by itself, as it would have a cookie; but it may be shown one that
 *   is meant for another.
 */
function requireOrigin({ url, headers }: Request, env: object): string | undefined {
  const origin = headers.get('origin')
  if (origin === null || URL.parse(origin)?.host === new URL(url).host) return undefined
  const allowed: unknown = Reflect.get(env, 'TAIL_ORIGINS')
  if (typeof allowed === 'string' && allowed.split(/[\s,]+/).includes(origin)) return origin
  throw new Refusal(403, 'tail: the origin of the page is not in TAIL_ORIGINS', { code: 'origin-refused' })
}

function allowOrigin(headers: Headers, origin: string): void {
  headers.set('access-control-allow-origin', origin)
  headers.set('access-control-allow-headers', 'authorization, last-event-id')
  headers.append('vary', 'origin')
}
