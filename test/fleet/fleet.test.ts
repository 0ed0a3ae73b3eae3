// Objects make themselves known to the fleet, and the fleet is asked over HTTP.

import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import type { CDCOptions } from 'durable-outbox'
import { fleetRoutes, type Member, metricsRoutes, type OutboxFleet, type Trouble } from 'durable-outbox/fleet'
import { setFate } from 'durable-outbox/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { inNotes } from '../notes.ts'
import { configurations } from '../worker.ts'

const TOKEN = 'a token of the test'
const bindings = { ADMIN_TOKEN: TOKEN, METRICS_TOKEN: 'metrics', OUTBOX_FLEET: env.FLEET }
const app = fleetRoutes((className) => (className === 'Notes' ? env.NOTES : undefined))

/** What objects have told, in order. */
let told: { member: Member; trouble: Trouble | undefined }[] = []
let isFleetDown = false
let nowMs = 0

/** Lets an object tell the fleet of itself. */
function join(name: string, options: CDCOptions = {}): void {
  configurations.set(name, {
    retentionMs: 3_600_000,
    now: () => nowMs,
    fleet: {
      async report(member, trouble) {
        if (isFleetDown) throw new Error('the fleet is down')
        told.push({ member, trouble })
        await shardOf(member.id).report(member, trouble)
      },
    },
    ...options,
  })
}

function shardOf(id: string) {
  return env.FLEET.getByName(`fleet-${Number.parseInt(id.slice(-4), 16) % 8}`)
}

async function write(name: string): Promise<void> {
  await inNotes(name, (notes) => notes.write('Hello'))
}

async function alarm(name: string): Promise<void> {
  await runDurableObjectAlarm(env.NOTES.getByName(name))
}

async function post(
  path: string,
  body: object,
): Promise<{ status: number; body: { members: unknown[]; next?: string } }> {
  const response = await app.request(
    path,
    { method: 'POST', headers: { authorization: `Bearer ${TOKEN}` }, body: JSON.stringify(body) },
    bindings,
  )
  return { status: response.status, body: await response.json() }
}

/** All pages of a request. */
async function all(path: string, body: object): Promise<unknown[]> {
  const members: unknown[] = []
  let after: string | undefined
  do {
    const answer = await post(path, { ...body, after })
    expect(answer.status).toBe(200)
    members.push(...answer.body.members)
    after = answer.body.next
  } while (after !== undefined)
  return members
}

beforeEach(async () => {
  told = []
  isFleetDown = false
  nowMs = Date.now()
  for (let shard = 0; shard < 8; shard += 1)
    await runInDurableObject(env.FLEET.getByName(`fleet-${shard}`), (_, { storage }) => {
      storage.sql.exec('DELETE FROM fleet_member')
    })
})

describe('an object', () => {
  it('makes itself known once in its life, after the relay, and again in a new epoch', async () => {
    join('member')
    await write('member')
    expect(told).toEqual([])
    await alarm('member')
    const id = env.NOTES.idFromName('member').toString()
    expect(told).toMatchObject([
      { member: { id, className: 'Notes', name: 'member', ns: 'member', source: 'DO/Notes' }, trouble: undefined },
    ])
    await write('member')
    await alarm('member')
    await evictDurableObject(env.NOTES.getByName('member'))
    await write('member')
    await alarm('member')
    expect(told).toHaveLength(1)
    await inNotes('member', (notes) => notes.empty())
    await write('member')
    await alarm('member')
    expect(told).toHaveLength(2)
    expect(told[1]?.member.epoch).not.toBe(told[0]?.member.epoch)
  })

  it('notes in its own database that it is known', async () => {
    join('row')
    await write('row')
    await alarm('row')
    await inNotes('row', async (notes) => {
      const exec = notes.ctx.storage.sql
      expect(exec.exec('SELECT fleet = epoch AS isKnown FROM _cdc_state').one()).toEqual({ isKnown: 1 })
    })
  })

  it('tells of a batch that fails, once a minute, and when it is over', async () => {
    join('failing')
    setFate('failing', 'full')
    await write('failing')
    await alarm('failing')
    await alarm('failing')
    // It is known, and two failures are nothing yet.
    expect(told).toMatchObject([{ trouble: undefined }])
    await alarm('failing')
    expect(told[1]?.trouble).toMatchObject({ pendingEvents: 1, failures: 3, deadLetters: 0, isPaused: false })
    await alarm('failing')
    expect(told).toHaveLength(2)
    nowMs += 60_000
    await alarm('failing')
    expect(told[2]?.trouble).toMatchObject({ failures: 5 })
    await evictDurableObject(env.NOTES.getByName('failing'))
    setFate('failing', 'accept')
    await alarm('failing')
    expect(told).toHaveLength(4)
    expect(told[3]?.trouble).toBeUndefined()
    expect(await all('/list', { isTroubled: true })).toEqual([])
  })

  it('tells of dead letters until they are gone', async () => {
    join('fleet poisoned')
    await inNotes('fleet poisoned', (notes) => notes.ctx.transactionSync((tx) => tx.emit({ type: 'Poison' })))
    await alarm('fleet poisoned')
    expect(told.at(-1)?.trouble).toMatchObject({ deadLetters: 1 })
    expect(await all('/list', { isTroubled: true })).toMatchObject([
      { name: 'fleet poisoned', trouble: { deadLetters: 1 } },
    ])
    await inNotes('fleet poisoned', (notes) => notes.outbox.discard({ all: true, reason: 'a test' }))
    await alarm('fleet poisoned')
    expect(told.at(-1)?.trouble).toBeUndefined()
  })

  it('[I6] sends its events although the fleet is down, and is known once it is up', async () => {
    join('alone')
    isFleetDown = true
    await write('alone')
    await alarm('alone')
    await inNotes('alone', (notes) => expect(notes.outbox.stats()).toMatchObject({ pendingEvents: 0, lastLSN: 1 }))
    isFleetDown = false
    await write('alone')
    await alarm('alone')
    expect(told).toMatchObject([{ member: { name: 'alone' } }])
  })
})

describe('the fleet', () => {
  it('is asked page by page for the stats of each object, also of one whose events never landed', async () => {
    const names = ['a', 'b', 'c'].map((letter) => `fleet ${letter}`)
    for (const name of names) {
      join(name)
      if (name === 'fleet b') setFate(name, 'full')
      await write(name)
      await alarm(name)
    }
    nowMs += 90_000
    const listed = await all('/list', { limit: 2, isAsked: true })
    expect(listed).toHaveLength(3)
    expect(listed).toEqual(
      expect.arrayContaining(
        names.map((name) =>
          expect.objectContaining({
            name,
            result: expect.objectContaining({ lastLSN: 1, pendingEvents: name === 'fleet b' ? 1 : 0 }),
          }),
        ),
      ),
    )
    expect(await all('/list', { laggingMs: 60_000 })).toMatchObject([{ name: 'fleet b' }])
  })

  it('pauses and resumes those that are chosen, and reports each that it could not reach', async () => {
    for (const name of ['bulk a', 'bulk b']) {
      join(name)
      await write(name)
      await alarm(name)
    }
    await shardOf('00').report({
      id: '00',
      className: 'Gone',
      ns: 'bulk',
      source: 'DO/Gone',
      epoch: '01KB0000000000000000000000',
    })
    const paused = await all('/call', { method: 'pause', className: 'Notes' })
    expect(paused).toMatchObject([{ result: null }, { result: null }])
    await inNotes('bulk a', (notes) => expect(notes.outbox.stats().isPaused).toBe(true))
    expect(await all('/call', { method: 'resume', ns: 'bulk a' })).toHaveLength(1)
    await inNotes('bulk a', (notes) => expect(notes.outbox.stats().isPaused).toBe(false))
    await inNotes('bulk b', (notes) => expect(notes.outbox.stats().isPaused).toBe(true))
    expect(await all('/call', { method: 'resume', className: 'Gone' })).toMatchObject([
      { className: 'Gone', error: 'the Worker exports no class Gone' },
    ])
  })

  it('refuses what it does not know', async () => {
    expect(await post('/call', { method: 'constructor' })).toMatchObject({ status: 400 })
    expect(await post('/list', { after: 'x' })).toMatchObject({ status: 400 })
    expect(await post('/list', { classname: 'Notes' })).toMatchObject({ status: 400 })
    const reader = { ...bindings, ADMIN_READ_TOKEN: 'reader' }
    const read = (path: string) =>
      app.request(path, { method: 'POST', headers: { authorization: 'Bearer reader' }, body: '{}' }, reader)
    expect([(await read('/list')).status, (await read('/call')).status]).toEqual([200, 403])
    const closed = await app.request('/list', { method: 'POST', body: '{}' }, bindings)
    expect(closed.status).toBe(401)
  })

  it('knows 10,000 objects, each once', async () => {
    for (let shard = 0; shard < 8; shard += 1)
      await runInDurableObject(env.FLEET.getByName(`fleet-${shard}`), async (fleet: OutboxFleet) => {
        for (let index = 0; index < 1_250; index += 1) {
          const id = (shard * 1_250 + index).toString(16).padStart(64, '0')
          await fleet.report({
            id,
            className: 'Notes',
            ns: 'many',
            source: 'DO/Notes',
            epoch: '01KB0000000000000000000000',
          })
        }
      })
    const ids = (await all('/list', {})).map((member) => Object(member).id as string)
    expect(ids).toHaveLength(10_000)
    expect(new Set(ids).size).toBe(10_000)
    const response = await app.request('/', { headers: { authorization: `Bearer ${TOKEN}` } }, bindings)
    expect(await response.json()).toMatchObject([{ className: 'Notes', members: 10_000, troubled: 0 }])
  })
})

describe('metrics', () => {
  const lakeStatus = {
    landedEvents: 7,
    bufferedEvents: 1,
    bufferedBytes: 100,
    heldEvents: 0,
    lagMs: 1_500,
    freshnessMs: 120_000,
    isBehind: false,
    logsWithHoles: 0,
    version: 3,
    files: 2,
    garbage: 0,
  }
  const metrics = metricsRoutes({ lake: () => ({ status: () => lakeStatus }) })
  const scrape = (authorization: string) => metrics.request('/', { headers: { authorization } }, bindings)

  it('are OpenMetrics text of the fleet and the lake, without a label for an object', async () => {
    join('measured')
    await inNotes('measured', (notes) => notes.ctx.transactionSync((tx) => tx.emit({ type: 'Poison' })))
    await alarm('measured')
    const response = await scrape('Bearer metrics')
    expect(response.headers.get('content-type')).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8')
    const text = await response.text()
    expect(text).toMatch(/\n# EOF\n$/)
    expect(text).toContain('# TYPE outbox_objects gauge\n')
    expect(text).toContain('\noutbox_objects{class="Notes"} 1\n')
    expect(text).toContain('\noutbox_dead_letters{class="Notes"} 1\n')
    expect(text).toContain('\nlake_landed_events_total 7\n')
    expect(text).toContain('\nlake_lag_seconds 1.5\n')
    expect(text).not.toContain('measured')
  })

  it('say that something could not be asked, and have the rest', async () => {
    const broken = metricsRoutes({ lake: () => ({ status: () => Promise.reject(new Error('no lake')) }) })
    const response = await broken.request('/', { headers: { authorization: 'Bearer metrics' } }, bindings)
    const text = await response.text()
    expect(text).toContain('\noutbox_up 0\n')
    expect(text).not.toContain('lake_')
  })

  it('need their own token', async () => {
    expect((await scrape(`Bearer ${TOKEN}`)).status).toBe(401)
    expect((await metrics.request('/', {}, { OUTBOX_FLEET: env.FLEET })).status).toBe(403)
  })
})
