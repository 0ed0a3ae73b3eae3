// The options of the ingest, checked before the first request is admitted.

import { Fields } from '../event/fields.ts'
import {
  type Kind,
  kindOf,
  isObject,
  listOf,
  name,
  oneOf,
  optional,
  textLike,
  whole,
  withDefault,
} from '../event/kinds.ts'
import { isNsPattern } from '../event/ns-pattern.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import type { IngestBatch } from './batch.ts'
import type { Outcome } from './outcome.ts'
import { BODY_TIMEOUT_MS, SEND_TIMEOUT_MS } from './limits.ts'

/** Who has a token. */
export interface SenderOptions {
  /** Senders with a token of their own. */
  tokens?: readonly IngestToken[]
  /** Senders with a JSON Web Token. */
  jwt?: IngestJWT
}

/** Options of `ingestRoutes`. Without `tokens` and `jwt` the ingest is closed. */
export interface IngestOptions extends SenderOptions {
  /** How often each sender may send. Default: no limit. */
  rateLimit?: IngestRateLimit
  /** The namespace of `IngestBatches`, which forwards each batch once. Default: all are forwarded, repeated ones too. */
  batches?: BatchObjects
  /** Where batches go without `batches`, which have a pipeline of their own. Default: `EVENTS_PIPELINE`. */
  pipeline?: Pipeline
  /** How long a body may take to arrive, in milliseconds. Default: 30,000. */
  bodyTimeoutMs?: number
  /** How long the pipeline may take for a batch, in milliseconds, without `batches`. Default: 15,000. */
  sendTimeoutMs?: number
}

/** A token, by its hash, and the ns that it opens. Only its sender has the token itself. */
export interface IngestToken {
  /** The sender's name, for the rate limit. */
  readonly name: string
  /** SHA-256 of the token's UTF-8 bytes, as 64 hexadecimal digits. */
  readonly sha256: string
  /** Patterns of the ns that it may write: `acme`, `acme.*`, `acme/*`, `*`. */
  readonly ns: readonly string[]
}

/** The issuer whose JSON Web Tokens (RFC 7519) are accepted. */
export interface IngestJWT {
  /** The URL of a key set (RFC 7517), or the key set itself: public keys only. */
  readonly jwks: string | KeySet
  readonly issuer: string
  readonly audience: string
  /** Default: all of `JWT_ALGORITHMS`. */
  readonly algorithms?: readonly (typeof JWT_ALGORITHMS)[number][]
  /** The claim with the ns patterns: an array of them, or a single one. Default: `ns`. */
  readonly claim?: string
}

/** Public keys (RFC 7517). */
interface KeySet {
  keys: { kty: string; [parameter: string]: unknown }[]
}

export interface IngestRateLimit {
  /** A rate limit binding of the platform. */
  readonly binding: { limit(options: { key: string }): Promise<{ success: boolean }> }
  /** The period that the binding is configured with, in seconds: a sender over its limit is told to wait so long. */
  readonly periodSeconds: number
}

/** The namespace of `IngestBatches`, or of a class that extends it. */
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

/** Options that were checked, with the defaults. */
export interface CheckedOptions extends IngestOptions {
  tokens: readonly IngestToken[]
  bodyTimeoutMs: number
  sendTimeoutMs: number
}

const others = 'is not known here'

const nsPattern = kindOf<string>({}, (value) =>
  typeof value === 'string' && isNsPattern(value)
    ? undefined
    : 'must be a name, * alone, or a prefix of names that ends in .* or /*',
)

const tokenFields = new Fields<IngestToken>(
  {
    name,
    sha256: textLike(/^[0-9a-f]{64}$/i, 'must be 64 hexadecimal digits'),
    ns: listOf(nsPattern, { from: 1 }),
  },
  { others },
)

const jwtFields = new Fields<IngestJWT>(
  {
    jwks: kindOf({}, (value) =>
      isKeySetURL(value) || isKeySet(value) ? undefined : 'must be an https URL, or a key set of public keys',
    ),
    issuer: name,
    audience: name,
    algorithms: optional(listOf(oneOf(JWT_ALGORITHMS), { from: 1 })),
    claim: optional(name),
  },
  { others },
)

/** Options that were checked. */
export interface CheckedSenders extends SenderOptions {
  tokens: readonly IngestToken[]
}

const senderKinds = { tokens: withDefault(listOf(tokenFields), []), jwt: optional(jwtFields) }
const senderFields = new Fields<CheckedSenders>(senderKinds, { rule: tokensProblem })

/** @throws {CDCError} `invalid-config`, naming the option. */
export function checkSenders(options: SenderOptions, caller: string): CheckedSenders {
  return senderFields.parse(options, caller, 'invalid-config')
}

const optionFields = new Fields<CheckedOptions>(
  {
    ...senderKinds,
    rateLimit: optional(new Fields<IngestRateLimit>({ binding: withMethod('limit'), periodSeconds: whole() })),
    batches: optional(withMethod('getByName')),
    pipeline: optional(withMethod('send')),
    bodyTimeoutMs: withDefault(whole(), BODY_TIMEOUT_MS),
    sendTimeoutMs: withDefault(whole(), SEND_TIMEOUT_MS),
  },
  { rule: tokensProblem },
)

/** Fills in the defaults. @throws {CDCError} `invalid-config`, naming the option. */
export function checkOptions(options: IngestOptions): CheckedOptions {
  return optionFields.parse(options, 'ingest', 'invalid-config')
}

function tokensProblem({ tokens = [] }: SenderOptions): string | undefined {
  const hashes = new Set(tokens.map(({ sha256 }) => sha256.toLowerCase()))
  return hashes.size === tokens.length ? undefined : 'tokens has the same token twice'
}

/** Plain HTTP is for a key set on this machine. */
function isKeySetURL(value: unknown): boolean {
  const url = typeof value === 'string' ? URL.parse(value) : null
  return url?.protocol === 'https:' || (url?.protocol === 'http:' && url.hostname === 'localhost')
}

function isKeySet(value: unknown): boolean {
  return isObject(value) && Array.isArray(value['keys']) && value['keys'].length > 0 && value['keys'].every(isPublicKey)
}

/** `d` is the private part of a key, and `k` a secret one (RFC 7518, section 6). */
function isPublicKey(key: unknown): boolean {
  return isObject(key) && typeof key['kty'] === 'string' && !('d' in key) && !('k' in key)
}

/** A binding can only be known by its methods. */
function withMethod<Binding extends object>(method: keyof Binding & string): Kind<Binding> {
  return kindOf({}, (value) =>
    typeof value === 'object' && value !== null && method in value ? undefined : `has no ${method}()`,
  )
}
