import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import { isCommitted } from 'durable-outbox'
import * as fc from 'fast-check'
import { acceptedRecords, nextFates } from 'durable-outbox/testing'
import { describe, expect, it, vi } from 'vitest'
import { drain, inNotes } from '../notes.ts'
import { configurations, lakeVariables } from '../worker.ts'

/** Commits each group of types as a transaction of its own. */
function write(name: string, ...groups: string[][]): Promise<void> {
  return inNotes(name, (notes) => {
    for (const types of groups) notes.ctx.transactionSync((tx) => tx.emitBatch(types.map((type) => ({ type }))))
  })
}

async function deadLettersOf(name: string) {
  using outbox = await env.NOTES.getByName(name).outbox
  return (await outbox.deadLetters()).items
}

describe('a row of the log that can no longer be read', () => {
  it.each(['{"not":"an array"}', '[{"captured":1,"after":{"a":{"$hex":"not hex"}}}]', 'no JSON'])(
    '[I3] becomes a dead letter, and the other rows are delivered: %s',
    async (events) => {
      const name = `unreadable ${events}`
      await write(name, ['A'], ['B'], ['C'])
      await inNotes(name, ({ ctx, outbox }) => {
        ctx.storage.sql.exec('UPDATE _cdc_outbox SET events = ? WHERE lsn = 2', events)
        expect(outbox.list().items.map(({ type }) => type)).toEqual(['A', 'cdc.unreadable', 'C'])
        expect(outbox.stats()).toMatchObject({ pendingEvents: 3 })
      })
      const records = await drain(name)
      expect(records.map(({ lsn, type }) => [lsn, type])).toEqual([
        [1, 'A'],
        [2, 'cdc.dead_letter'],
        [3, 'C'],
      ])
      expect(await deadLettersOf(name)).toMatchObject([
        { lsn: 2, reason: expect.stringContaining('the row that ends at LSN 2'), event: { data: { row: events } } },
      ])
    },
  )
})

describe('an event that the pipeline refuses', () => {
  it('[I3] becomes a dead letter, and everything after it is delivered', async () => {
    await write('one-bad', ['A'], ['B', 'Poison', 'C'], ['D'])
    const records = await drain('one-bad')
    expect(records.map(({ lsn, type }) => [lsn, type])).toEqual([
      [1, 'A'],
      [2, 'B'],
      [3, 'cdc.dead_letter'],
      [4, 'C'],
      [5, 'D'],
    ])
    const [letter] = await deadLettersOf('one-bad')
    expect(letter).toMatchObject({
      lsn: 3,
      reason: 'the batch contains poison',
      attempts: 1,
      event: { lsn: 3, type: 'Poison', ns: 'one-bad', _meta: { epoch: records[0]?.epoch } },
    })
    expect(records[2]?.data).toEqual({ id: letter?.id, type: 'Poison', reason: 'the batch contains poison' })
    expect(records[2]?.id).not.toBe(letter?.id)
    expect(records[2]?.txid).toBe(records[1]?.txid)
  })

  it('[I3] is found in a batch of a thousand by halving', async () => {
    const types = Array.from({ length: 1_000 }, (_, n) => (n === 700 ? 'Poison' : 'A'))
    await write('needle', types)
    const records = await drain('needle')
    expect(records.map((record) => record.lsn)).toEqual(types.map((_, n) => n + 1))
    expect(records[700]?.type).toBe('cdc.dead_letter')
    expect(await deadLettersOf('needle')).toHaveLength(1)
  })

  it('[I2] [I3] leaves no hole in the log, wherever the bad events are and whatever else fails', async () => {
    let runs = 0
    const groups = fc.array(fc.array(fc.constantFrom('A', 'A', 'Poison'), { minLength: 1, maxLength: 6 }), {
      minLength: 1,
      maxLength: 4,
    })
    const faults = fc.array(fc.constantFrom('accept' as const, 'reject' as const, 'lose-answer' as const))
    await fc.assert(
      fc.asyncProperty(groups, faults, fc.boolean(), async (script, fates, isEvicted) => {
        const name = `poison-${runs++}`
        const types = script.flat()
        nextFates(name, ...fates)
        await write(name, ...script)
        if (isEvicted) await evictDurableObject(env.NOTES.getByName(name))
        await drainThrough(name)

        const log = new Map(
          acceptedRecords(name)
            .filter(isCommitted)
            .map((record) => [record.lsn, record.type]),
        )
        expect([...log.keys()].toSorted((a, b) => a - b)).toEqual(types.map((_, n) => n + 1))
        for (const [n, type] of types.entries())
          expect(log.get(n + 1)).toBe(type === 'Poison' ? 'cdc.dead_letter' : type)
        const letters = (await deadLettersOf(name)).map((letter) => letter.lsn)
        expect(letters).toEqual(types.flatMap((type, n) => (type === 'Poison' ? [n + 1] : [])))
      }),
      { numRuns: 30 },
    )
  })

  it('is distinguished from a pipeline that is not available', async () => {
    nextFates('away', 'reject', 'reject', 'reject', 'reject')
    await write('away', ['A'])
    for (let attempt = 0; attempt < 5; attempt++) await drainOnce('away')
    expect(acceptedRecords('away').map((record) => record.type)).toEqual(['A'])
    expect(await deadLettersOf('away')).toEqual([])
  })
})

describe('a fault of the receiver', () => {
  it('[I3] buries no event if it is the configuration of the lake', async () => {
    configurations.set('misconfigured', { pipeline: { send: (records) => env.LAKE.send(records) } })
    lakeVariables.LAKE_LIMITS = 'nonsense'
    await write('misconfigured', ['A'], ['B'], ['C'])
    for (let attempt = 0; attempt < 5; attempt++) await drainOnce('misconfigured')
    await inNotes('misconfigured', ({ outbox }) =>
      expect(outbox.stats()).toMatchObject({
        pendingEvents: 3,
        deadLetters: 0,
        lastError: expect.stringContaining('LAKE_LIMITS is not valid JSON'),
      }),
    )
    delete lakeVariables.LAKE_LIMITS
    await drainThrough('misconfigured')
    expect(await deadLettersOf('misconfigured')).toEqual([])
    expect(await inNotes('misconfigured', ({ outbox }) => outbox.stats().deliveredEvents)).toBe(3)
  })

  const thrown: [string, () => unknown][] = [
    ['a reason of 10 MB', () => new Error('x'.repeat(10_000_000))],
    ['an error that cannot become a text', () => Object.create(null) as unknown],
    ['a text that throws', () => ({ toString: () => failWith('toString') })],
    ['a symbol', () => Symbol('why')],
    ['a property that throws', () => Object.defineProperty(new Error('bad'), 'status', { get: () => failWith('get') })],
    ['a message that throws', () => Object.defineProperty(new Error(), 'message', { get: () => failWith('get') })],
    ['undefined', () => undefined],
  ]

  it.each(thrown)('[I3] buries no event, and does not pass for the end of the runtime: %s', async (what, error) => {
    let isWell = false
    const received: number[] = []
    configurations.set(what, {
      pipeline: {
        async send(records) {
          await scheduler.wait(0)
          // oxlint-disable-next-line no-throw-literal -- that is what is tested
          if (!isWell) throw error()
          received.push(...records.map(({ lsn }) => lsn ?? 0))
        },
      },
    })
    await write(what, ['A'])
    for (let attempt = 0; attempt < 8; attempt++) await drainOnce(what)
    await inNotes(what, ({ outbox }) => {
      const stats = outbox.stats()
      expect(stats).toMatchObject({ deadLetters: 0, pendingEvents: 1, inFlight: { attempts: 8 } })
      expect(stats.lastError?.length).toBeLessThan(600)
    })
    isWell = true
    await drainThrough(what)
    expect(received).toEqual([1])
  })

  it('[I3] does not pass for the end of the runtime if it cannot be noted', async () => {
    const name = 'full disk'
    nextFates(name, ...Array.from({ length: 8 }, () => 'reject' as const))
    await write(name, ['A'])
    await inNotes(name, ({ ctx }) =>
      ctx.storage.sql
        .exec(`CREATE TRIGGER full BEFORE UPDATE OF last_error ON _cdc_state WHEN new.last_error IS NOT NULL
        BEGIN SELECT RAISE(ABORT, 'the disk is full'); END`),
    )
    for (let attempt = 0; attempt < 5; attempt++) await drainOnce(name)
    await inNotes(name, ({ ctx }) => ctx.storage.sql.exec('DROP TRIGGER full'))
    nextFates(name)
    await drainThrough(name)
    expect(acceptedRecords(name).map(({ type }) => type)).toEqual(['A'])
    expect(await deadLettersOf(name)).toEqual([])
  })

  it('[I3] is kept short in a dead letter, whose record lands whatever it says', async () => {
    const name = 'long verdict'
    const reason = `${'x'.repeat(499)}😀${'y'.repeat(10_000_000)}\0`
    configurations.set(name, {
      pipeline: {
        async send(records) {
          await scheduler.wait(0)
          if (records.some(({ type }) => type === 'A')) throw Object.assign(new Error(reason), { status: 422 })
          await env.LAKE.send(records)
        },
      },
    })
    await write(name, ['A'])
    await drainThrough(name)
    const [letter] = await deadLettersOf(name)
    expect(letter?.reason).toMatch(/^x{499}\uFFFD… \(\d+ characters\)$/)
  })
})

function failWith(message: string): never {
  throw new Error(message)
}

describe('a batch that ends the runtime', () => {
  it('[I3] becomes a dead letter after three interrupted attempts', async () => {
    await write('killer', ['A'])
    // The state that interrupted attempts leave: they were begun, and never ended.
    await inNotes('killer', (notes) =>
      notes.ctx.storage.sql.exec('UPDATE _cdc_state SET batch_lsn = 1, attempts_begun = 3, first_attempt = 1'),
    )
    expect((await drain('killer')).map((record) => record.type)).toEqual(['cdc.dead_letter'])
    const [letter] = await deadLettersOf('killer')
    expect(letter).toMatchObject({ lsn: 1, attempts: 3, reason: 'the runtime ended 3 times while it was sent' })
  })
})

describe('a batch whose crash window the runtime outlives', () => {
  it('[I3] does not count as the cause if the runtime ends', async () => {
    configurations.set('survivor', { crashWindowMs: 10, sendTimeoutMs: 60_000 })
    await write('survivor', ['A'])
    nextFates('survivor', 'hang')
    // It hangs until the objects of this file are deleted, which is its only end.
    runDurableObjectAlarm(env.NOTES.getByName('survivor')).catch(() => undefined)
    const attempts = () =>
      inNotes('survivor', (notes) =>
        notes.ctx.storage.sql.exec('SELECT attempts_begun AS begun, attempts_ended AS ended FROM _cdc_state').one(),
      )
    await vi.waitFor(async () => expect(await attempts()).toEqual({ begun: 1, ended: 1 }), { timeout: 20_000 })
  })
})

async function drainOnce(name: string): Promise<number> {
  using outbox = await env.NOTES.getByName(name).outbox
  return (await outbox.flush()).pendingEvents
}

/** Flushes until all remaining faults are over and nothing is pending. */
async function drainThrough(name: string): Promise<void> {
  for (let flushes = 0; flushes < 100; flushes++) if ((await drainOnce(name)) === 0) return
  throw new Error(`${name}: events are pending after 100 flushes`)
}
