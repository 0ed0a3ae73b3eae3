// The one place where an error becomes a response. A message goes out only where it was written to be read.

import { HTTPException } from 'hono/http-exception'
import type { CDCErrorCode } from '../error.ts'

const STATUS: Readonly<Record<CDCErrorCode, number>> = {
  'already-exists': 409,
  'async-callback': 500,
  'event-forgotten': 409,
  'event-invalid': 400,
  'event-too-large': 413,
  'invalid-argument': 400,
  'invalid-config': 500,
  'lake-conflict': 409,
  'lake-full': 429,
  'migration-failed': 500,
  'not-found': 404,
  'outbox-full': 429,
  'pipeline-failed': 503,
  'pipeline-timeout': 503,
  'record-invalid': 400,
  'schema-newer': 500,
  'transaction-ended': 409,
  'transaction-nested': 409,
}

/** HTTP's own refusals, in the words of `code`. */
const HTTP_CODES: Readonly<Record<number, string>> = {
  401: 'unauthorized',
  403: 'forbidden',
  405: 'method-not-allowed',
  413: 'body-too-large',
  415: 'unsupported-media-type',
}

interface Refusal {
  readonly status: number
  readonly code: string
  readonly message: string
  readonly retryable: boolean
}

/** Answers `{ error, code, retryable }`. What is unexpected goes to the log, and the answer only says so. */
export function errorResponse(error: Error): Response {
  const { status, code, message, retryable } = describe(error)
  const headers = status === 401 ? { 'www-authenticate': 'Bearer' } : status === 405 ? { allow: 'POST' } : undefined
  return Response.json({ error: message, code, retryable }, { status, ...(headers && { headers }) })
}

function describe(error: Error): Refusal {
  if (error instanceof HTTPException) {
    const { status, message } = error
    return { status, code: HTTP_CODES[status] ?? 'refused', message, retryable: false }
  }
  // Over RPC an error keeps its own properties and loses its class.
  const { name, message, code, retryable, overloaded } = error as Error & Record<string, unknown>
  if (name === 'CDCError' && isCode(code)) return { status: STATUS[code], code, message, retryable: retryable === true }
  console.error('admin:', error)
  if (overloaded === true)
    return { status: 429, code: 'overloaded', message: 'admin: the object is overloaded; try again', retryable: true }
  if (retryable === true)
    return {
      status: 503,
      code: 'unavailable',
      message: "admin: it failed for now; the Worker's log says why; try again",
      retryable: true,
    }
  return { status: 500, code: 'internal', message: "admin: it failed; the Worker's log says why", retryable: false }
}

function isCode(code: unknown): code is CDCErrorCode {
  return typeof code === 'string' && Object.hasOwn(STATUS, code)
}
