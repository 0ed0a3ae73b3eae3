// The right to read the table over HTTP: a client has it if it knows CATALOG_TOKEN.

import type { Context, Next } from 'hono'
import { bearerOf, secretOf } from '../../http/secret.ts'
import { requireToken as requireTokenOf } from '../../http/token.ts'
import { catalogError, s3Error } from './errors.ts'
import { signatureProblem } from './signature.ts'

/** What the routes of the catalog and of the table's files need of a Worker's `env`. */
export interface CatalogEnv {
  LAKE_BUCKET: R2Bucket
  /** The table's root, as the lake has it: `s3://<bucket>/<prefix>`. */
  LAKE_LOCATION?: string
  /** The catalog that the table is in, if it is not the lake's own. */
  LAKE_CATALOG_URI?: string
  /** What a client must know. While it is empty, all requests are refused. */
  CATALOG_TOKEN?: string
}

/** The access key id of S3 clients. Their secret access key is the token. */
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
