// durable-outbox query --remote: what it needs to know, and what it notes beside the answer.

import type { ParseArgsOptionsConfig } from 'node:util'
import { checkAddress, checkToken } from '../address.ts'
import { type IO, usage } from '../command.ts'
import type { QueryResult } from '../duckdb.ts'
import { isBlank } from '../sql-tokens.ts'
import { askBasin, BASIN_SQL_URL, type BasinAnswer, type BasinBucket } from './basin-sql.ts'
import { DEFAULT_LIMIT_ROWS, LIMIT_ROWS_MAX } from './basin-sql.ts'
import { DEFAULT_WINDOW, defineEvents, eventsOnce, hasLimit, intervalOf, readsEvents } from './remote-events.ts'

export const REMOTE_FLAGS = ['account', 'bucket', 'since', 'endpoint'] as const

type RemoteFlag = (typeof REMOTE_FLAGS)[number]

export const REMOTE_OPTIONS = {
  account: { type: 'string' },
  bucket: { type: 'string' },
  since: { type: 'string' },
  endpoint: { type: 'string' },
} as const satisfies Record<RemoteFlag, ParseArgsOptionsConfig[string]>

/** In the order in which they are looked at. */
const TOKEN_VARIABLES = ['BASIN_SQL_TOKEN', 'WRANGLER_BASIN_SQL_AUTH_TOKEN', 'CLOUDFLARE_API_TOKEN']

type Env = IO['env']

/** Reads options and environment. @throws {CDCError} `invalid-argument`: what is missing, and where it can be given. */
export function remoteAsk(flags: Partial<Record<RemoteFlag, string | undefined>>, env: Env) {
  const bucket: BasinBucket = {
    endpoint: checkAddress('--endpoint', flags.endpoint ?? BASIN_SQL_URL, true),
    account: flags.account ?? required(env, ['CLOUDFLARE_ACCOUNT_ID'], 'the account: --account <id> or'),
    bucket: flags.bucket ?? required(env, ['BASIN_SQL_BUCKET'], 'the bucket with the catalog: --bucket <name> or'),
    token: checkToken(required(env, TOKEN_VARIABLES, 'a token, from the environment only:')),
  }
  const { since } = flags
  if (since !== undefined) intervalOf(since)
  return async (sql: string, io: IO): Promise<QueryResult> => {
    const isWindowed = readsEvents(sql)
    if (isBlank(sql)) throw usage('the SQL has no statement in it')
    if (since !== undefined && !isWindowed) throw usage('--since limits events, and the SQL does not read events')
    const window = since ?? DEFAULT_WINDOW
    const answer = await askBasin(bucket, isWindowed ? defineEvents(sql, await eventsOnce(window)) : sql)
    noteAnswer(bucket, answer, isWindowed ? window : undefined, io)
    if (answer.rows === DEFAULT_LIMIT_ROWS && !hasLimit(sql))
      io.note(
        `there may be more rows: without a LIMIT in the SQL, Basin SQL returns ${DEFAULT_LIMIT_ROWS}; ` +
          `the highest LIMIT is ${LIMIT_ROWS_MAX}`,
      )
    return answer.result
  }
}

function required(env: Env, variables: readonly string[], what: string): string {
  const value = variables
    .map((variable) => env[variable])
    .find((candidate) => candidate !== undefined && candidate !== '')
  if (value !== undefined) return value
  throw usage(`--remote needs ${what} ${variables.join(', or ')}`)
}

function noteAnswer({ bucket }: BasinBucket, { metrics }: BasinAnswer, window: string | undefined, io: IO): void {
  const { bytes_scanned: bytes, files_scanned: files } = metrics
  const read = bytes === undefined ? [] : [`read ${megabytes(bytes)}${files === undefined ? '' : ` in ${files} files`}`]
  const events = window === undefined ? [] : [`events are those ingested in the last ${window}, each once (--since)`]
  const notes = [...events, ...read]
  if (notes.length > 0) io.note(`${bucket}: ${notes.join('; ')}`)
}

function megabytes(bytes: number): string {
  return `${(bytes / 1_000_000).toFixed(1)} MB`
}
