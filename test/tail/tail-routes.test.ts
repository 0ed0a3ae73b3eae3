import { env } from 'cloudflare:workers'
import { tailRoutes } from 'durable-outbox/tail'
import { SignJWT } from 'jose'
import { describe, expect, it, vi } from 'vitest'
import { tokenOf } from '../ingest/client.ts'
import { inNotes } from '../notes.ts'
import { clientOf, lsnsOf, type TailClient } from './client.ts'

const ADMIN_TOKEN = 'an admin token of more than 32 characters'
const ADMIN = { authorization: `Bearer ${ADMIN_TOKEN}` }
const READER = { authorization: 'Bearer the-readers-token' }
const SOON = { timeout: 5_000, interval: 5 }

const app = tailRoutes<typeof env>((bindings, className, object) =>
  className === 'notes' ? bindings.NOTES.getByName(object) : undefined,
)
const tokens = [await tokenOf('the-readers-token', ['acme.*', 'acme'])]
const configured = { ...env, ADMIN_TOKEN, TAIL_TOKENS: JSON.stringify(tokens), TAIL_ORIGINS: 'https://app.example' }

function ask(
  path: string,
  headers: Record<string, string>,
  { method = 'GET', bindings = configured }: { method?: string; bindings?: object } = {},
) {
  return Promise.resolve(
    app.fetch(new Request(`https://outbox.example${path}`, { method, headers }), bindings as typeof env),
  )
}

const UPGRADE = { upgrade: 'websocket' }

async function open(path: string, headers: Record<string, string>): Promise<TailClient> {
  const { webSocket, status } = await ask(path, { ...UPGRADE, ...headers })
  if (webSocket === null) throw new Error(`${status}`)
  return clientOf(webSocket, true)
}

async function refusalOf(answer: Promise<Response>): Promise<{ status: number; code?: string }> {
  const response = await answer
  const { code } = await response.json<{ code: string }>()
  return { status: response.status, code }
}

/** Reads events from a stream of them until there are so many, and what was sent. */
async function readStream(response: Response, events: number): Promise<string> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  while ((text.match(/^data: \{"/gm)?.length ?? 0) < events) text += (await reader?.read())?.value ?? ''
  await reader?.cancel()
  return text
}

describe('the routes of a tail', () => {
  it('open a socket for the admin, from any LSN', async () => {
    await inNotes('route', (notes) => ['a', 'b', 'c'].forEach((text) => notes.write(text)))
    const client = await open('/notes/route?from=2', ADMIN)
    await vi.waitFor(() => expect(lsnsOf(client)).toEqual([2, 3]), SOON)
    client.close()
  })

  it.each([
    ['without a token', {}, 401, 'unauthorized'],
    ['with another token', { authorization: 'Bearer another' }, 401, 'unauthorized'],
    ['with a token for another ns', READER, 403, 'forbidden'],
    ['from a page of another origin', { ...ADMIN, origin: 'https://evil.example' }, 403, 'origin-refused'],
  ])('[I8] refuse a socket %s', async (_, headers: Record<string, string>, status, code) => {
    expect(await refusalOf(ask('/notes/globex', { ...UPGRADE, ...headers }))).toEqual({ status, code })
  })

  it('[I8] are closed until a token is configured', async () => {
    const bindings = { ...env }
    expect(await refusalOf(ask('/notes/acme', { ...UPGRADE, ...ADMIN }, { bindings }))).toMatchObject({ status: 403 })
    const invalid = { ...env, TAIL_TOKENS: '[{"name":"a"}]' }
    expect(await refusalOf(ask('/notes/acme', { ...UPGRADE, ...READER }, { bindings: invalid }))).toMatchObject({
      status: 403,
    })
  })

  it('[I8] open for a token that covers the ns of the object', async () => {
    await inNotes('acme', (notes) => notes.write('a'))
    const client = await open('/notes/acme?from=1', READER)
    await vi.waitFor(() => expect(lsnsOf(client)).toEqual([1]), SOON)
    client.close()
  })

  it('[I8] give a browser a ticket, which opens one object for a minute', async () => {
    await inNotes('acme', (notes) => notes.write('a'))
    const answer = await ask('/notes/acme/ticket', READER, { method: 'POST' })
    const { ticket, expiresMs } = await answer.json<{ ticket: string; expiresMs: number }>()
    expect(expiresMs).toBeLessThanOrEqual(Date.now() + 60_000)
    const protocol = { 'sec-websocket-protocol': `durable-outbox, ${ticket}` }
    const response = await ask('/notes/acme', { ...UPGRADE, ...protocol, origin: 'https://app.example' })
    expect({ status: response.status, protocol: response.headers.get('sec-websocket-protocol') }).toEqual({
      status: 101,
      protocol: 'durable-outbox',
    })
    response.webSocket?.accept()
    response.webSocket?.close()
    expect(await refusalOf(ask('/notes/globex', { ...UPGRADE, ...protocol }))).toMatchObject({ status: 401 })
    expect(
      await refusalOf(ask('/notes/acme/ticket', { authorization: `Bearer ${ticket}` }, { method: 'POST' })),
    ).toMatchObject({ status: 401 })
    const { NOTES } = env
    const id = NOTES.idFromName('acme').toString()
    const sign = (key: string, expires: string) =>
      new SignJWT()
        .setProtectedHeader({ alg: 'HS256', typ: 'tail-ticket' })
        .setAudience(id)
        .setExpirationTime(expires)
        .sign(new TextEncoder().encode(key))
    for (const forged of [await sign(ADMIN_TOKEN, '-1s'), await sign('a guess of the token of 32 characters', '60s')])
      expect(
        await refusalOf(ask('/notes/acme', { ...UPGRADE, 'sec-websocket-protocol': `durable-outbox, ${forged}` })),
      ).toMatchObject({ status: 401 })
    const weak = { ...configured, ADMIN_TOKEN: 'short' }
    expect(await refusalOf(ask('/notes/acme/ticket', READER, { method: 'POST', bindings: weak }))).toMatchObject({
      status: 403,
    })
  })

  it.each([
    ['/notes/route?from=x', 400],
    ['/notes/route?after=x', 400],
    ['/notes/route?from=1&after=01ARZ3NDEKTSV4RRFFQ69G5FAV/1', 400],
    ['/notes/route?others=1', 400],
    [`/notes/route?type=${'x'.repeat(301)}`, 400],
    ['/others/route', 404],
    ['/notes', 404],
  ])('refuse %s with %i', async (path, status) => {
    expect((await ask(path, { ...UPGRADE, ...ADMIN })).status).toBe(status)
  })

  it('tell a client without a socket what they need', async () => {
    expect(await refusalOf(ask('/notes/route', ADMIN))).toEqual({ status: 426, code: 'upgrade-required' })
  })

  it('send server-sent events, and continue after the last id', async () => {
    await inNotes('stream', (notes) => ['a', 'b', 'c'].forEach((text) => notes.write(text)))
    const accept = { accept: 'text/event-stream', ...ADMIN, origin: 'https://app.example' }
    const response = await ask('/notes/stream?from=1', accept)
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'content-type': 'text/event-stream; charset=utf-8',
      'access-control-allow-origin': 'https://app.example',
    })
    const text = await readStream(response, 3)
    const ids = Array.from(text.matchAll(/^id: (.*)$/gm), ([, id = '']) => id)
    expect(ids.map((id) => id.split('/')[1])).toEqual(['0', '1', '2', '3'])
    const again = await readStream(await ask('/notes/stream?from=1', { ...accept, 'last-event-id': ids[2] ?? '' }), 1)
    expect(JSON.parse(/^data: (\{".*)$/m.exec(again)?.[1] ?? '')).toMatchObject({ lsn: 3, data: { text: 'c' } })
  })

  it('let a page of a known origin ask before it asks', async () => {
    const headers = { origin: 'https://app.example', 'access-control-request-headers': 'authorization' }
    const response = await ask('/notes/stream', headers, { method: 'OPTIONS' })
    expect(response.status).toBe(204)
    expect(response.headers.get('access-control-allow-headers')).toContain('authorization')
  })
})
