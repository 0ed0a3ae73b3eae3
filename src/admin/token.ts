// Access to the admin routes: only with the token (I8). While no token is configured, they are closed.

import type { Context, Next } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { bearerOf, isSame, secretOf } from '../http/secret.ts'

const CLOSED =
  'admin: closed, because ADMIN_TOKEN is not set; set it with `npx wrangler secret put ADMIN_TOKEN`, ' +
  'or for `wrangler dev` as ADMIN_TOKEN=… in .dev.vars'

/** A hono middleware. @throws {HTTPException} 403 while `env.ADMIN_TOKEN` is empty, 401 for any other token. */
export async function requireToken(c: Context, next: Next): Promise<void> {
  const expected = secretOf(c.env, 'ADMIN_TOKEN')
  if (expected === '') throw new HTTPException(403, { message: CLOSED })
  const given = bearerOf(c.req.header('authorization'))
  if (given === undefined)
    throw new HTTPException(401, { message: 'admin: no token; send it as authorization: Bearer <token>' })
  if (!(await isSame(given, expected)))
    throw new HTTPException(401, { message: 'admin: the token is not the value of ADMIN_TOKEN' })
  await next()
}
