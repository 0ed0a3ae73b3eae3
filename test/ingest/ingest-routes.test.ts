import { env } from 'cloudflare:workers'
import { ingestOptionsFrom, ingestRoutes } from 'durable-outbox/ingest'
import { ManagedPipeline } from 'durable-outbox/managed-pipeline'
import { acceptedBatches, acceptedRecords, attemptedBatches, nextFates } from 'durable-outbox/testing'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { batch, record } from '../testing/record.ts'
import { bytesOf, committed, createClient, gzip, linesOf, pipeline, readAnswer, TOKEN, tokenOf } from './client.ts'

const post = await createClient()
const NDJSON = { headers: { 'content-type': 'application/x-ndjson' } }

describe('records', () => {
  it('are with the pipeline once the request is answered', async () => {
    const records = [
      record('json', 1, { data: { text: 'Zürich 日本 👩‍👩‍👧', list: [1, null, { a: 1.5 }] } }),
      record('json', 2),
    ]
    expect(await post(records)).toMatchObject(committed(2))
    expect(acceptedBatches('json')).toEqual([records])
  })

  it('are a line each in NDJSON, with any line ends and with blank lines', async () => {
    const [first, second, third] = batch('lines', 1, 2, 3)
    const text = `\n${JSON.stringify(first)}\r\n \t\r\n\n${JSON.stringify(second)}\n${JSON.stringify(third)}`
    expect(await post(text, NDJSON)).toMatchObject(committed(3))
    expect(acceptedBatches('lines')).toEqual([batch('lines', 1, 2, 3)])
    expect(await post(linesOf(batch('lines', 4)), NDJSON)).toMatchObject(committed(1))
  })

  it('may hold the other line separators of Unicode', async () => {
    const records = [record('separators', 1, { data: { text: 'a\u2028b\u2029c\u0085d' } })]
    expect(await post(linesOf(records), NDJSON)).toMatchObject(committed(1))
    expect(acceptedRecords('separators')).toEqual(records)
  })

  it('may be sent as gzip', async () => {
    const headers = { 'content-encoding': 'gzip' }
    expect(await post(await gzip(JSON.stringify(batch('gzip', 1))), { headers })).toMatchObject(committed(1))
    const lines = await gzip(linesOf(batch('gzip', 2, 3)))
    expect(await post(lines, { headers: { ...NDJSON.headers, ...headers } })).toMatchObject(committed(2))
    expect(acceptedRecords('gzip')).toEqual(batch('gzip', 1, 2, 3))
  })

  it('may be an empty list, and then nothing is forwarded', async () => {
    const send = vi.fn<() => Promise<void>>()
    const postHere = await createClient({ pipeline: { send } })
    expect(await postHere('[]')).toMatchObject(committed(0))
    expect(await postHere('\n', NDJSON)).toMatchObject(committed(0))
    expect(send).not.toHaveBeenCalled()
  })

  it('may be without an outbox', async () => {
    const { epoch: _, lsn: __, txid: ___, ...event } = record('no outbox', 1)
    const records = [{ ...event, _meta: { schemaVersion: 1, source: event.source } }]
    expect(await post(records)).toMatchObject(committed(1))
    expect(acceptedRecords('no outbox')).toEqual(records)
    expect(await post([{ ...records[0], lsn: 1 }])).toMatchObject({ status: 400, body: { index: 0, field: 'lsn' } })
  })

  it('keep what a newer sender adds to _meta, and lose all other unknown fields', async () => {
    const known = record('newer', 1)
    const newer = { ...known, _meta: { ...known._meta, traceparent: '00-1' }, shape: 'new' }
    expect(await post([newer])).toMatchObject(committed(1))
    expect(acceptedRecords('newer')).toEqual([{ ...known, _meta: newer._meta }])
  })

  it.each([
    ['a missing field', { ...record('bad', 2), type: undefined }, 'type'],
    ['a wrong field', { ...record('bad', 2), op: '' }, 'op'],
    ['a wrong field inside', { ...record('bad', 2), _meta: { schemaVersion: 0, source: 'x' } }, '_meta.schemaVersion'],
    ['a NUL in a name', record('bad', 2, { key: 'a\0b' }), 'key'],
    ['half a surrogate pair in a name', record('bad', 2, { actor: '\ud83d' }), 'actor'],
    ['half a surrogate pair in data', record('bad', 2, { data: { a: ['\udc00'] } }), 'data'],
    [
      'half a surrogate pair in _meta',
      { ...record('bad', 2), _meta: { ...record('bad', 2)._meta, a: '\ud800' } },
      '_meta',
    ],
    ['no object', 1, ''],
    ['null', null, ''],
  ])('are all refused for one with %s', async (_, bad, field) => {
    expect(await post([record('bad', 1), bad, record('bad', 3)])).toMatchObject({
      status: 400,
      body: { code: 'record-invalid', retryable: false, index: 1, field },
    })
    const lines = [record('bad', 1), bad].map((line) => JSON.stringify(line)).join('\n')
    expect(await post(lines, NDJSON)).toMatchObject({ status: 400, body: { index: 1, field } })
    expect(attemptedBatches('bad')).toEqual([])
  })
})

describe('a ManagedPipeline', () => {
  const fetched = vi.spyOn(globalThis, 'fetch')
  afterEach(() => fetched.mockReset())

  it('is a sender like any other: its batches, large and small, are accepted, each once', async () => {
    const tokens = [await tokenOf(TOKEN, ['managed'])]
    const app = ingestRoutes(() => ({ tokens, batches: env.INGEST_BATCHES }))
    const seen: Headers[] = []
    const bindings = {}
    fetched.mockImplementation(async (_, init) => {
      seen.push(new Headers(init?.headers))
      return app.request('/', init, bindings)
    })
    const managed = new ManagedPipeline({ endpoint: 'https://example.com/ingest', authToken: TOKEN })
    const large = batch('managed', ...Array.from({ length: 100 }, (_, index) => index + 2))
    for (const records of [batch('managed', 1), large, large]) await managed.send(records)
    expect(seen.map((headers) => headers.get('content-encoding'))).toEqual([null, 'gzip', 'gzip'])
    expect(acceptedBatches('managed')).toEqual([batch('managed', 1), large])
    await expect(managed.send(batch('not managed', 1))).rejects.toMatchObject({ status: 403, retryable: false })
    nextFates('managed', 'full')
    await expect(managed.send(batch('managed', 200))).rejects.toMatchObject({
      status: 429,
      retryAfter: 1,
      retryable: true,
    })
    nextFates('managed', { do: 'reject', error: { status: 422 } })
    await expect(managed.send(batch('managed', 200))).rejects.toMatchObject({ status: 422, retryable: false })
  })
})

describe('a request', () => {
  it.each(['GET', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'])('is refused as %s', async (method) => {
    const answer = await post(undefined, { method })
    expect(answer).toMatchObject({ status: 405, body: { code: 'method-not-allowed', retryable: false } })
    expect(answer.headers.get('allow')).toBe('POST')
  })

  it('is refused at another path', async () => {
    const app = ingestRoutes(() => ({ tokens: [], jwt: undefined as never }))
    expect((await app.request('/more', { method: 'POST' }, {})).status).toBe(403)
    const open = ingestRoutes(() => ({ tokens, pipeline }))
    const tokens = [await tokenOf(TOKEN, ['*'])]
    const init = { method: 'POST', headers: { authorization: `Bearer ${TOKEN}` } }
    expect((await open.request('/more', init, {})).status).toBe(404)
  })

  it.each([
    ['text/plain'],
    ['application/x-www-form-urlencoded'],
    ['application/json-seq'],
    ['application/json; charset=utf-16'],
    ['application/x-ndjson; charset=latin1'],
    [''],
  ])('is refused with the content-type %s', async (type) => {
    expect(await post(batch('type', 1), { headers: { 'content-type': type } })).toMatchObject({
      status: 415,
      body: { code: 'unsupported-media-type' },
    })
    expect(attemptedBatches('type')).toEqual([])
  })

  it.each(['Application/JSON', 'application/json;charset=UTF-8', 'application/json ; charset="utf-8"; a=b'])(
    'is accepted with the content-type %s',
    async (type) => {
      expect(await post('[]', { headers: { 'content-type': type } })).toMatchObject(committed(0))
    },
  )

  it.each(['br', 'deflate', 'gzip, gzip', 'zstd', 'x'])('is refused with the content-encoding %s', async (encoding) => {
    const answer = await post('[]', { headers: { 'content-encoding': encoding } })
    expect(answer).toMatchObject({ status: 415 })
    expect(answer.headers.get('accept-encoding')).toBe('gzip')
  })

  it.each([
    ['empty', ''],
    ['with a space', 'a b'],
    ['not ASCII', 'ä'],
    ['too long', 'x'.repeat(2_049)],
  ])('is refused with an idempotency-key that is %s', async (_, key) => {
    expect(await post(batch('key', 1), { headers: { 'idempotency-key': key } })).toMatchObject({
      status: 400,
      body: { code: 'invalid-argument' },
    })
    expect(attemptedBatches('key')).toEqual([])
  })

  it('is refused above the rate of its sender, which is told when to retry', async () => {
    const asked: string[] = []
    const limit = ({ key }: { key: string }) => {
      asked.push(key)
      return Promise.resolve({ success: asked.length < 2 })
    }
    const postHere = await createClient({ rateLimit: { binding: { limit }, periodSeconds: 60 } })
    expect(await postHere(batch('rate', 1))).toMatchObject(committed(1))
    const answer = await postHere(batch('rate', 2))
    expect(answer).toMatchObject({ status: 429, body: { code: 'rate-limited', retryable: true } })
    expect(answer.headers.get('retry-after')).toBe('60')
    expect(asked).toEqual([`token/${TOKEN}`, `token/${TOKEN}`])
    expect(acceptedRecords('rate')).toHaveLength(1)
    // A stranger does not use up what is a sender's.
    expect(await postHere(batch('rate', 3), { headers: { authorization: 'Bearer other' } })).toMatchObject({
      status: 401,
    })
    expect(asked).toHaveLength(2)
  })
})

describe('a pipeline that', () => {
  it.each([
    [
      'refuses as a CDCError',
      { name: 'CDCError', code: 'record-invalid', index: 0, retryable: false, message: 'send: record 0: lsn' },
    ],
    ['refuses with 400 and names a record', { status: 400, index: 0 }],
    ['refuses with 413', { status: 413 }],
    ['refuses with 422', { status: 422, message: 'a secret' }],
  ])('%s makes a 422, which is not to be retried', async (_, error) => {
    nextFates('refused', { do: 'reject', error })
    const answer = await post(batch('refused', 1))
    expect(answer).toMatchObject({ status: 422, body: { code: 'pipeline-refused', retryable: false } })
    const reason = 'name' in error ? 'send: record 0: lsn' : "see the Worker's log"
    expect(answer.body).toHaveProperty('error', expect.stringContaining(reason))
    expect(JSON.stringify(answer.body)).not.toContain('secret')
    expect(acceptedRecords('refused')).toEqual([])
  })

  it.each([
    ['is not configured well', { name: 'CDCError', code: 'invalid-config', retryable: false, message: 'LAKE_LIMITS' }],
    ['refuses with 400 and names no record', { status: 400 }],
  ])('%s makes a 503, which is to be retried', async (_, error) => {
    nextFates('misconfigured', { do: 'reject', error })
    expect(await post(batch('misconfigured', 1))).toMatchObject({ status: 503, body: { retryable: true } })
  })

  it.each([
    ['is full', 'full' as const, '1'],
    ['reports how long it is full', { do: 'reject' as const, error: { status: 429, retryAfter: 7.2 } }, '8'],
    [
      'is another ingest, and full',
      { do: 'reject' as const, error: { name: 'CDCError', code: 'pipeline-failed', retryable: true, status: 429 } },
      '1',
    ],
    ['is a full lake', { do: 'reject' as const, error: { name: 'CDCError', code: 'lake-full', retryable: true } }, '1'],
  ])('%s makes a 429', async (_, fate, retryAfter) => {
    nextFates('full', fate)
    const answer = await post(batch('full', 1))
    expect(answer).toMatchObject({ status: 429, body: { code: 'pipeline-full', retryable: true } })
    expect(answer.headers.get('retry-after')).toBe(retryAfter)
  })

  it('fails makes a 503, which is to be retried', async () => {
    nextFates('failed', 'reject', { do: 'reject', error: { retryAfter: 3 } }, 'lose-answer')
    const answer = await post(batch('failed', 1))
    expect(answer).toMatchObject({ status: 503, body: { code: 'pipeline-failed', retryable: true } })
    expect(answer.headers.get('retry-after')).toBeNull()
    expect((await post(batch('failed', 1))).headers.get('retry-after')).toBe('3')
    expect(await post(batch('failed', 1))).toMatchObject({ status: 503, body: { retryable: true } })
    expect(await post(batch('failed', 1))).toMatchObject(committed(1))
  })

  it('does not answer makes a 503 in time', async () => {
    nextFates('hanging', 'hang')
    const postHere = await createClient({ sendTimeoutMs: 50 })
    expect(await postHere(batch('hanging', 1))).toMatchObject({
      status: 503,
      body: { error: 'ingest: the pipeline: no answer in 50 ms', retryable: true },
    })
  })
})

describe('the configuration', () => {
  const app = ingestRoutes<object>()
  const request = async (bindings: object) => {
    const init = {
      method: 'POST',
      headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify(batch('configured', 1)),
    }
    return readAnswer(await app.request('/', init, bindings))
  }

  it('comes from the environment', async () => {
    const INGEST_TOKENS = JSON.stringify([await tokenOf(TOKEN, ['configured'])])
    expect(await request({ EVENTS_PIPELINE: pipeline, INGEST_TOKENS: `${INGEST_TOKENS}\n` })).toMatchObject(
      committed(1),
    )
    expect(await request({ EVENTS_PIPELINE: pipeline, INGEST_TOKENS: JSON.parse(INGEST_TOKENS) })).toMatchObject(
      committed(1),
    )
    const limit = () => Promise.resolve({ success: false })
    expect(await request({ INGEST_TOKENS, INGEST_RATE_LIMIT: { limit } })).toMatchObject({ status: 429 })
    expect(await request({ INGEST_TOKENS, INGEST_BATCHES: env.INGEST_BATCHES })).toMatchObject(committed(1))
    expect(acceptedRecords('configured')).toHaveLength(3)
  })

  it('uses the pipeline of the Worker if none is given', () => {
    expect(ingestOptionsFrom({ EVENTS_PIPELINE: '' })).toEqual({})
  })

  it.each([{}, { INGEST_TOKENS: '' }, { INGEST_TOKENS: ' \n', INGEST_JWKS: '' }, { INGEST_TOKENS: '[]' }])(
    '[I8] is needed: the ingest is closed with %o',
    async (bindings) => {
      const answer = await request(bindings)
      expect(answer).toMatchObject({ status: 403, body: { code: 'forbidden', retryable: false } })
      expect(answer.body).toHaveProperty('error', expect.stringContaining('neither INGEST_TOKENS nor INGEST_JWKS'))
    },
  )

  const sha256 = 'ab'.repeat(32)
  const jwt = { INGEST_ISSUER: 'https://issuer.example', INGEST_AUDIENCE: 'ingest' }
  it.each([
    ['INGEST_TOKENS is not valid JSON', { INGEST_TOKENS: '[{"name":"a secret' }],
    ['tokens', { INGEST_TOKENS: '{}' }],
    ['tokens.0', { INGEST_TOKENS: [{ name: 'a', sha256, ns: ['*'], token: 'x' }] }],
    ['tokens.0.sha256', { INGEST_TOKENS: [{ name: 'a', sha256: TOKEN, ns: ['*'] }] }],
    ['tokens.0.ns', { INGEST_TOKENS: [{ name: 'a', sha256, ns: [] }] }],
    ['tokens.0.ns.1', { INGEST_TOKENS: [{ name: 'a', sha256, ns: ['a', 'acme*'] }] }],
    [
      'the same token twice',
      { INGEST_TOKENS: [sha256, sha256.toUpperCase()].map((hash) => ({ name: 'a', sha256: hash, ns: ['a'] })) },
    ],
    ['jwt.jwks', { ...jwt }],
    ['jwt.jwks', { ...jwt, INGEST_JWKS: 'http://issuer.example/keys' }],
    ['jwt.jwks', { ...jwt, INGEST_JWKS: 'issuer' }],
    ['jwt.jwks', { ...jwt, INGEST_JWKS: '{"keys":[]}' }],
    ['jwt.jwks', { ...jwt, INGEST_JWKS: '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}' }],
    ['INGEST_JWKS is not valid JSON', { ...jwt, INGEST_JWKS: '{"keys"' }],
    ['jwt.issuer', { ...jwt, INGEST_JWKS: 'https://issuer.example/keys', INGEST_ISSUER: '' }],
    ['jwt.audience', { ...jwt, INGEST_JWKS: 'https://issuer.example/keys', INGEST_AUDIENCE: ' ' }],
    ['rateLimit.binding', { INGEST_TOKENS: [{ name: 'a', sha256, ns: ['*'] }], INGEST_RATE_LIMIT: 'x' }],
    ['batches', { INGEST_TOKENS: [{ name: 'a', sha256, ns: ['*'] }], INGEST_BATCHES: {} }],
  ])('[I8] is valid, or the ingest is closed and the log names the mistake: %s', async (where, bindings) => {
    const log = vi.spyOn(console, 'error')
    const answer = await request(bindings)
    expect(answer).toMatchObject({ status: 403, body: { code: 'forbidden' } })
    expect(JSON.stringify(answer.body)).not.toContain(where)
    const logged = log.mock.calls.flat().map(String).join(' ')
    expect(logged).toContain('ingest: closed:')
    expect(logged).toContain(where)
    expect(logged).not.toMatch(/secret|c2VjcmV0|a-token/)
    log.mockRestore()
  })
})

describe('the description', () => {
  it('is public, at the path of the mount', async () => {
    const { Hono } = await import('hono')
    const mounted = new Hono().route('/my/ingest', ingestRoutes())
    const response = await mounted.request('/my/ingest/openapi.json', {}, {})
    expect(response.status).toBe(200)
    const description = await response.json<Description>()
    expect(description.openapi).toMatch(/^3\.1\./)
    expect(Object.keys(description.paths)).toEqual(['/my/ingest'])
    const { EventRecord } = description.components.schemas
    expect(EventRecord?.required).toEqual(expect.arrayContaining(['id', 'type', 'timestamp', 'ns', 'source', '_meta']))
    expect(EventRecord?.properties.data).toMatchObject({ type: 'object' })
    expect(Object.keys(description.paths['/my/ingest']?.post.responses ?? {})).toContain('422')
  })

  it('names every schema that it refers to', async () => {
    const text = await (await ingestRoutes().request('/openapi.json', {}, {})).text()
    const { components, paths }: Description = JSON.parse(text)
    expect(Object.keys(paths)).toEqual(['/'])
    const referred = Array.from(text.matchAll(/"#\/components\/schemas\/(\w+)"/g), ([, name]) => name)
    expect(new Set(referred)).toEqual(new Set(Object.keys(components.schemas)))
  })
})

interface Description {
  openapi: string
  paths: Record<string, { post: { responses: object } }>
  components: { schemas: Record<string, { required: string[]; properties: Record<string, object> }> }
}

describe('the log', () => {
  it('never holds a token, or the content of an event', async () => {
    const logs = (['log', 'warn', 'error'] as const).map((level) => vi.spyOn(console, level))
    const secret = [record('logged', 1, { data: { card: 'secret-card' } })]
    nextFates('logged', 'reject', 'full')
    for (const headers of [{}, {}, { authorization: `Bearer ${TOKEN}x` }]) await post(secret, { headers })
    await post(`${JSON.stringify(secret)}]`)
    await post([{ ...secret[0], type: '' }])
    await post(bytesOf('secret-card'), { headers: { 'content-encoding': 'gzip' } })
    const logged = logs.flatMap((log) => log.mock.calls.flat().map(String)).join('\n')
    expect(logged).toContain('the pipeline is full')
    expect(logged).not.toMatch(/secret-card|a-token/)
    for (const log of logs) log.mockRestore()
  })
})
