import { env } from 'cloudflare:workers'
import { acceptedRecords } from 'durable-outbox/testing'
import { describe, expect, it, vi } from 'vitest'

describe('a class with another base class', () => {
  it('[I1] [I3] [I6] has transactions, relay, named alarms and admin by composition', async () => {
    const stub = env.TASKS.getByName('composed')
    // Due at once, so that it is the platform that calls alarm().
    const task = await stub.add('write tests', 0)
    using outbox = await stub.outbox
    await vi.waitFor(async () =>
      expect((await outbox.flush()).pendingEvents + acceptedRecords('composed').length).toBe(3),
    )
    expect(acceptedRecords('composed')).toMatchObject([
      { lsn: 1, type: 'cdc.insert', source: 'Agent/tasks', key: task.$id },
      { lsn: 2, type: 'Task.added', data: { says: 'Hello, write tests' } },
      { lsn: 3, type: 'Task.reminded', data: { $id: task.$id } },
    ])
    expect(await outbox.stats()).toMatchObject({ pendingEvents: 0, ackedLSN: 3 })
  })
})
