import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import { type EventInput, OutboxAdmin } from 'durable-outbox'
import { acceptedBatches, acceptedRecords, attemptedBatches, nextFates } from 'durable-outbox/testing'
import { describe, expect, it } from 'vitest'
import { drain, failureOf, inNotes } from '../notes.ts'
import { configurations } from '../worker.ts'

const NEVER_MS = 3_600_000
const keep = { retentionMs: NEVER_MS }

function outboxOf(name: string) {
  return env.NOTES.getByName(name).outbox
}

/** Commits each event as a transaction of its own. */
function write(name: string, ...events: EventInput[]): Promise<void> {
  return inNotes(name, (notes) => {
    for (const event of events) notes.ctx.transactionSync((tx) => tx.emit(event))
  })
}

const changes: EventInput[] = [
  { op: 'c', store: 'document', table: 'Customer', key: 'a', after: { n: 1 } },
  { op: 'c', store: 'document', table: 'Order', key: 'b', after: { n: 2 } },
  { op: 'u', store: 'document', table: 'Customer', key: 'a', after: { n: 3 } },
  { type: 'Customer.created', data: { n: 4 } },
]

/** Calls the outbox inside the object, because the runtime prints every error that leaves it. */
function refusalOf(name: string, call: (outbox: OutboxAdmin) => unknown): Promise<{ code?: string; message: string }> {
  return inNotes(name, (notes) => failureOf(() => call(notes.outbox)))
}

describe('stats', () => {
  it('reports the state of an outbox before, during and after delivery', async () => {
    configurations.set('stats', keep)
    using outbox = await outboxOf('stats')
    expect(await outbox.stats()).toMatchObject({
      ns: 'stats',
      source: 'DO/Notes',
      pendingEvents: 0,
      pendingBytes: 0,
      lagMs: 0,
      lastLSN: 0,
      ackedLSN: 0,
      deadLetters: 0,
      isPaused: false,
    })
    await write('stats', ...changes)
    const pending = await outbox.stats()
    expect(pending).toMatchObject({ pendingEvents: 4, lastLSN: 4, ackedLSN: 0 })
    expect(pending.pendingBytes).toBeGreaterThan(JSON.stringify(changes).length)
    await drain('stats')
    const delivered = await outbox.stats()
    expect(delivered).toMatchObject({ pendingEvents: 0, pendingBytes: 0, ackedLSN: 4, deliveredEvents: 4, lagMs: 0 })
    expect(delivered.retainedBytes).toBe(pending.pendingBytes)
    expect(delivered).not.toHaveProperty('inFlight')
  })

  it('reports the batch in flight, its attempts, and why it failed', async () => {
    nextFates('stuck', 'reject', 'reject')
    await write('stuck', ...changes)
    await runDurableObjectAlarm(env.NOTES.getByName('stuck'))
    await evictDurableObject(env.NOTES.getByName('stuck'))
    using outbox = await outboxOf('stuck')
    const stats = await outbox.stats()
    expect(stats).toMatchObject({
      pendingEvents: 4,
      lastError: 'the pipeline refused',
      inFlight: { firstLSN: 1, lastLSN: 4, attempts: 1 },
    })
    expect(Date.parse(stats.inFlight?.nextAttempt ?? '')).toBeGreaterThan(Date.now())
  })

  it('reports the age of the oldest pending event', async () => {
    const time = { nowMs: Date.now() }
    configurations.set('lag', { now: () => time.nowMs })
    await write('lag', { type: 'A' })
    time.nowMs += 90_000
    await write('lag', { type: 'B' })
    using outbox = await outboxOf('lag')
    expect((await outbox.stats()).lagMs).toBe(90_000)
  })
})

describe('list and get', () => {
  it('find events by their fields, their status and their LSNs, in LSN order', async () => {
    configurations.set('list', keep)
    await write('list', ...changes)
    await drain('list')
    await write('list', { type: 'Later' })
    using outbox = await outboxOf('list')
    const lsns = async (query: Parameters<OutboxAdmin['list']>[0]) =>
      (await outbox.list(query)).items.map((event) => event.lsn)
    expect(await lsns({})).toEqual([1, 2, 3, 4, 5])
    expect(await lsns({ status: 'pending' })).toEqual([5])
    expect(await lsns({ status: 'delivered' })).toEqual([1, 2, 3, 4])
    expect(await lsns({ table: 'Customer' })).toEqual([1, 3])
    expect(await lsns({ table: 'Customer', key: 'a', type: 'cdc.update', store: 'document' })).toEqual([3])
    expect(await lsns({ from: 2, to: 3 })).toEqual([2, 3])
    expect(await lsns({ key: 'nobody' })).toEqual([])
    expect(await outbox.get(3)).toMatchObject({ lsn: 3, status: 'delivered', type: 'cdc.update', after: { n: 3 } })
    expect(await outbox.get(6)).toBeUndefined()
  })

  it('return pages that continue where the last one ended', async () => {
    await inNotes('pages', (notes) => {
      for (const size of [3, 1, 4])
        notes.ctx.transactionSync((tx) => tx.emitBatch(Array.from({ length: size }, () => ({ type: 'A' }))))
    })
    using outbox = await outboxOf('pages')
    const pages: number[][] = []
    for (let from: number | undefined = 1; from !== undefined;) {
      const page: { items: { lsn: number }[]; nextLSN?: number } = await outbox.list({ from, limit: 3 })
      pages.push(page.items.map((event) => event.lsn))
      from = page.nextLSN
    }
    expect(pages).toEqual([
      [1, 2, 3],
      [4, 5, 6],
      [7, 8],
    ])
  })

  it('[I7] read no more rows than they return, however long the log is', async () => {
    await write('long', ...Array.from({ length: 500 }, () => ({ type: 'A' })))
    const rowsRead = await inNotes('long', (notes) => {
      const { sql } = notes.ctx.storage
      const results: SqlStorageCursor<Record<string, SqlStorageValue>>[] = []
      const exec = sql.exec.bind(sql)
      Object.defineProperty(sql, 'exec', {
        configurable: true,
        value: (...args: Parameters<typeof exec>) => {
          const result = exec(...args)
          results.push(result)
          return result
        },
      })
      const readBy = (call: () => unknown): number => {
        results.length = 0
        call()
        return results.reduce((rows, result) => rows + result.rowsRead, 0)
      }
      const read = {
        stats: readBy(() => notes.outbox.stats()),
        get: readBy(() => notes.outbox.get(250)),
        page: readBy(() => notes.outbox.list({ from: 200, to: 209 })),
      }
      Reflect.deleteProperty(sql, 'exec')
      return read
    })
    // sqlite_master has a row for each table and index; the rest are the rows that were asked for.
    expect(rowsRead.stats).toBeLessThan(80)
    expect(rowsRead.get).toBeLessThan(40)
    expect(rowsRead.page).toBeLessThan(50)
  })
})

describe('pause and resume', () => {
  it('[I6] stop the relay and its alarm, and start both again, also after an eviction', async () => {
    await write('paused', { type: 'A' })
    {
      // Given back before the eviction, which waits for it.
      using outbox = await outboxOf('paused')
      await outbox.pause()
      expect(await inNotes('paused', (notes) => notes.ctx.storage.getAlarm())).toBeNull()
      await write('paused', { type: 'B' })
      expect(await outbox.flush()).toMatchObject({ delivered: 0, pendingEvents: 2, isPaused: true })
    }
    await evictDurableObject(env.NOTES.getByName('paused'))
    using later = await outboxOf('paused')
    expect(await later.stats()).toMatchObject({ isPaused: true, pendingEvents: 2 })
    expect(await inNotes('paused', (notes) => notes.ctx.storage.getAlarm())).toBeNull()
    expect(acceptedRecords('paused')).toEqual([])

    await later.resume()
    expect(await drain('paused')).toHaveLength(2)
  })

  it('do nothing when they are called twice', async () => {
    using outbox = await outboxOf('paused-twice')
    await outbox.resume()
    await outbox.pause()
    await outbox.pause()
    expect((await outbox.stats()).isPaused).toBe(true)
    await outbox.resume()
    await outbox.resume()
    expect((await outbox.stats()).isPaused).toBe(false)
  })
})

describe('flush', () => {
  it('sends at once, also during a backoff, and returns the result', async () => {
    nextFates('flush', 'reject', 'reject')
    await write('flush', { type: 'A' }, { type: 'B' })
    using outbox = await outboxOf('flush')
    expect(await outbox.flush()).toMatchObject({ delivered: 0, pendingEvents: 2, lastError: 'the pipeline refused' })
    expect(await outbox.flush()).toMatchObject({ delivered: 0, pendingEvents: 2 })
    expect(await outbox.flush()).toEqual({ delivered: 2, pendingEvents: 0, deadLetters: 0, isPaused: false })
  })

  it('[I4] joins the current run', async () => {
    await write('flush-twice', { type: 'A' })
    using outbox = await outboxOf('flush-twice')
    await Promise.all([outbox.flush(), outbox.flush(), runDurableObjectAlarm(env.NOTES.getByName('flush-twice'))])
    expect(attemptedBatches('flush-twice')).toHaveLength(1)
  })
})

describe('dead letters', () => {
  async function poisoned(name: string, ...types: string[]): Promise<void> {
    await write(name, ...types.map((type) => ({ type, data: { was: type } })))
    await drain(name)
  }

  it('are redriven under a new LSN, with their own id and the LSN that they had', async () => {
    await poisoned('redrive', 'A', 'Poison', 'B')
    using outbox = await outboxOf('redrive')
    const [letter] = (await outbox.deadLetters()).items
    if (letter === undefined) throw new Error('there is no dead letter')
    // Stands for a fix of the pipeline: the event gets a type that it accepts.
    await inNotes('redrive', (notes) =>
      notes.ctx.storage.sql.exec(`UPDATE _cdc_dead_letter SET event = replace(event, '"Poison"', '"Fixed"')`),
    )
    expect(await outbox.redrive({ ids: [letter.id] })).toEqual({ redriven: 1 })
    expect((await outbox.deadLetters()).items).toEqual([])
    const record = (await drain('redrive')).at(-1)
    expect(record).toMatchObject({ lsn: 4, id: letter.id, type: 'Fixed', _meta: { redrivenFrom: 2 } })
    expect(record?.timestamp).toBe(letter.event.timestamp)
  })

  it('are redriven in bulk, up to the limit', async () => {
    await poisoned('bulk', 'Poison', 'Poison', 'Poison')
    using outbox = await outboxOf('bulk')
    expect(await outbox.redrive({ all: true, limit: 2 })).toEqual({ redriven: 2, nextLSN: 3 })
    expect((await outbox.deadLetters()).items.map((letter) => letter.lsn)).toEqual([3])
    await drain('bulk')
    expect((await outbox.deadLetters()).items.map((letter) => letter.lsn)).toEqual([3, 4, 5])
  })

  it('are found by their fields', async () => {
    await inNotes('filtered', (notes) =>
      notes.ctx.transactionSync((tx) =>
        tx.emitBatch([
          { type: 'Poison', table: 'Customer', key: 'a' },
          { type: 'Poison', table: 'Order', key: 'b' },
        ]),
      ),
    )
    await drain('filtered')
    using outbox = await outboxOf('filtered')
    expect((await outbox.deadLetters({ table: 'Order' })).items.map((letter) => letter.lsn)).toEqual([2])
    expect((await outbox.deadLetters({ from: 2 })).items.map((letter) => letter.lsn)).toEqual([2])
    expect(await outbox.redrive({ table: 'Nothing' })).toEqual({ redriven: 0 })
  })

  it('are discarded with a reason, which lands as an event', async () => {
    await poisoned('discard', 'Poison')
    using outbox = await outboxOf('discard')
    const [letter] = (await outbox.deadLetters()).items
    expect(await outbox.discard({ all: true, reason: 'a test order' })).toEqual({ discarded: 1 })
    expect((await outbox.stats()).deadLetters).toBe(0)
    expect((await drain('discard')).at(-1)).toMatchObject({
      lsn: 2,
      type: 'cdc.dead_letter_discarded',
      data: { lsn: 1, id: letter?.id, type: 'Poison', reason: 'a test order' },
    })
  })
})

describe('replay', () => {
  it('[I5] sends delivered events again under their own identities', async () => {
    configurations.set('replay', keep)
    await write('replay', ...Array.from({ length: 7 }, (_, n) => ({ type: 'A', data: { n } })))
    const first = await drain('replay')
    using outbox = await outboxOf('replay')
    expect(await outbox.replay({ fromLSN: 2, toLSN: 7 })).toEqual({ replayed: 5, nextLSN: 7 })
    expect(await outbox.replay({ fromLSN: 7, toLSN: 100 })).toEqual({ replayed: 1 })
    const again = acceptedBatches('replay').slice(-2).flat()
    expect(again).toEqual(first.slice(1))
    expect((await outbox.stats()).ackedLSN).toBe(7)
  })

  it('refuses events that are pending or no longer kept', async () => {
    configurations.set('replay-pending', { retentionBytes: 0 })
    await write('replay-pending', { type: 'A' })
    expect(await refusalOf('replay-pending', (outbox) => outbox.replay({ fromLSN: 1, toLSN: 1 }))).toMatchObject({
      code: 'not-found',
    })
    // Enough for a segment of their own, which is dropped when they are delivered.
    const data = { body: 'x'.repeat(900_000) }
    for (let n = 0; n < 5; n += 1) await write('replay-pending', { type: 'A', data })
    await drain('replay-pending')
    expect(await refusalOf('replay-pending', (outbox) => outbox.replay({ fromLSN: 1, toLSN: 1 }))).toMatchObject({
      code: 'not-found',
    })
  })
})

describe('every call', () => {
  it.each<[string, (outbox: OutboxAdmin) => unknown]>([
    ['list with an unknown field', (outbox) => outbox.list({ nothing: 1 } as never)],
    ['list with an unknown status', (outbox) => outbox.list({ status: 'lost' } as never)],
    ['list with a limit of 0', (outbox) => outbox.list({ limit: 0 })],
    ['list with a limit that is too high', (outbox) => outbox.list({ limit: OutboxAdmin.limits.pageEvents + 1 })],
    ['list from a fraction', (outbox) => outbox.list({ from: 1.5 })],
    ['get of something that is not an LSN', (outbox) => outbox.get('1' as never)],
    ['redrive of everything by accident', (outbox) => outbox.redrive({})],
    ['redrive of something that is not an id', (outbox) => outbox.redrive({ ids: ['x'] })],
    ['discard without a reason', (outbox) => outbox.discard({ all: true } as never)],
    ['discard of everything by accident', (outbox) => outbox.discard({ reason: 'because' })],
    ['replay backwards', (outbox) => outbox.replay({ fromLSN: 2, toLSN: 1 })],
    ['replay without a range', (outbox) => outbox.replay({} as never)],
  ])('refuses a bad argument: %s', async (_, call) => {
    expect(await refusalOf('nonsense', call)).toMatchObject({ code: 'invalid-argument' })
  })
})
