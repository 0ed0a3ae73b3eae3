// A pipeline over HTTP, for programs without a binding: to the ingest endpoint of this library, or of Basin Pipelines.

import { CDCError, type CDCErrorCode, messageOf } from '../error.ts'
import { parseJSON } from '../event/json.ts'
import { coversNs, isNsPattern } from '../event/ns-pattern.ts'
import { type EventRecord, toRecord } from '../event/record.ts'
import type { UnifiedEvent } from '../event/unified-event.ts'
import { parseRetryAfter } from '../http/retry-after.ts'
import { isLocalHTTP } from '../http/loopback.ts'
import { batchKey } from './batch-key.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'

export interface ManagedPipelineOptions {
  /**
   * Where to POST: the URL of an ingest endpoint, or `https://<stream id>.ingest.cloudflare.com`. Must be https, except on
   * localhost.
   */
  readonly endpoint: string | URL
  /** The bearer token; or a function that returns it, called once more if the token is refused. */
  readonly authToken: string | (() => string | Promise<string>)
  /** The ns whose events may be sent, or a prefix such as `startups.*`: `send` refuses an event of any other. Default: `*`. */
  readonly namespace?: string
  /** How long an attempt may take, in milliseconds. Default: 20,000. */
  readonly timeoutMs?: number
  /**
   * A body of at least so many UTF-8 bytes is compressed. Default: 8,192, but none for Basin Pipelines, whose documentation
   * does not mention compressed bodies.
   */
  readonly minGzipBytes?: number
}

/**
 * A failed attempt, with the HTTP `status` of the answer, if there was one, its `retryAfter` in seconds, and the `index` of the
 * record that it names.
 */
export class ManagedPipelineError extends CDCError {
  readonly status?: number
  readonly retryAfter?: number

  constructor(
    code: CDCErrorCode,
    message: string,
    answer: { status?: number; retryAfter?: number; index?: number | undefined; cause?: unknown },
  ) {
    const { status, retryAfter, index, cause } = answer
    const retryable = status === undefined || status === 408 || status === 429 || status >= 500 || status < 400
    super(code, `managed pipeline: ${message}`, { retryable, index, cause })
    if (status !== undefined) this.status = status
    if (retryAfter !== undefined) this.retryAfter = retryAfter
  }
}

/** So many bytes of an answer are read. */
const ANSWER_BYTES_MAX = 16_384
/** So many characters of it are quoted in an error. */
const REASON_LENGTH_MAX = 500

/**
 * A `Pipeline` over HTTP. Each batch is one POST of a JSON array of records under an idempotency key, so that a receiver
 * that knows the key does not take in a repeated batch again.
 */
export class ManagedPipeline implements Pipeline {
  readonly #endpoint: string
  readonly #authToken: ManagedPipelineOptions['authToken']
  readonly #namespace: string
  readonly #timeoutMs: number
  readonly #minGzipBytes: number

  /** @throws {CDCError} `invalid-config`, naming the option. */
  constructor({ endpoint, authToken, namespace = '*', timeoutMs = 20_000, minGzipBytes }: ManagedPipelineOptions) {
    const url = checkEndpoint(endpoint)
    if (!isNsPattern(namespace))
      throw invalidOption(`namespace ${namespace} is neither an ns nor a prefix that ends in .* or /*`)
    if (!(timeoutMs > 0)) throw invalidOption(`timeoutMs is ${timeoutMs}; give milliseconds above 0`)
    const isBasin = url.hostname.endsWith('.ingest.cloudflare.com')
    this.#endpoint = url.href
    this.#authToken = authToken
    this.#namespace = namespace
    this.#timeoutMs = timeoutMs
    this.#minGzipBytes = minGzipBytes ?? (isBasin ? Infinity : 8_192)
  }

  /**
   * Sends events, each a `UnifiedEvent` or an `EventRecord`, and resolves once the endpoint has them. It tries once, in halves
   * if the endpoint finds the batch too large; the relay and `CDCEmitter` retry.
   *
   * @throws {ManagedPipelineError} retryable after 408, 429, 5xx, a timeout, or a failed connection: the endpoint may have the
   *   events nevertheless. @throws {CDCError} `event-invalid`: nothing was sent.
   */
  async send(events: readonly (EventRecord | UnifiedEvent)[]): Promise<void> {
    const records = events.map((event, index) => this.#check(event, index))
    if (records.length > 0) await this.#sendHalves(records)
  }

  #check(event: EventRecord | UnifiedEvent, index: number): EventRecord {
    if (!coversNs([this.#namespace], event.ns))
      throw new ManagedPipelineError(
        'event-invalid',
        `event ${index} has the ns ${event.ns}, but this pipeline is for ${this.#namespace}; configure another one for it`,
        { status: 403 },
      )
    if ('source' in event) return event
    const { _meta } = event
    if (_meta === undefined)
      throw new CDCError('event-invalid', `managed pipeline: event ${index} has no _meta.source`, { index })
    return toRecord({ ...event, _meta })
  }

  /** @param start the index of the first record in the whole batch. */
  async #sendHalves(records: readonly EventRecord[], start = 0): Promise<void> {
    const response = await this.#post(records)
    if (response.status === 413 && records.length > 1) {
      await response.body?.cancel()
      const half = Math.ceil(records.length / 2)
      await this.#sendHalves(records.slice(0, half), start)
      return this.#sendHalves(records.slice(half), start + half)
    }
    await checkAnswer(response, start)
  }

  async #post(records: readonly EventRecord[]): Promise<Response> {
    const key = await batchKey(records)
    const request = await this.#encode(records)
    const response = await this.#attempt(request, key)
    if (response.status !== 401 || typeof this.#authToken === 'string') return response
    await response.body?.cancel()
    return this.#attempt(request, key)
  }

  async #encode(records: readonly EventRecord[]): Promise<{ body: BodyInit; headers: Record<string, string> }> {
    const headers = { 'content-type': 'application/json' }
    const bytes = new TextEncoder().encode(JSON.stringify(records))
    if (bytes.byteLength < this.#minGzipBytes) return { body: bytes, headers }
    const compressed = new Blob([bytes]).stream().pipeThrough(new CompressionStream('gzip'))
    return {
      body: await new Response(compressed).arrayBuffer(),
      headers: { ...headers, 'content-encoding': 'gzip' },
    }
  }

  async #attempt(
    { body, headers }: { body: BodyInit; headers: Record<string, string> },
    key: string,
  ): Promise<Response> {
    const authorization = `Bearer ${await this.#token()}`
    try {
      return await fetch(this.#endpoint, {
        method: 'POST',
        headers: { ...headers, authorization, 'idempotency-key': key },
        body,
        // The token is for this address alone.
        redirect: 'manual',
        signal: AbortSignal.timeout(this.#timeoutMs),
      })
    } catch (cause) {
      if (cause instanceof Error && cause.name === 'TimeoutError')
        throw new ManagedPipelineError('pipeline-timeout', `no answer in ${this.#timeoutMs} ms`, { cause })
      throw new ManagedPipelineError('pipeline-failed', `the connection failed: ${reasonOf(cause)}`, { cause })
    }
  }

  async #token(): Promise<string> {
    const given = typeof this.#authToken === 'string' ? this.#authToken : await this.#authToken()
    // A secret that was set through a shell pipe often ends in a line break.
    const token = given.trim()
    // The platform's own error about such a header would print the token.
    if (!/^[\x21-\x7e]+$/.test(token)) throw invalidOption('authToken must be visible ASCII characters without spaces')
    return token
  }
}

/** @throws {ManagedPipelineError} unless the answer means that the records were accepted. */
async function checkAnswer(response: Response, start: number): Promise<void> {
  const { status, headers } = response
  const answer = await readAnswer(response)
  if (response.ok && isAcceptance(answer)) return
  const location = headers.get('location')
  const reason =
    location === null ? answer.slice(0, REASON_LENGTH_MAX) : `it redirects to ${location}, which is not followed`
  const retryAfter = readRetryAfter(headers.get('retry-after'))
  throw new ManagedPipelineError('pipeline-failed', `the endpoint answered ${status}: ${reason}`, {
    status,
    index: namedIndex(answer, start),
    ...(retryAfter !== undefined && { retryAfter }),
  })
}

/** The index of the record that an ingest names as bad. */
function namedIndex(answer: string, start: number): number | undefined {
  const { index } = Object(parseJSON(answer)) as Record<string, unknown>
  return typeof index === 'number' ? start + index : undefined
}

/** Reads no more than the beginning of an answer. */
async function readAnswer(response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let [text, bytes] = ['', 0]
  try {
    for await (const chunk of response.body ?? []) {
      text += decoder.decode(chunk, { stream: true })
      bytes += chunk.byteLength
      if (bytes >= ANSWER_BYTES_MAX) break
    }
  } catch (cause) {
    throw new ManagedPipelineError('pipeline-failed', `the answer was interrupted: ${reasonOf(cause)}`, { cause })
  }
  return text
}

/** A proxy on the way may answer 200 too. A receiver answers with an empty body, or JSON without `success: false`. */
function isAcceptance(answer: string): boolean {
  if (answer === '') return true
  const value = parseJSON(answer)
  const { success } = Object(value) as Record<string, unknown>
  return value !== undefined && success !== false
}

/** In seconds, as errors of a pipeline have it. */
function readRetryAfter(text: string | null): number | undefined {
  if (text === null) return undefined
  const ms = parseRetryAfter(text, Date.now()) ?? 0
  return ms > 0 ? Math.ceil(ms / 1_000) : undefined
}

function checkEndpoint(endpoint: string | URL): URL {
  const url = URL.parse(endpoint)
  if (url === null) throw invalidOption(`endpoint ${String(endpoint)} is not a URL`)
  if (url.protocol !== 'https:' && !isLocalHTTP(url))
    throw invalidOption(`the token would go to ${url.host} unencrypted; use https, or http on localhost only`)
  if (url.username !== '' || url.password !== '')
    throw invalidOption('endpoint has a user name or a password; use authToken')
  return url
}

function invalidOption(problem: string): CDCError {
  return new CDCError('invalid-config', `managed pipeline: ${problem}`)
}

function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause
  return messageOf(inner)
}
