// The one place where an error becomes a response. A message is sent only if it was written for the caller.

import { HTTPException } from 'hono/http-exception'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { type CDCErrorCode, propertyOf } from '../error.ts'

const STATUS: Readonly<Record<CDCErrorCode, number>> = {
  'already-exists': 409,
  'async-callback': 500,
  'catalog-failed': 503,
  'event-forgotten': 409,
  'event-invalid': 400,
  'event-too-large': 413,
  'invalid-argument': 400,
  'invalid-config': 500,
  'bucket-timeout': 503,
  'lake-behind': 503,
  'lake-conflict': 409,
  'lake-full': 429,
  'lake-resharding': 503,
  'migration-failed': 500,
  'not-found': 404,
  'outbox-full': 429,
  'pipeline-failed': 503,
  'pipeline-timeout': 503,
  'record-invalid': 400,
  'schema-newer': 500,
  'table-damaged': 500,
  'transaction-ended': 409,
  'transaction-nested': 409,
}

/** The `code` of HTTP's own refusals. */
const HTTP_CODES: Readonly<Record<number, string>> = {
  401: 'unauthorized',
  403: 'forbidden',
  405: 'method-not-allowed',
  408: 'request-timeout',
  413: 'body-too-large',
  415: 'unsupported-media-type',
  429: 'rate-limited',
}

/** Headers that a status needs. */
const HTTP_HEADERS: Readonly<Record<number, Readonly<Record<string, string>>>> = {
  401: { 'www-authenticate': 'Bearer' },
  405: { allow: 'POST' },
}

/** What a refusal has besides its status and its message. */
export interface RefusalDetails {
  /** Default: the code of the status. */
  readonly code?: string
  /** Whether the same request can succeed later. Default: false. */
  readonly retryable?: boolean
  readonly headers?: Readonly<Record<string, string>>
  /** The record of the body that is to blame, counted from 0, and the field of it, if that is known. */
  readonly record?: { readonly index: number; readonly field?: string }
}

/** The refusal of a request for a reason that HTTP has a status for. */
export class Refusal extends HTTPException {
  readonly details: RefusalDetails

  constructor(status: ContentfulStatusCode, message: string, details: RefusalDetails = {}) {
    super(status, { message })
    this.details = details
  }
}

interface Answer extends RefusalDetails {
  readonly status: number
  readonly code: string
  readonly message: string
}

/**
 * Makes the error handler of routes. It answers `{ error, code, retryable }`, with `index` and `field` if one record is to
 * blame. An unexpected error is logged, and the answer refers to the log.
 *
 * @param area the beginning of the routes' messages: `admin`, `ingest`.
 */
export function errorResponse(area: string): (error: Error) => Response {
  return (error) => {
    const { status, code, message, retryable = false, record, headers } = describe(error, area)
    return Response.json(
      { error: message, code, retryable, ...record },
      { status, headers: { ...HTTP_HEADERS[status], ...headers } },
    )
  }
}

/** The `status` of an error; that of its code if it is a `CDCError` without one. */
export function statusOf(error: unknown): number | undefined {
  // Over RPC an error keeps its own properties and loses its class.
  const status = propertyOf(error, 'status')
  const code = propertyOf(error, 'code')
  if (typeof status === 'number') return status
  return propertyOf(error, 'name') === 'CDCError' && isCode(code) ? STATUS[code] : undefined
}

function describe(error: Error, area: string): Answer {
  if (error instanceof HTTPException) {
    const { status, message } = error
    const details = error instanceof Refusal ? error.details : {}
    return { code: HTTP_CODES[status] ?? 'refused', ...details, status, message }
  }
  const { name, message, code, retryable, overloaded } = error as Error & Record<string, unknown>
  if (name === 'CDCError' && isCode(code)) return { status: STATUS[code], code, message, retryable: retryable === true }
  console.error(`${area}:`, error)
  if (overloaded === true)
    return {
      status: 429,
      code: 'overloaded',
      message: `${area}: the object is overloaded; try again`,
      retryable: true,
    }
  if (retryable === true)
    return {
      status: 503,
      code: 'unavailable',
      message: `${area}: it failed for now; try again, or see the Worker's log`,
      retryable: true,
    }
  return { status: 500, code: 'internal', message: `${area}: internal error; see the Worker's log` }
}

function isCode(code: unknown): code is CDCErrorCode {
  return typeof code === 'string' && Object.hasOwn(STATUS, code)
}
