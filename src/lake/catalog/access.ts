// Who may read the table over HTTP: a client that knows CATALOG_TOKEN.

import type { Context, Next } from 'hono'
import { bearerOf, secretOf } from '../../http/secret.ts'
import { requireToken as requireTokenOf } from '../../http/token.ts'
import { catalogError, s3Error } from './errors.ts'
import { signatureProblem } from './signature.ts'

/** What an S3 client gives as its access key id. Its secret access key is the token. */
export const ACCESS_KEY_ID = 'catalog'

export const TOKEN_NAME = 'CATALOG_TOKEN'

/** A hono middleware for clients of the catalog. */
export const requireToken = requireTokenOf(TOKEN_NAME, (status, message) =>
  catalogError(status, status === 403 ? 'ForbiddenException' : 'NotAuthorizedException', message),
)

const requireTokenOfS3 = requireTokenOf(TOKEN_NAME, (_, message) => s3Error(403, 'AccessDenied', message))

/** A hono middleware for S3 clients, which sign their requests; the token itself is accepted too. */
export async function requireKey(c: Context, next: Next): Promise<Response | void> {
  const secret = secretOf(c.env, TOKEN_NAME)
  const isSigned = secret !== '' && bearerOf(c.req.header('authorization')) === undefined
  if (!isSigned) return requireTokenOfS3(c, next)
  const problem = await signatureProblem(c.req.raw, { id: ACCESS_KEY_ID, secret }, Date.now())
  return problem === undefined ? next() : s3Error(403, problem.code, problem.message)
}
