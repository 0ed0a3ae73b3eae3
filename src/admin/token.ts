// Who may do what over HTTP: ADMIN_TOKEN opens everything, and ADMIN_READ_TOKEN what changes nothing.

import type { MiddlewareHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { hasToken, requireToken } from '../http/token.ts'

const OPERATOR = 'ADMIN_TOKEN'
const READER = 'ADMIN_READ_TOKEN'

const requireOperatorToken = requireToken(OPERATOR, refuse)

/** A hono middleware that admits who may change something. */
export const requireOperator: MiddlewareHandler = async (c, next) => {
  if (await hasToken(c, READER)) return refuse(403, `the token may only read; ${OPERATOR} may do this`)
  return requireOperatorToken(c, next)
}

/** A hono middleware that admits who may read. */
export const requireReader: MiddlewareHandler = async (c, next) =>
  (await hasToken(c, READER)) ? next() : requireOperatorToken(c, next)

function refuse(status: 401 | 403, message: string): never {
  throw new HTTPException(status, { message: `admin: ${message}` })
}
