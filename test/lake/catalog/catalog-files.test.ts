import { env } from 'cloudflare:workers'
import { AwsV4Signer } from 'aws4fetch'
import { fileRoutes } from 'durable-outbox/lake'
import * as fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { signatureProblem, SKEW_MS_MAX } from '../../../src/lake/catalog/signature.ts'
import { batch, commit, liveKeys } from '../table.ts'

const TOKEN = 'a/token+of the test'
const ORIGIN = 'http://localhost'

const app = fileRoutes()

interface Answer {
  status: number
  bytes: Uint8Array
  text: string
  headers: Headers
}

async function send(url: string, init: RequestInit, bindings: object = {}): Promise<Answer> {
  const response = await app.request(url, init, { ...env, CATALOG_TOKEN: TOKEN, ...bindings })
  const bytes = await response.bytes()
  return { status: response.status, bytes, text: new TextDecoder().decode(bytes), headers: response.headers }
}

/** Asks for a path with the token. */
function ask(path: string, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return send(ORIGIN + path, { method, headers: { authorization: `Bearer ${TOKEN}`, ...headers } })
}

interface Signing {
  accessKeyId?: string
  secretAccessKey?: string
  datetime?: string
  headers?: Record<string, string>
}

/** Headers with which a client signs a request. */
async function signed(path: string, options: Signing = {}): Promise<Headers> {
  const signer = new AwsV4Signer({
    url: ORIGIN + path,
    accessKeyId: 'catalog',
    secretAccessKey: TOKEN,
    service: 's3',
    region: 'auto',
    ...options,
  })
  return (await signer.sign()).headers
}

function datetime(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[:-]|\.\d{3}/g, '')
}

/** A data file of the table: its path for a client, and its bytes. */
let path: string
let file: Uint8Array

beforeAll(async () => {
  await env.LAKE.send(batch('files', 1, 20))
  await commit()
  const key = `cdc/events/${(await liveKeys())[0]}`
  const object = await env.LAKE_BUCKET.get(key)
  if (object === null) throw new Error('the table has no file')
  file = await object.bytes()
  path = `/lake/${key}`
})

describe('GET', () => {
  it('returns the whole file', async () => {
    const { status, bytes, headers } = await ask(path)
    expect({ status, bytes }).toEqual({ status: 200, bytes: file })
    expect(headers.get('content-length')).toBe(String(file.length))
    expect(headers.get('accept-ranges')).toBe('bytes')
    expect(headers.get('etag')).toMatch(/^"[0-9a-f]{32}"$/)
    expect(Date.parse(headers.get('last-modified') ?? '')).toBeGreaterThan(Date.now() - 60_000)
  })

  it('returns any range of it, and names the range', async () => {
    const at = fc.integer({ min: 0, max: file.length + 50 })
    await fc.assert(
      fc.asyncProperty(at, fc.option(at, { nil: undefined }), async (first, last) => {
        fc.pre(last === undefined || last >= first)
        const slice = file.slice(first, last === undefined ? undefined : last + 1)
        expect(await askRange(`bytes=${first}-${last ?? ''}`)).toEqual(answerOf(slice, first))
      }),
    )
  })

  it('returns as much of its end as is asked for', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: file.length + 50 }), async (suffix) => {
        const start = Math.max(0, file.length - suffix)
        expect(await askRange(`bytes=-${suffix}`)).toEqual(answerOf(file.slice(start), start))
      }),
    )
  })

  async function askRange(range: string) {
    const { status, bytes, headers } = await ask(path, { range })
    return { status, of: headers.get('content-range'), ...(status === 206 && { bytes }) }
  }

  /** The answer with a slice of the file, or the refusal if the slice is empty. */
  function answerOf(bytes: Uint8Array, start: number) {
    if (bytes.length === 0) return { status: 416, of: `bytes */${file.length}` }
    return { status: 206, of: `bytes ${start}-${start + bytes.length - 1}/${file.length}`, bytes }
  }

  it.each(['bytes=5-2', 'bytes=-', 'bytes=a-b', 'bytes=0-1,3-4', 'items=0-1', 'bytes=0-99999999999999999999', ''])(
    'gives the whole file for the range %o',
    async (range) => {
      expect((await ask(path, { range })).bytes).toEqual(file)
    },
  )

  it("refuses in S3's words a range outside of the file, and names the file's size", async () => {
    expect((await ask(path, { range: 'bytes=1000000-' })).text).toContain('<Code>InvalidRange</Code>')
    expect((await ask(path, { range: 'bytes=1-3' })).headers.get('content-length')).toBe('3')
  })

  it('returns the whole file for a range with a condition', async () => {
    const answer = await ask(path, { range: 'bytes=0-1', 'if-range': '"other"' })
    expect(answer).toMatchObject({ status: 200, bytes: file })
  })

  it('answers by what the client has, or requires', async () => {
    const { headers } = await ask(path)
    const etag = headers.get('etag') ?? ''
    const modified = headers.get('last-modified') ?? ''
    const long = new Date(0).toUTCString()
    const statusFor = async (conditions: Record<string, string>) => (await ask(path, conditions)).status
    expect(await statusFor({ 'if-none-match': etag })).toBe(304)
    expect(await statusFor({ 'if-none-match': `"other", ${etag}` })).toBe(304)
    expect(await statusFor({ 'if-none-match': '"other"' })).toBe(200)
    expect(await statusFor({ 'if-modified-since': modified })).toBe(304)
    expect(await statusFor({ 'if-modified-since': long })).toBe(200)
    expect(await statusFor({ 'if-match': etag })).toBe(200)
    expect(await statusFor({ 'if-match': '"other"' })).toBe(412)
    expect(await statusFor({ 'if-match': '"other"', 'if-none-match': etag })).toBe(412)
    expect(await statusFor({ 'if-unmodified-since': long })).toBe(412)
    expect(await statusFor({ 'if-match': etag, range: 'bytes=0-1' })).toBe(206)
  })
})

describe('HEAD', () => {
  it('answers as GET does, without the bytes', async () => {
    for (const range of [undefined, 'bytes=3-7', 'bytes=-1', `bytes=${file.length}-`]) {
      const headers: Record<string, string> = range === undefined ? {} : { range }
      const [get, head] = [await ask(path, headers), await ask(path, headers, 'HEAD')]
      expect(head).toMatchObject({ status: get.status, text: '' })
      expect([...head.headers]).toEqual([...get.headers])
    }
    expect((await ask(`${path}x`, {}, 'HEAD')).status).toBe(404)
  })
})

describe('the files', () => {
  it.each(['PUT', 'POST', 'DELETE', 'PATCH'])('refuse %s, since they are read-only', async (method) => {
    const { status, text, headers } = await ask(path, {}, method)
    expect({ status, allow: headers.get('allow') }).toEqual({ status: 405, allow: 'GET, HEAD' })
    expect(text).toContain('<Code>MethodNotAllowed</Code>')
    expect((await ask(path)).bytes).toEqual(file)
  })

  it('[I8] are only those of the table', async () => {
    const others = [
      'secret',
      'cdc/secret',
      'cdc/events',
      'cdc/events-of-another/secret',
      'cdc/eventssecret',
      'lake/cdc/events/secret',
      'cdc/events/../secret',
      'cdc/events//secret',
      'cdc/events/./secret',
    ]
    for (const key of others) await env.LAKE_BUCKET.put(key, 'secret')
    const paths = [
      ...others.flatMap((key) => [key, key.replaceAll('.', '%2e'), key.replaceAll('/', '%2F')]),
      'cdc/events/..%2F..%2Fsecret',
      'cdc/events/%2e%2e%2fsecret',
      'cdc/events/metadata/../../secret',
      'cdc/events/..%5Csecret',
      'cdc%2Fevents%2F..%2Fsecret',
      'cdc/events/%00',
      'cdc/events/%',
      'cdc/events/%ff',
      '',
    ]
    for (const escape of paths)
      for (const root of ['/lake/', '//lake/', '/lake//', '/LAKE/', '/other/', '/'])
        expect(await ask(root + escape)).toMatchObject({
          status: 404,
          text: expect.stringContaining('<Code>NoSuchKey</Code>'),
        })
  })

  it('are found by their own name only, if it contains escapes', async () => {
    const key = "cdc/events/data/type=a%2Fb%20c'(+)/dt=2026-11-22/x.parquet"
    await env.LAKE_BUCKET.put(key, 'odd')
    const odd = `/lake/${encodeURIComponent(key)}`
    expect(await ask(odd)).toMatchObject({ status: 200, text: 'odd' })
    expect(await ask(`/lake/${key.replaceAll('%', '%25')}`)).toMatchObject({ status: 200, text: 'odd' })
    expect(await ask(`/lake/${key}`)).toMatchObject({ status: 404 })
    expect((await send(ORIGIN + odd, { headers: await signed(odd) })).status).toBe(200)
  })

  it('are found where LAKE_LOCATION puts the table', async () => {
    await env.LAKE_BUCKET.put('elsewhere/x', 'moved')
    const bindings = { LAKE_LOCATION: 's3://other/elsewhere' }
    const headers = { authorization: `Bearer ${TOKEN}` }
    expect(await send(`${ORIGIN}/other/elsewhere/x`, { headers }, bindings)).toMatchObject({ text: 'moved' })
    expect(await send(ORIGIN + path, { headers }, bindings)).toMatchObject({ status: 404 })
  })
})

describe('the key', () => {
  const denied = (status: number, code: string) => ({ status, text: expect.stringContaining(`<Code>${code}</Code>`) })

  it.each([{ CATALOG_TOKEN: undefined }, { CATALOG_TOKEN: '' }, { CATALOG_TOKEN: '\n' }])(
    '[I8] opens nothing while there is none: %o',
    async (bindings) => {
      for (const headers of [new Headers(), await signed(path), await signed(path, { secretAccessKey: '' })])
        expect(await send(ORIGIN + path, { headers }, bindings)).toMatchObject(denied(403, 'AccessDenied'))
    },
  )

  it('opens the files to a request that is signed with it', async () => {
    expect(await send(ORIGIN + path, { headers: await signed(path) })).toMatchObject({ status: 200, bytes: file })
    const ranged = await signed(path, { headers: { range: 'bytes=0-3' } })
    expect(await send(ORIGIN + path, { headers: ranged })).toMatchObject({ status: 206, text: 'PAR1' })
    const withQuery = `${path}?x=1&versionId=a%2Fb%20c`
    expect(await send(ORIGIN + withQuery, { headers: await signed(withQuery) })).toMatchObject({ status: 200 })
  })

  it('[I8] refuses a request that is signed in another way', async () => {
    const refused = async (code: string, headers: Headers, url = ORIGIN + path, method = 'GET') =>
      expect(await send(url, { headers, method })).toMatchObject(denied(403, code))
    const good = await signed(path)
    const authorization = good.get('authorization') ?? ''
    const changed = (name: string, value: string) => {
      const headers = new Headers(good)
      headers.set(name, value)
      return headers
    }
    await refused('AccessDenied', new Headers())
    await refused('AccessDenied', new Headers({ authorization: `Bearer ${TOKEN}x` }))
    await refused('AuthorizationHeaderMalformed', new Headers({ authorization: `Basic ${btoa(`catalog:${TOKEN}`)}` }))
    await refused('InvalidAccessKeyId', await signed(path, { accessKeyId: 'AKIA' }))
    await refused('SignatureDoesNotMatch', await signed(path, { secretAccessKey: `${TOKEN}x` }))
    await refused(
      'SignatureDoesNotMatch',
      changed('authorization', authorization.replace(/[0-9a-f]{64}$/, '0'.repeat(64))),
    )
    await refused('SignatureDoesNotMatch', good, `${ORIGIN}/lake/cdc/events/metadata/version-hint.text`)
    await refused('SignatureDoesNotMatch', good, `${ORIGIN}${path}?x=1`)
    await refused('SignatureDoesNotMatch', good, `http://other.example${path}`)
    await refused('SignatureDoesNotMatch', good, ORIGIN + path, 'PUT')
    await refused('SignatureDoesNotMatch', changed('x-amz-content-sha256', '0'.repeat(64)))
    await refused('AccessDenied', changed('authorization', authorization.replace('host;', '')))
    await refused('AccessDenied', changed('authorization', authorization.replace(';x-amz-date', '')))
  })

  it('[I8] refuses a signature that is too old, too new, or without a time', async () => {
    const of = async (time: string) => send(ORIGIN + path, { headers: await signed(path, { datetime: time }) })
    const early = datetime(Date.now() - SKEW_MS_MAX - 60_000)
    const late = datetime(Date.now() + SKEW_MS_MAX + 60_000)
    for (const time of [early, late, `${datetime(Date.now()).slice(0, 8)}T`])
      expect(await of(time)).toMatchObject(denied(403, 'RequestTimeTooSkewed'))
    expect(await of(datetime(Date.now() - SKEW_MS_MAX + 60_000))).toMatchObject({ status: 200 })
  })

  it("accepts the example signature of S3's documentation, for its moment only", async () => {
    // https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, "GET Object"
    const request = new Request('https://examplebucket.s3.amazonaws.com/test.txt', {
      headers: {
        authorization:
          'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,' +
          'SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,' +
          'Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
        range: 'bytes=0-9',
        'x-amz-content-sha256': 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
        'x-amz-date': '20130524T000000Z',
      },
    })
    const key = { id: 'AKIAIOSFODNN7EXAMPLE', secret: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }
    const at = Date.UTC(2013, 4, 24)
    expect(await signatureProblem(request, key, at)).toBeUndefined()
    expect(await signatureProblem(request, key, at + SKEW_MS_MAX)).toBeUndefined()
    expect(await signatureProblem(request, key, at + SKEW_MS_MAX + 1)).toMatchObject({ code: 'RequestTimeTooSkewed' })
    expect(await signatureProblem(request, { ...key, secret: 'x' }, at)).toMatchObject({
      code: 'SignatureDoesNotMatch',
    })
  })
})
