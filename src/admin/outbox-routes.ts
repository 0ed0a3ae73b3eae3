// The admin RPC over HTTP, for callers outside of Workers: `POST /<class>/<object>/<method>`, with the argument as JSON body.

import { Hono, type HonoRequest } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { CDCError } from '../error.ts'
import { jsonProblem, parseJSON } from '../event/json.ts'
import { errorResponse } from '../http/error-response.ts'
import { limitBody } from '../http/body-limit.ts'
import { callOf, isRead, type OutboxHolder } from './outbox-calls.ts'
import { requireOperator, requireReader } from './token.ts'

/** Enough for the largest argument, a thousand ids. */
const BODY_BYTES_MAX = 64 * 1024

/**
 * A hono app for the outboxes of a Worker's objects, to be mounted where the `durable-outbox` command expects it:
 * `app.route('/admin/outbox', outboxRoutes(find))`.
 *
 * A request needs the header `Authorization: Bearer <env.ADMIN_TOKEN>`; while that variable is empty, all requests are
 * refused. One that changes nothing may have `env.ADMIN_READ_TOKEN` in its place. The response is the call's result as JSON, or `null` if it has none. An error is
 * `{ error: string, code: string, retryable: boolean }`, with the HTTP status of its code.
 *
 * @param find returns the object's stub; undefined if there is no such class, or if its outbox is not to be reached.
 */
export function outboxRoutes<Env extends object>(
  find: (env: Env, className: string, object: string) => OutboxHolder | undefined,
): Hono<{ Bindings: Env }> {
  const app = new Hono<{ Bindings: Env }>()
  app.onError(errorResponse('admin'))
  app.use((c, next) => (isRead(c.req.path.replace(/.*\//, '')) ? requireReader(c, next) : requireOperator(c, next)))
  app.use(limitBody('admin', BODY_BYTES_MAX))
  app.post('/:class/:object/:method', async (c) => {
    const { class: className, object, method } = c.req.param()
    const call = callOf(method)
    const argument = await readArgument(c.req)
    const holder = find(c.env, className, object)
    if (holder === undefined) throw new CDCError('not-found', `admin: there is no outbox of ${className}/${object}`)
    return Response.json((await call(holder, argument)) ?? null)
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
