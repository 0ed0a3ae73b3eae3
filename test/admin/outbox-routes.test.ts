import { env } from 'cloudflare:workers'
import { outboxRoutes } from 'durable-outbox/admin'
import { subscribe } from 'durable-outbox/subscriptions'
import { acceptedRecords, setFate } from 'durable-outbox/testing'
import { describe, expect, it } from 'vitest'
import { drain, inNotes } from '../notes.ts'
import { configurations } from '../worker.ts'

const TOKEN = 'a token of the test'
const keep = { retentionMs: 3_600_000 }

/** Every object that a request asked for. */
const found: string[] = []

const app = outboxRoutes((_: object, className, object) => {
  found.push(`${className}/${object}`)
  return className === 'notes' ? env.NOTES.getByName(object) : undefined
})

interface Answer {
  status: number
  body: unknown
  headers: Headers
}

async function send(path: string, init: RequestInit, bindings: object = { ADMIN_TOKEN: TOKEN }): Promise<Answer> {
  const response = await app.request(path, { method: 'POST', ...init }, bindings)
  const text = await response.text()
  // No answer ever holds a stack.
  expect(text).not.toMatch(/\bat .*[:/]\d+/)
  return { status: response.status, body: JSON.parse(text), headers: response.headers }
}

function post(path: string, body?: string, headers: Record<string, string> = {}): Promise<Answer> {
  const usual = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
  return send(path, { headers: { ...usual, ...headers }, ...(body !== undefined && { body }) })
}

/** Calls the outbox of an object, as a client does. */
async function call(object: string, method: string, argument?: unknown): Promise<unknown> {
  const body = argument === undefined ? undefined : JSON.stringify(argument)
  const answer = await post(`/notes/${encodeURIComponent(object)}/${method}`, body)
  expect(answer).toMatchObject({ status: 200 })
  return answer.body
}

function write(name: string, ...types: string[]): Promise<void> {
  return inNotes(name, (notes) => {
    for (const type of types) notes.ctx.transactionSync((tx) => tx.emit({ type }))
  })
}

describe('the token that may only read', () => {
  const bindings = { ADMIN_TOKEN: TOKEN, ADMIN_READ_TOKEN: 'reader' }
  const as = (token: string, method: string, of: object = bindings): Promise<Answer> =>
    send(`/notes/reader/${method}`, { headers: { authorization: `Bearer ${token}` } }, of)

  it('[I8] reads, and changes nothing', async () => {
    for (const method of ['stats', 'list', 'deadLetters', 'subscriptions'])
      expect(await as('reader', method)).toMatchObject({ status: 200 })
    for (const method of [
      'pause',
      'resume',
      'flush',
      'redrive',
      'discard',
      'replay',
      'snapshot',
      'drop',
      'constructor',
    ])
      expect(await as('reader', method)).toMatchObject({
        status: 403,
        body: { code: 'forbidden', error: 'admin: the token may only read; ADMIN_TOKEN may do this' },
      })
    await inNotes('reader', (notes) => expect(notes.outbox.stats().isPaused).toBe(false))
  })

  it('[I8] is none while it is empty, and is needed', async () => {
    for (const token of ['', 'undefined', 'reader'])
      expect((await as(token, 'stats', { ADMIN_TOKEN: TOKEN, ADMIN_READ_TOKEN: '' })).status).toBe(401)
    expect((await as('another', 'stats')).status).toBe(401)
    expect((await as(TOKEN, 'pause')).status).toBe(200)
    await inNotes('reader', (notes) => notes.outbox.resume())
  })
})

describe('subscriptions', () => {
  it('are listed, paused, resumed and redriven by their names', async () => {
    const target = { maxEvents: 1, maxBytes: 1, deliver: () => Promise.reject(new Error('down')) }
    configurations.set('subscribed', { subscriptions: subscribe([{ name: 'copy', target }]) })
    const subscription = 'copy'
    expect(await call('subscribed', 'pause', { subscription })).toBeNull()
    expect(await call('subscribed', 'subscriptions')).toMatchObject([
      { name: 'copy', status: 'paused', deliveries: [] },
    ])
    expect(await call('subscribed', 'stats')).toMatchObject({ isPaused: false, subscriptions: { copy: 'paused' } })
    expect(await call('subscribed', 'resume', { subscription })).toBeNull()
    expect(await call('subscribed', 'deadLetters', { subscription })).toEqual({ items: [] })
    expect(await call('subscribed', 'redrive', { subscription, all: true })).toEqual({ redriven: 0 })
  })

  it.each(['pause', 'resume', 'deadLetters', 'drop'])('that do not exist are not found by %s', async (method) => {
    const answer = await post(`/notes/unsubscribed/${method}`, JSON.stringify({ subscription: 'copy' }))
    expect(answer).toMatchObject({ status: 404, body: { code: 'not-found' } })
  })
})

describe('the token', () => {
  it.each([{}, { ADMIN_TOKEN: undefined }, { ADMIN_TOKEN: '' }, { ADMIN_TOKEN: ' \n' }, { ADMIN_TOKEN: 1 }])(
    '[I8] closes everything while it is not configured: %o',
    async (bindings) => {
      for (const authorization of ['', 'Bearer ', 'Bearer undefined', 'Bearer null', 'Bearer 1', `Bearer ${TOKEN}`]) {
        const answer = await send('/notes/closed/stats', { headers: { authorization } }, bindings)
        expect(answer).toMatchObject({ status: 403, body: { code: 'forbidden', retryable: false } })
        expect(answer.body).toHaveProperty('error', expect.stringContaining('wrangler secret put ADMIN_TOKEN'))
      }
      expect(found).not.toContain('notes/closed')
    },
  )

  it.each([
    ['none', {}],
    ['an empty one', { authorization: 'Bearer ' }],
    ['another one', { authorization: 'Bearer another' }],
    ['its beginning', { authorization: `Bearer ${TOKEN.slice(0, -1)}` }],
    ['one that begins with it', { authorization: `Bearer ${TOKEN}!` }],
    ['another case', { authorization: `Bearer ${TOKEN.toUpperCase()}` }],
    ['another scheme', { authorization: `Basic ${btoa(`admin:${TOKEN}`)}` }],
    ['no scheme', { authorization: TOKEN }],
    ['a cookie', { cookie: `ADMIN_TOKEN=${TOKEN}` }],
  ])('[I8] is needed: %s is refused', async (_, headers: Record<string, string>) => {
    const answer = await send('/notes/locked/stats', { headers })
    expect(answer).toMatchObject({ status: 401, body: { code: 'unauthorized' } })
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
    expect(JSON.stringify(answer.body)).not.toContain(TOKEN)
    expect(found).not.toContain('notes/locked')
  })

  it('[I8] is not taken from the query string', async () => {
    const query = new URLSearchParams({ token: TOKEN, access_token: TOKEN, ADMIN_TOKEN: TOKEN })
    expect(await send(`/notes/locked/stats?${query.toString()}`, {})).toMatchObject({ status: 401 })
  })

  it('[I8] is checked before anything else, so that a stranger learns nothing', async () => {
    for (const path of ['/', '/notes', '/notes/a/nothing', '/nothing/a/stats'])
      expect(await send(path, { body: '{' })).toMatchObject({ status: 401 })
  })

  it('may be configured with a line break at its end', async () => {
    const headers = { authorization: 'bearer s3cret' }
    expect(await send('/notes/open/stats', { headers }, { ADMIN_TOKEN: 's3cret\n' })).toMatchObject({ status: 200 })
  })
})

describe('every call', () => {
  it('returns what the RPC returns', async () => {
    configurations.set('calls', keep)
    await write('calls', 'A', 'B', 'Poison')
    expect(await call('calls', 'stats')).toMatchObject({ ns: 'calls', pendingEvents: 3, isPaused: false })
    expect(await call('calls', 'list', { limit: 2 })).toMatchObject({
      items: [{ type: 'A' }, { type: 'B' }],
      nextLSN: 3,
    })
    expect(await call('calls', 'list')).toMatchObject({ items: [{ lsn: 1 }, { lsn: 2 }, { lsn: 3 }] })
    expect(await call('calls', 'get', 2)).toMatchObject({ lsn: 2, type: 'B', status: 'pending' })
    expect(await call('calls', 'get', 99)).toBeNull()

    expect(await call('calls', 'pause')).toBeNull()
    expect(await call('calls', 'flush')).toMatchObject({ delivered: 0, pendingEvents: 3, isPaused: true })
    expect(await call('calls', 'resume')).toBeNull()
    await drain('calls')

    expect(await call('calls', 'deadLetters')).toMatchObject({
      items: [{ lsn: 3, reason: 'the batch contains poison' }],
    })
    expect(await call('calls', 'replay', { fromLSN: 1, toLSN: 2 })).toEqual({ replayed: 2 })
    expect(await call('calls', 'snapshot', { store: 'Draft', chunk: 10 })).toMatchObject({ name: 'document/Draft' })
    expect(await call('calls', 'redrive', { type: 'Poison' })).toEqual({ redriven: 1 })
    await drain('calls')
    expect(await call('calls', 'discard', { all: true, reason: 'poison' })).toEqual({ discarded: 1 })
    expect(await call('calls', 'deadLetters')).toEqual({ items: [] })
  })

  it.each(['with spaces', 'a/b/../c', 'Zürich/日本 👩‍👩‍👧', '100%', 'a%2Fb', '?a=b#c', 'stats', 'quote\'"'])(
    '[I8] reaches the object of exactly this name: %s',
    async (name) => {
      await write(name, 'A')
      expect(await call(name, 'stats')).toMatchObject({ ns: name, lastLSN: 1 })
    },
  )
})

describe('a request that is not valid', () => {
  it.each([
    'constructor',
    '__proto__',
    'toString',
    'hasOwnProperty',
    'dup',
    'fetch',
    'then',
    'dispose',
    'Stats',
    'stats%20',
  ])('[I8] reaches only the methods of the outbox: %s', async (method) => {
    expect(await post(`/notes/names/${method}`, '{}')).toMatchObject({
      status: 404,
      body: { code: 'not-found', error: expect.stringContaining('the methods are stats, list, get, flush') },
    })
    expect(found).not.toContain('notes/names')
  })

  it.each(['nothing', 'constructor', '__proto__', 'Notes', 'NOTES'])('[I8] finds no class %s', async (className) => {
    const error = `admin: there is no outbox of ${className}/a`
    expect(await post(`/${className}/a/stats`)).toMatchObject({ status: 404, body: { code: 'not-found', error } })
  })

  it.each(['/', '/notes', '/notes/a', '/notes/a/stats/more', '/notes//stats'])('finds no path %s', async (path) => {
    expect(await post(path)).toMatchObject({ status: 404, body: { code: 'not-found' } })
  })

  it.each(['GET', 'PUT', 'DELETE', 'OPTIONS'])('is refused as %s', async (method) => {
    const answer = await send('/notes/a/stats', { method, headers: { authorization: `Bearer ${TOKEN}` } })
    expect(answer).toMatchObject({ status: 405, body: { code: 'method-not-allowed' } })
    expect(answer.headers.get('allow')).toBe('POST')
  })

  it.each(['{', 'undefined', '{"limit":1}{"limit":2}', '\u0000', "{'limit':1}"])(
    'is refused if its body is not JSON: %s',
    async (body) => {
      expect(await post('/notes/a/list', body)).toMatchObject({
        status: 400,
        body: { code: 'invalid-argument', error: 'admin: the body is not JSON', retryable: false },
      })
    },
  )

  it.each(['text/plain', 'application/x-www-form-urlencoded', 'application/json-seq', ''])(
    'is refused if it is sent as %s',
    async (type) => {
      expect(await post('/notes/a/list', '{}', { 'content-type': type })).toMatchObject({ status: 415 })
      expect(await post('/notes/a/list', '{}', { 'content-type': 'Application/JSON; charset=utf-8' })).toMatchObject({
        status: 200,
      })
    },
  )

  it.each([
    ['list', '{"nothing":1}'],
    ['list', '{"__proto__":{"limit":1}}'],
    ['list', 'null'],
    ['list', '{"limit":1001}'],
    ['get', undefined],
    ['get', '"1"'],
    ['redrive', undefined],
    ['redrive', '{}'],
    ['redrive', '[]'],
    ['discard', '{"all":true}'],
    ['replay', '{"fromLSN":2,"toLSN":1}'],
    ['snapshot', ''],
    ['snapshot', '{"store":"Draft","chunk":0}'],
  ])('is refused by the outbox: %s %s', async (method, body) => {
    expect(await post(`/notes/a/${method}`, body)).toMatchObject({ status: 400, body: { code: 'invalid-argument' } })
  })

  it.each([
    ['arrays', `${'['.repeat(30_000)}${']'.repeat(30_000)}`],
    ['objects', `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`],
  ])('[I7] is refused if it is nested too deeply: %s', async (_, body) => {
    expect(await post('/notes/a/list', body)).toMatchObject({ status: 400, body: { code: 'invalid-argument' } })
  })

  it('[I7] is refused if it is too large, whatever its content-length', async () => {
    const body = JSON.stringify({ type: 'x'.repeat(64 * 1024) })
    expect(await post('/notes/large/list', body)).toMatchObject({ status: 413, body: { code: 'body-too-large' } })
    const said = { 'content-length': String(body.length) }
    expect(await post('/notes/large/list', body, said)).toMatchObject({ status: 413 })
    expect(found).not.toContain('notes/large')
    const ids = { ids: Array.from({ length: 1_000 }, () => '01ARZ3NDEKTSV4RRFFQ69G5FAV') }
    expect(await post('/notes/large/redrive', JSON.stringify(ids))).toMatchObject({ status: 200 })
  })
})

describe('a call that fails', () => {
  it('has the message of the outbox, with the status of its code', async () => {
    expect(await post('/notes/empty/replay', '{"fromLSN":1,"toLSN":1}')).toMatchObject({
      status: 404,
      body: { code: 'not-found', error: expect.stringContaining('replay: LSN 1 was not delivered'), retryable: false },
    })
  })

  it('is 503 and retryable if the pipeline does not answer', async () => {
    configurations.set('hanging', keep)
    await write('hanging', 'A')
    await drain('hanging')
    setFate('hanging', 'hang')
    expect(await post('/notes/hanging/replay', '{"fromLSN":1,"toLSN":1}')).toMatchObject({
      status: 503,
      body: { code: 'pipeline-failed', retryable: true },
    })
    expect(acceptedRecords('hanging')).toHaveLength(1)
  })

  it.each([
    [{ retryable: true }, { status: 503, body: { code: 'unavailable', retryable: true } }],
    [
      { retryable: true, overloaded: true },
      { status: 429, body: { code: 'overloaded', retryable: true } },
    ],
    [
      { name: 'CDCError', code: 'toString' },
      { status: 500, body: { code: 'internal' } },
    ],
    [{ code: 'not-found' }, { status: 500, body: { code: 'internal' } }],
    [
      { name: 'CDCError', code: 'outbox-full', retryable: true },
      { status: 429, body: { error: 'a secret' } },
    ],
    [{}, { status: 500, body: { code: 'internal', retryable: false } }],
  ])('does not reveal the message of an error that is not ours: %o', async (properties, expected) => {
    const failing = outboxRoutes(() => {
      throw Object.assign(new Error('a secret'), properties)
    })
    const init = { method: 'POST', headers: { authorization: `Bearer ${TOKEN}` } }
    const response = await failing.request('/notes/a/stats', init, { ADMIN_TOKEN: TOKEN })
    const body = await response.json<{ error: string }>()
    expect({ status: response.status, body }).toMatchObject(expected)
    if (!('error' in expected.body)) expect(body.error).not.toContain('secret')
  })
})
