// Who is signed in to the console: a cookie says until when, signed with the token that they knew.

import type { Context, MiddlewareHandler } from 'hono'
import { deleteCookie, getSignedCookie, setSignedCookie } from 'hono/cookie'
import { isSame, secretOf } from '../http/secret.ts'

const TOKEN = 'ADMIN_TOKEN'
const COOKIE = 'outbox_console'
/** How long somebody stays signed in, in seconds. */
const SESSION_SECONDS = 12 * 3_600

/** Whether there is a token to sign in with. */
export function isOpen(c: Context): boolean {
  return secretOf(c.env, TOKEN) !== ''
}

/** @param base where the console is: the cookie is for no other path. @returns whether the token was the right one. */
export async function signIn(c: Context, token: string, base: string): Promise<boolean> {
  const expected = secretOf(c.env, TOKEN)
  if (expected === '' || !(await isSame(token.trim(), expected))) return false
  const until = Math.floor(Date.now() / 1_000) + SESSION_SECONDS
  await setSignedCookie(c, COOKIE, String(until), expected, {
    path: base,
    httpOnly: true,
    sameSite: 'Strict',
    secure: new URL(c.req.url).protocol === 'https:',
    maxAge: SESSION_SECONDS,
  })
  return true
}

export function signOut(c: Context, base: string): void {
  deleteCookie(c, COOKIE, { path: base })
}

/** A hono middleware that lets in who is signed in, and answers all others with what `refuse` makes. */
export function requireSession(refuse: (c: Context) => Response | Promise<Response>): MiddlewareHandler {
  return async (c, next) => {
    const expected = secretOf(c.env, TOKEN)
    const until = expected === '' ? undefined : await getSignedCookie(c, expected, COOKIE)
    if (Number(until || 0) * 1_000 <= Date.now()) return refuse(c)
    // The cookie comes only with requests of this site's own pages; a browser that does not know that says where a form was.
    const origin = c.req.header('origin')
    const isForeign = origin !== undefined && origin !== new URL(c.req.url).origin
    if (c.req.method !== 'GET' && (origin === undefined || isForeign)) return refuse(c)
    return next()
  }
}
