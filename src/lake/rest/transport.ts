// How requests get to a catalog: with a token, within a time, with exact numbers, and not before the catalog wants them.

import { endOfWait } from '../../due.ts'
import { CDCError, reasonOf } from '../../error.ts'
import { parseJSON } from '../../event/json.ts'
import { isObject } from '../../event/kinds.ts'
import { parseRetryAfter } from '../../http/retry-after.ts'
import type { CatalogAuth } from './config.ts'
import { quoteLongs, unquoteSnapshotIds } from './longs.ts'

/** How long a request may take. Basin Catalog itself answers within 40 seconds. In milliseconds. */
const REQUEST_MS_MAX = 45_000
/** How long a catalog's `Retry-After` is obeyed at most, and how long it is taken to be if it is not valid. */
const RETRY_AFTER_MS_MAX = 600_000
const RETRY_AFTER_MS = 60_000
/** How long before its end a token is renewed. */
const TOKEN_MARGIN_MS = 30_000
const TOKEN_MS = 3_600_000

export interface TransportPorts {
  readonly fetch: typeof fetch
  readonly auth: CatalogAuth
  readonly now: () => number
}

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

export class Transport {
  readonly #ports: TransportPorts
  #token: { readonly text: string; readonly untilMs: number } | undefined
  #busyUntilMs = 0

  constructor(ports: TransportPorts) {
    this.#ports = ports
  }

  /** Until when the catalog has asked to be left alone, in milliseconds since 1970. */
  get busyUntilMs(): number {
    return endOfWait(this.#busyUntilMs, RETRY_AFTER_MS_MAX, this.#ports.now())
  }

  /** What `fetch` is to a client of the catalog. */
  readonly fetch: typeof fetch = async (input, init) => {
    const answer = await this.#request(input, init)
    // A token may be revoked, or end sooner than it was said to.
    const isStale = [401, 419].includes(answer.status) && this.#token !== undefined
    if (isStale) this.#token = undefined
    const { status, headers, text } = isStale ? await this.#request(input, init) : answer
    const wait = headers.get('retry-after')
    if (status === 429 || (status === 503 && wait !== null))
      this.#busyUntilMs = this.#ports.now() + retryAfterMs(wait, this.#ports.now())
    const type = headers.get('content-type') ?? ''
    return new Response(text === '' ? null : quoteLongs(text), { status, headers: { 'content-type': type } })
  }

  async #request(input: RequestInfo | URL, init: RequestInit = {}): Promise<Answer> {
    const headers = new Headers(init.headers)
    const token = await this.#bearer()
    if (token !== undefined) headers.set('authorization', `Bearer ${token}`)
    const { body } = init
    return this.#ask(input, { ...init, headers, ...(typeof body === 'string' && { body: unquoteSnapshotIds(body) }) })
  }

  /**
   * Within a time, and from nobody else: a redirect would take the token elsewhere. No timer is left behind, as the object could
   * not sleep until it ends.
   */
  async #ask(input: RequestInfo | URL, init: RequestInit): Promise<Answer> {
    const controller = new AbortController()
    const abort = () => controller.abort(new Error(`no answer within ${REQUEST_MS_MAX} ms`))
    const timer = setTimeout(abort, REQUEST_MS_MAX)
    try {
      const response = await this.#ports.fetch(input, { ...init, redirect: 'manual', signal: controller.signal })
      const location = response.headers.get('location')
      if (response.status >= 300 && response.status < 400 && location !== null)
        throw new CDCError('catalog-failed', `lake: the catalog redirects to ${location}, which is not followed`, {
          retryable: true,
        })
      return { status: response.status, headers: response.headers, text: await response.text() }
    } finally {
      clearTimeout(timer)
    }
  }

  async #bearer(): Promise<string | undefined> {
    const { auth, now } = this.#ports
    if (auth.kind === 'none') return undefined
    if (auth.kind === 'token') return auth.token
    if (this.#token === undefined || this.#token.untilMs <= now()) this.#token = await this.#askForToken(auth)
    return this.#token.text
  }

  async #askForToken({ uri, clientId, clientSecret, scope }: CatalogAuth & { kind: 'oauth2' }) {
    const { now } = this.#ports
    const { status, text } = await this.#ask(uri, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'client_credentials',
        client_id: clientId,
        client_secret: clientSecret,
        scope,
      }),
    })
    const answer = parseJSON(text)
    const token = isObject(answer) ? answer['access_token'] : undefined
    if (status !== 200 || !isObject(answer) || typeof token !== 'string')
      throw new CDCError(
        'catalog-failed',
        `lake: ${uri} gives no token (${status}): ${reasonOf(text)}; check LAKE_CATALOG_CREDENTIAL`,
        { retryable: status >= 500 },
      )
    const seconds = Number(answer['expires_in'])
    return { text: token, untilMs: now() + (seconds > 0 ? seconds * 1_000 : TOKEN_MS) - TOKEN_MARGIN_MS }
  }
}

function retryAfterMs(header: string | null, nowMs: number): number {
  const ms = parseRetryAfter(header ?? '', nowMs) ?? RETRY_AFTER_MS
  return Math.min(Math.max(ms, 0), RETRY_AFTER_MS_MAX)
}
