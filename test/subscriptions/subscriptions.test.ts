import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import { type CDCOptions, defineEvents } from 'durable-outbox'
import * as z from 'zod'
import type { SubscriptionStats } from 'durable-outbox/admin'
import { acceptedRecords, setFate } from 'durable-outbox/testing'
import { subscribe, type Subscription } from 'durable-outbox/subscriptions'
import { describe, expect, it, vi } from 'vitest'
import { RowMeter, totalRows } from '../../proofs/bench/row-meter.ts'
import { failureOf, inNotes } from '../notes.ts'
import { configurations } from '../worker.ts'
import { down, Receiver } from './receiver.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** So far ahead that the platform runs no alarm by itself: alarms run only when a test runs them. */
const AHEAD_MS = 365 * DAY_MS

/** An object with subscriptions to receivers, and a clock that the test moves. */
function configure(
  name: string,
  { subscriptions = [], ...options }: Omit<CDCOptions, 'subscriptions'> & { subscriptions?: readonly Subscription[] },
): { nowMs: number } {
  const time = { nowMs: Date.now() + AHEAD_MS }
  configurations.set(name, {
    lingerMs: 100,
    minRetryDelayMs: 500,
    maxRetryDelayMs: 60_000,
    retentionMs: DAY_MS,
    now: () => time.nowMs,
    ...(subscriptions.length > 0 && { subscriptions: subscribe(subscriptions) }),
    ...options,
  })
  return time
}

function emit(name: string, ...types: string[]): Promise<void> {
  return inNotes(name, (notes) => {
    for (const type of types) notes.ctx.transactionSync((tx) => tx.emit({ type }))
  })
}

function alarm(name: string): Promise<boolean> {
  return runDurableObjectAlarm(env.NOTES.getByName(name))
}

function alarmOf(name: string): Promise<number | null> {
  return inNotes(name, (notes) => notes.ctx.storage.getAlarm())
}

async function statsOf(name: string, subscription = 'copy'): Promise<SubscriptionStats> {
  const all = await inNotes(name, (notes) => notes.outbox.subscriptions())
  const stats = all.find((each) => each.name === subscription)
  if (stats === undefined) throw new Error(`there is no ${subscription}`)
  return stats
}

describe('a subscription', () => {
  it('[I3] delivers the events that match, in LSN order, and leaves the pipeline as it is', async () => {
    const target = new Receiver()
    configure('matching', { subscriptions: [{ name: 'copy', filter: { types: ['Order.*', 'Paid'] }, target }] })
    await emit('matching', 'Order.placed', 'Customer.created', 'Paid', 'Order.sent', 'Other')
    await alarm('matching')
    expect(target.lsns).toEqual([1, 3, 4])
    expect(target.taken).toMatchObject([
      { subscription: 'copy', ns: 'matching', source: 'DO/Notes', firstLSN: 1, lastLSN: 5 },
    ])
    expect(acceptedRecords('matching')).toHaveLength(5)
    expect(await alarmOf('matching')).toBeNull()
    expect(await statsOf('matching')).toMatchObject({
      status: 'live',
      ackedLSN: 5,
      pendingEvents: 0,
      deliveredEvents: 3,
      missedEvents: 0,
      deliveries: [{ status: 'delivered', firstLSN: 1, lastLSN: 5, events: 3, attempts: 1 }],
    })
  })

  it('delivers changes by table, store, operation, and what a function of the event says', async () => {
    const [tables, ops, chosen] = [new Receiver(), new Receiver(), new Receiver()]
    configure('changes', {
      subscriptions: [
        { name: 'tables', filter: { stores: ['document'], tables: ['Draft'] }, target: tables },
        { name: 'ops', filter: { ops: ['u', 'd'] }, target: ops },
        {
          name: 'chosen',
          filter: { types: ['cdc.*'], matches: ({ after }) => after?.['text'] === 'b' },
          target: chosen,
        },
      ],
    })
    await inNotes('changes', ({ drafts, ctx }) => {
      ctx.transactionSync((tx) => tx.emit({ type: 'N' }))
      const { $id } = drafts.create({ text: 'a' })
      drafts.update($id, { text: 'b' })
    })
    await alarm('changes')
    expect([tables.lsns, ops.lsns, chosen.lsns]).toEqual([[2, 3], [3], [3]])
  })

  it('[I3] that fails holds back neither the pipeline nor another one, and loses nothing in an hour', async () => {
    const [broken, target] = [new Receiver(), new Receiver()]
    broken.fate = down()
    const time = configure('down', {
      subscriptions: [
        { name: 'broken', target: broken },
        { name: 'copy', target },
      ],
    })
    for (let minute = 0; minute < 60; minute += 3) {
      await emit('down', 'N')
      await alarm('down')
      time.nowMs += 3 * 60_000
    }
    expect(target.lsns).toEqual(Array.from({ length: 20 }, (_, index) => index + 1))
    expect(acceptedRecords('down')).toHaveLength(20)
    expect(broken.taken).toEqual([])
    expect(broken.attempts.every(({ firstLSN, lastLSN }) => firstLSN === 1 && lastLSN === 1)).toBe(true)
    expect((await statsOf('down', 'broken')).deliveries).toMatchObject([{ status: 'failed', firstLSN: 1, events: 1 }])
    broken.fate = 'take'
    await evictDurableObject(env.NOTES.getByName('down'))
    await alarm('down')
    expect(broken.lsns).toEqual(target.lsns)
  })

  it('[I3] delivers while the pipeline fails, from an alarm of its own', async () => {
    const target = new Receiver()
    const time = configure('lake-down', { subscriptions: [{ name: 'copy', target }] })
    setFate('lake-down', 'reject')
    for (const type of ['A', 'B', 'C']) {
      await emit('lake-down', type)
      const dueMs = await alarmOf('lake-down')
      expect(dueMs).toBeLessThanOrEqual(time.nowMs + 100)
      await alarm('lake-down')
      time.nowMs += 10
    }
    expect(target.types).toEqual(['A', 'B', 'C'])
    setFate('lake-down', 'accept')
    await inNotes('lake-down', (notes) => notes.outbox.flush())
    expect(acceptedRecords('lake-down').map(({ lsn }) => lsn)).toEqual([1, 2, 3])
  })

  it.each(['lose the answer', 'hang'] as const)('[I4] delivers the same range again after "%s"', async (fate) => {
    const name = `again-${fate}`
    const target = new Receiver()
    target.fates = [fate]
    const time = configure(name, { subscriptions: [{ name: 'copy', filter: { types: ['A*'] }, target }] })
    await emit(name, 'A1', 'N', 'A2')
    await alarm(name)
    await emit(name, 'A3')
    await evictDurableObject(env.NOTES.getByName(name))
    time.nowMs += 60_000
    await alarm(name)
    expect(target.attempts.map(({ records }) => records.map(({ lsn }) => lsn))).toEqual([[1, 3], [1, 3], [4]])
    expect(target.attempts.map(({ records }) => records[0]?._meta.retries)).toEqual([undefined, 1, undefined])
  })

  it('waits as long as its target asks for', async () => {
    const target = new Receiver()
    target.fates = [Object.assign(down(429), { retryAfter: 600 })]
    const time = configure('patient', { subscriptions: [{ name: 'copy', target }] })
    await emit('patient', 'N')
    await alarm('patient')
    expect(await alarmOf('patient')).toBe(time.nowMs + 600_000)
    time.nowMs += 599_000
    await alarm('patient')
    expect(target.taken).toEqual([])
    time.nowMs += 1_000
    await alarm('patient')
    expect(target.lsns).toEqual([1])
  })

  it('begins with what is committed after it was added, or with the oldest event that is kept', async () => {
    const [late, all] = [new Receiver(), new Receiver()]
    configure('added', {})
    await emit('added', 'A', 'B')
    await alarm('added')
    configure('added', {
      subscriptions: [
        { name: 'late', target: late },
        { name: 'all', target: all, from: 'oldest' },
      ],
    })
    await evictDurableObject(env.NOTES.getByName('added'))
    await emit('added', 'C')
    await alarm('added')
    expect([late.types, all.types]).toEqual([['C'], ['A', 'B', 'C']])
  })

  it('[I7] reads a long log in parts until it finds what matches', async () => {
    const target = new Receiver()
    const options = { maxBatchEvents: 1_000 }
    const time = configure('long', options)
    await inNotes('long', ({ ctx }) => {
      for (let n = 0; n < 4_500; n += 1) ctx.transactionSync((tx) => tx.emit({ type: 'Other' }))
      ctx.transactionSync((tx) => tx.emit({ type: 'A' }))
    })
    configure('long', {
      ...options,
      subscriptions: [{ name: 'copy', filter: { types: ['A'] }, from: 'oldest', target }],
    })
    await evictDurableObject(env.NOTES.getByName('long'))
    for (let alarms = 0; alarms < 5; alarms += 1) {
      time.nowMs += 60_000
      await alarm('long')
    }
    expect(target.lsns).toEqual([4_501])
    expect(await statsOf('long')).toMatchObject({ pendingEvents: 0, deliveredEvents: 1 })
  })

  it('continues with the events of a new epoch after deleteAll', async () => {
    const target = new Receiver()
    configure('emptied', { subscriptions: [{ name: 'copy', target }] })
    await emit('emptied', 'A')
    await inNotes('emptied', (notes) => notes.empty())
    await emit('emptied', 'B')
    await alarm('emptied')
    expect(target.types).toEqual(['B'])
    expect(target.lsns).toEqual([1])
  })

  it('[I9] delivers what is left of a log under the name of that log after the class has got a new one', async () => {
    const target = new Receiver()
    target.fate = down()
    const subscriptions = [{ name: 'copy', target }]
    configure('renamed', { subscriptions })
    await emit('renamed', 'A', 'B')
    await alarm('renamed')
    const time = configure('renamed', { subscriptions, source: 'DO/Renamed' })
    await evictDurableObject(env.NOTES.getByName('renamed'))
    await emit('renamed', 'C')
    target.fate = 'take'
    time.nowMs += HOUR_MS
    await alarm('renamed')
    expect(target.records.map(({ lsn, source }) => [lsn, source])).toEqual([
      [1, 'DO/Notes'],
      [2, 'DO/Notes'],
      [3, 'DO/Renamed'],
    ])
    expect(new Set(target.records.map(({ epoch }) => epoch)).size).toBe(2)
  })

  it('[I9] leaves to the original what a copy of the object has of its log', async () => {
    const target = new Receiver()
    target.fate = down()
    const time = configure('copied', { subscriptions: [{ name: 'copy', target }] })
    await emit('copied', 'A', 'B')
    await alarm('copied')
    await inNotes('copied', (notes) => {
      notes.ctx.storage.sql.exec("UPDATE _cdc_state SET object = 'the original'")
    })
    await evictDurableObject(env.NOTES.getByName('copied'))
    target.fate = 'take'
    await emit('copied', 'C')
    time.nowMs += HOUR_MS
    await alarm('copied')
    expect(target.types).toEqual(['C'])
  })
})

describe('dead letters of a subscription', () => {
  it('[I3] are the events that its target refuses, alone, and the others are delivered in order', async () => {
    const target = new Receiver()
    target.refusedType = 'Bad'
    configure('refused', { subscriptions: [{ name: 'copy', target }] })
    await emit('refused', 'A', 'B', 'Bad', 'C', 'Bad', 'D')
    await alarm('refused')
    expect(target.types).toEqual(['A', 'B', 'C', 'D'])
    expect(acceptedRecords('refused').map(({ type }) => type)).toEqual(['A', 'B', 'Bad', 'C', 'Bad', 'D'])
    await inNotes('refused', ({ outbox }) => {
      expect(outbox.deadLetters().items).toEqual([])
      const { items } = outbox.deadLetters({ subscription: 'copy' })
      expect(items).toMatchObject([
        { lsn: 3, reason: 'of the wrong type', attempts: 1, event: { type: 'Bad', lsn: 3 } },
        { lsn: 5, reason: 'of the wrong type', event: { type: 'Bad', lsn: 5 } },
      ])
    })
    expect(await statsOf('refused')).toMatchObject({ deadLetters: 2, pendingEvents: 0, status: 'live' })
  })

  it('are delivered again under their own LSN by redrive, and stay if that fails', async () => {
    const target = new Receiver()
    target.refusedType = 'Bad'
    configure('redriven', { subscriptions: [{ name: 'copy', target }] })
    await emit('redriven', 'Bad', 'A', 'Bad')
    await alarm('redriven')
    using outbox = await env.NOTES.getByName('redriven').outbox
    const failure = await failureOf(() => outbox.redrive({ subscription: 'copy', all: true }))
    expect(failure).toMatchObject({ code: 'pipeline-failed', message: expect.stringContaining('0 redriven') as string })
    target.refusedType = undefined
    expect(await outbox.redrive({ subscription: 'copy', all: true })).toEqual({ redriven: 2 })
    expect(target.lsns).toEqual([2, 1, 3])
    expect((await outbox.deadLetters({ subscription: 'copy' })).items).toEqual([])
  })

  it('are deleted by discard, with an event that says so', async () => {
    const target = new Receiver()
    target.refusedType = 'Bad'
    configure('discarded', { subscriptions: [{ name: 'copy', target }] })
    await emit('discarded', 'Bad')
    await alarm('discarded')
    using outbox = await env.NOTES.getByName('discarded').outbox
    expect(await outbox.discard({ subscription: 'copy', all: true, reason: 'a test' })).toEqual({ discarded: 1 })
    await alarm('discarded')
    expect(acceptedRecords('discarded').at(-1)).toMatchObject({
      type: 'cdc.dead_letter_discarded',
      data: { lsn: 1, type: 'Bad', reason: 'a test', subscription: 'copy' },
    })
  })

  it('[I3] of the pipeline reach a subscription as what they were, once and at their place', async () => {
    const [slow, fast] = [new Receiver(), new Receiver()]
    slow.fate = down()
    const time = configure('poisoned', {
      subscriptions: [
        { name: 'slow', target: slow },
        { name: 'fast', target: fast },
      ],
    })
    await emit('poisoned', 'A', 'Poison', 'B')
    await alarm('poisoned')
    await inNotes('poisoned', ({ outbox }) => {
      expect(outbox.deadLetters().items).toMatchObject([{ lsn: 2 }])
      expect(outbox.get(2)).toMatchObject({ type: 'cdc.dead_letter' })
      expect(outbox.get(2)).not.toHaveProperty('refused')
      outbox.redrive({ all: true })
    })
    slow.fate = 'take'
    time.nowMs += HOUR_MS
    await alarm('poisoned')
    expect(slow.types).toEqual(['A', 'Poison', 'B'])
    expect(fast.types).toEqual(['A', 'Poison', 'B'])
    expect(acceptedRecords('poisoned').find(({ lsn }) => lsn === 2)).not.toHaveProperty('refused')
  })
})

describe('a subscription that is stopped', () => {
  it('delivers nothing while it is paused, and what it has left out when it is resumed', async () => {
    const target = new Receiver()
    configure('paused', { subscriptions: [{ name: 'copy', target }] })
    await inNotes('paused', ({ outbox }) => outbox.pause({ subscription: 'copy' }))
    await emit('paused', 'A')
    await alarm('paused')
    expect(await alarmOf('paused')).toBeNull()
    expect(target.attempts).toEqual([])
    expect(await statsOf('paused')).toMatchObject({ status: 'paused', pendingEvents: 1 })
    await evictDurableObject(env.NOTES.getByName('paused'))
    await inNotes('paused', ({ outbox }) => outbox.resume({ subscription: 'copy' }))
    await alarm('paused')
    expect(target.types).toEqual(['A'])
  })

  it('is disabled after disableAfterMs of failures, says so, and continues from where it stopped', async () => {
    const target = new Receiver()
    target.fate = down()
    const time = configure('disabled', { disableAfterMs: 2 * HOUR_MS, subscriptions: [{ name: 'copy', target }] })
    await emit('disabled', 'A')
    for (let minutes = 0; minutes <= 120; minutes += 10) {
      await alarm('disabled')
      time.nowMs += 600_000
    }
    const attempts = target.attempts.length
    expect(attempts).toBe(13)
    const { status } = await statsOf('disabled')
    expect(status).toMatch(/^disabled since .*: 503 on purpose$/)
    expect(await inNotes('disabled', ({ outbox }) => outbox.stats().subscriptions)).toEqual({ copy: status })
    await alarm('disabled')
    await alarm('disabled')
    expect(target.attempts).toHaveLength(attempts)
    expect(acceptedRecords('disabled').at(-1)).toMatchObject({
      type: 'cdc.subscription',
      data: { subscription: 'copy', change: 'disabled', reason: '503 on purpose' },
    })
    target.fate = 'take'
    await inNotes('disabled', ({ outbox }) => outbox.resume({ subscription: 'copy' }))
    await alarm('disabled')
    expect(target.types).toEqual(['A', 'cdc.subscription'])
    expect((await statsOf('disabled')).status).toBe('live')
  })

  it('is disabled at once by a status of 410', async () => {
    const target = new Receiver()
    target.fate = down(410)
    configure('gone', { subscriptions: [{ name: 'copy', target }] })
    await emit('gone', 'A')
    await alarm('gone')
    expect((await statsOf('gone')).status).toMatch(/^disabled since/)
  })

  it('says in stats that it is no longer in the code, keeps its place, and is gone when it is dropped', async () => {
    const target = new Receiver()
    configure('removed', { subscriptions: [{ name: 'copy', target }] })
    await emit('removed', 'A')
    await alarm('removed')
    const dropped = () => inNotes('removed', ({ outbox }) => outbox.drop({ subscription: 'copy' }))
    expect(await failureOf(dropped)).toMatchObject({ code: 'invalid-argument' })
    configure('removed', {})
    await evictDurableObject(env.NOTES.getByName('removed'))
    await emit('removed', 'B')
    expect(await statsOf('removed')).toMatchObject({
      ackedLSN: 1,
      status: expect.stringMatching(/^not in the code/) as string,
    })
    configure('removed', { subscriptions: [{ name: 'copy', target }] })
    await evictDurableObject(env.NOTES.getByName('removed'))
    await alarm('removed')
    expect(target.types).toEqual(['A', 'B'])
    configure('removed', {})
    await evictDurableObject(env.NOTES.getByName('removed'))
    await dropped()
    expect(await inNotes('removed', ({ outbox }) => outbox.subscriptions())).toEqual([])
    expect(await failureOf(dropped)).toMatchObject({ code: 'not-found' })
  })
})

describe('a subscription that lags', () => {
  const LARGE = 'x'.repeat(900_000)

  function emitLarge(name: string, count: number): Promise<void> {
    return inNotes(name, (notes) => {
      for (let n = 0; n < count; n += 1)
        notes.ctx.transactionSync((tx) => tx.emit({ type: 'N', data: { body: LARGE } }))
    })
  }

  it('[I3] keeps its events beyond the retention', async () => {
    const target = new Receiver()
    configure('kept', { retentionBytes: 0, retentionMs: 0, subscriptions: [{ name: 'copy', target }] })
    await inNotes('kept', ({ outbox }) => outbox.pause({ subscription: 'copy' }))
    for (let times = 0; times < 5; times += 1) {
      await emitLarge('kept', 5)
      await alarm('kept')
    }
    await inNotes('kept', async ({ outbox }) => {
      outbox.resume({ subscription: 'copy' })
      await outbox.flush()
    })
    await vi.waitFor(() => expect(target.lsns).toHaveLength(25))
    expect((await statsOf('kept')).missedEvents).toBe(0)
  })

  it('[I7] misses what is beyond maxLagBytes, says so, and continues with the oldest event that is kept', async () => {
    const target = new Receiver()
    configure('missed', {
      retentionBytes: 0,
      retentionMs: 0,
      maxLagBytes: 10_000_000,
      subscriptions: [{ name: 'copy', target }],
    })
    await inNotes('missed', ({ outbox }) => outbox.pause({ subscription: 'copy' }))
    for (let times = 0; times < 6; times += 1) {
      await emitLarge('missed', 5)
      await alarm('missed')
    }
    await inNotes('missed', async ({ outbox }) => {
      outbox.resume({ subscription: 'copy' })
      await outbox.flush()
      await outbox.flush()
    })
    const { missedEvents, missedLSN = 0 } = await statsOf('missed')
    expect(missedEvents).toBeGreaterThan(0)
    expect(missedLSN).toBe(missedEvents)
    const told = acceptedRecords('missed').find(({ type }) => type === 'cdc.subscription')
    expect(told?.data).toEqual({ subscription: 'copy', change: 'missed', firstLSN: 1, lastLSN: missedLSN })
    expect(target.lsns).toEqual(Array.from({ length: 31 - missedLSN }, (_, index) => missedLSN + 1 + index))
  })
})

describe('the rows of a subscription', () => {
  async function rowsOf(name: string, options: Parameters<typeof configure>[1], events: number): Promise<number> {
    configure(name, options)
    await emit(name, 'First')
    await alarm(name)
    return inNotes(name, async (notes) => {
      const meter = new RowMeter(notes.ctx.storage)
      for (let n = 0; n < events; n += 1) notes.ctx.transactionSync((tx) => tx.emit({ type: 'N' }))
      await notes.alarm()
      return totalRows(meter.take())
    })
  }

  it('are none without subscriptions, 3 for each batch of one, and 1 for a run that finds nothing for it', async () => {
    const none = await rowsOf('rows-none', { maxBatchEvents: 1_000 }, 50)
    const one = await rowsOf(
      'rows-one',
      { maxBatchEvents: 1_000, subscriptions: [{ name: 'copy', target: new Receiver() }] },
      50,
    )
    const others = await rowsOf(
      'rows-others',
      { maxBatchEvents: 1_000, subscriptions: [{ name: 'copy', filter: { types: ['X'] }, target: new Receiver() }] },
      50,
    )
    expect({ none, one: one - none, others: others - none }).toEqual({ none: 55, one: 3, others: 1 })
  })

  it('are 4 for an attempt that fails, and 6 for one that ends in a dead letter', async () => {
    const target = new Receiver()
    target.fate = down()
    const time = configure('rows-failed', { subscriptions: [{ name: 'copy', target }] })
    await emit('rows-failed', 'Bad')
    await alarm('rows-failed')
    const attempt = () => {
      time.nowMs += 60_000
      return inNotes('rows-failed', async (notes) => {
        const meter = new RowMeter(notes.ctx.storage)
        await notes.alarm()
        return totalRows(meter.take())
      })
    }
    const failed = await attempt()
    target.fate = 'take'
    target.refusedType = 'Bad'
    expect({ failed, buried: await attempt() }).toEqual({ failed: 4, buried: 6 })
  })
})

describe('the option subscriptions', () => {
  it('knows the types of events for its filters', () => {
    const events = defineEvents({ 'Order.placed': z.object({}) })
    const target = new Receiver()
    subscribe<typeof events>([{ name: 'a', filter: { types: ['Order.placed', 'Order.*', 'cdc.insert'] }, target }])
    // @ts-expect-error There is no such type.
    expect(subscribe<typeof events>([{ name: 'a', filter: { types: ['Order.sent'] }, target }])).toBeTypeOf('function')
  })

  it.each([
    [[{ name: 'a b', target: new Receiver() }], 'name'],
    [[{ name: 'a', target: {} }], 'target'],
    [[{ name: 'a', target: new Receiver(), filter: { types: ['A*B'] } }], 'types'],
    [[{ name: 'a', target: new Receiver(), filter: { type: ['A'] } }], 'filter'],
    [
      [
        { name: 'a', target: new Receiver() },
        { name: 'a', target: new Receiver() },
      ],
      'two of the name a',
    ],
  ])('is refused when it is not valid', async (subscriptions, problem) => {
    const failure = await failureOf(() => subscribe(subscriptions as Subscription[]))
    expect(failure).toMatchObject({ code: 'invalid-config', message: expect.stringContaining(problem) as string })
  })
})
