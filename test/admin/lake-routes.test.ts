import { lakeRoutes, type RepairableLake } from 'durable-outbox/admin'
import { Hono } from 'hono'
import { describe, expect, it } from 'vitest'

const TOKEN = 'a token of the test'

/** What the lake was asked to repair. */
const asked: unknown[] = []

interface Env {
  ADMIN_TOKEN?: string
  EVENTS_PIPELINE: RepairableLake
}

const lake: Env['EVENTS_PIPELINE'] = {
  status: () => ({ version: 3 }),
  repair: (suspects) => {
    asked.push(suspects)
    return { goneFiles: 1, forgotten: [] }
  },
  recover: (isDryRun) => {
    asked.push(isDryRun)
    return { isDone: !isDryRun }
  },
}

// As docs/verifying.md shows it.
const app = new Hono<{ Bindings: Env }>()
app.route(
  '/lake',
  lakeRoutes<Env>((env) => env.EVENTS_PIPELINE),
)

async function call(method: string, path: string, given: { token?: string; body?: string; ADMIN_TOKEN?: string } = {}) {
  const { token = TOKEN, body, ADMIN_TOKEN = TOKEN } = given
  const init = { method, headers: { authorization: `Bearer ${token}` }, ...(body !== undefined && { body }) }
  const response = await app.request(path, init, { ADMIN_TOKEN, EVENTS_PIPELINE: lake })
  return { status: response.status, body: await response.json() }
}

describe('lakeRoutes', () => {
  it('answer with the status and the repair of the lake', async () => {
    expect(await call('GET', '/lake')).toEqual({ status: 200, body: { version: 3 } })
    expect(await call('POST', '/lake/repair', { body: '[{"ns":"acme"}]' })).toMatchObject({
      status: 200,
      body: { goneFiles: 1 },
    })
    expect(asked.at(-1)).toEqual([{ ns: 'acme' }])
  })

  it('recover only if told whether that is a dry run', async () => {
    expect(await call('POST', '/lake/recover', { body: '{"isDryRun":false}' })).toEqual({
      status: 200,
      body: { isDone: true },
    })
    const before = asked.length
    for (const body of ['', '{}', '{"isDryRun":"no"}'])
      expect(await call('POST', '/lake/recover', { body })).toMatchObject({
        status: 400,
        body: { code: 'invalid-argument' },
      })
    expect(asked).toHaveLength(before)
  })

  it.each([
    ['GET', '/lake'],
    ['POST', '/lake/repair'],
    ['POST', '/lake/recover'],
  ])('[I8] are closed for %s %s until a token is set, and then to those without it', async (method, path) => {
    const before = asked.length
    for (const ADMIN_TOKEN of ['', ' \n'])
      expect(await call(method, path, { ADMIN_TOKEN })).toMatchObject({ status: 403, body: { code: 'forbidden' } })
    expect(await call(method, path, { token: 'another' })).toMatchObject({
      status: 401,
      body: { code: 'unauthorized' },
    })
    expect(asked).toHaveLength(before)
  })
})
