// Routes that a token opens. They are closed until one is configured.

import type { Context, MiddlewareHandler } from 'hono'
import { bearerOf, isSame, secretOf } from './secret.ts'

/** Makes the response of a refusal, or throws it. */
type Refuse = (status: 401 | 403, message: string) => Response

/**
 * A hono middleware that admits requests with the token in a variable of the environment. It refuses all others with 401, and
 * all with 403 while the variable is empty.
 */
export function requireToken(variable: string, refuse: Refuse): MiddlewareHandler {
  return async (c, next) => {
    const expected = secretOf(c.env, variable)
    if (expected === '') return refuse(403, closedMessage(variable))
    const given = bearerOf(c.req.header('authorization'))
    if (given === undefined) return refuse(401, 'no token; send it as authorization: Bearer <token>')
    if (!(await isSame(given, expected))) return refuse(401, `the token is not the value of ${variable}`)
    return next()
  }
}

/** Whether a request has the token in a variable of the environment. No request has it while the variable is empty. */
export async function hasToken(c: Context, variable: string): Promise<boolean> {
  const expected = secretOf(c.env, variable)
  const given = bearerOf(c.req.header('authorization'))
  return expected !== '' && given !== undefined && isSame(given, expected)
}

function closedMessage(variable: string): string {
  return (
    `closed, because ${variable} is not set; set it with \`npx wrangler secret put ${variable}\`, ` +
    `or put ${variable}=… into .dev.vars for \`wrangler dev\``
  )
}
