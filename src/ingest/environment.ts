// The ingest's options from a Worker's environment.

import { CDCError } from '../error.ts'
import { parseJSON } from '../event/json.ts'
import type { IngestOptions, SenderOptions } from './options.ts'

/** The period of the binding `INGEST_RATE_LIMIT`: `simple.period` in wrangler.toml must be the same. */
const RATE_LIMIT_PERIOD_SECONDS = 60

/**
 * Reads `INGEST_TOKENS`, `INGEST_JWKS`, `INGEST_ISSUER` and `INGEST_AUDIENCE`, and the bindings `INGEST_RATE_LIMIT`,
 * `INGEST_BATCHES` and `EVENTS_PIPELINE`. An empty variable counts as unset.
 *
 * @throws {CDCError} `invalid-config` if `INGEST_TOKENS`, or an `INGEST_JWKS` that begins with `{`, is not valid JSON.
 */
export function ingestOptionsFrom(env: object): IngestOptions {
  const binding = read(env, 'INGEST_RATE_LIMIT')
  const options = {
    ...sendersFrom(env, 'INGEST'),
    rateLimit: binding && { binding, periodSeconds: RATE_LIMIT_PERIOD_SECONDS },
    batches: read(env, 'INGEST_BATCHES'),
    pipeline: read(env, 'EVENTS_PIPELINE'),
  }
  return present(options)
}

/** Reads who has a token: `<prefix>_TOKENS`, `<prefix>_JWKS`, `<prefix>_ISSUER` and `<prefix>_AUDIENCE`. */
export function sendersFrom(env: object, prefix: 'INGEST' | 'TAIL'): SenderOptions {
  const tokens = read(env, `${prefix}_TOKENS`)
  const jwks = read(env, `${prefix}_JWKS`)
  const jwt = { jwks, issuer: read(env, `${prefix}_ISSUER`), audience: read(env, `${prefix}_AUDIENCE`) }
  const options = {
    tokens: typeof tokens === 'string' ? parse(`${prefix}_TOKENS`, tokens) : tokens,
    jwt: Object.values(jwt).every((value) => value === undefined)
      ? undefined
      : { ...jwt, jwks: typeof jwks === 'string' && jwks.startsWith('{') ? parse(`${prefix}_JWKS`, jwks) : jwks },
  }
  return present(options)
}

/** The types of an environment are only a claim: the routes check all of this before they open. */
function present(options: Readonly<Record<string, unknown>>): object {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

/** A secret that was set through a shell pipe often ends in a line break. */
function read(env: object, name: string): unknown {
  const value: unknown = Reflect.get(env, name)
  return typeof value === 'string' ? value.trim() || undefined : value
}

function parse(name: string, text: string): unknown {
  const value = parseJSON(text)
  // The parser's own reason would quote the variable.
  if (value === undefined) throw new CDCError('invalid-config', `${name} is not valid JSON`)
  return value
}
