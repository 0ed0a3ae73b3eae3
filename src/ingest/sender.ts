// The sender of a request and the ns that it may write, by a token that is configured, or one that an issuer signed.

import { createLocalJWKSet, createRemoteJWKSet, errors, type JWTVerifyGetKey, jwtVerify } from 'jose'
import { Refusal } from '../http/error-response.ts'
import { type CheckedSenders, type IngestJWT, type IngestToken, JWT_ALGORITHMS } from './options.ts'

export interface Sender {
  /** The key of the rate limit. */
  readonly name: string
  /** Patterns of the ns that it may write. */
  readonly ns: readonly string[]
}

/** Finds the sender of an `Authorization` header. @throws {Refusal} 401, or 503 while the key set is unavailable. */
export type FindSender = (authorization: string | undefined) => Promise<Sender>

/** How much the clocks of issuer and Worker may differ. */
const CLOCK_TOLERANCE_SECONDS = 30

/** Errors that blame the token, and not the key set that it was to be checked with. */
const TOKEN_FAULTS: ReadonlySet<unknown> = new Set([
  errors.JOSEAlgNotAllowed.code,
  errors.JOSENotSupported.code,
  errors.JWKSMultipleMatchingKeys.code,
  errors.JWKSNoMatchingKey.code,
  errors.JWSInvalid.code,
  errors.JWSSignatureVerificationFailed.code,
  errors.JWTClaimValidationFailed.code,
  errors.JWTExpired.code,
  errors.JWTInvalid.code,
])

/** What the token opens, and what the variables that say who has one begin with. */
interface Door {
  readonly area: string
  readonly prefix: string
}

const INGEST: Door = { area: 'ingest', prefix: 'INGEST' }

export function createFindSender({ tokens, jwt }: CheckedSenders, door: Door = INGEST): FindSender {
  const findByJWT = jwt && createFindByJWT(jwt, door)
  return async (authorization) => {
    const token = bearerToken(authorization, door)
    return (
      (await findByHash(tokens, token)) ??
      (await findByJWT?.(token)) ??
      invalidToken(door, `${door.prefix}_TOKENS has no such token, and ${door.prefix}_JWKS is not set`)
    )
  }
}

/** The token of RFC 6750, section 2.1. */
function bearerToken(authorization = '', { area }: Door): string {
  const token = /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization)?.[1]
  if (token === undefined) throw new Refusal(401, `${area}: no token; send it as authorization: Bearer <token>`)
  return token
}

/** Takes the same time for any two hashes. */
async function findByHash(tokens: readonly IngestToken[], token: string): Promise<Sender | undefined> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token))
  const found = tokens.find(({ sha256 }) => crypto.subtle.timingSafeEqual(Uint8Array.fromHex(sha256), hash))
  return found && { name: `token/${found.name}`, ns: found.ns }
}

function createFindByJWT(
  { jwks, issuer, audience, algorithms = JWT_ALGORITHMS, claim = 'ns' }: IngestJWT,
  door: Door,
): (token: string) => Promise<Sender> {
  const keys: JWTVerifyGetKey = typeof jwks === 'string' ? createRemoteJWKSet(new URL(jwks)) : createLocalJWKSet(jwks)
  return async (token) => {
    const { payload } = await jwtVerify(token, keys, {
      issuer,
      audience,
      algorithms: [...algorithms],
      requiredClaims: ['exp', 'sub'],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
    }).catch((error: unknown) => refuseJWT(door, error))
    return { name: `jwt/${payload.sub}`, ns: Object.hasOwn(payload, claim) ? patternsOf(payload[claim]) : [] }
  }
}

/** A single text is a single pattern, because an ns may have spaces. A text that is not a pattern covers nothing. */
function patternsOf(claim: unknown): string[] {
  return [claim].flat().filter((pattern) => typeof pattern === 'string')
}

function refuseJWT(door: Door, error: unknown): never {
  if (error instanceof errors.JOSEError && TOKEN_FAULTS.has(error.code))
    invalidToken(door, `not in ${door.prefix}_TOKENS, and as a JWT: ${error.message}`)
  console.error(`${door.area}: the key set of ${door.prefix}_JWKS:`, error)
  throw new Refusal(503, `${door.area}: the key set is unavailable; try again`, {
    code: 'unavailable',
    retryable: true,
  })
}

/**
 * Gives no reason: a client with the right to know can look into its token. The reason is in the log of the receiver, who
 * can't see the token. It has jose's own words, and nothing that the token says.
 */
function invalidToken({ area }: Door, reason: string): never {
  console.warn(`${area}: 401, the token is not valid here: ${reason}`)
  throw new Refusal(401, `${area}: the token is not valid here`, {
    headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
  })
}
