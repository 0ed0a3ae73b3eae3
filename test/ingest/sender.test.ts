import type { EventRecord } from 'durable-outbox'
import { type IngestJWT, ingestRoutes } from 'durable-outbox/ingest'
import { acceptedRecords, attemptedBatches, forget } from 'durable-outbox/testing'
import * as fc from 'fast-check'
import {
  createLocalJWKSet,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type JWTPayload,
  jwtVerify,
  SignJWT,
  UnsecuredJWT,
} from 'jose'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { batch, record } from '../testing/record.ts'
import { bytesOf, committed, createClient, pipeline, TOKEN, tokenOf } from './client.ts'

const INVALID = { status: 401, body: { code: 'unauthorized', retryable: false } }
const INVALID_TOKEN = 'Bearer error="invalid_token"'

const token = await tokenOf(TOKEN, ['*'])
const tokens = [token]

describe('a token', () => {
  it.each([
    ['none', {}, 'Bearer'],
    ['an empty one', { authorization: 'Bearer ' }, 'Bearer'],
    ['another scheme', { authorization: `Basic ${btoa(`a:${TOKEN}`)}` }, 'Bearer'],
    ['no scheme', { authorization: TOKEN }, 'Bearer'],
    ['two', { authorization: `Bearer ${TOKEN}, Bearer ${TOKEN}` }, 'Bearer'],
    ['a cookie', { cookie: `token=${TOKEN}` }, 'Bearer'],
    ['another one', { authorization: 'Bearer another' }, INVALID_TOKEN],
    ['its beginning', { authorization: `Bearer ${TOKEN.slice(0, -1)}` }, INVALID_TOKEN],
    ['one that begins with it', { authorization: `Bearer ${TOKEN}1` }, INVALID_TOKEN],
    ['another case', { authorization: `Bearer ${TOKEN.toUpperCase()}` }, INVALID_TOKEN],
    ['its hash', { authorization: `Bearer ${token.sha256}` }, INVALID_TOKEN],
  ])('[I8] is needed: %s is refused', async (_, headers: Record<string, string>, challenge) => {
    const app = ingestRoutes(() => ({ tokens, pipeline }))
    const init = { method: 'POST', headers: { 'content-type': 'application/json', ...headers } }
    const response = await app.request('/', { ...init, body: JSON.stringify(batch('locked', 1)) }, {})
    expect({ status: response.status, body: await response.clone().json() }).toMatchObject(INVALID)
    expect(response.headers.get('www-authenticate')).toBe(challenge)
    expect(await response.text()).not.toContain(TOKEN)
    expect(attemptedBatches('locked')).toEqual([])
  })

  it('[I8] is not taken from the query string', async () => {
    const app = ingestRoutes(() => ({ tokens, pipeline }))
    const query = new URLSearchParams({ token: TOKEN, access_token: TOKEN, authorization: `Bearer ${TOKEN}` })
    expect((await app.request(`/?${query.toString()}`, { method: 'POST' }, {})).status).toBe(401)
  })

  it('[I8] is checked before everything else, so that a stranger learns nothing', async () => {
    const post = await createClient()
    const headers = {
      authorization: 'Bearer other',
      'content-type': 'x',
      'idempotency-key': '',
      'content-encoding': 'x',
    }
    expect(await post('{', { headers })).toMatchObject(INVALID)
    expect(await post(undefined, { headers, method: 'GET' })).toMatchObject(INVALID)
  })

  it('opens the ns that it was given, besides other tokens', async () => {
    const post = await createClient({ tokens: [await tokenOf('one', ['one']), await tokenOf('two', ['two', 'both'])] })
    const as = (token: string) => ({ headers: { authorization: `bearer ${token}` } })
    expect(await post(batch('two', 1), as('two'))).toMatchObject(committed(1))
    expect(await post(batch('both', 1), as('two'))).toMatchObject(committed(1))
    expect(await post(batch('one', 1), as('two'))).toMatchObject({ status: 403 })
    expect(await post(batch('one', 1), as('one'))).toMatchObject(committed(1))
  })

  it('may have its hash in capitals', async () => {
    const sha256 = token.sha256.toUpperCase()
    const post = await createClient({ tokens: [{ ...token, sha256 }] })
    expect(await post('[]')).toMatchObject(committed(0))
  })
})

describe('an ns', () => {
  it.each([
    ['acme', 'acme'],
    ['acme.*', 'acme.eu'],
    ['acme.*', 'acme.eu.west/1'],
    ['acme.*', 'acme..'],
    ['acme.*', 'acme.*'],
    ['acme/*', 'acme/eu'],
    ['acme/*', 'acme/eu/west'],
    ['acme/*', 'acme/...'],
    ['*', 'acme'],
    ['*', 'acme.*'],
    ['*', '*'],
    ['*', 'Zürich/日本 👩‍👩‍👧'],
    ['100%', '100%'],
  ])('[I8] is covered: by %s is %s', async (pattern, ns) => {
    const post = await createClient({ tokens: [await tokenOf(TOKEN, ['other', pattern])] })
    expect(await post([record(ns, 1)])).toMatchObject(committed(1))
  })

  it.each([
    ['acme', 'acme2'],
    ['acme', 'acm'],
    ['acme', 'Acme'],
    ['acme', 'acme '],
    ['acme', ' acme'],
    ['acme', 'acme.'],
    ['acme', 'acme/'],
    ['acme', 'acme/a'],
    ['acme', 'аcme'],
    ['acme', 'acme\u200b'],
    ['acme', 'a%63me'],
    ['acme', '*'],
    ['Zürich', 'Zu\u0308rich'],
    ['acme.*', 'acme'],
    ['acme.*', 'acme.'],
    ['acme.*', 'acme/x'],
    ['acme.*', 'acmex'],
    ['acme.*', 'ACME.x'],
    ['acme.*', 'acme\u2024x'],
    ['acme.*', 'acme%2Ex'],
    ['acme.*', 'acme.x/'],
    ['acme.*', 'acme.x/../other'],
    ['acme.*', 'acme.x/./other'],
    ['acme/*', 'acme'],
    ['acme/*', 'acme/'],
    ['acme/*', 'acme//a'],
    ['acme/*', 'acme/../other'],
    ['acme/*', 'acme/..'],
    ['acme/*', 'acme/.'],
    ['acme/*', 'acme/a/'],
    ['acme/*', 'acme\\a'],
    ['acme/*', 'acme\uff0fa'],
    ['*', '/'],
    ['*', 'a/'],
    ['*', '/a'],
    ['*', 'a//b'],
    ['*', 'a/../b'],
    ['*', '..'],
    ['*', '.'],
  ])('[I8] is not covered: by %s is not %s', async (pattern, ns) => {
    const post = await createClient({ tokens: [await tokenOf(TOKEN, [pattern])] })
    forget(ns)
    const answer = await post([record(ns, 1)])
    expect(answer).toMatchObject({ status: 403, body: { code: 'forbidden', retryable: false, index: 0, field: 'ns' } })
    expect(answer.headers.get('www-authenticate')).toBe('Bearer error="insufficient_scope"')
    expect(attemptedBatches(ns)).toEqual([])
  })

  it('[I8] that is not covered keeps out all records of its request', async () => {
    const post = await createClient({ tokens: [await tokenOf(TOKEN, ['mine', 'mine/*'])] })
    const records = [record('mine', 1), record('mine/a', 1), record('yours', 1), record('mine', 2)]
    expect(await post(records)).toMatchObject({ status: 403, body: { index: 2 } })
    const lines = records.map((line) => JSON.stringify(line)).join('\n')
    const headers = { 'content-type': 'application/x-ndjson' }
    expect(await post(lines, { headers })).toMatchObject({ status: 403, body: { index: 2 } })
    expect([...attemptedBatches('mine'), ...attemptedBatches('yours')]).toEqual([])
  })

  it('[I8] is the one that is stored, with any other fields of the record', async () => {
    const post = await createClient({ tokens: [await tokenOf(TOKEN, ['mine.only'])] })
    const text = JSON.stringify([record('mine.only', 1)])
    const twice = text.replace('"ns":"mine.only"', '"ns":"yours.only","ns":"mine.only"')
    expect(await post(twice)).toMatchObject({ status: 400, body: { code: 'invalid-argument' } })
    const hidden = text.replace('"ns":"mine.only"', '"ns":"mine.only","__proto__":{"ns":"yours.only"}')
    expect(await post(hidden)).toMatchObject(committed(1))
    const missing = text.replace('"ns":"mine.only"', '"__proto__":{"ns":"mine.only"}')
    expect(await post(missing)).toMatchObject({ status: 400, body: { field: 'ns' } })
    const meta = text.replace('"_meta":{', '"_meta":{"ns":"yours.only",')
    expect(await post(meta)).toMatchObject(committed(1))
    expect(acceptedRecords('mine.only')).toHaveLength(2)
    expect(attemptedBatches('yours.only')).toEqual([])
  })

  it('[I8] of any form is never outside what its token covers', async () => {
    const post = await createClient({ tokens: [await tokenOf(TOKEN, ['exact', 'dot.*', 'slash/*'])] })
    const part = fc.constantFrom(
      'exact',
      'dot',
      'slash',
      '.',
      '..',
      '/',
      '*',
      'a',
      '%2e',
      '\\',
      '\u2024',
      '\uff0f',
      ' ',
    )
    const names = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(''))
    await fc.assert(
      fc.asyncProperty(names, async (ns) => {
        const { status } = await post([record(ns, 1)])
        const mayPass = ns === 'exact' || /^dot\.[^]+$/.test(ns) || /^slash\/[^]+$/.test(ns)
        const isPlain = ns.split('/').every((segment) => !['', '.', '..'].includes(segment))
        expect(status).toBe(mayPass && isPlain ? 200 : 403)
      }),
    )
  })
})

describe('a JSON Web Token', async () => {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const rsa = await generateKeyPair('RS256', { extractable: true })
  const stranger = await generateKeyPair('ES256')
  const publicJWK = { ...(await exportJWK(publicKey)), kid: 'key-1', alg: 'ES256' }
  const rsaJWK = { ...(await exportJWK(rsa.publicKey)), kty: 'RSA', kid: 'key-2' }
  const jwt: IngestJWT = {
    jwks: { keys: [{ ...publicJWK, kty: 'EC' }, rsaJWK] },
    issuer: 'https://issuer.example',
    audience: 'ingest',
  }
  const now = Math.floor(Date.now() / 1_000)
  const claims: JWTPayload = { iss: jwt.issuer, aud: jwt.audience, sub: 'sender', exp: now + 600, ns: ['jwt', 'jwt/*'] }

  /** A claim that is undefined is not there. */
  function sign(payload: object, header: { kid?: string } = {}): Promise<string> {
    return new SignJWT(payload as JWTPayload)
      .setProtectedHeader({ alg: 'ES256', kid: 'key-1', ...header })
      .sign(privateKey)
  }

  async function send(token: string, options: Partial<IngestJWT> = {}, records: EventRecord[] = batch('jwt', 1)) {
    const post = await createClient({ jwt: { ...jwt, ...options } })
    return post(records, { headers: { authorization: `Bearer ${token}` } })
  }

  it('opens the ns of its claim', async () => {
    const token = await sign(claims)
    expect(await send(token)).toMatchObject(committed(1))
    expect(await send(token, {}, [record('jwt/a', 1)])).toMatchObject(committed(1))
    expect(await send(token, {}, [record('other', 1)])).toMatchObject({ status: 403 })
  })

  it('is counted by its subject', async () => {
    const limit = vi.fn<(options: { key: string }) => Promise<{ success: boolean }>>(() =>
      Promise.resolve({ success: false }),
    )
    const post = await createClient({ jwt, rateLimit: { binding: { limit }, periodSeconds: 10 } })
    const headers = { authorization: `Bearer ${await sign(claims)}` }
    expect((await post('[]', { headers })).headers.get('retry-after')).toBe('10')
    expect(limit).toHaveBeenCalledWith({ key: 'jwt/sender' })
  })

  it.each([
    ['a single text', 'jwt', 200],
    ['a text of two, which is one pattern', 'jwt other', 403],
    ['no pattern', ['jwt*', 'j*', '**', ''], 403],
    ['a number', 1, 403],
    ['an object', { jwt: true }, 403],
    ['patterns among other things', [null, 1, ['jwt'], 'jwt'], 200],
    ['nothing', undefined, 403],
    ['everything', '*', 200],
  ])('[I8] may have a claim of %s', async (_, ns, status) => {
    expect(await send(await sign({ ...claims, ns }))).toMatchObject({ status })
  })

  it('[I8] may have its ns in another claim, but not in an inherited one', async () => {
    const claim = 'https://acme.example/ns'
    expect(await send(await sign({ ...claims, ns: undefined, [claim]: ['jwt'] }), { claim })).toMatchObject(
      committed(1),
    )
    expect(await send(await sign(claims), { claim })).toMatchObject({ status: 403 })
    expect(await send(await sign(claims), { claim: 'constructor' })).toMatchObject({ status: 403 })
  })

  it('[I8] may have expired just now, as clocks differ', async () => {
    expect(await send(await sign({ ...claims, exp: now - 10, nbf: now + 10 }))).toMatchObject(committed(1))
  })

  it.each([
    ['expired', { exp: now - 60 }],
    ['not yet valid', { nbf: now + 120 }],
    ['for another audience', { aud: 'other' }],
    ['for no audience', { aud: undefined }],
    ['of another issuer', { iss: 'https://issuer.example/' }],
    ['of no issuer', { iss: undefined }],
    ['valid for ever', { exp: undefined }],
    ['of nobody', { sub: undefined }],
    ['with a time that is none', { exp: '9999999999' }],
  ])('[I8] is refused: %s', async (_, change) => {
    const answer = await send(await sign({ ...claims, ...change }))
    expect(answer).toMatchObject(INVALID)
    expect(answer.headers.get('www-authenticate')).toBe(INVALID_TOKEN)
  })

  it.each([
    ['expired', { exp: now - 60 }, '"exp" claim timestamp check failed'],
    ['for another audience', { aud: 'other' }, 'unexpected "aud" claim value'],
    ['of another issuer', { iss: 'https://issuer.example/' }, 'unexpected "iss" claim value'],
    ['of nobody', { sub: undefined }, 'missing required "sub" claim'],
  ])('has the reason of its refusal in the log of the receiver alone: %s', async (_, change, reason) => {
    const warn = vi.spyOn(console, 'warn')
    const token = await sign({ ...claims, ...change })
    const answer = await send(token)
    expect(answer).toMatchObject({ ...INVALID, body: { error: 'ingest: the token is not valid here' } })
    const lines = warn.mock.calls.map(([line]) => String(line))
    expect(lines).toEqual([`ingest: 401, the token is not valid here: not in INGEST_TOKENS, and as a JWT: ${reason}`])
    warn.mockRestore()
  })

  const publicPEM = bytesOf(await exportSPKI(rsa.publicKey))
  const publicText = bytesOf(JSON.stringify(rsaJWK))
  const good = await sign(claims)
  const [header = '', payload = '', signature = ''] = good.split('.')
  const encode = (value: object) => btoa(JSON.stringify(value)).replaceAll('=', '')
  it.each([
    ['unsigned', new UnsecuredJWT(claims).encode()],
    ['unsigned, with a signature', `${encode({ alg: 'none' })}.${payload}.${signature}`],
    ['without its signature', `${header}.${payload}.`],
    ['with another payload', `${header}.${encode({ ...claims, ns: '*' })}.${signature}`],
    ['with another header', `${encode({ alg: 'ES256', kid: 'key-1', typ: 'x' })}.${payload}.${signature}`],
    [
      'signed by another key',
      await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'key-1' }).sign(stranger.privateKey),
    ],
    [
      'HS256 with the public key',
      await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'key-2' }).sign(publicPEM),
    ],
    [
      'HS256 with the public JWK',
      await new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: 'key-2' }).sign(publicText),
    ],
    ['of an unknown key', await sign(claims, { kid: 'key-3' })],
    [
      'with a key of its own',
      await new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256', jwk: await exportJWK(stranger.publicKey) })
        .sign(stranger.privateKey),
    ],
    ['not a JSON Web Token', 'a.b.c'],
    ['five parts', `${good}.a.b`],
    ['no object', `${header}.${btoa('[]')}.${signature}`],
  ])('[I8] is refused: %s', async (_, token) => {
    const answer = await send(token)
    expect(answer).toMatchObject(INVALID)
    expect(JSON.stringify(answer.body)).not.toContain(token)
  })

  it('[I8] is refused with an algorithm that was not chosen', async () => {
    const token = await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'key-2' }).sign(rsa.privateKey)
    expect(await send(token)).toMatchObject(committed(1))
    expect(await send(token, { algorithms: ['ES256'] })).toMatchObject(INVALID)
    await expect(jwtVerify(token, createLocalJWKSet({ keys: [rsaJWK] }))).resolves.toBeDefined()
  })

  it.each([[['HS256']], [['none']], [[]], ['ES256']])(
    '[I8] closes the ingest with algorithms that are not for a key set: %o',
    async (algorithms) => {
      expect(await send(good, { algorithms: algorithms as never })).toMatchObject({ status: 403 })
    },
  )

  it('[I8] closes the ingest with a private key in its key set', async () => {
    const keys = [{ ...(await exportJWK(rsa.privateKey)), kty: 'RSA' }]
    expect(await send(good, { jwks: { keys } })).toMatchObject({ status: 403 })
  })

  describe('whose keys are at a URL', () => {
    const jwks = 'https://issuer.example/keys'
    const fetched = vi.spyOn(globalThis, 'fetch')
    afterEach(() => fetched.mockReset())

    async function createSender(): Promise<(token: string) => Promise<object>> {
      const post = await createClient({ jwt: { ...jwt, jwks } })
      return (token) => post(batch('jwt', 1), { headers: { authorization: `Bearer ${token}` } })
    }

    it('is checked with them, and they are fetched once', async () => {
      fetched.mockImplementation(() => Promise.resolve(Response.json({ keys: [publicJWK] })))
      const sendHere = await createSender()
      expect(await sendHere(good)).toMatchObject(committed(1))
      expect(await sendHere(good)).toMatchObject(committed(1))
      expect(await sendHere(await sign(claims, { kid: 'key-3' }))).toMatchObject(INVALID)
      expect(fetched).toHaveBeenCalledTimes(1)
      expect(fetched.mock.calls[0]?.[0]).toBe(jwks)
    })

    it.each([
      ['cannot be reached', () => Promise.reject(new TypeError('no network'))],
      ['is an error', () => Promise.resolve(new Response('no', { status: 500 }))],
      ['is somewhere else', () => Promise.resolve(new Response(null, { status: 302, headers: { location: '/' } }))],
      ['is no key set', () => Promise.resolve(Response.json({}))],
    ])('is not to blame if that %s', async (_, answer) => {
      fetched.mockImplementation(answer)
      const sendHere = await createSender()
      expect(await sendHere(good)).toMatchObject({ status: 503, body: { code: 'unavailable', retryable: true } })
      fetched.mockImplementation(() => Promise.resolve(Response.json({ keys: [publicJWK] })))
      expect(await sendHere(good)).toMatchObject(committed(1))
    })
  })
})
