// The lake's status and its repair over HTTP, for `durable-outbox verify` and `reconcile`.

import { Hono } from 'hono'
import { Fields } from '../event/fields.ts'
import { oneOf } from '../event/kinds.ts'
import { errorResponse } from '../http/error-response.ts'
import { limitBody } from '../http/body-limit.ts'
import { requireOperator, requireReader } from './token.ts'

/** Enough for all logs and holes of one repair. */
const BODY_BYTES_MAX = 2_000_000

const recoverFields = new Fields<{ isDryRun: boolean }>(
  { isDryRun: oneOf([true, false]) },
  { others: 'is not known here' },
)

/** A lake that can be asked and repaired: the binding of a `Lake`. */
export interface RepairableLake {
  repair(suspects: unknown): unknown
  recover(isDryRun: boolean): unknown
  status(): unknown
}

/**
 * A hono app for `GET /`, the lake's status, `POST /repair`, with the suspects as the JSON body, and `POST /recover`, with
 * `{ isDryRun }`. Like the outbox routes it needs the header `Authorization: Bearer <env.ADMIN_TOKEN>`, and is closed while that variable is empty.
 */
export function lakeRoutes<Env extends object>(lakeOf: (env: Env) => RepairableLake): Hono<{ Bindings: Env }> {
  const app = new Hono<{ Bindings: Env }>()
  app.onError(errorResponse('lake'))
  app.use('/', requireReader)
  app.get('/', async (c) => Response.json(await lakeOf(c.env).status()))
  for (const path of ['/repair', '/recover']) app.use(path, requireOperator, limitBody('lake', BODY_BYTES_MAX))
  app.post('/repair', async (c) => {
    const suspects: unknown = await c.req.json().catch(() => undefined)
    return Response.json(await lakeOf(c.env).repair(suspects))
  })
  app.post('/recover', async (c) => {
    const { isDryRun } = recoverFields.parse(
      await c.req.json().catch(() => undefined),
      'lake.recover',
      'invalid-argument',
    )
    return Response.json(await lakeOf(c.env).recover(isDryRun))
  })
  return app
}
