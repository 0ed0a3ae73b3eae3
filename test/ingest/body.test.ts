import { type EventRecord, eventRecordSchema } from 'durable-outbox'
import {
  BODY_BYTES_MAX,
  CONTAINERS_MAX,
  ingestRoutes,
  PARTITIONS_MAX,
  RECORD_BYTES_MAX,
  RECORDS_MAX,
} from 'durable-outbox/ingest'
import { acceptedRecords, attemptedBatches } from 'durable-outbox/testing'
import * as fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { batch, record } from '../testing/record.ts'
import { type Answer, bytesOf, committed, createClient, gzip, linesOf, pipeline, TOKEN, tokenOf } from './client.ts'

const post = await createClient()
const ndjson = { 'content-type': 'application/x-ndjson' }
const gzipped = { 'content-encoding': 'gzip' }

/** What a stream said when it was given up. */
type Cancelled = { reason?: unknown; chunks: number }

/** A body that arrives in chunks, and does not declare its length. */
function streamOf(chunk: (index: number) => Uint8Array | undefined): {
  body: ReadableStream<Uint8Array>
  seen: Cancelled
} {
  const seen: Cancelled = { chunks: 0 }
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const bytes = chunk(seen.chunks++)
        if (bytes === undefined) controller.close()
        else controller.enqueue(bytes)
      },
      cancel(reason) {
        seen.reason = reason ?? 'cancelled'
      },
    },
    { highWaterMark: 0 },
  )
  return { body, seen }
}

function refused(status: number, code: string): object {
  return { status, body: { code, retryable: false } }
}

/** Whatever a request was, the next one finds all in order. */
let lsn = 0
afterEach(async () => {
  const next = batch('after', ++lsn)
  const { status } = await post(next)
  if (status !== 200 || acceptedRecords('after').at(-1)?.lsn !== lsn) throw new Error('the ingest is out of order')
})

describe('[I7] a body', () => {
  const megabyte = new Uint8Array(1_000_000).fill(32)

  it('is not read if it declares that it is too large', async () => {
    const { body, seen } = streamOf(() => megabyte)
    const headers = { 'content-length': String(BODY_BYTES_MAX + 1) }
    expect(await post(body, { headers })).toMatchObject(refused(413, 'body-too-large'))
    expect(seen.chunks).toBe(0)
  })

  it.each([{}, { 'content-length': '2' }, { 'content-length': 'x' }, gzipped])(
    'is read no further than its limit, with any headers: %o',
    async (headers) => {
      const { body, seen } = streamOf(() => megabyte)
      expect(await post(body, { headers })).toMatchObject(refused(413, 'body-too-large'))
      expect(seen).toEqual({ reason: 'cancelled', chunks: 6 })
    },
  )

  it('may have exactly as many bytes as the limit', async () => {
    const text = JSON.stringify(batch('largest', 1))
    expect(await post(text + ' '.repeat(BODY_BYTES_MAX - text.length))).toMatchObject(committed(1))
    expect(await post(text + ' '.repeat(BODY_BYTES_MAX - text.length + 1))).toMatchObject(
      refused(413, 'body-too-large'),
    )
  })

  it('may arrive in chunks that cut a character in two', async () => {
    const records = [record('pieces', 1, { data: { text: 'Zürich 日本 👩‍👩‍👧' } })]
    const bytes = bytesOf(JSON.stringify(records))
    const { body } = streamOf((index) => (index < bytes.length ? bytes.subarray(index, index + 1) : undefined))
    expect(await post(body)).toMatchObject(committed(1))
    expect(acceptedRecords('pieces')).toEqual(records)
  })

  it.each([
    ['never arrives', () => new Promise<never>(() => undefined)],
    ['arrives drop by drop', () => scheduler.wait(5).then(() => bytesOf(' '))],
  ])('is not waited for if it %s', async (_, chunk) => {
    const app = ingestRoutes(() => ({ tokens, pipeline, bodyTimeoutMs: 60 }))
    const tokens = [await tokenOf(TOKEN, ['*'])]
    const cancel = vi.fn<() => void>()
    const body = new ReadableStream({
      async pull(controller) {
        controller.enqueue(await chunk())
      },
      cancel,
    })
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
    const response = await app.request('/', { method: 'POST', body, headers }, {})
    expect(response.status).toBe(408)
    expect(await response.json()).toMatchObject({ code: 'request-timeout', retryable: true })
    expect(cancel).toHaveBeenCalled()
  })

  it('is refused if it is interrupted', async () => {
    const body = new ReadableStream({
      pull(controller) {
        controller.error(new Error('a secret'))
      },
    })
    expect(await post(body)).toMatchObject({ status: 400, body: { error: 'ingest: the body was interrupted' } })
  })

  it.each([
    ['a lone byte', [0xff]],
    ['an overlong slash', [0xc0, 0xaf]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['half a character', [0xe2, 0x82]],
    ['UTF-16', [0xff, 0xfe, 0x5b, 0, 0x5d, 0]],
  ])('is refused if it is not UTF-8: %s', async (_, bad) => {
    const text = JSON.stringify([record('utf8', 1, { data: { text: '#' } })])
    const [before = '', after = ''] = text.split('#')
    const bytes = Uint8Array.from([...bytesOf(before), ...bad, ...bytesOf(after)])
    expect(await post(bytes)).toMatchObject({ status: 400, body: { error: 'ingest: the body is not UTF-8' } })
    expect(attemptedBatches('utf8')).toEqual([])
  })
})

describe('[I7] gzip', async () => {
  const bomb = await gzip(new Uint8Array(100_000_000))
  const megabyte = await gzip(new Uint8Array(1_000_000))

  it.each([
    ['that grows a thousand times', bomb, 413],
    ['of many members', Uint8Array.from(Array.from({ length: 20 }, () => Array.from(megabyte)).flat()), 413],
    ['of gzip, which is opened once', await gzip(bomb), 400],
  ])('%s is refused', async (_, body, status) => {
    expect(await post(body, { headers: gzipped })).toMatchObject({ status, body: { retryable: false } })
  })

  it('may be in several members, which count together', async () => {
    const parts = await Promise.all([linesOf(batch('members', 1)), linesOf(batch('members', 2))].map(gzip))
    const body = Uint8Array.from(parts.flatMap((part) => Array.from(part)))
    expect(await post(body, { headers: { ...gzipped, ...ndjson } })).toMatchObject(committed(2))
    const half = await gzip(new Uint8Array(BODY_BYTES_MAX / 2 + 1).fill(10))
    const double = Uint8Array.from([...half, ...half])
    expect(await post(double, { headers: { ...gzipped, ...ndjson } })).toMatchObject(refused(413, 'body-too-large'))
  })

  it.each([
    ['with something behind it', (bytes: Uint8Array) => [...bytes, 1, 2, 3]],
    ['that ends too early', (bytes: Uint8Array) => bytes.subarray(0, -4)],
    ['with a wrong checksum', (bytes: Uint8Array) => bytes.with(bytes.length - 8, ~(bytes.at(-8) ?? 0))],
    ['that is not gzip', () => bytesOf('[]')],
    ['of nothing', () => []],
  ])('%s is refused', async (_, change) => {
    const bytes = Uint8Array.from(change(await gzip(JSON.stringify(batch('broken', 1)))))
    expect(await post(bytes, { headers: gzipped })).toMatchObject({
      status: 400,
      body: { error: 'ingest: the body is not gzip' },
    })
    expect(attemptedBatches('broken')).toEqual([])
  })
})

describe('[I7] JSON', () => {
  const text = JSON.stringify(batch('json', 1))

  it.each([
    '',
    ' ',
    '{',
    'null',
    '1',
    '"a"',
    '{}',
    text.slice(1, -1),
    `${text}]`,
    `${text}${text}`,
    `${text}\0`,
    "['a']",
    '[NaN]',
    '[01]',
    '\u{feff}\u{feff}[]',
  ])('that is not an array of records is refused: %j', async (body) => {
    expect(await post(body)).toMatchObject(refused(400, 'invalid-argument'))
    expect(attemptedBatches('json')).toEqual([])
  })

  it('may begin with a byte order mark, which is ignored', async () => {
    expect(await post('\u{feff}[]')).toMatchObject(committed(0))
  })

  it.each([
    ['arrays', '['.repeat(10_000) + ']'.repeat(10_000)],
    ['objects', `[${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}]`],
    [
      'data',
      JSON.stringify([record('deep', 1, { data: { a: 1 } })]).replace(
        '"data":{"a":1}',
        `"data":${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`,
      ),
    ],
    ['arrays without an end', '['.repeat(4_000_000)],
  ])('of %s in 10,000 levels is refused', async (_, body) => {
    expect(await post(body)).toMatchObject(refused(400, 'invalid-argument'))
    expect(await post(body, { headers: ndjson })).toMatchObject(refused(400, 'invalid-argument'))
  })

  it('may be as deep as an event may be', async () => {
    const deep = (levels: number): object => (levels === 1 ? {} : { a: deep(levels - 1) })
    const records = [record('levels', 1, { data: { a: deep(63) } })]
    expect(await post(records)).toMatchObject(committed(1))
    expect(await post(linesOf(records), { headers: ndjson })).toMatchObject(committed(1))
    const deeper = [record('levels', 1, { data: { a: deep(64) } })]
    expect((await post(deeper)).status).toBe(400)
    expect((await post(linesOf(deeper), { headers: ndjson })).status).toBe(400)
  })

  it('of too many records is refused before any is checked', async () => {
    expect(await post(`[${'1,'.repeat(RECORDS_MAX)}1]`)).toMatchObject(refused(413, 'body-too-large'))
    expect(await post('1\n'.repeat(RECORDS_MAX + 1), { headers: ndjson })).toMatchObject(refused(413, 'body-too-large'))
    expect(await post('\n'.repeat(BODY_BYTES_MAX), { headers: ndjson })).toMatchObject(committed(0))
  })

  it('of as many records as the limit is accepted', async () => {
    const records = Array.from({ length: RECORDS_MAX }, (_, index) => record('many', index + 1))
    expect(await post(await gzip(JSON.stringify(records)), { headers: gzipped })).toMatchObject(committed(RECORDS_MAX))
    expect(acceptedRecords('many')).toHaveLength(RECORDS_MAX)
  })

  it('[I7] of too many types and days is refused, and of as many as the limit is accepted', async () => {
    const types = (count: number) =>
      Array.from({ length: count }, (_, index) => record('types', index + 1, { type: `type-${index}` }))
    const days = types(PARTITIONS_MAX + 1).map((event, index) => ({
      ...event,
      type: 'one',
      timestamp: new Date(index * 24 * 3_600_000).toISOString(),
    }))
    const answer = await post(types(PARTITIONS_MAX + 1))
    expect(answer).toMatchObject(refused(413, 'body-too-large'))
    expect(answer.body).toMatchObject({ error: expect.stringContaining('1000 types and days') })
    expect(await post(days)).toMatchObject(refused(413, 'body-too-large'))
    expect(await post(types(PARTITIONS_MAX))).toMatchObject(committed(PARTITIONS_MAX))
  })

  it('of too many arrays and objects is refused before they take memory', async () => {
    expect(await post(`[[${'{},'.repeat(CONTAINERS_MAX)}{}]]`)).toMatchObject(refused(413, 'body-too-large'))
    const line = `[${'[],'.repeat(CONTAINERS_MAX / 2)}[]]\n`
    const answer = post(line + line, { headers: ndjson })
    expect(await answer).toMatchObject(refused(413, 'body-too-large'))
  })

  it('of a record that is too large is refused', async () => {
    const large = (bytes: number): EventRecord => record('large', 1, { data: { text: 'x'.repeat(bytes) } })
    expect(await post([large(RECORD_BYTES_MAX - 1_000)])).toMatchObject(committed(1))
    expect(await post([large(RECORD_BYTES_MAX)])).toMatchObject(refused(413, 'body-too-large'))
  })

  it('of numbers that are too long when they are written out is refused', async () => {
    const [first = ''] = linesOf([record('numbers', 1, { data: { list: [] } })]).split('\n')
    const body = `[${Array.from({ length: 6 }, () => first.replace('[]', `[${'1e20,'.repeat(40_000)}1]`)).join(',')}]`
    expect(body.length).toBeLessThan(BODY_BYTES_MAX / 2)
    expect(await post(body)).toMatchObject(refused(413, 'body-too-large'))
  })
})

describe('a value', () => {
  const sent = (value: string, ns: string) =>
    JSON.stringify([record(ns, 1, { data: { value: '#' } })]).replace('"#"', value)

  it.each([
    '9007199254740991',
    '-9007199254740991',
    '1152921504606846976',
    '12345678901234567000',
    '1e21',
    '1.7976931348623157e+308',
    '0.1',
    '5e-324',
    '"9007199254740993"',
    '"a\\u0000b"',
    '"\\ud83d\\ude00"',
    '"\\"\\\\:,[]{}9007199254740993"',
    '{"constructor":{"prototype":{"a":1}},"toString":1,"hasOwnProperty":null}',
    '{"__proto__":{"admin":true},"a":[{"__proto__":null}]}',
    '{"":0," ":1}',
  ])('arrives as it was sent: %s', async (value) => {
    const body = sent(value, `value ${value}`)
    expect(await post(body)).toMatchObject(committed(1))
    const [arrived] = acceptedRecords(`value ${value}`)
    expect(JSON.stringify(arrived?.data)).toBe(JSON.stringify(JSON.parse(`{"value":${value}}`)))
    expect(Object.hasOwn(Object.prototype, 'admin')).toBe(false)
    expect(({} as { a?: unknown }).a).toBeUndefined()
  })

  it.each([
    ['rounded', '9007199254740993'],
    ['rounded', '-18446744073709551615'],
    ['rounded', '1'.repeat(400)],
    ['value', '1e400'],
    ['value', '"\\ud800"'],
    ['key under', '{"a\\u0000b":1}'],
    ['same key twice', '{"a":1,"a":1}'],
    ['same key twice', '{"a":1,"\\u0061":2}'],
    ['same key twice', '{"__proto__":1,"__proto__":2}'],
    ['same key twice', '[{"b":[{"a":1,"a":2}]}]'],
  ])('is refused if it would not: %s: %j', async (problem, value) => {
    expect(await post(sent(value, 'changed'))).toMatchObject({
      status: 400,
      body: { error: expect.stringContaining(problem) },
    })
    expect(attemptedBatches('changed')).toEqual([])
  })

  it('is lost under __proto__ outside the fields of a record that may have any names, and changes nothing', async () => {
    const text = JSON.stringify([record('proto', 1)])
    const body = text
      .replace('"ns"', '"__proto__":{"actor":"root"},"ns"')
      .replace('"_meta":{', '"_meta":{"__proto__":{"retries":9},')
    expect(await post(body)).toMatchObject(committed(1))
    expect(acceptedRecords('proto')).toEqual([record('proto', 1)])
  })
})

describe('any request', () => {
  /** Taken, or refused in so many words: never a failure of ours. */
  const clean = (answer: Answer) =>
    answer.status === 200
      ? committed(expect.any(Number))
      : refused(expect.toBeOneOf([400, 403, 413, 415]), expect.any(String))

  const headersOf = fc.constantFrom({}, ndjson, gzipped, { ...ndjson, ...gzipped })

  it('is answered: any bytes', async () => {
    const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Uint8Array.from(array))
    await fc.assert(
      fc.asyncProperty(bytes, headersOf, async (body, headers) => {
        for (const each of [body, await gzip(body)]) {
          const answer = await post(each, { headers })
          expect(answer).toMatchObject(clean(answer))
        }
      }),
    )
  })

  it('is answered: any JSON', async () => {
    await fc.assert(
      fc.asyncProperty(fc.json(), headersOf, async (text, headers) => {
        for (const each of [text, `[${text}]`]) {
          const answer = await post(each, { headers })
          expect(answer).toMatchObject(clean(answer))
        }
      }),
    )
  })

  let runs = 0
  const jsonObject = fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ stringUnit: 'grapheme' }), {
    maxKeys: 4,
  })
  const fieldsOfRecords = fc.array(
    fc.record({ data: jsonObject, after: jsonObject, actor: fc.string({ minLength: 1 }) }, { requiredKeys: [] }),
    { minLength: 1, maxLength: 5 },
  )

  it('is accepted exactly as it was sent, or refused: any records', async () => {
    await fc.assert(
      fc.asyncProperty(fieldsOfRecords, fc.boolean(), async (fields, isNdjson) => {
        const ns = `any ${++runs}`
        const records = fields.map((each, index) => record(ns, index + 1, each))
        const answer = await (isNdjson ? post(linesOf(records, '\r\n'), { headers: ndjson }) : post(records))
        expect(answer).toMatchObject(clean(answer))
        expect(acceptedRecords(ns)).toEqual(answer.status === 200 ? recordsIn(JSON.stringify(records), ns) : [])
      }),
    )
  })

  it('is accepted exactly as it was sent, or refused: records whose text was changed', async () => {
    const change = fc.record({ at: fc.nat(), length: fc.nat(3), put: fc.string({ unit: 'binary', maxLength: 3 }) })
    const changes = fc.array(change, { minLength: 1, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(fieldsOfRecords, changes, async (fields, changes) => {
        const ns = `changed ${++runs}`
        const text = JSON.stringify(fields.map((each, index) => record(ns, index + 1, each)))
        const changed = changes.reduce((body, { at, length, put }) => {
          const start = at % body.length
          return body.slice(0, start) + put + body.slice(start + length)
        }, text)
        const answer = await post(changed)
        expect(answer).toMatchObject(clean(answer))
        // As UTF-8 has it: half a surrogate pair has no bytes of its own.
        const sent = answer.status === 200 ? recordsIn(changed.toWellFormed(), ns) : []
        expect(acceptedRecords(ns)).toEqual(sent)
      }),
      { numRuns: 500 },
    )
  })

  /**
   * The records of an ns in a text, without unknown fields, which a changed name makes, and without the sign of a zero, which
   * JavaScript reads and does not write.
   */
  function recordsIn(text: string, ns: string): unknown[] {
    const records: EventRecord[] = JSON.parse(text, (_, value: unknown) => (value === 0 ? 0 : value))
    return records
      .filter((each) => each.ns === ns)
      .map((each) => Object.fromEntries(Object.entries(each).filter(([name]) => name in eventRecordSchema.shape)))
  }
})
