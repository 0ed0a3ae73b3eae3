// Packages whose base class or own tables an object has, beside an outbox. Their versions are those of package.json.

import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { acceptedRecords } from 'durable-outbox/testing'
import { describe, expect, it, vi } from 'vitest'
import type { TimedActor } from './actor.ts'
import type { Living } from './lifecycle.ts'
import type { Room } from './room.ts'

const HOUR_MS = 3_600_000
const WAIT = { timeout: 20_000, interval: 50 }

function landed(ns: string): string[] {
  return acceptedRecords(ns).map(({ type }) => type)
}

describe('a server of PartyServer', () => {
  it('[I6] delivers at once, and has its own alarm when it is due', async () => {
    const room = env.ROOMS.getByName('room')
    await runInDurableObject(room, async (server: Room, { storage }) => {
      await storage.setAlarm(Date.now() + HOUR_MS)
      server.emit('First')
      expect(await storage.getAlarm()).toBeGreaterThan(Date.now() + HOUR_MS / 2)
    })
    await vi.waitFor(() => expect(landed('room')).toEqual(['First']), WAIT)
    await runInDurableObject(room, (_, { storage }) => storage.setAlarm(Date.now()))
    await vi.waitFor(() => expect(landed('room')).toEqual(['First', 'Rang']), WAIT)
  })
})

describe('an actor of @cloudflare/actors', () => {
  it('[I6] delivers at once, and runs its schedules when they are due', async () => {
    await runInDurableObject(env.ACTORS.getByName('actor'), async (actor: TimedActor) => {
      await actor.setName('actor')
      actor.emit('First')
      await actor.remindIn(3_600)
    })
    await vi.waitFor(() => expect(landed('actor')).toEqual(['First']), WAIT)
    await runInDurableObject(env.ACTORS.getByName('actor'), (actor: TimedActor) => actor.remindIn(1))
    await vi.waitFor(() => expect(landed('actor')).toEqual(['First', 'Reminded']), WAIT)
  })
})

describe('an object with the lifecycle of the Agents SDK', () => {
  it('[I6] delivers at once, and its capabilities are woken when they are due', async () => {
    await runInDurableObject(env.LIVES.getByName('living'), async (living: Living) => {
      await living.lifecycle.start()
      living.emit('First')
      await living.waking.wakeIn(HOUR_MS)
    })
    await vi.waitFor(() => expect(landed('living')).toEqual(['First']), WAIT)
    await runInDurableObject(env.LIVES.getByName('living'), (living: Living) => living.waking.wakeIn(100))
    await vi.waitFor(() => expect(landed('living')).toEqual(['First', 'Woken']), WAIT)
  })
})

describe('better-auth in the database of an object', () => {
  it('has in the log who signed up, without what is secret', async () => {
    const accounts = env.ACCOUNTS.getByName('accounts')
    const body = JSON.stringify({ name: 'Alice', email: 'alice@example.com', password: 'correct horse battery' })
    const headers = { 'content-type': 'application/json', origin: 'https://example.com' }
    const response = await accounts.fetch('https://example.com/api/auth/sign-up/email', {
      method: 'POST',
      body,
      headers,
    })
    expect({ status: response.status, text: await response.text() }).toMatchObject({ status: 200 })
    await vi.waitFor(() => expect(landed('accounts')).toEqual(['cdc.insert', 'cdc.insert']), WAIT)
    expect(acceptedRecords('accounts')).toMatchObject([
      { table: 'user', after: { name: 'Alice', email: '***' } },
      { table: 'session', after: { userId: expect.any(String) } },
    ])
    expect(JSON.stringify(acceptedRecords('accounts'))).not.toContain('alice@')
  })
})
