// Webhooks by the specification of Standard Webhooks (github.com/standard-webhooks/standard-webhooks): one signed POST for each
// event. Signed here, because the specification's own package brings its own SHA-256 to where WebCrypto is.

import { CDCError, cleanReason, messageOf } from '../../error.ts'
import { type CommittedRecord, readEvent } from '../../event/record.ts'
import { parseRetryAfter } from '../../http/retry-after.ts'
import type { Target } from '../../pipeline/target.ts'
import { privateAddressProblem } from './private-address.ts'

export interface WebhookOptions {
  /** Must be https and lead to a public address; see `allowPrivate`. */
  readonly url: string | URL
  /** `whsec_` and 24 to 64 bytes in base64. Of several, each signs: so the receiver can change from one to the next. */
  readonly secrets: string | readonly string[]
  /** How long one answer may take, in milliseconds. Default: 15,000. */
  readonly timeoutMs?: number
  /** Allows http, and addresses of this machine and of private networks: for development. Default: false. */
  readonly allowPrivate?: boolean
}

const DELIVERY_EVENTS_MAX = 100
const DELIVERY_BYTES_MAX = 1_000_000
/** So many bytes of an answer are read, and so many characters of it are kept as the reason. */
const ANSWER_BYTES_MAX = 4_096
const ANSWER_LENGTH_MAX = 200
const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/
const SECRET_BYTES_MIN = 24
const SECRET_BYTES_MAX = 64

/** Statuses that are a verdict on the event: content too large, and unprocessable content. */
const VERDICTS: readonly number[] = [413, 422]

/** The answer of a webhook that is not a 2xx: its `status`, its `retryAfter` in seconds, and the `index` of an event it refuses. */
class WebhookError extends CDCError {
  readonly status: number
  readonly retryAfter?: number

  constructor(reason: string, { status, headers }: Response, index: number) {
    super('pipeline-failed', reason, { retryable: true, index: VERDICTS.includes(status) ? index : undefined })
    this.status = status
    const waitMs = parseRetryAfter(headers.get('retry-after') ?? '', Date.now()) ?? 0
    if (waitMs > 0) this.retryAfter = Math.ceil(waitMs / 1_000)
  }
}

/**
 * A webhook. Each event is one POST with the event as JSON, in LSN order, under its id as `webhook-id`, which stays the same
 * when it is sent again.
 *
 * A 2xx accepts. 413 and 422 make a dead letter, 410 disables the subscription, and everything else is tried again. No redirect
 * is followed.
 *
 * @throws {CDCError} `invalid-config`, naming the option.
 */
export function toWebhook(options: WebhookOptions): Target {
  const { timeoutMs = 15_000, allowPrivate = false } = options
  const url = checkURL(options.url, allowPrivate)
  if (!(timeoutMs > 0)) throw invalid(`timeoutMs is ${timeoutMs}; give milliseconds above 0`)
  const sign = createSigner([options.secrets].flat())
  return {
    maxEvents: DELIVERY_EVENTS_MAX,
    maxBytes: DELIVERY_BYTES_MAX,
    async deliver({ records }, { signal, reached }) {
      for (const [index, record] of records.entries()) {
        const request = await createRequest(record, sign)
        await within(timeoutMs, signal, async (within) =>
          checkAnswer(await fetch(url, { ...request, redirect: 'manual', signal: within }), index),
        )
        if (!reached(record.lsn)) return
      }
    },
  }
}

/** Runs with a signal that aborts after a time, or with another. A timer that nobody clears would keep the object in memory. */
async function within(ms: number, other: AbortSignal, run: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const timeout = new AbortController()
  const late = new CDCError('pipeline-timeout', `the webhook did not answer in ${ms} ms`, { retryable: true })
  const timer = setTimeout(() => timeout.abort(late), ms)
  try {
    await run(AbortSignal.any([other, timeout.signal]))
  } finally {
    clearTimeout(timer)
  }
}

type Sign = (text: string) => Promise<string>

async function createRequest(record: CommittedRecord, sign: Sign): Promise<RequestInit> {
  const timestamp = Math.floor(Date.now() / 1_000)
  const body = JSON.stringify(readEvent(record))
  return {
    method: 'POST',
    body,
    headers: {
      'content-type': 'application/json',
      'user-agent': 'durable-outbox',
      'webhook-id': record.id,
      'webhook-timestamp': String(timestamp),
      'webhook-signature': await sign(`${record.id}.${timestamp}.${body}`),
    },
  }
}

/** @throws {WebhookError} unless the answer accepts the event. */
async function checkAnswer(response: Response, index: number): Promise<void> {
  const text = await readBeginning(response)
  if (response.ok) return
  const location = response.headers.get('location')
  const reason = location === null ? text : `it redirects to ${location}, which is not followed`
  throw new WebhookError(`the webhook answered ${response.status}: ${cleanReason(reason)}`, response, index)
}

/** An answer that breaks off has its status nevertheless. */
async function readBeginning({ body }: Response): Promise<string> {
  const decoder = new TextDecoder()
  let [text, bytes] = ['', 0]
  try {
    for await (const chunk of body ?? []) {
      text += decoder.decode(chunk, { stream: true })
      bytes += chunk.byteLength
      if (bytes >= ANSWER_BYTES_MAX) break
    }
  } catch (error) {
    text += ` (${messageOf(error)})`
  }
  return text.slice(0, ANSWER_LENGTH_MAX)
}

/** Signs with all secrets: `v1,<base64> v1,<base64>`. */
function createSigner(secrets: readonly string[]): Sign {
  if (secrets.length === 0) throw invalid('secrets is empty')
  const bytes = secrets.map(secretBytes)
  let importing: Promise<CryptoKey[]> | undefined
  return async (text) => {
    const keys = await (importing ??= Promise.all(bytes.map(importKey)))
    const signatures = await Promise.all(
      keys.map((key) => crypto.subtle.sign('HMAC', key, new TextEncoder().encode(text))),
    )
    return signatures.map((signature) => `v1,${new Uint8Array(signature).toBase64()}`).join(' ')
  }
}

function importKey(bytes: Uint8Array<ArrayBuffer>): Promise<CryptoKey> {
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign'])
}

/** The error must not show the secret. */
function secretBytes(secret: unknown): Uint8Array<ArrayBuffer> {
  const wanted = `must be whsec_ and ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX} bytes in base64`
  // A secret that was set through a shell pipe often ends in a line break.
  const base64 = SECRET.exec(typeof secret === 'string' ? secret.trim() : '')?.[1]
  if (base64 === undefined) throw invalid(`a secret ${wanted}`)
  const bytes = Uint8Array.fromBase64(base64)
  if (bytes.length < SECRET_BYTES_MIN || bytes.length > SECRET_BYTES_MAX)
    throw invalid(`a secret has ${bytes.length} bytes, and ${wanted}`)
  return bytes
}

function checkURL(given: string | URL, allowPrivate: boolean): string {
  const url = URL.parse(given)
  if (url === null) throw invalid('url is not a URL')
  if (url.username !== '' || url.password !== '') throw invalid('url has a user name or a password')
  if (url.protocol !== 'https:' && !(allowPrivate && url.protocol === 'http:'))
    throw invalid(`url must be https, not ${url.protocol}`)
  const problem = allowPrivate ? undefined : privateAddressProblem(url.hostname)
  if (problem !== undefined) throw invalid(`url: ${problem}; if that is meant, set allowPrivate`)
  return url.href
}

function invalid(problem: string): CDCError {
  return new CDCError('invalid-config', `toWebhook: ${problem}`)
}
