// Basin SQL (Cloudflare R2 SQL) over its HTTP API.
// https://developers.cloudflare.com/basin-sql/query-data/#query-via-api

import { messageOf } from '../error.ts'
import type { Json } from '@duckdb/node-api'
import * as z from 'zod'
import { type QueryResult, SQLError } from './duckdb.ts'
import { printable } from './output.ts'
import { exactNumber, isoTime, parseTime } from './values.ts'

/** Where the service is, unless a proxy stands before it. */
export const BASIN_SQL_URL = 'https://api.sql.cloudflarestorage.com'

/** Rows that Basin SQL answers with where the SQL has no LIMIT, without a word about it. */
export const DEFAULT_LIMIT_ROWS = 500
/** The greatest LIMIT that it takes. */
export const LIMIT_ROWS_MAX = 10_000

/** How long a query may take, in milliseconds. The service documents no limit of its own. */
const TIMEOUT_MS = 300_000
/** UTF-8 bytes of an answer, which is held whole: the most rows that there can be, of 10 KB each. */
const ANSWER_BYTES_MAX = 100_000_000
/** Characters that are shown of an answer that is no JSON. */
const EXCERPT_LENGTH = 200

/** A bucket with a catalog, and the right to read it. */
export interface BasinBucket {
  /** The service's URL, without a slash at its end. */
  readonly endpoint: string
  readonly account: string
  readonly bucket: string
  readonly token: string
}

export interface BasinAnswer {
  readonly result: QueryResult
  readonly rows: number
  /** What the service read for it, where it says so. */
  readonly metrics: { readonly bytes_scanned?: number | undefined; readonly files_scanned?: number | undefined }
}

/** A column's type as wrangler's tests have it, and as the service gives it since it describes nested types. */
const columnSchema = z.object({
  name: z.string(),
  type: z.string().optional(),
  descriptor: z.object({ type: z.object({ name: z.string() }) }).optional(),
})

const answerSchema = z.object({
  success: z.boolean(),
  errors: z
    .array(z.object({ code: z.union([z.number(), z.string()]).optional(), message: z.string().default('') }))
    .nullish(),
  result: z
    .object({
      schema: z.array(columnSchema).default([]),
      rows: z.array(z.record(z.string(), z.unknown())),
      metrics: z.object({ bytes_scanned: z.number().optional(), files_scanned: z.number().optional() }).default({}),
    })
    .nullish(),
})
type Answer = z.infer<typeof answerSchema>

/** How a refused request came to be, for those who can do something about it. */
const ADVICE: Readonly<Record<number, string>> = {
  401: 'the token is not valid; it needs to read Basin SQL, Basin Catalog and R2 storage',
  403: 'the token needs to read Basin SQL, Basin Catalog and R2 storage of this account',
}

/**
 * Asks once, and tries nothing again.
 *
 * @throws {SQLError} with the codes and messages that the service gave; or an `Error` where there is no service, or
 *   not this one.
 */
export async function askBasin(bucket: BasinBucket, sql: string): Promise<BasinAnswer> {
  const response = await post(bucket, sql)
  const answer = readAnswer(response, await readText(bucket, response))
  const { result } = answer
  if (!response.ok || !answer.success || result === null || result === undefined) throw refusal(response, answer)
  return { result: queryResult(result), rows: result.rows.length, metrics: result.metrics }
}

async function post({ endpoint, account, bucket, token }: BasinBucket, sql: string): Promise<Response> {
  const path = ['accounts', account, 'basin-sql', 'query', bucket].map(encodeURIComponent).join('/')
  try {
    return await fetch(`${endpoint}/api/v1/${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ query: sql }),
      // The token is for this address and no other.
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
  } catch (error) {
    throw unreachable(endpoint, error)
  }
}

async function readText({ endpoint }: BasinBucket, response: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let bytes = 0
  try {
    for await (const chunk of response.body ?? []) {
      bytes += chunk.byteLength
      if (bytes > ANSWER_BYTES_MAX) break
      text += decoder.decode(chunk, { stream: true })
    }
  } catch (error) {
    throw unreachable(endpoint, error)
  }
  if (bytes <= ANSWER_BYTES_MAX) return text + decoder.decode()
  throw new Error(
    `query: the answer is above ${ANSWER_BYTES_MAX / 1_000_000} MB; ask for fewer rows, or without before and after`,
  )
}

function unreachable(endpoint: string, error: unknown): Error {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  const isTimeout = cause instanceof Error && cause.name === 'TimeoutError'
  const problem = isTimeout ? `gave no answer in ${TIMEOUT_MS / 1_000} s` : `cannot be reached: ${messageOf(cause)}`
  return new Error(`query: ${endpoint} ${problem}`, { cause: error })
}

function readAnswer({ status, headers }: Response, text: string): Answer {
  const answer = answerSchema.safeParse(parseJSON(text))
  if (answer.success) return answer.data
  const location = headers.get('location')
  const said = location === null ? printable(text.slice(0, EXCERPT_LENGTH)) : `Location: ${printable(location)}`
  throw new Error(`query: Basin SQL answered ${status}, and not as its API does: ${said || 'nothing'}`)
}

function refusal({ status, headers }: Response, { errors }: Answer): SQLError {
  const said = (errors ?? []).map(({ code, message }) =>
    printable(code === undefined ? message : `${code}: ${message}`),
  )
  const wait = headers.get('retry-after')
  const advice = [
    ...(ADVICE[status] === undefined ? [] : [ADVICE[status]]),
    ...(wait === null ? [] : [`it asks to wait: Retry-After ${printable(wait)}`]),
  ]
  return new SQLError([`Basin SQL answered ${status}`, ...said, ...advice].join('\n'))
}

/** The JSON of a text, or nothing. An integer beyond what a number holds stays the text that it was. */
function parseJSON(text: string): unknown {
  try {
    return JSON.parse(text, (_key, value: unknown, ...more: readonly { readonly source?: string }[]) => {
      const source = more[0]?.source
      const isRounded = typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source ?? '')
      return isRounded ? source : value
    }) as unknown
  } catch {
    return undefined
  }
}

function queryResult({ schema, rows }: NonNullable<Answer['result']>): QueryResult {
  const described = schema.map(({ name, type, descriptor }) => ({ name, type: descriptor?.type.name ?? type ?? '' }))
  // Without a schema, as for SHOW, the rows still say what they hold.
  const columns = described.length > 0 ? described : Object.keys(rows[0] ?? {}).map((name) => ({ name, type: '' }))
  const names = columns.map(({ name }) => name)
  return {
    columns: names,
    keys: names,
    async *rows() {
      // All of them are here already, and JSON has no other values than these.
      yield rows.map((row) => columns.map(({ name, type }) => shown((row[name] ?? null) as Json, type)))
    },
  }
}

/** A value as DuckDB's answers show it: times in one form, and integers as numbers where those are exact. */
function shown(value: Json, type: string): Json {
  if (typeof value !== 'string') return value
  if (/^timestamp/i.test(type)) {
    const nanos = parseTime(value)
    return nanos === undefined ? value : isoTime(nanos)
  }
  return /^u?int/i.test(type) && /^-?\d+$/.test(value) ? (exactNumber(BigInt(value)) ?? value) : value
}
