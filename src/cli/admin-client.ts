// The outboxes of a running Worker, as the command reaches them: over the routes of src/admin.

import { messageOf } from '../error.ts'
import * as z from 'zod'
import type { OutboxCalls } from '../admin/index.ts'
import { checkAddress, checkToken } from './address.ts'

/** Where a Worker mounts `outboxRoutes`. */
const MOUNT = '/admin/outbox'
/** A flush goes on for a minute, and its last batch may wait for its answer. */
const TIMEOUT_MS = 120_000

/** An object's outbox: the class as the Worker's routes name it, and the object's name. */
export interface Target {
  readonly className: string
  readonly object: string
}

/** What the server says against a call. The message is the server's own. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

const refusalSchema = z.object({ error: z.string(), code: z.string() })

export class AdminClient {
  readonly #url: string
  readonly #token: string | undefined

  /** @throws {CDCError} `invalid-argument` for a URL or a token that nothing should be sent to or with. */
  constructor(url: string, token: string | undefined) {
    this.#url = checkAddress({ command: 'outbox', flag: '--url', of: 'a Worker' }, url, token !== undefined)
    this.#token = token === undefined ? undefined : checkToken('outbox', token)
  }

  /**
   * Makes one call, and gives the JSON of its result.
   *
   * @throws {RefusedError} with the server's message; or an `Error` where there is no server, or not this one.
   */
  async call({ className, object }: Target, method: keyof OutboxCalls, argument?: unknown): Promise<unknown> {
    const path = [className, object, method].map(encodeURIComponent).join('/')
    const response = await this.#send(`${this.#url}${MOUNT}/${path}`, argument)
    const body: unknown = await response.json().catch(() => undefined)
    if (response.ok && body !== undefined) return body
    const refusal = refusalSchema.safeParse(body)
    if (!refusal.success) throw new Error(`outbox: ${this.#url}${MOUNT} ${strange(response)}`)
    throw new RefusedError(refusal.data.code, refusal.data.error)
  }

  async #send(url: string, argument: unknown): Promise<Response> {
    try {
      return await fetch(url, {
        method: 'POST',
        headers: {
          ...(this.#token !== undefined && { authorization: `Bearer ${this.#token}` }),
          ...(argument !== undefined && { 'content-type': 'application/json' }),
        },
        body: argument === undefined ? null : JSON.stringify(argument),
        // The token is for this address and no other.
        redirect: 'manual',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
    } catch (error) {
      throw new Error(`outbox: ${this.#url} ${problemOf(error)}`, { cause: error })
    }
  }
}

/** Checks that an answer is what the call answers. */
export function readAnswer<Schema extends z.ZodType>(schema: Schema, answer: unknown): z.output<Schema> {
  const parsed = schema.safeParse(answer)
  if (parsed.success) return parsed.data
  throw new Error(`outbox: the answer is not that of this version: ${z.prettifyError(parsed.error)}`)
}

function problemOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  if (cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED')
    return 'refuses connections; is `npm run dev` running?'
  if (cause instanceof Error && cause.name === 'TimeoutError') return `gave no answer in ${TIMEOUT_MS / 1_000} s`
  return `cannot be reached: ${messageOf(cause)}`
}

function strange({ status, headers }: Response): string {
  const location = headers.get('location')
  if (status >= 300 && status < 400 && location !== null) return `redirects to ${location}; give that as --url`
  return `answered ${status} without the JSON of outboxRoutes; does the Worker mount them there?`
}
