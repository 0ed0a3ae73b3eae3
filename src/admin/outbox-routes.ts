// The admin RPC over HTTP, for callers outside of Workers: `POST /<class>/<object>/<method>`, with the argument as JSON body.

import { Hono, type HonoRequest } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { CDCError } from '../error.ts'
import { jsonProblem, parseJSON } from '../event/json.ts'
import { errorResponse } from '../http/error-response.ts'
import { limitBody } from '../http/body-limit.ts'
import { requireAdminToken } from './token.ts'

/** Enough for the largest argument, a thousand ids. */
const BODY_BYTES_MAX = 64 * 1024

/** The calls of `OutboxAdmin`. It checks every argument itself, so here they are unknown. */
export interface OutboxCalls {
  stats(): unknown
  list(query: unknown): unknown
  get(lsn: unknown): unknown
  flush(): unknown
  pause(which: unknown): unknown
  resume(which: unknown): unknown
  subscriptions(): unknown
  drop(which: unknown): unknown
  deadLetters(query: unknown): unknown
  redrive(choice: unknown): unknown
  discard(choice: unknown): unknown
  replay(range: unknown): unknown
  snapshot(store: unknown, options: unknown): unknown
}

/** An object with an outbox: the stub of a `CDCDurableObject`, or of any object with `get outbox()`. */
export interface OutboxHolder {
  readonly outbox: OutboxCalls | PromiseLike<OutboxCalls & Disposable>
}

type Call = (outbox: OutboxCalls, argument: unknown) => unknown

/** Every method that can be called. The name in the URL is looked up here, and never on an object. */
const calls: ReadonlyMap<string, Call> = new Map<keyof OutboxCalls, Call>([
  ['stats', (outbox) => outbox.stats()],
  ['list', (outbox, query = {}) => outbox.list(query)],
  ['get', (outbox, lsn) => outbox.get(lsn)],
  ['flush', (outbox) => outbox.flush()],
  ['pause', (outbox, which = {}) => outbox.pause(which)],
  ['resume', (outbox, which = {}) => outbox.resume(which)],
  ['subscriptions', (outbox) => outbox.subscriptions()],
  ['drop', (outbox, which = {}) => outbox.drop(which)],
  ['deadLetters', (outbox, query = {}) => outbox.deadLetters(query)],
  ['redrive', (outbox, choice = {}) => outbox.redrive(choice)],
  ['discard', (outbox, choice = {}) => outbox.discard(choice)],
  ['replay', (outbox, range = {}) => outbox.replay(range)],
  ['snapshot', (outbox, argument) => snapshot(outbox, argument)],
])

/**
 * A hono app for the outboxes of a Worker's objects, to be mounted where the `durable-outbox` command expects it:
 * `app.route('/admin/outbox', outboxRoutes(find))`.
 *
 * A request needs the header `Authorization: Bearer <env.ADMIN_TOKEN>`; while that variable is empty, all requests are
 * refused. The response is the call's result as JSON, or `null` if it has none. An error is
 * `{ error: string, code: string, retryable: boolean }`, with the HTTP status of its code.
 *
 * @param find returns the object's stub; undefined if there is no such class, or if its outbox is not to be reached.
 */
export function outboxRoutes<Env extends object>(
  find: (env: Env, className: string, object: string) => OutboxHolder | undefined,
): Hono<{ Bindings: Env }> {
  const app = new Hono<{ Bindings: Env }>()
  app.onError(errorResponse('admin'))
  app.use(requireAdminToken)
  app.use(limitBody('admin', BODY_BYTES_MAX))
  app.post('/:class/:object/:method', async (c) => {
    const { class: className, object, method } = c.req.param()
    const call = calls.get(method)
    if (call === undefined)
      throw new CDCError(
        'not-found',
        `admin: there is no method ${method}; the methods are ${[...calls.keys()].join(', ')}`,
      )
    const argument = await readArgument(c.req)
    const holder = find(c.env, className, object)
    if (holder === undefined) throw new CDCError('not-found', `admin: there is no outbox of ${className}/${object}`)
    return Response.json((await callOutbox(holder, (outbox) => call(outbox, argument))) ?? null)
  })
  app.all('*', (c) => {
    if (c.req.method !== 'POST') throw new HTTPException(405, { message: 'admin: every call is a POST' })
    throw new CDCError(
      'not-found',
      'admin: the path must be /<class>/<object>/<method>, with / in a name encoded as %2F',
    )
  })
  return app
}

/** `{ store, chunk? }` */
function snapshot(outbox: OutboxCalls, argument: unknown): unknown {
  const { store, ...options } = Object(argument) as { store?: unknown }
  return outbox.snapshot(store, options)
}

/** Disposes of the outbox's stub after the call: it would keep its object in memory. */
async function callOutbox(holder: OutboxHolder, run: (outbox: OutboxCalls) => unknown): Promise<unknown> {
  const outbox = await holder.outbox
  try {
    return await run(outbox)
  } finally {
    if (Symbol.dispose in outbox) outbox[Symbol.dispose]()
  }
}

/** @returns undefined if the body is empty. */
async function readArgument(request: HonoRequest): Promise<unknown> {
  const text = await request.text()
  if (text === '') return undefined
  if (!/^application\/json\s*(?:;|$)/i.test(request.header('content-type') ?? ''))
    throw new HTTPException(415, { message: 'admin: send the body as JSON, with content-type: application/json' })
  const argument = parseJSON(text)
  if (argument === undefined) throw new CDCError('invalid-argument', 'admin: the body is not JSON')
  const problem = jsonProblem(argument)
  if (problem !== undefined) throw new CDCError('invalid-argument', `admin: the body: ${problem}`)
  return argument
}
