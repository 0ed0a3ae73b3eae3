// The Agents SDK sets and deletes the object's one alarm for its own schedules. Each of the three that need it has it.

import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import { acceptedRecords } from 'durable-outbox/testing'
import { describe, expect, it, vi } from 'vitest'
import type { Reminders } from './worker.ts'

const HOUR_S = 3_600
const WAIT = { timeout: 20_000, interval: 50 }

function inAgent<T>(
  name: string,
  work: (agent: Reminders, storage: DurableObjectStorage) => T | Promise<T>,
): Promise<T> {
  return runInDurableObject(env.REMINDERS.getByName(name), (agent, { storage }) => work(agent, storage))
}

function landed(ns: string): string[] {
  return acceptedRecords(ns).map(({ type }) => type)
}

describe('an agent of the Agents SDK with an outbox', () => {
  it('[I6] delivers at once, although the SDK has set the alarm for later', async () => {
    await inAgent('later', async (agent) => {
      agent.emit('First')
      await agent.remindIn(HOUR_S)
    })
    await vi.waitFor(() => expect(landed('later')).toEqual(['First']), WAIT)
    await inAgent('later', (agent) => agent.emit('Second'))
    await vi.waitFor(() => expect(landed('later')).toEqual(['First', 'Second']), WAIT)
    const [schedules, alarmMs] = await inAgent('later', async (agent, storage) => [
      agent.getSchedules(),
      await storage.getAlarm(),
    ])
    // The SDK's own alarm is still the one that it has set.
    expect(schedules).toHaveLength(1)
    expect(Number(alarmMs)).toBeGreaterThan(Date.now() + (HOUR_S - 60) * 1_000)
  })

  it('[I6] delivers although the SDK has deleted the alarm', async () => {
    await inAgent('cancelled', async (agent, storage) => {
      const id = await agent.remindIn(HOUR_S)
      agent.emit('First')
      await agent.cancelSchedule(id)
      await storage.deleteAlarm()
      expect(await storage.getAlarm()).toBeNull()
    })
    await vi.waitFor(() => expect(landed('cancelled')).toEqual(['First']), WAIT)
  })

  it('runs schedules of the SDK and named alarms, each when it is due, and delivers what they emit', async () => {
    await inAgent('all', async (agent) => {
      agent.named('soon', Date.now())
      agent.named('in an hour', Date.now() + HOUR_S * 1_000)
      await agent.remindIn(1)
      agent.emit('First')
    })
    await vi.waitFor(() => expect(landed('all').toSorted()).toEqual(['First', 'Named.soon', 'Reminded']), WAIT)
    const [schedules, named] = await inAgent('all', (agent) => [agent.getSchedules(), agent.cdc.alarms.list()])
    expect(schedules).toEqual([])
    expect(named).toMatchObject([{ name: 'in an hour' }])
  })

  it('is asked for a schedule again and again while events are pending', async () => {
    await inAgent('busy', async (agent) => {
      for (let index = 0; index < 5; index += 1) {
        agent.emit(`Event.${index}`)
        await agent.remindIn(1)
      }
    })
    const expected = [
      ...Array.from({ length: 5 }, (_, index) => `Event.${index}`),
      ...Array<string>(5).fill('Reminded'),
    ]
    await vi.waitFor(() => expect(landed('busy').toSorted()).toEqual(expected.toSorted()), WAIT)
  })
})
