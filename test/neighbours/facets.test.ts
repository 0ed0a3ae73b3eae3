// A facet has a database of its own, hence an outbox of its own, and no alarm that could drain it: its parent does.

import { env } from 'cloudflare:workers'
import { acceptedRecords, assertLog, setFate } from 'durable-outbox/testing'
import { expect, it, vi } from 'vitest'

const WAIT = { timeout: 20_000, interval: 50 }

it('[I1] [I3] commits the events of a facet with its changes, and its parent delivers them', async () => {
  const parent = env.PARENTS.getByName('parent')
  await parent.emitInChild('one', 'First')
  await parent.emitInChild('one', 'Second')
  await vi.waitFor(() => expect(acceptedRecords('facets').map(({ type }) => type)).toEqual(['First', 'Second']), WAIT)
  assertLog('facets', { events: 2 })
})

it('[I6] delivers later what the pipeline refused at first', async () => {
  const parent = env.PARENTS.getByName('patient')
  setFate('facets', { do: 'reject', error: { retryable: true, status: 503 } })
  await parent.emitInChild('two', 'Third')
  await vi.waitFor(
    async () =>
      expect(await parent.statsOfChild('two')).toMatchObject({ pendingEvents: 1, lastError: expect.any(String) }),
    WAIT,
  )
  setFate('facets', 'accept')
  await vi.waitFor(() => expect(acceptedRecords('facets').map(({ type }) => type)).toContain('Third'), WAIT)
  await vi.waitFor(async () => expect(await parent.statsOfChild('two')).toMatchObject({ pendingEvents: 0 }), WAIT)
})

it('says that it has no named alarms', async () => {
  const parent = env.PARENTS.getByName('named')
  expect(await parent.alarmProblemOfChild('three')).toContain('hasAlarm: false')
})
