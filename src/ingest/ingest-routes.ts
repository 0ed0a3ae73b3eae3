// Events over HTTP: `POST /` with records, from a `ManagedPipeline` or any other client that has a token. A request is checked
// as a whole, and accepted once the pipeline has all of it.

import { type Context, Hono } from 'hono'
import { CDCError } from '../error.ts'
import { coversNs } from '../event/ns-pattern.ts'
import type { EventRecord } from '../event/record.ts'
import { errorResponse, Refusal } from '../http/error-response.ts'
import { createBatch } from './batch.ts'
import { readBody } from './body.ts'
import { ingestOptionsFrom } from './environment.ts'
import { KEY_LENGTH_MAX } from './limits.ts'
import { describeIngest } from './openapi.ts'
import { type CheckedOptions, checkOptions, type IngestOptions } from './options.ts'
import type { Outcome } from './outcome.ts'
import { bodyFormatOf, parseRecords } from './records.ts'
import { createSend, type SendBatch } from './send.ts'
import { createFindSender, type FindSender, type Sender } from './sender.ts'

/** For a full pipeline that gives no time itself, in seconds. */
const RETRY_AFTER_SECONDS = 1

/** The ingest of one environment, ready for its requests. */
interface Ingest extends Pick<CheckedOptions, 'rateLimit' | 'bodyTimeoutMs'> {
  readonly findSender: FindSender
  readonly send: SendBatch
}

/**
 * A hono app that takes events over HTTP. Mount it at the path that its senders use: `app.route('/ingest', ingestRoutes())`.
 *
 * `POST /` takes a JSON array of records, or a record on each line (NDJSON), also as gzip, with a token as
 * `Authorization: Bearer <token>` (RFC 6750). All of a request's records go to the pipeline, or none. The answer is
 * `{ success: true, result: { committed: number } }` once the pipeline has accepted them. A refusal is
 * `{ error: string, code: string, retryable: boolean }`, with `index` and `field` if one record is to blame.
 * `GET /openapi.json` describes it.
 *
 * All requests are refused until it is configured, and if its configuration is not valid.
 *
 * @param configure returns the options. Default: `ingestOptionsFrom`, which reads the environment.
 */
export function ingestRoutes<Env extends object>(
  configure: (env: Env) => IngestOptions = ingestOptionsFrom,
): Hono<{ Bindings: Env }> {
  const app = new Hono<{ Bindings: Env }>()
  /** Kept across requests: it caches the keys of an issuer. */
  const opened = new WeakMap<Env, Ingest>()

  async function admit(c: Context<{ Bindings: Env }>): Promise<{ ingest: Ingest; sender: Sender }> {
    const ingest = opened.get(c.env) ?? openIngest(() => configure(c.env))
    opened.set(c.env, ingest)
    const sender = await ingest.findSender(c.req.header('authorization'))
    await requireRate(ingest, sender)
    return { ingest, sender }
  }

  app.onError(errorResponse('ingest'))
  app.get('/openapi.json', (c) => c.json(describeIngest(c.req.path.replace(/\/openapi\.json$/, ''))))
  app.post('/', async (c) => {
    const { ingest, sender } = await admit(c)
    const key = readKey(c.req.header('idempotency-key'))
    const format = bodyFormatOf(c.req.header('content-type'))
    const records = parseRecords(await readBody(c.req.raw, ingest.bodyTimeoutMs), format)
    requireCovered(records, sender)
    if (records.length > 0) requireAccepted(await ingest.send(await createBatch(records, key)))
    return c.json({ success: true, result: { committed: records.length } })
  })
  app.all('*', async (c) => {
    // Without a token, a client does not learn which paths exist.
    await admit(c)
    if (c.req.method !== 'POST') throw new Refusal(405, 'ingest: send records with POST')
    throw new CDCError(
      'not-found',
      'ingest: there is nothing at this path; send records to the path where the ingest is mounted',
    )
  })
  return app
}

/** @throws {Refusal} 403 if it is not configured, or its configuration is not valid: the reason is for the log alone. */
function openIngest(configure: () => IngestOptions): Ingest {
  try {
    const options = checkOptions(configure())
    const isConfigured = options.tokens.length > 0 || options.jwt !== undefined
    if (isConfigured) return { ...options, findSender: createFindSender(options), send: createSend(options) }
  } catch (error) {
    console.error('ingest: closed:', error)
    throw closed("because its configuration is not valid; see the Worker's log")
  }
  throw closed('because neither INGEST_TOKENS nor INGEST_JWKS is set')
}

function closed(why: string): Refusal {
  return new Refusal(403, `ingest: closed, ${why}`)
}

async function requireRate({ rateLimit }: Ingest, sender: Sender): Promise<void> {
  if (rateLimit === undefined) return
  const { success } = await rateLimit.binding.limit({ key: sender.name })
  if (success) return
  throw new Refusal(429, 'ingest: too many requests; send larger batches, or wait', {
    retryable: true,
    headers: { 'retry-after': String(rateLimit.periodSeconds) },
  })
}

/** @throws {CDCError} `invalid-argument` unless it is 1 to `KEY_LENGTH_MAX` visible ASCII characters. */
function readKey(key: string | undefined): string | undefined {
  if (key === undefined || (key.length <= KEY_LENGTH_MAX && /^[!-~]+$/.test(key))) return key
  const problem = `idempotency-key must be 1 to ${KEY_LENGTH_MAX} visible ASCII characters`
  throw new CDCError('invalid-argument', `ingest: ${problem}; percent-encode any others`)
}

/** @throws {Refusal} 403 for the whole request if the sender may not write the ns of one record. */
function requireCovered(records: readonly EventRecord[], { ns }: Sender): void {
  const index = records.findIndex((record) => !coversNs(ns, record.ns))
  if (index === -1) return
  throw new Refusal(403, `ingest: record ${index}: the token does not cover its ns`, {
    headers: { 'www-authenticate': 'Bearer error="insufficient_scope"' },
    record: { index, field: 'ns' },
  })
}

/** @throws {Refusal} 422, 429 or 503 if the pipeline has not accepted the batch, now or before. */
function requireAccepted(outcome: Outcome): void {
  switch (outcome.name) {
    case 'accepted':
      return
    case 'refused':
      throw new Refusal(422, `ingest: ${outcome.reason}`, { code: 'pipeline-refused' })
    case 'full':
      throw new Refusal(429, `ingest: ${outcome.reason}`, {
        code: 'pipeline-full',
        retryable: true,
        headers: { 'retry-after': String(outcome.retryAfterSeconds || RETRY_AFTER_SECONDS) },
      })
    case 'failed':
      throw new Refusal(503, `ingest: ${outcome.reason}`, {
        code: 'pipeline-failed',
        retryable: true,
        ...(outcome.retryAfterSeconds > 0 && { headers: { 'retry-after': String(outcome.retryAfterSeconds) } }),
      })
  }
}
