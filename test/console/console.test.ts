// The console's pages as a browser asks for them.

import { env } from 'cloudflare:workers'
import { runDurableObjectAlarm } from 'cloudflare:test'
import { consoleRoutes } from 'durable-outbox/console'
import { Hono } from 'hono'
import { beforeAll, describe, expect, it } from 'vitest'
import { inNotes } from '../notes.ts'
import { configurations } from '../worker.ts'

const ORIGIN = 'https://console.test'
const TOKEN = 'a token of the test'
const bindings = { ADMIN_TOKEN: TOKEN, OUTBOX_FLEET: env.FLEET }
const EVIL = '<script>alert(1)</script>'
const lake = { status: () => ({ bufferedEvents: 3, isBehind: true }) }
const app = new Hono<{ Bindings: typeof bindings }>()
app.route('/console', consoleRoutes({ find: () => env.NOTES, lake: () => lake }))

let cookie = ''

async function ask(path: string, init: RequestInit = {}, more: object = bindings): Promise<Response> {
  const headers = {
    cookie,
    ...(init.method === 'POST' && { origin: ORIGIN }),
    ...(init.headers as Record<string, string>),
  }
  return app.request(`${ORIGIN}/console${path}`, { redirect: 'manual', ...init, headers }, more)
}

async function textOf(path: string): Promise<string> {
  const response = await ask(path)
  expect(response.status).toBe(200)
  return response.text()
}

function post(path: string, form: Record<string, string>, headers: Record<string, string> = {}): Promise<Response> {
  return ask(path, { method: 'POST', body: new URLSearchParams(form), headers })
}

/** The page of an object. */
function pageOf(name: string): string {
  return `/object/${env.NOTES.idFromName(name).toString()}`
}

async function join(name: string): Promise<void> {
  configurations.set(name, {
    retentionMs: 3_600_000,
    fleet: {
      report: async (member, trouble) => {
        const shard = Number.parseInt(member.id.slice(-4), 16) % 8
        await env.FLEET.getByName(`fleet-${shard}`).report(member, trouble)
      },
    },
  })
  await inNotes(name, (notes) => notes.write(EVIL))
  await runDurableObjectAlarm(env.NOTES.getByName(name))
}

beforeAll(async () => {
  await join('acme')
  await join(EVIL)
})

describe('[I8] the console', () => {
  it('lets nobody in without the token, and nobody while there is none', async () => {
    for (const path of ['', '/lake', pageOf('acme'), `${pageOf('acme')}/newer`]) {
      const response = await ask(path)
      expect([response.status, response.headers.get('location')]).toEqual([303, '/console/sign-in'])
    }
    expect((await post(`${pageOf('acme')}/do`, { action: 'pause' })).status).toBe(403)
    expect((await post('/sign-in', { token: 'wrong' })).status).toBe(401)
    const closed = await ask('/sign-in', {}, { OUTBOX_FLEET: env.FLEET })
    expect(await closed.text()).toContain('ADMIN_TOKEN is not set')
    const forged = await ask('', { headers: { cookie: 'outbox_console=9999999999.AAAA' } })
    expect(forged.status).toBe(303)
  })

  it('signs in with a cookie that no script and no other site gets', async () => {
    const response = await post('/sign-in', { token: ` ${TOKEN}\n` })
    expect(response.status).toBe(303)
    const set = response.headers.get('set-cookie') ?? ''
    for (const flag of ['Path=/console;', 'HttpOnly', 'Secure', 'SameSite=Strict', 'Max-Age=43200'])
      expect(set).toContain(flag)
    expect(set).not.toContain(TOKEN)
    cookie = set.split(';', 1)[0] ?? ''
    expect((await ask('')).status).toBe(200)
  })

  it('takes no form from another site', async () => {
    const form = { action: 'pause' }
    for (const origin of ['https://evil.test', 'null'])
      expect((await post(`${pageOf('acme')}/do`, form, { origin })).status).toBe(403)
    await inNotes('acme', (notes) => expect(notes.outbox.stats().isPaused).toBe(false))
  })

  it('lets a page load nothing from elsewhere, and nobody frame it', async () => {
    const policy = (await ask('')).headers.get('content-security-policy')
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe')
    expect(await textOf('')).not.toMatch(/https?:\/\/(?!console\.test)/)
  })
})

describe('the pages', () => {
  it('list the fleet, with what others wrote as text', async () => {
    const text = await textOf('')
    expect(text).toContain('>acme</a>')
    expect(text).toContain('&lt;script&gt;alert(1)&lt;/script&gt;</a>')
    expect(text).not.toContain(EVIL)
  })

  it("show an object's log, newest first, and what has come since", async () => {
    const text = await textOf(pageOf('acme'))
    expect(text).toContain('Note.written')
    expect(text).toContain('&lt;script&gt;alert(1)')
    expect(text).not.toContain(EVIL)
    await inNotes('acme', (notes) => notes.write('second'))
    const newer = await ask(`${pageOf('acme')}/newer?after=1`)
    expect(newer.headers.get('x-last-lsn')).toBe('2')
    expect(await newer.text()).toContain('second')
    expect(await textOf(`${pageOf('acme')}?type=Other`)).toContain('No events.')
  })

  it('pause and resume an object', async () => {
    expect((await post(`${pageOf('acme')}/do`, { action: 'pause' })).status).toBe(303)
    expect(await textOf(pageOf('acme'))).toContain('Paused: events are captured')
    expect((await post(`${pageOf('acme')}/do`, { action: 'resume' })).status).toBe(303)
    await inNotes('acme', (notes) => expect(notes.outbox.stats().isPaused).toBe(false))
  })

  it('show dead letters with the reason, and discard one only with a reason', async () => {
    await join('console poisoned')
    await inNotes('console poisoned', (notes) => notes.ctx.transactionSync((tx) => tx.emit({ type: 'Poison' })))
    await runDurableObjectAlarm(env.NOTES.getByName('console poisoned'))
    const text = await textOf(pageOf('console poisoned'))
    expect(text).toContain('the batch contains poison')
    const id = /name="id" value="([^"]+)"/.exec(text)?.[1] ?? ''
    const refused = await post(`${pageOf('console poisoned')}/do`, { action: 'discard', id, reason: '' })
    expect(await refused.text()).toContain('outbox.discard: reason')
    expect((await post(`${pageOf('console poisoned')}/do`, { action: 'discard', id, reason: 'a test' })).status).toBe(
      303,
    )
    expect(await textOf(pageOf('console poisoned'))).toContain('The pipeline has refused nothing.')
  })

  it('show the lake, and say what is wrong with it', async () => {
    const text = await textOf('/lake')
    expect(text).toContain('bufferedEvents')
    expect(text).toContain('The lake is behind')
  })

  it('say that there is no such object, page or action', async () => {
    expect(await (await ask('/object/00')).text()).toContain('the fleet knows no object 00')
    expect((await ask('/nowhere')).status).toBe(404)
    expect(await (await post(`${pageOf('acme')}/do`, { action: 'constructor' })).text()).toContain('no such action')
  })

  it('sign out', async () => {
    const response = await post('/sign-out', {})
    expect(response.headers.get('set-cookie')).toMatch(/outbox_console=; Max-Age=0; Path=\/console/)
  })
})
