// durable-outbox query --remote, over HTTP against a service that is as strict as Basin SQL's API by its documentation.

import { createServer, type Server } from 'node:http'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { main } from '../../src/cli/main.ts'
import { again, committed, emitted, landedTable, NOW_MS } from '../streams/landed.ts'
import { type Run, runIn } from './lake-fixture.ts'

interface Reply {
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly body: unknown
}

const TOKEN = 'the-token'
const ENV = { BASIN_SQL_TOKEN: TOKEN, CLOUDFLARE_ACCOUNT_ID: 'account-1', BASIN_SQL_BUCKET: 'lake' }

let server: Server
let endpoint = ''
let queries: string[] = []
let answer: (query: string) => Reply | Promise<Reply>

beforeAll(async () => {
  server = createServer((request, response) => {
    void text(request).then(async (body) => {
      const problem = problemOf(request.method, request.url, request.headers, body)
      if (problem !== undefined) return response.writeHead(400).end(problem)
      const { query } = JSON.parse(body) as { query: string }
      queries.push(query)
      const reply = await answer(query)
      response.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers })
      if (reply.body instanceof Readable) return pipeline(reply.body, response).catch(() => 'the client has gone')
      return response.end(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server has no port')
  endpoint = `http://127.0.0.1:${address.port}`
})

afterAll(() => new Promise((resolve) => server.close(resolve)))

beforeEach(() => {
  queries = []
  answer = () => rows([])
})

function problemOf(method: unknown, url: unknown, headers: NodeJS.Dict<string | string[]>, body: string) {
  if (method !== 'POST') return `method ${String(method)}`
  if (url !== '/api/v1/accounts/account-1/basin-sql/query/lake') return `path ${String(url)}`
  if (headers['content-type'] !== 'application/json') return 'content-type'
  if (headers['authorization'] !== `Bearer ${TOKEN}`) return 'authorization'
  return Object.keys(JSON.parse(body) as object).join() === 'query' ? undefined : 'body'
}

/** An answer in the service's form. Types are those of Arrow, as it names them. */
function rows(values: readonly object[], types: Record<string, string> = {}, metrics?: object): Reply {
  const names = Object.keys(types).length > 0 ? Object.keys(types) : Object.keys(values[0] ?? {})
  const schema = names.map((name) => ({
    name,
    descriptor: { type: { name: types[name] ?? 'string' }, nullable: true },
  }))
  const result = { request_id: 'dqe-prod-1', schema, rows: values, ...(metrics && { metrics }) }
  return { body: { success: true, errors: [], messages: [], result } }
}

function refusal(status: number, ...errors: object[]): Reply {
  return { status, body: { success: false, errors, messages: [], result: null } }
}

async function run(args: readonly string[], env: Record<string, string> = ENV): Promise<Run> {
  let stdout = ''
  let stderr = ''
  const code = await main(['query', ...args], {
    stdout: (chunk) => (stdout += chunk),
    stderr: (chunk) => (stderr += chunk),
    stdin: () => Promise.resolve('SELECT id FROM cdc.events LIMIT 7'),
    cwd: '/',
    env,
  })
  return { code, stdout, stderr }
}

function ask(sql: string, ...flags: string[]): Promise<Run> {
  return run([sql, '--remote', '--endpoint', endpoint, ...flags])
}

function* endlessly(portion: string): Generator<string> {
  for (;;) yield portion
}

describe('an answer of Basin SQL', () => {
  const types = { id: 'string', lsn: 'int64', timestamp: 'timestamp', n: 'uint64', none: 'string', top: 'list' }
  const row = {
    id: 'Zoë, "q"',
    lsn: '42',
    timestamp: '2026-11-22T10:00:00.123456+00:00',
    n: '18446744073709551615',
    none: null,
    top: [{ value: 1, count: 2 }],
  }

  it('is printed as JSON with the values that a local answer would have', async () => {
    answer = () => rows([row, { id: '7', lsn: 7, timestamp: '2026-11-22 10:00:00' }], types)
    const { code, stdout } = await ask('SELECT * FROM cdc.events LIMIT 2', '--json')
    expect(code).toBe(0)
    expect(JSON.parse(stdout)).toEqual([
      { ...row, lsn: 42, timestamp: '2026-11-22T10:00:00.123456Z' },
      { id: '7', lsn: 7, timestamp: '2026-11-22T10:00:00.000Z', n: null, none: null, top: null },
    ])
  })

  it('is printed as CSV and as a table', async () => {
    answer = () => rows([row], types)
    const csv = await ask('SELECT * FROM cdc.events LIMIT 1', '--csv')
    expect(csv.stdout).toBe(
      'id,lsn,timestamp,n,none,top\r\n' +
        '"Zoë, ""q""",42,2026-11-22T10:00:00.123456Z,18446744073709551615,,"[{""value"":1,""count"":2}]"\r\n',
    )
    const table = await ask('SELECT * FROM cdc.events LIMIT 1')
    expect(table.stdout).toMatch(/│ Zoë, "q" │ 42 .* NULL .*[^]*\n1 row\n$/)
  })

  it('keeps integers that no number can hold, at every depth', async () => {
    const body = JSON.stringify(rows([{ n: 0, list: [1] }], { n: 'int64', list: 'list' }).body)
    answer = () => ({ body: body.replace('"n":0', '"n":9007199254740993').replace('[1]', '[-9007199254740993,0.1]') })
    const { stdout } = await ask('SELECT n FROM cdc.events LIMIT 1', '--json')
    expect(JSON.parse(stdout)).toEqual([{ n: '9007199254740993', list: ['-9007199254740993', 0.1] }])
  })

  it('is understood with types as text, and without a schema', async () => {
    const result = { schema: [{ name: 'at', type: 'Timestamp(us)' }], rows: [{ at: '2026-11-22T10:00:00Z' }] }
    answer = () => ({ body: { success: true, result } })
    expect(JSON.parse((await ask('SELECT 1 LIMIT 1', '--json')).stdout)).toEqual([{ at: '2026-11-22T10:00:00.000Z' }])
    answer = () => ({ body: { success: true, result: { rows: [{ table: 'events' }] } } })
    expect((await ask('SHOW TABLES IN cdc', '--csv')).stdout).toBe('table\r\nevents\r\n')
  })

  it('comes with a note of what was read for it', async () => {
    answer = () => rows([{ id: 'a' }], {}, { bytes_scanned: 12_345_678, files_scanned: 3, r2_requests_count: 9 })
    expect((await ask('SELECT id FROM cdc.events LIMIT 1')).stderr).toBe('lake: read 12.3 MB in 3 files\n')
  })

  it('comes with a note if it has as many rows as Basin returns without a LIMIT', async () => {
    answer = () => rows(Array.from({ length: 500 }, (_, n) => ({ n })))
    const note =
      'there may be more rows: without a LIMIT in the SQL, Basin SQL returns 500; the highest LIMIT is 10000\n'
    expect((await ask('SELECT n FROM cdc.events')).stderr).toBe(note)
    expect((await ask('SELECT n FROM (SELECT n FROM cdc.events LIMIT 10000) x -- LIMIT')).stderr).toBe(note)
    expect((await ask('SELECT n FROM cdc.events LIMIT 500')).stderr).toBe('')
    answer = () => rows(Array.from({ length: 499 }, (_, n) => ({ n })))
    expect((await ask('SELECT n FROM cdc.events')).stderr).toBe('')
  })
})

describe('the events of --remote', () => {
  const window = /^WITH events AS \(\nSELECT \*\nFROM cdc\.events\nWHERE __ingest_ts >= now\(\) - INTERVAL '7 days'\n/

  it('are those of the last seven days, each once, and a note tells', async () => {
    const { stderr } = await ask('SELECT id FROM events LIMIT 1')
    expect(queries[0]).toMatch(window)
    expect(queries[0]).toMatch(/\n\)\nSELECT id FROM events LIMIT 1$/)
    expect(stderr).toBe('lake: events are those ingested in the last 7d, each once (--since)\n')
  })

  it.each([
    ['90m', "INTERVAL '90 minutes'"],
    ['36h', "INTERVAL '36 hours'"],
    ['30d', "INTERVAL '30 days'"],
  ])('reach back as far as --since %s', async (since, interval) => {
    const { stderr } = await ask('SELECT id FROM events LIMIT 1', '--since', since)
    expect(queries[0]).toContain(`now() - ${interval}\n`)
    expect(stderr).toContain(`in the last ${since},`)
  })

  it.each([
    ['-- who?\nSELECT e.id FROM "events" e LIMIT 1', /^-- who\?\nWITH events AS \(/],
    ['WITH a AS (SELECT id FROM events) SELECT * FROM a', /^WITH events AS \([^]*\n\),\na AS \(SELECT/],
    ['with recursive a AS (SELECT id FROM events) SELECT * FROM a', /^with recursive events AS \([^]*\n\),\na AS/],
    ['EXPLAIN FORMAT JSON SELECT * FROM events', /^EXPLAIN FORMAT JSON WITH events AS \(/],
    [
      '(SELECT id FROM events) UNION ALL (SELECT id FROM events)',
      /^WITH events AS \([^]*\n\)\n\(SELECT id FROM events\)/,
    ],
    ['SELECT 1 FROM cdc.t, EVENTS', /^WITH events AS/],
  ])('are defined in front of %s', async (sql, expected) => {
    expect((await ask(sql)).code).toBe(0)
    expect(queries[0]).toMatch(expected)
  })

  it.each([
    'SELECT count(*) AS events FROM cdc.events LIMIT 1',
    "SELECT 'FROM events' AS x FROM cdc.t -- FROM events\nLIMIT 1",
    'WITH events AS (SELECT id FROM cdc.events) SELECT * FROM events',
    'SHOW TABLES IN cdc',
    'DESCRIBE cdc.events',
  ])('are left out of %s, which is sent as it is', async (sql) => {
    expect(await ask(sql)).toMatchObject({ code: 0, stderr: '' })
    expect(queries).toEqual([sql])
  })

  it('are the same rows as those of the lake, except for what landed twice', async () => {
    const once = [committed(1), committed(2, { id: 'fork-a' }), committed(3), emitted()]
    const table = await landedTable(once)
    const doubled = await landedTable([
      ...once,
      ...once.map((row) => again(row)),
      committed(9, {}, { atMs: NOW_MS - 9e8 }),
    ])
    try {
      const sql = `SELECT id, lsn, timestamp, __ingest_ts, epoch FROM events ORDER BY id LIMIT 100`
      const local = await runIn(table.root, ['query', sql, '--json'])
      const types = { id: 'string', lsn: 'int64', timestamp: 'timestamp', __ingest_ts: 'timestamp', epoch: 'string' }
      answer = async (query) => rows(await doubled.query(query), types)
      expect((await ask(sql, '--json')).stdout).toBe(local.stdout)
      expect(JSON.parse(local.stdout)).toHaveLength(once.length)
    } finally {
      await Promise.all([table.remove(), doubled.remove()])
    }
  })
})

describe('a refusal by Basin SQL', () => {
  it.each([
    [400, { code: 40003, message: 'invalid SQL: OFFSET clause is not supported' }, ''],
    [401, { code: 10001, message: 'Unauthorized' }, 'the token is not valid; it needs to read Basin SQL'],
    [403, { code: 10003, message: 'Forbidden' }, 'the token needs to read Basin SQL, Basin Catalog and R2 storage'],
    [429, { code: 10429, message: 'rate limited' }, 'Retry-After 60'],
    [500, { code: 80001, message: 'Edge service connection failure' }, ''],
  ])('is shown in its own words, and nothing is tried again: %i', async (status, error, advice) => {
    answer = () => ({ ...refusal(status, error), ...(status === 429 && { headers: { 'retry-after': '60' } }) })
    const { code, stdout, stderr } = await ask('SELECT 1 FROM cdc.events LIMIT 1')
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain(`Basin SQL answered ${status}\n  ${error.code}: ${error.message}\n`)
    expect(stderr).toContain(advice)
    expect(stderr).not.toContain(TOKEN)
    expect(queries).toHaveLength(1)
  })

  it('is shown even if the status is 200, with all of its errors and no control character', async () => {
    answer = () => refusal(200, { code: 1, message: 'first\u001b[2J' }, { message: 'second' })
    expect((await ask('SELECT 1 FROM cdc.t LIMIT 1')).stderr).toBe(
      'Basin SQL answered 200\n  1: first\\u001b[2J\n  second\n',
    )
  })

  it.each([
    [502, '<html>Bad Gateway</html>', 'Basin SQL answered 502, and not as its API does: <html>Bad Gateway</html>'],
    [200, '', 'Basin SQL answered 200, and not as its API does: nothing'],
    [200, '{"rows":[]}', 'and not as its API does: {"rows":[]}'],
    [200, `"${'x'.repeat(1000)}`, `: "${'x'.repeat(199)}\n`],
  ])('is shown in part if it is not an answer of the API: %i %s', async (status, body, message) => {
    answer = () => ({ status, body })
    const { code, stderr } = await ask('SELECT 1 FROM cdc.t LIMIT 1')
    expect(code).toBe(1)
    expect(stderr).toContain(message)
  })

  it('is not followed to another address', async () => {
    answer = () => ({ status: 307, headers: { location: 'https://example.com/steal' }, body: '' })
    const { code, stderr } = await ask('SELECT 1 FROM cdc.t LIMIT 1')
    expect({ code, calls: queries.length }).toEqual({ code: 1, calls: 1 })
    expect(stderr).toContain('Location: https://example.com/steal')
  })

  it('is not read to the end if it is above 100 MB', async () => {
    answer = () => ({ body: Readable.from(endlessly(' '.repeat(1_000_000))) })
    const { code, stderr } = await ask('SELECT 1 FROM cdc.t LIMIT 1')
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'durable-outbox query: the answer is above 100 MB; ask for fewer rows, or leave out before and after\n',
    })
  })

  it('is reported if no answer comes in time', async () => {
    const ended = AbortSignal.abort(new DOMException('too long', 'TimeoutError'))
    const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(ended)
    const { code, stderr } = await ask('SELECT 1 FROM cdc.t LIMIT 1')
    expect(timeout).toHaveBeenCalledExactlyOnceWith(300_000)
    timeout.mockRestore()
    expect({ code, stderr }).toEqual({ code: 1, stderr: `durable-outbox query: ${endpoint} gave no answer in 300 s\n` })
  })

  it('is reported if there is no server', async () => {
    const { code, stderr } = await run(['SELECT 1', '--remote', '--endpoint', 'http://127.0.0.1:9'])
    expect(code).toBe(1)
    expect(stderr).toMatch(/^durable-outbox query: http:\/\/127\.0\.0\.1:9 cannot be reached: /)
  })
})

describe('the command line of --remote', () => {
  it('reads the SQL from the standard input, which may end in a semicolon', async () => {
    expect((await run(['-', '--remote', '--endpoint', endpoint])).code).toBe(0)
    expect(queries).toEqual(['SELECT id FROM cdc.events LIMIT 7'])
  })

  it('takes account and bucket from options before the environment', async () => {
    const flags = ['--remote', '--endpoint', endpoint, '--account', 'account-1', '--bucket', 'lake']
    const env = { BASIN_SQL_TOKEN: TOKEN, CLOUDFLARE_ACCOUNT_ID: 'another', BASIN_SQL_BUCKET: 'other' }
    expect((await run(['SELECT 1 FROM cdc.t LIMIT 1', ...flags], env)).code).toBe(0)
  })

  it.each([
    { BASIN_SQL_TOKEN: TOKEN, WRANGLER_BASIN_SQL_AUTH_TOKEN: 'no', CLOUDFLARE_API_TOKEN: 'no' },
    { BASIN_SQL_TOKEN: '', WRANGLER_BASIN_SQL_AUTH_TOKEN: TOKEN, CLOUDFLARE_API_TOKEN: 'no' },
    { CLOUDFLARE_API_TOKEN: TOKEN },
  ])('takes the first token of %o', async (tokens) => {
    const env = { CLOUDFLARE_ACCOUNT_ID: 'account-1', BASIN_SQL_BUCKET: 'lake', ...tokens }
    expect((await run(['SELECT 1 FROM cdc.t LIMIT 1', '--remote', '--endpoint', endpoint], env)).code).toBe(0)
  })

  const missing = (name: string) => Object.fromEntries(Object.entries(ENV).filter(([key]) => key !== name))

  it.each([
    [['--remote'], missing('CLOUDFLARE_ACCOUNT_ID'), 'the account: --account <id> or CLOUDFLARE_ACCOUNT_ID'],
    [['--remote'], missing('BASIN_SQL_BUCKET'), 'the bucket with the catalog: --bucket <name> or BASIN_SQL_BUCKET'],
    [
      ['--remote'],
      missing('BASIN_SQL_TOKEN'),
      'a token, from the environment only: BASIN_SQL_TOKEN, or WRANGLER_BASIN_SQL_AUTH_TOKEN, or CLOUDFLARE_API_TOKEN',
    ],
    [['--remote'], { ...ENV, BASIN_SQL_TOKEN: 'a\nb' }, 'characters that no HTTP header can hold'],
    [['--remote', '--endpoint', 'http://example.com'], ENV, 'unencrypted; use https'],
    [['--remote', '--endpoint', 'example.com'], ENV, '--endpoint example.com is not an http or https URL'],
    [['--remote', '--state', 'x'], ENV, '--state excludes --remote'],
    [['--remote', '--config', 'x'], ENV, '--config excludes --remote'],
    [['--since', '7d'], ENV, '--since needs --remote'],
    [['--account', 'x'], ENV, '--account needs --remote'],
    [['--remote', '--since', '7 days'], ENV, '--since 7 days is not a time such as 90m, 36h or 7d'],
    [['--remote', '--since', '0d'], ENV, '--since 0d is not a time'],
    [['--remote', '--since', '7d'], ENV, '--since limits events, and the SQL does not read events'],
  ])('refuses %s', async (flags, env, message) => {
    const { code, stdout, stderr } = await run(['SELECT 1 FROM cdc.t LIMIT 1', ...flags], env)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(message)
    expect(stderr).not.toContain(TOKEN)
    expect(queries).toEqual([])
  })

  it('refuses SQL of comments alone', async () => {
    expect(await ask('-- nothing')).toMatchObject({ code: 2, stderr: expect.stringContaining('no statement in it') })
  })

  it('has all of it in the help', async () => {
    const { stdout } = await run(['--help'])
    for (const said of ['--remote', 'BASIN_SQL_TOKEN', 'CLOUDFLARE_ACCOUNT_ID', 'BASIN_SQL_BUCKET', 'default: 7d'])
      expect(stdout).toContain(said)
  })
})
