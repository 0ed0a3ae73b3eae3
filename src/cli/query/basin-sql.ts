// Basin SQL (Cloudflare R2 SQL) over its HTTP API.
// https://developers.cloudflare.com/basin-sql/query-data/#query-via-api

import type { Json } from '@duckdb/node-api'
import * as z from 'zod'
import { parseJSON } from '../../event/json.ts'
import { type QueryResult, SQLError } from '../duckdb.ts'
import { post, unreachable } from '../http.ts'
import { isoTime } from '../../event/iso-time.ts'
import { exactNumber, parseTime } from '../values.ts'

/** Where the service is, unless a proxy is in front of it. */
export const BASIN_SQL_URL = 'https://api.sql.cloudflarestorage.com'

/** Rows that Basin SQL returns at most if the SQL has no LIMIT, and does not say so. */
export const DEFAULT_LIMIT_ROWS = 500
/** The highest LIMIT that it accepts. */
export const LIMIT_ROWS_MAX = 10_000

/** How long a query may take, in milliseconds. The service documents no limit of its own. */
const TIMEOUT_MS = 300_000
/** UTF-8 bytes of an answer, which is held in memory: the most rows that there can be, of 10 KB each. */
const ANSWER_BYTES_MAX = 100_000_000
/** Characters that are shown of an answer that is not JSON. */
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
  /** What the service read for it, if it reports that. */
  readonly metrics: { readonly bytes_scanned?: number | undefined; readonly files_scanned?: number | undefined }
}

/** A column's type: `type` in wrangler's tests, `descriptor` since the service describes nested types. */
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

/** What to do about a refused request. */
const ADVICE: Readonly<Record<number, string>> = {
  401: 'the token is not valid; it needs to read Basin SQL, Basin Catalog and R2 storage',
  403: 'the token needs to read Basin SQL, Basin Catalog and R2 storage of this account',
}

/** @throws {SQLError} with the service's codes and messages; or an `Error` if there is no service, or another one. */
export async function askBasin(bucket: BasinBucket, sql: string): Promise<BasinAnswer> {
  const { endpoint, account, token } = bucket
  const path = ['accounts', account, 'basin-sql', 'query', bucket.bucket].map(encodeURIComponent).join('/')
  const url = `${endpoint}/api/v1/${path}`
  const response = await post(url, { token, body: { query: sql }, timeoutMs: TIMEOUT_MS })
  const answer = readAnswer(response, await readText(url, response))
  const { result } = answer
  if (!response.ok || !answer.success || result === null || result === undefined) throw refusal(response, answer)
  return { result: queryResult(result), rows: result.rows.length, metrics: result.metrics }
}

async function readText(url: string, response: Response): Promise<string> {
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
    throw unreachable(url, error, TIMEOUT_MS)
  }
  if (bytes <= ANSWER_BYTES_MAX) return text + decoder.decode()
  throw new Error(
    `the answer is above ${ANSWER_BYTES_MAX / 1_000_000} MB; ask for fewer rows, or leave out before and after`,
  )
}

function readAnswer({ status, headers }: Response, text: string): Answer {
  const answer = answerSchema.safeParse(parseJSON(text, keepIntegers))
  if (answer.success) return answer.data
  const location = headers.get('location')
  const excerpt = location === null ? text.slice(0, EXCERPT_LENGTH) : `Location: ${location}`
  throw new Error(`Basin SQL answered ${status}, and not as its API does: ${excerpt || 'nothing'}`)
}

function refusal({ status, headers }: Response, { errors }: Answer): SQLError {
  const said = (errors ?? []).map(({ code, message }) => (code === undefined ? message : `${code}: ${message}`))
  const wait = headers.get('retry-after')
  const advice = [
    ...(ADVICE[status] === undefined ? [] : [ADVICE[status]]),
    ...(wait === null ? [] : [`it asks you to wait: Retry-After ${wait}`]),
  ]
  return new SQLError([`Basin SQL answered ${status}`, ...said, ...advice].join('\n'))
}

/** An integer that a number cannot hold becomes a text. */
function keepIntegers(_key: string, value: unknown, ...more: readonly { readonly source?: string }[]): unknown {
  const source = more[0]?.source
  const isRounded = typeof value === 'number' && !Number.isSafeInteger(value) && /^-?\d+$/.test(source ?? '')
  return isRounded ? source : value
}

function queryResult({ schema, rows }: NonNullable<Answer['result']>): QueryResult {
  const described = schema.map(({ name, type, descriptor }) => ({ name, type: descriptor?.type.name ?? type ?? '' }))
  // Without a schema, as for SHOW, the rows still name their fields.
  const columns = described.length > 0 ? described : Object.keys(rows[0] ?? {}).map((name) => ({ name, type: '' }))
  const names = columns.map(({ name }) => name)
  return {
    columns: names,
    keys: names,
    async *rows() {
      // All rows are in memory already, and JSON has no other values than these.
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
