// The right to read the table over HTTP: a client has it if it knows CATALOG_TOKEN.

import type { Context, Next } from 'hono'
import { bearerOf, isSame, secretOf } from '../../http/secret.ts'
import { catalogError, s3Error } from './errors.ts'
import { signatureProblem } from './signature.ts'

/** What the routes of the catalog and of the table's files need of a Worker's `env`. */
export interface CatalogEnv {
  LAKE_BUCKET: R2Bucket
  /** The table's root, as the lake has it: `s3://<bucket>/<prefix>`. */
  LAKE_LOCATION?: string
  /** What a client must know. While it is empty, all requests are refused. */
  CATALOG_TOKEN?: string
}

/** The access key id of S3 clients. Their secret access key is the token. */
export const ACCESS_KEY_ID = 'catalog'

export const TOKEN_NAME = 'CATALOG_TOKEN'

const CLOSED =
  `closed, because ${TOKEN_NAME} is not set; set it with \`npx wrangler secret put ${TOKEN_NAME}\`, ` +
  `or put ${TOKEN_NAME}=… into .dev.vars for \`wrangler dev\``
const NO_TOKEN = 'no token; send it as authorization: Bearer <token>'
const WRONG_TOKEN = `the token is not the value of ${TOKEN_NAME}`

/** A hono middleware for clients of the catalog. */
export async function requireToken(c: Context, next: Next): Promise<Response | void> {
  const token = secretOf(c.env, TOKEN_NAME)
  if (token === '') return catalogError(403, 'ForbiddenException', CLOSED)
  const given = bearerOf(c.req.header('authorization'))
  if (given === undefined) return catalogError(401, 'NotAuthorizedException', NO_TOKEN)
  if (!(await isSame(given, token))) return catalogError(401, 'NotAuthorizedException', WRONG_TOKEN)
  await next()
}

/** A hono middleware for S3 clients, which sign their requests; the token itself is accepted too. */
export async function requireKey(c: Context, next: Next): Promise<Response | void> {
  const token = secretOf(c.env, TOKEN_NAME)
  if (token === '') return s3Error(403, 'AccessDenied', CLOSED)
  const given = bearerOf(c.req.header('authorization'))
  if (given === undefined) {
    const problem = await signatureProblem(c.req.raw, { id: ACCESS_KEY_ID, secret: token }, Date.now())
    if (problem !== undefined) return s3Error(403, problem.code, problem.message)
  } else if (!(await isSame(given, token))) return s3Error(403, 'AccessDenied', WRONG_TOKEN)
  await next()
}
