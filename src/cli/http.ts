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
  const json = body === undefined ? undefined : JSON.stringify(body)
  const headers = { ...authorization(token), ...(json !== undefined && { 'content-type': 'application/json' }) }
  return request(url, { method: 'POST', headers, body: json ?? null }, timeoutMs)
}

/** Gets what is at a URL, in the same way. @throws {Error} if there is no answer. */
export async function get(url: string, { token, timeoutMs }: Omit<Message, 'body'>): Promise<Response> {
  return request(url, { method: 'GET', headers: authorization(token) }, timeoutMs)
}

/** Gets a stream of server-sent events, which ends when the signal aborts. @throws {Error} if there is no answer. */
export async function openStream(
  url: string,
  { token, lastEventId, signal }: { token: string | undefined; lastEventId: string | undefined; signal: AbortSignal },
): Promise<Response> {
  const resume = lastEventId === undefined ? {} : { 'last-event-id': lastEventId }
  const headers = { accept: 'text/event-stream', ...authorization(token), ...resume }
  try {
    return await fetch(url, { headers, redirect: 'manual', signal })
  } catch (error) {
    throw unreachable(url, error, 0)
  }
}

async function request(url: string, init: RequestInit, timeoutMs: number): Promise<Response> {
  try {
    // A redirect would take the token elsewhere.
    return await fetch(url, { ...init, redirect: 'manual', signal: AbortSignal.timeout(timeoutMs) })
  } catch (error) {
    throw unreachable(url, error, timeoutMs)
  }
}

function authorization(token: string | undefined): Record<string, string> {
  return token === undefined ? {} : { authorization: `Bearer ${token}` }
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
