// A request's body as text. It is read as a stream, within a time, because the length that a sender declares proves nothing.

import { gunzipSync } from 'node:zlib'
import { CDCError } from '../error.ts'
import { Refusal } from '../http/error-response.ts'
import { BODY_BYTES_MAX } from './limits.ts'

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false })

/**
 * @throws {Refusal} 408 if it takes longer than `timeoutMs`, 413 above `BODY_BYTES_MAX`, 415 for a content-encoding other than
 *   gzip.
 * @throws {CDCError} `invalid-argument` if it is not gzip, or not UTF-8.
 */
export async function readBody(request: Request, timeoutMs: number): Promise<string> {
  const encoding = request.headers.get('content-encoding')?.trim().toLowerCase() ?? 'identity'
  if (encoding !== 'identity' && encoding !== 'gzip')
    throw new Refusal(415, 'ingest: the content-encoding is not supported; send gzip, or none', {
      headers: { 'accept-encoding': 'gzip' },
    })
  if (Number(request.headers.get('content-length') ?? 0) > BODY_BYTES_MAX) throw tooLarge()
  const bytes = await readBytes(request.body, timeoutMs)
  return decode(encoding === 'gzip' ? gunzip(bytes) : bytes)
}

async function readBytes(body: ReadableStream<Uint8Array> | null, timeoutMs: number): Promise<Uint8Array> {
  if (body === null) return new Uint8Array()
  const reader = body.getReader()
  const { promise: timeout, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(tooSlow(timeoutMs)), timeoutMs)
  try {
    const chunks: Uint8Array[] = []
    let length = 0
    for (;;) {
      const { done, value } = await Promise.race([read(reader), timeout])
      if (done) return join(chunks, length)
      length += value.byteLength
      if (length > BODY_BYTES_MAX) throw tooLarge()
      chunks.push(value)
    }
  } finally {
    clearTimeout(timer)
    // Nobody waits for the rest.
    reader.cancel().catch(() => undefined)
  }
}

async function read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<ReadableStreamReadResult<Uint8Array>> {
  try {
    return await reader.read()
  } catch {
    throw new CDCError('invalid-argument', 'ingest: the body was interrupted')
  }
}

function join(chunks: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  return bytes
}

/** With zlib, because `DecompressionStream` buffers all of its output, without a limit. */
function gunzip(bytes: Uint8Array): Uint8Array {
  try {
    return gunzipSync(bytes, { maxOutputLength: BODY_BYTES_MAX })
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge()
    throw new CDCError('invalid-argument', 'ingest: the body is not gzip')
  }
}

function decode(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes)
  } catch {
    throw new CDCError('invalid-argument', 'ingest: the body is not UTF-8')
  }
}

function tooLarge(): Refusal {
  return new Refusal(413, `ingest: the body is larger than ${BODY_BYTES_MAX} bytes; send smaller batches`)
}

function tooSlow(timeoutMs: number): Refusal {
  return new Refusal(408, `ingest: the body did not arrive within ${timeoutMs} ms`, { retryable: true })
}
