// How the command sends a request: once, with a token for this address and no other.

import { messageOf } from '../error.ts'
import { isLocalHTTP } from '../http/loopback.ts'

interface Message {
  readonly token?: string | undefined
  /** Sent as JSON; nothing is sent if it is undefined. */
  readonly body?: unknown
  readonly timeoutMs: number
}

/**
 * Posts a message, follows no redirect and tries nothing again.
 *
 * @throws {Error} if there is no answer.
 */
export async function post(url: string, { token, body, timeoutMs }: Message): Promise<Response> {
  try {
    return await fetch(url, {
      method: 'POST',
      headers: {
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      // A redirect would take the token elsewhere.
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    })
  } catch (error) {
    throw unreachable(url, error, timeoutMs)
  }
}

/** The error for a server that does not answer, or stops in the middle of it. */
export function unreachable(url: string, error: unknown, timeoutMs: number): Error {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  return new Error(`${new URL(url).origin} ${problemOf(cause, new URL(url), timeoutMs)}`, { cause: error })
}

function problemOf(cause: unknown, url: URL, timeoutMs: number): string {
  if (cause instanceof Error && 'code' in cause && cause.code === 'ECONNREFUSED')
    return `refuses connections${isLocalHTTP(url) ? '; is wrangler dev running?' : ''}`
  if (cause instanceof Error && cause.name === 'TimeoutError') return `gave no answer in ${timeoutMs / 1_000} s`
  return `cannot be reached: ${messageOf(cause)}`
}
