import { env } from 'cloudflare:workers'
import { runDurableObjectAlarm } from 'cloudflare:test'
import { subscribe, toWebhook, type WebhookOptions } from 'durable-outbox/subscriptions'
import { Webhook } from 'standardwebhooks'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { failureOf, inNotes } from '../notes.ts'
import { configurations } from '../worker.ts'

const SECRETS = [1, 2].map((fill) => `whsec_${new Uint8Array(32).fill(fill).toBase64()}`)
const [SECRET = '', NEXT_SECRET = ''] = SECRETS
const URL_ = 'https://hooks.example.com/events'
const DAY_MS = 24 * 3_600_000

interface Received {
  readonly url: string
  readonly init: RequestInit
  readonly headers: Record<string, string>
  readonly body: string
  readonly event: { id: string; type: string; lsn: number; data?: unknown }
}

/** What the server at the other end has received, and what it answers. */
let received: Received[] = []
let answer: (request: Received) => Response | Promise<Response> = () => new Response(null, { status: 204 })

beforeEach(() => {
  received = []
  answer = () => new Response(null, { status: 204 })
  vi.stubGlobal('fetch', async (url: string, init: RequestInit & { body: string; headers: Record<string, string> }) => {
    const event = JSON.parse(init.body) as Received['event']
    const request = { url, init, headers: init.headers, body: init.body, event }
    received.push(request)
    await scheduler.wait(0)
    return answer(request)
  })
})

afterEach(() => vi.unstubAllGlobals())

/** An object with a webhook, and a clock that the test moves. */
function configure(name: string, options: Partial<WebhookOptions> = {}): { nowMs: number } {
  const time = { nowMs: Date.now() + 365 * DAY_MS }
  configurations.set(name, {
    lingerMs: 100,
    minRetryDelayMs: 500,
    maxRetryDelayMs: 60_000,
    sendTimeoutMs: 20_000,
    now: () => time.nowMs,
    subscriptions: subscribe([{ name: 'hook', target: toWebhook({ url: URL_, secrets: SECRET, ...options }) }]),
  })
  return time
}

async function emit(name: string, ...types: string[]): Promise<void> {
  await inNotes(name, (notes) => {
    for (const type of types) notes.ctx.transactionSync((tx) => tx.emit({ type, data: { text: 'ünïcode' } }))
  })
}

async function alarm(name: string): Promise<void> {
  await runDurableObjectAlarm(env.NOTES.getByName(name))
}

const typesOf = (): string[] => received.map(({ event }) => event.type)

describe('a webhook', () => {
  it('gets each event as a POST of its own, signed so that the library of the specification accepts it', async () => {
    configure('signed')
    await emit('signed', 'Order.placed', 'Order.sent')
    await alarm('signed')
    expect(received.map(({ url, init }) => [url, init.method, init.redirect])).toEqual([
      [URL_, 'POST', 'manual'],
      [URL_, 'POST', 'manual'],
    ])
    for (const [index, { body, headers, event }] of received.entries()) {
      expect(new Webhook(SECRET).verify(body, headers)).toEqual(event)
      expect(() => new Webhook(SECRET).verify(`${body} `, headers)).toThrow('No matching signature')
      expect(event).toMatchObject({
        ns: 'signed',
        lsn: index + 1,
        data: { text: 'ünïcode' },
        _meta: { source: 'DO/Notes' },
      })
      expect(headers['webhook-id']).toBe(event.id)
      expect(headers['content-type']).toBe('application/json')
    }
  })

  it('is signed with each of several secrets', async () => {
    configure('rotated', { secrets: SECRETS })
    await emit('rotated', 'A')
    await alarm('rotated')
    const [{ body, headers } = { body: '', headers: {} }] = received
    for (const secret of SECRETS) expect(() => new Webhook(secret).verify(body, headers)).not.toThrow()
    configure('rotated-before', { secrets: NEXT_SECRET })
    await emit('rotated-before', 'A')
    await alarm('rotated-before')
    const { body: other = '', headers: otherHeaders = {} } = received[1] ?? {}
    expect(() => new Webhook(SECRET).verify(other, otherHeaders)).toThrow('No matching signature')
  })

  it('[I3] that is down for an hour gets all, in order, under the same ids; what it has taken is not sent again', async () => {
    const time = configure('down')
    answer = ({ event }) => new Response('later', { status: event.type === 'B' ? 503 : 200 })
    await emit('down', 'A', 'B', 'C')
    for (let minute = 0; minute < 60; minute += 3) {
      await alarm('down')
      time.nowMs += 3 * 60_000
    }
    expect(typesOf().filter((type) => type !== 'B')).toEqual(['A'])
    expect(new Set(received.map(({ headers }) => headers['webhook-id'])).size).toBe(2)
    answer = () => new Response('ok')
    await alarm('down')
    expect(typesOf().slice(-2)).toEqual(['B', 'C'])
    const [stats] = await inNotes('down', ({ outbox }) => outbox.subscriptions())
    expect(stats).toMatchObject({ status: 'live', deliveredEvents: 3, pendingEvents: 0 })
    expect(stats?.deliveries).toMatchObject([{ status: 'delivered', events: 2, firstLSN: 2, attempts: 21 }])
  })

  it.each([413, 422])('[I3] makes a dead letter of an event by the status %i, and of no other', async (status) => {
    const name = `verdict-${status}`
    configure(name)
    answer = ({ event }) => new Response('no such field', { status: event.type === 'Bad' ? status : 200 })
    await emit(name, 'A', 'B', 'Bad', 'C', 'D')
    await alarm(name)
    // Once with the others of its batch, and once alone.
    expect(typesOf()).toEqual(['A', 'B', 'Bad', 'Bad', 'C', 'D'])
    const { items } = await inNotes(name, ({ outbox }) => outbox.deadLetters({ subscription: 'hook' }))
    expect(items).toMatchObject([{ lsn: 3, reason: `the webhook answered ${status}: no such field` }])
  })

  it.each([301, 400, 401, 403, 404, 408, 409, 429, 500, 502])('tries again after the status %i', async (status) => {
    const name = `again-${status}`
    const time = configure(name)
    answer = () =>
      new Response('x'.repeat(100_000), { status, headers: { location: 'https://elsewhere.example.com/' } })
    await emit(name, 'A')
    await alarm(name)
    answer = () => new Response('ok')
    time.nowMs += 60_000
    await alarm(name)
    expect(typesOf()).toEqual(['A', 'A'])
    expect(received.every(({ url }) => url === URL_)).toBe(true)
    const [stats] = await inNotes(name, ({ outbox }) => outbox.subscriptions())
    expect(stats).toMatchObject({ deadLetters: 0, deliveredEvents: 1 })
  })

  it('is obeyed when it asks to be left alone for a while, and disabled by 410', async () => {
    const time = configure('after')
    answer = () => new Response(null, { status: 503, headers: { 'retry-after': '1200' } })
    await emit('after', 'A')
    await alarm('after')
    expect(await inNotes('after', ({ ctx }) => ctx.storage.getAlarm())).toBe(time.nowMs + 1_200_000)
    answer = () => new Response(null, { status: 410 })
    time.nowMs += 1_200_000
    await alarm('after')
    const [stats] = await inNotes('after', ({ outbox }) => outbox.subscriptions())
    expect(stats?.status).toMatch(/^disabled since .*: the webhook answered 410/)
  })

  it('counts as failed if it does not answer in time', async () => {
    configure('slow', { timeoutMs: 20 })
    answer = async ({ init }) => {
      await new Promise((_, reject) =>
        init.signal?.addEventListener('abort', () => reject(init.signal?.reason as Error)),
      )
      return new Response()
    }
    await emit('slow', 'A')
    await alarm('slow')
    const [stats] = await inNotes('slow', ({ outbox }) => outbox.subscriptions())
    expect(stats?.status).toMatch(/^failing since .*did not answer in 20 ms/)
  })

  it('[I3] leaves the rest for later if half of the time is over, without a failure', async () => {
    const time = configure('long')
    answer = () => {
      time.nowMs += 6_000
      return new Response('ok')
    }
    await emit('long', 'A', 'B', 'C', 'D', 'E')
    for (let alarms = 0; alarms < 3; alarms += 1) await alarm('long')
    expect(typesOf()).toEqual(['A', 'B', 'C', 'D', 'E'])
    const [stats] = await inNotes('long', ({ outbox }) => outbox.subscriptions())
    expect(stats?.deliveries.map(({ status, events }) => [status, events])).toEqual([
      ['delivered', 1],
      ['delivered', 2],
      ['delivered', 2],
    ])
  })
})

describe('the options of a webhook', () => {
  it.each([
    'http://hooks.example.com/',
    'ftp://hooks.example.com/',
    'not a url',
    'https://user:password@hooks.example.com/',
    'https://localhost/',
    'https://localhost./',
    'https://app.localhost/',
    'https://printer.local/',
    'https://metadata.google.internal/computeMetadata/v1/',
    'https://router/',
    'https://nas.home.arpa/',
    'https://127.0.0.1/',
    'https://127.1/',
    'https://2130706433/',
    'https://0x7f000001/',
    'https://0177.0.0.1/',
    'https://0.0.0.0/',
    'https://10.1.2.3/',
    'https://172.16.0.1/',
    'https://172.31.255.255/',
    'https://192.168.1.1/',
    'https://169.254.169.254/latest/meta-data/',
    'https://100.64.0.1/',
    'https://198.18.0.1/',
    'https://224.0.0.1/',
    'https://255.255.255.255/',
    'https://[::1]/',
    'https://[::]/',
    'https://[fe80::1]/',
    'https://[fd00::1]/',
    'https://[::ffff:127.0.0.1]/',
    'https://[::ffff:a9fe:a9fe]/',
    'https://[64:ff9b::7f00:1]/',
    'https://[2002:7f00:1::]/',
  ])('refuse %s', async (url) => {
    expect(await failureOf(() => toWebhook({ url, secrets: SECRET }))).toMatchObject({ code: 'invalid-config' })
  })

  it.each(['https://hooks.example.com/a?b=c', 'https://1.1.1.1/', 'https://[2606:4700::1111]/', 'https://172.32.0.1/'])(
    'take %s',
    (url) => {
      expect(() => toWebhook({ url, secrets: SECRET })).not.toThrow()
    },
  )

  it.each(['http://localhost:8787/', 'https://10.0.0.1/', 'http://[::1]:3000/'])('take %s with allowPrivate', (url) => {
    expect(() => toWebhook({ url, secrets: SECRET, allowPrivate: true })).not.toThrow()
  })

  it.each([
    ['', 'whsec_'],
    ['MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'whsec_'],
    ['whsec_not base64', 'whsec_'],
    [`whsec_${new Uint8Array(8).toBase64()}`, '8 bytes'],
    [`whsec_${new Uint8Array(65).toBase64()}`, '65 bytes'],
  ])('refuse the secret %j without showing it', async (secret, problem) => {
    const { message } = await failureOf(() => toWebhook({ url: URL_, secrets: secret }))
    expect(message).toContain(problem)
    if (secret !== '') expect(message).not.toContain(secret.replace('whsec_', ''))
  })

  it('refuse no secret, and no time', async () => {
    expect((await failureOf(() => toWebhook({ url: URL_, secrets: [] }))).message).toContain('secrets is empty')
    expect((await failureOf(() => toWebhook({ url: URL_, secrets: SECRET, timeoutMs: 0 }))).message).toContain(
      'timeoutMs',
    )
  })
})
