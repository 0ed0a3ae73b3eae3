// Who may use the admin routes: whoever has the token. While none is configured, nobody.

import type { Context, Next } from 'hono'
import { HTTPException } from 'hono/http-exception'

const CLOSED =
  'admin: closed, because ADMIN_TOKEN is not set; set it with `npx wrangler secret put ADMIN_TOKEN`, ' +
  'or for `wrangler dev` as ADMIN_TOKEN=… in .dev.vars'

/** A hono middleware. @throws {HTTPException} 403 while `env.ADMIN_TOKEN` is empty, 401 for any other token than it. */
export async function requireToken(c: Context, next: Next): Promise<void> {
  const expected = configuredToken(c.env)
  if (expected === '') throw new HTTPException(403, { message: CLOSED })
  const given = /^Bearer (.+)$/i.exec(c.req.header('authorization') ?? '')?.[1]?.trim()
  if (given === undefined)
    throw new HTTPException(401, { message: 'admin: no token; send it as authorization: Bearer <token>' })
  if (!(await isSame(given, expected)))
    throw new HTTPException(401, { message: 'admin: the token is not that of ADMIN_TOKEN' })
  await next()
}

/** A secret that was set through a pipe often ends in a line break, which no header can hold. */
function configuredToken(env: unknown): string {
  const { ADMIN_TOKEN } = Object(env) as Record<string, unknown>
  return typeof ADMIN_TOKEN === 'string' ? ADMIN_TOKEN.trim() : ''
}

/** Takes the same time wherever the two differ, and whatever their lengths. */
async function isSame(given: string, expected: string): Promise<boolean> {
  const [a, b] = await Promise.all([hash(given), hash(expected)])
  return crypto.subtle.timingSafeEqual(a, b)
}

function hash(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))
}
