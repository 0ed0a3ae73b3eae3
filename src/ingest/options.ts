// What can be configured, checked before the first request is let in.

import * as z from 'zod'
import { CDCError } from '../error.ts'
import { NAME_LENGTH_MAX } from '../event/limits.ts'
import { isNsPattern } from '../event/ns-pattern.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import type { IngestBatch } from './batch.ts'
import type { Outcome } from './outcome.ts'
import { BODY_TIMEOUT_MS, SEND_TIMEOUT_MS } from './limits.ts'

/** Options of `ingestRoutes`. Without `tokens` and `jwt` the ingest is closed. */
export interface IngestOptions {
  /** Senders with a token of their own. */
  tokens?: readonly IngestToken[]
  /** Senders with a JSON Web Token. */
  jwt?: IngestJWT
  /** How often each sender may send. Default: without a limit. */
  rateLimit?: IngestRateLimit
  /** The namespace of `IngestBatches`, through which batches go. Default: each is forwarded, repeated or not. */
  batches?: BatchObjects
  /** Where batches go if there are no `batches`, which have a pipeline of their own. Default: `EVENTS_PIPELINE`. */
  pipeline?: Pipeline
  /** How long a sender may take for its body, in milliseconds. Default: 30,000. */
  bodyTimeoutMs?: number
  /** How long the pipeline may take for a batch, in milliseconds, if there are no `batches`. Default: 15,000. */
  sendTimeoutMs?: number
}

/** A token and what it opens. The token itself is nowhere but with its sender. */
export interface IngestToken {
  /** Who sends with it, for the rate limit. */
  readonly name: string
  /** SHA-256 of the token's UTF-8 bytes, as 64 hexadecimal digits. */
  readonly sha256: string
  /** Patterns of the ns that it may write: `acme`, `acme.*`, `acme/*`, `*`. */
  readonly ns: readonly string[]
}

/** Whose JSON Web Tokens (RFC 7519) count. */
export interface IngestJWT {
  /** The URL of a key set (RFC 7517), or the key set itself: public keys only. */
  readonly jwks: string | z.infer<typeof keySetSchema>
  readonly issuer: string
  readonly audience: string
  /** Default: all of `JWT_ALGORITHMS`. */
  readonly algorithms?: readonly (typeof JWT_ALGORITHMS)[number][]
  /** The claim with the ns patterns: an array of them, or a single one. Default: `ns`. */
  readonly claim?: string
}

export interface IngestRateLimit {
  /** A rate limit binding of the platform. */
  readonly binding: { limit(options: { key: string }): Promise<{ success: boolean }> }
  /** The period that the binding is configured with, in seconds: so long is a sender to wait. */
  readonly periodSeconds: number
}

/** The namespace of a class that extends `IngestBatches`, or is it. */
export interface BatchObjects {
  getByName(name: string): { take(batch: IngestBatch): PromiseLike<Outcome & Partial<Disposable>> }
}

/** Signatures that only the holder of a private key can make (RFC 7518, RFC 8037, RFC 9864). */
export const JWT_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const

const nameSchema = z.string().min(1).max(NAME_LENGTH_MAX)
const patternSchema = z.string().refine(isNsPattern, {
  error: 'must be a name, * alone, or the beginning of names that ends in .* or /*',
})

const tokensSchema = z
  .array(
    z.strictObject({
      name: nameSchema,
      sha256: z.string().regex(/^[0-9a-f]{64}$/i, { error: 'must be 64 hexadecimal digits' }),
      ns: z.array(patternSchema).min(1),
    }),
  )
  .refine((tokens) => new Set(tokens.map(({ sha256 }) => sha256.toLowerCase())).size === tokens.length, {
    error: 'holds the same token twice',
  })

/** `d` is the private part of a key, and `k` a secret one (RFC 7518, section 6). */
const keySetSchema = z.object({
  keys: z
    .array(
      z
        .looseObject({ kty: z.string() })
        .refine((key) => !('d' in key) && !('k' in key), { error: 'is not a public key' }),
    )
    .min(1),
})

/** Plain HTTP is for a key set on the same machine. */
const urlSchema = z.string().refine((text) => {
  const url = URL.parse(text)
  return url?.protocol === 'https:' || (url?.protocol === 'http:' && url.hostname === 'localhost')
}, 'must be an https URL')

const jwtSchema = z.strictObject({
  jwks: z.union([urlSchema, keySetSchema], { error: 'must be an https URL, or a key set of public keys' }),
  issuer: nameSchema,
  audience: nameSchema,
  algorithms: z
    .array(z.enum(JWT_ALGORITHMS))
    .min(1)
    .default([...JWT_ALGORITHMS]),
  claim: nameSchema.default('ns'),
})

const milliseconds = z.int().positive()

/** A binding, of which one can only see what it can be asked. */
function withMethod<Binding extends object>(method: keyof Binding & string): z.ZodType<Binding> {
  const isBinding = (value: unknown) => typeof value === 'object' && value !== null && method in value
  return z.custom<Binding>(isBinding, { error: `has no ${method}()` })
}

const checkedSchema = z.object({
  tokens: tokensSchema.default([]),
  jwt: jwtSchema.optional(),
  rateLimit: z
    .object({ binding: withMethod<IngestRateLimit['binding']>('limit'), periodSeconds: z.int().positive() })
    .optional(),
  batches: withMethod<BatchObjects>('getByName').optional(),
  pipeline: withMethod<Pipeline>('send').optional(),
  bodyTimeoutMs: milliseconds.default(BODY_TIMEOUT_MS),
  sendTimeoutMs: milliseconds.default(SEND_TIMEOUT_MS),
})

export type CheckedOptions = z.infer<typeof checkedSchema>

/** Fills in the defaults. @throws {CDCError} `invalid-config`, naming the option. */
export function checkOptions(options: IngestOptions): CheckedOptions {
  const parsed = checkedSchema.safeParse(options)
  if (parsed.success) return parsed.data
  const problems = parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`)
  throw new CDCError('invalid-config', `ingest: ${problems.join('; ')}`)
}
