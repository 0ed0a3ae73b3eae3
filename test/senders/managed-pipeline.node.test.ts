// The client's half of the ingest, against a server that answers as a test tells it.

import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { gunzipSync } from 'node:zlib'
import type { CommittedRecord, EventRecord, UnifiedEvent } from 'durable-outbox'
import { ManagedPipeline, ManagedPipelineError, type ManagedPipelineOptions } from 'durable-outbox/managed-pipeline'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { readFailure } from '../../src/pipeline/failure.ts'
import { batch, EPOCH, NEXT_EPOCH, record } from '../testing/record.ts'

interface Received {
  readonly headers: IncomingMessage['headers']
  readonly records: EventRecord[]
}

interface Answer {
  readonly status?: number
  readonly headers?: Record<string, string>
  readonly body?: string
  /** The connection ends in place of an answer, or in the middle of one; or there is none. */
  readonly breaks?: 'before' | 'within' | 'never'
}

const TAKEN: Answer = { body: '{"success":true,"result":{"committed":1}}' }

let received: Received[] = []
let answers: Answer[] = []

const server = createServer((request, response) => {
  void buffer(request).then((body) => {
    const bytes = request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body
    received.push({ headers: request.headers, records: JSON.parse(bytes.toString()) as EventRecord[] })
    const { status = 200, headers = {}, body: text = '', breaks } = answers.shift() ?? TAKEN
    if (breaks === 'before') return request.socket.destroy()
    if (breaks === 'never') return undefined
    response.writeHead(status, breaks === 'within' ? { ...headers, 'content-length': '1000' } : headers)
    if (breaks !== 'within') return response.end(text)
    response.write(text)
    return setImmediate(() => request.socket.destroy())
  })
})

let endpoint = ''
beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/ingest`
})
afterAll(() => {
  server.closeAllConnections()
  server.close()
})
beforeEach(() => {
  received = []
  answers = []
})

function pipeline(options: Partial<ManagedPipelineOptions> = {}): ManagedPipeline {
  return new ManagedPipeline({ endpoint, authToken: 'secret', ...options })
}

async function failureOf(send: Promise<void>): Promise<ManagedPipelineError> {
  const error = await send.then(
    () => undefined,
    (error: unknown) => error,
  )
  if (error instanceof ManagedPipelineError) return error
  throw new Error(`it did not fail as expected: ${String(error)}`)
}

/** The same event as if it had gone through no outbox. */
function unlog({ epoch: _epoch, lsn: _lsn, txid: _txid, ...rest }: CommittedRecord): EventRecord {
  return rest
}

const idempotencyKeys = (): unknown[] => received.map(({ headers }) => headers['idempotency-key'])

describe('ManagedPipeline', () => {
  it('posts a JSON array of records with the token and a key', async () => {
    await pipeline().send(batch('acme', 3, 4, 5))
    expect(received).toMatchObject([
      {
        headers: {
          'content-type': 'application/json',
          authorization: 'Bearer secret',
          'idempotency-key': `${EPOCH}/3-5`,
        },
        records: batch('acme', 3, 4, 5),
      },
    ])
    expect(received[0]?.headers).not.toHaveProperty('content-encoding')
  })

  it('makes records of events, and refuses one without a source', async () => {
    const event: UnifiedEvent = {
      id: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
      type: 'Customer.created',
      timestamp: '2026-11-22T08:30:00.000Z',
      ns: 'acme',
      correlationId: 'req_1',
      _meta: { schemaVersion: 1, source: 'DO/customers' },
    }
    const { correlationId, ...rest } = event
    await pipeline().send([event])
    expect(received[0]?.records).toEqual([{ ...rest, source: 'DO/customers', correlation_id: correlationId }])
    const { _meta, ...bare } = event
    await expect(pipeline().send([event, bare])).rejects.toMatchObject({ code: 'event-invalid' })
    expect(received).toHaveLength(1)
  })

  it('sends the same key for a repeated batch, and another for any other', async () => {
    const retried = batch('acme', 1, 2).map((one) => ({ ...one, _meta: { ...one._meta, retries: 1 } }))
    const unlogged = batch('acme', 1, 2).map(unlog)
    for (const records of [
      batch('acme', 1, 2),
      retried,
      batch('acme', 1),
      [record('acme', 1, { epoch: NEXT_EPOCH }), record('acme', 2, { epoch: NEXT_EPOCH })],
      batch('acme', 2, 1),
      batch('acme', 1, 3),
      unlogged,
      unlogged,
    ])
      await pipeline().send(records)
    const [first, again, ...others] = idempotencyKeys()
    expect(again).toBe(first)
    expect(others[4]).toBe(others[5])
    expect(new Set([first, ...others]).size).toBe(6)
    for (const key of idempotencyKeys()) expect(key).toMatch(/^[\x21-\x7e]{1,128}$/)
  })

  it('compresses a large body, but none for Basin Pipelines', async () => {
    const large = [record('acme', 1, { data: { body: 'é'.repeat(5_000) } })]
    await pipeline().send(large)
    await pipeline({ minGzipBytes: Infinity }).send(large)
    await pipeline({ minGzipBytes: 0 }).send(batch('acme', 1))
    expect(received.map(({ headers }) => headers['content-encoding'])).toEqual(['gzip', undefined, 'gzip'])
    expect(received.map(({ records }) => records)).toEqual([large, large, batch('acme', 1)])
  })

  it('sends nothing for an empty batch', async () => {
    await pipeline().send([])
    expect(received).toEqual([])
  })

  it.each([429, 500, 502, 503, 408])('takes HTTP %d for a failure to retry', async (status) => {
    answers = [{ status, body: '{"error":"not now"}' }]
    const error = await failureOf(pipeline().send(batch('acme', 1)))
    expect(error).toMatchObject({ retryable: true, status, code: 'pipeline-failed' })
    expect(error.message).toContain('not now')
    expect(readFailure(error).name).toBe('failed')
  })

  it.each([413, 422])('takes HTTP %d for a refusal of the batch', async (status) => {
    answers = [{ status }]
    const error = await failureOf(pipeline().send(batch('acme', 1)))
    expect(error).toMatchObject({ retryable: false, status })
    expect(readFailure(error).name).toBe('refused')
  })

  it.each([400, 401, 403, 404, 405])(
    '[I3] does not blame the events for HTTP %d without the index of one, which the operator has to mend',
    async (status) => {
      answers = [{ status }]
      const error = await failureOf(pipeline().send(batch('acme', 1)))
      expect(error).toMatchObject({ retryable: false, status })
      expect(readFailure(error).name).toBe('failed')
    },
  )

  it.each<[string, number]>([
    ['7', 7],
    [new Date(Date.now() + 60_000).toUTCString(), 60],
  ])('reports when to retry: Retry-After %s', async (header, seconds) => {
    answers = [{ status: 429, headers: { 'retry-after': header } }]
    const { retryAfter = 0 } = await failureOf(pipeline().send(batch('acme', 1)))
    expect(Math.abs(retryAfter - seconds)).toBeLessThanOrEqual(2)
  })

  it.each(['soon', '-1', new Date(0).toUTCString()])('ignores Retry-After %s', async (header) => {
    answers = [{ status: 503, headers: { 'retry-after': header } }]
    expect(await failureOf(pipeline().send(batch('acme', 1)))).toMatchObject({ retryAfter: undefined })
  })

  it.each(['before', 'within'] as const)(
    'does not know the outcome if the connection breaks %s the answer',
    async (breaks) => {
      answers = [{ breaks, body: '{"succ' }]
      expect(await failureOf(pipeline().send(batch('acme', 1)))).toMatchObject({ retryable: true })
    },
  )

  it('waits no longer for an answer than configured', async () => {
    answers = [{ breaks: 'never' }]
    const error = await failureOf(pipeline({ timeoutMs: 50 }).send(batch('acme', 1)))
    expect(error).toMatchObject({ code: 'pipeline-timeout', retryable: true })
  })

  it.each(['<html>Welcome to the airport</html>', '{"success":false,"errors":["no"]}'])(
    'does not take 200 with %s for an acceptance',
    async (body) => {
      answers = [{ body }]
      expect(await failureOf(pipeline().send(batch('acme', 1)))).toMatchObject({ retryable: true })
    },
  )

  it.each([{}, { status: 202 }, { status: 204 }, { body: '{}' }])('takes %j for an acceptance', async (answer) => {
    answers = [answer]
    await expect(pipeline().send(batch('acme', 1))).resolves.toBeUndefined()
  })

  it('[I7] reads no more of an answer than it needs', async () => {
    answers = [{ status: 500, body: 'x'.repeat(5_000_000) }]
    expect((await failureOf(pipeline().send(batch('acme', 1)))).message.length).toBeLessThan(1_000)
  })

  it('follows no redirect, so that the token goes nowhere else', async () => {
    answers = [{ status: 307, headers: { location: `${endpoint}/elsewhere` } }]
    expect((await failureOf(pipeline().send(batch('acme', 1)))).message).toContain('not followed')
    expect(received).toHaveLength(1)
  })

  it('[I4] sends a batch that is too large in two halves, in order, down to the event that is', async () => {
    answers = [{ status: 413 }, { status: 413 }, TAKEN, TAKEN, { status: 413 }, TAKEN, { status: 413 }]
    const error = await failureOf(pipeline().send(batch('acme', 1, 2, 3, 4)))
    expect(received.map(({ records }) => records.map(({ lsn }) => lsn))).toEqual([
      [1, 2, 3, 4],
      [1, 2],
      [1],
      [2],
      [3, 4],
      [3],
      [4],
    ])
    expect(readFailure(error).name).toBe('refused')
  })

  it('asks for another token if one is refused, once', async () => {
    const tokens = ['old', 'new', 'newer']
    const fresh = pipeline({ authToken: async () => tokens.shift() ?? '' })
    answers = [{ status: 401 }, TAKEN, { status: 401 }, { status: 401 }]
    await fresh.send(batch('acme', 1))
    expect(received.map(({ headers }) => headers.authorization)).toEqual(['Bearer old', 'Bearer new'])
    expect(idempotencyKeys()[0]).toBe(idempotencyKeys()[1])
    tokens.push('newest')
    expect(await failureOf(fresh.send(batch('acme', 2)))).toMatchObject({ status: 401 })
    expect(received).toHaveLength(4)
  })

  it('keeps the token out of an error about it', async () => {
    const error: unknown = await pipeline({ authToken: 'sec ret' })
      .send(batch('acme', 1))
      .catch((error: unknown) => error)
    expect(error).toMatchObject({ code: 'invalid-config' })
    expect(String(error)).not.toContain('sec ret')
    await pipeline({ authToken: 'secret\n' }).send(batch('acme', 1))
    expect(received.map(({ headers }) => headers.authorization)).toEqual(['Bearer secret'])
  })

  it('[I8] sends no event of another ns than its own, and blames the configuration', async () => {
    const own = pipeline({ namespace: 'acme.*' })
    await own.send(batch('acme.shop', 1))
    for (const ns of ['acme', 'acmee.shop', 'other', 'ACME.shop'])
      expect(readFailure(await failureOf(own.send([record('acme.shop', 1), record(ns, 2)]))).name).toBe('failed')
    expect(received).toHaveLength(1)
  })

  it.each([
    [{ endpoint: 'http://events.example.com/ingest' }, 'unencrypted'],
    [{ endpoint: 'nonsense' }, 'not a URL'],
    [{ endpoint: 'https://user:word@example.com' }, 'authToken'],
    [{ namespace: 'a*' }, 'namespace'],
    [{ timeoutMs: 0 }, 'timeoutMs'],
  ])('refuses the options %j', (options, problem) => {
    expect(() => pipeline(options)).toThrow(expect.objectContaining({ code: 'invalid-config' }))
    expect(() => pipeline(options)).toThrow(problem)
  })
})
