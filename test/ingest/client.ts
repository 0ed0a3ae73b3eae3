// A sender of the tests, and the ingest that it sends to.

import { env } from 'cloudflare:workers'
import type { EventRecord } from 'durable-outbox'
import { type IngestOptions, ingestRoutes, type IngestToken } from 'durable-outbox/ingest'
import { fakePipeline } from 'durable-outbox/testing'
import { expect } from 'vitest'

export const TOKEN = 'a-token-of-the-test'
export const pipeline = fakePipeline(env.EVENTS_PIPELINE)

/** Bytes of a text in UTF-8. */
export function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(new TextEncoder().encode(text))
}

export async function tokenOf(token: string, ns: string[], name = token): Promise<IngestToken> {
  const digest = await crypto.subtle.digest('SHA-256', bytesOf(token))
  return { name, sha256: new Uint8Array(digest).toHex(), ns }
}

export interface Answer {
  status: number
  body: unknown
  headers: Headers
}

export type Client = (body: RequestInit['body'] | unknown[], init?: RequestInit) => Promise<Answer>

/** An ingest with options of its own. `TOKEN` opens every ns, unless the options say otherwise. */
export async function createClient(options: IngestOptions = {}): Promise<Client> {
  const tokens = [await tokenOf(TOKEN, ['*'])]
  const app = ingestRoutes(() => ({ tokens, pipeline, ...options }))
  const bindings = {}
  return async (body, init = {}) => {
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
    const response = await app.request(
      '/',
      {
        method: 'POST',
        ...(body !== undefined && { body: Array.isArray(body) ? JSON.stringify(body) : body }),
        ...init,
        headers: { ...headers, ...Object.fromEntries(new Headers(init.headers)) },
      },
      bindings,
    )
    return readAnswer(response)
  }
}

export async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text()
  // No answer ever holds a stack.
  expect(text).not.toMatch(/\bat .*[:/]\d+/)
  return { status: response.status, body: JSON.parse(text), headers: response.headers }
}

export function committed(count: number): object {
  return { status: 200, body: { success: true, result: { committed: count } } }
}

/** Lines of NDJSON. */
export function linesOf(records: readonly EventRecord[], end = '\n'): string {
  return records.map((record) => JSON.stringify(record) + end).join('')
}

export async function gzip(bytes: Uint8Array<ArrayBuffer> | string): Promise<Uint8Array<ArrayBuffer>> {
  const stream = new Response(bytes).body?.pipeThrough(new CompressionStream('gzip'))
  return new Uint8Array(await new Response(stream).arrayBuffer())
}
