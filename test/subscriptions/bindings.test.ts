import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import type { CommittedRecord, EventRecord } from 'durable-outbox'
import {
  type Delivery,
  subscribe,
  type Subscription,
  toObject,
  toPipeline,
  toQueue,
} from 'durable-outbox/subscriptions'
import { describe, expect, it, vi } from 'vitest'
import { failureOf, inNotes } from '../notes.ts'
import { configurations, queued } from '../worker.ts'

const HOUR_MS = 3_600_000

/** An object whose alarms run only when a test runs them, with a clock that the test moves. */
function configure(name: string, ...subscriptions: Subscription[]): { nowMs: number } {
  const time = { nowMs: Date.now() + 365 * 24 * HOUR_MS }
  configurations.set(name, { subscriptions: subscribe(subscriptions), sendTimeoutMs: 5_000, now: () => time.nowMs })
  return time
}

function emit(name: string, ...events: { type: string; data?: object }[]): Promise<void> {
  return inNotes(name, ({ ctx }) =>
    ctx.transactionSync((tx) => void tx.emitBatch(events as { type: string; data: Record<string, unknown> }[])),
  )
}

async function alarm(name: string): Promise<void> {
  await runDurableObjectAlarm(env.NOTES.getByName(name))
}

describe('toObject', () => {
  it('calls each object once with what is for it, over RPC, and processEach acts on each event once', async () => {
    const shop = (event: EventRecord) => `shelf-${String(event.data?.['shelf'])}`
    const calls: string[] = []
    let isLost = true
    const time = configure('shop', {
      name: 'shelves',
      target: toObject(shop, async (object, delivery) => {
        calls.push(`${object}: ${delivery.records.map(({ lsn }) => lsn).join(' ')}`)
        await env.NOTES.getByName(object).receive(delivery)
        if (isLost) throw new Error('the answer was lost')
      }),
    })
    await emit('shop', ...[1, 2, 1, 2, 2].map((shelf) => ({ type: 'Put', data: { shelf } })))
    await alarm('shop')
    isLost = false
    time.nowMs += HOUR_MS
    await alarm('shop')
    expect(calls).toEqual(['shelf-1: 1 3', 'shelf-2: 2 4 5', 'shelf-1: 1 3', 'shelf-2: 2 4 5'])
    expect(await inNotes('shelf-1', (notes) => notes.notes())).toEqual(['1', '3'])
    expect(await inNotes('shelf-2', (notes) => notes.notes())).toEqual(['2', '4', '5'])
  })
})

describe('toQueue', () => {
  it('sends to a queue of the platform, whose consumer gets the records', async () => {
    configure('real-queue', { name: 'queue', target: toQueue(env.QUEUE) })
    await emit('real-queue', { type: 'A', data: { n: 1 } }, { type: 'B' })
    await alarm('real-queue')
    const mine = () => queued.filter(({ ns }) => ns === 'real-queue').toSorted((a, b) => (a.lsn ?? 0) - (b.lsn ?? 0))
    await vi.waitFor(
      () =>
        expect(mine()).toMatchObject([
          { type: 'A', lsn: 1, data: { n: 1 } },
          { type: 'B', lsn: 2 },
        ]),
      5_000,
    )
  })

  it('sends at most 100 messages and 240 KB at once, and makes a dead letter of what is too large for a message', async () => {
    const batches: CommittedRecord[][] = []
    configure('queue', {
      name: 'queue',
      target: toQueue({ sendBatch: async (messages) => void batches.push(Array.from(messages, ({ body }) => body)) }),
    })
    await emit('queue', ...Array.from({ length: 150 }, () => ({ type: 'Small' })))
    const body = 'x'.repeat(100_000)
    await emit(
      'queue',
      { type: 'Large', data: { body } },
      { type: 'Large', data: { body } },
      { type: 'Large', data: { body } },
    )
    await emit('queue', { type: 'TooLarge', data: { body: 'x'.repeat(130_000) } }, { type: 'Last' })
    await alarm('queue')
    await inNotes('queue', ({ outbox }) => outbox.flush())
    expect(batches.flat().map(({ lsn }) => lsn)).toEqual([...Array.from({ length: 153 }, (_, index) => index + 1), 155])
    for (const batch of batches) {
      expect(batch.length).toBeLessThanOrEqual(100)
      expect(new TextEncoder().encode(JSON.stringify(batch)).byteLength).toBeLessThan(241_000)
    }
    const { items } = await inNotes('queue', ({ outbox }) => outbox.deadLetters({ subscription: 'queue' }))
    expect(items).toMatchObject([{ lsn: 154, reason: 'a message of a queue has at most 127000 bytes' }])
  })
})

describe('toPipeline', () => {
  it('sends records to another pipeline', async () => {
    const sent: EventRecord[] = []
    configure('pipeline', {
      name: 'second',
      target: toPipeline({ send: async (records) => void sent.push(...records) }),
    })
    await emit('pipeline', { type: 'A' }, { type: 'B' })
    await alarm('pipeline')
    expect(sent.map(({ type, ns, lsn }) => [type, ns, lsn])).toEqual([
      ['A', 'pipeline', 1],
      ['B', 'pipeline', 2],
    ])
  })
})

describe('the alarm of a subscription', () => {
  it('[I6] is set again when the object wakes after it was lost, though nothing waits for the pipeline', async () => {
    const taken: number[] = []
    let isDown = true
    const target = toPipeline({
      async send(records) {
        if (isDown) throw new Error('down')
        taken.push(...records.map(({ lsn = 0 }) => lsn))
      },
    })
    const time = { nowMs: Date.now() - HOUR_MS }
    configurations.set('lost', {
      now: () => time.nowMs,
      minRetryDelayMs: HOUR_MS,
      maxRetryDelayMs: HOUR_MS,
      subscriptions: subscribe([{ name: 'copy', target }]),
    })
    await emit('lost', { type: 'A' })
    await alarm('lost')
    isDown = false
    time.nowMs += HOUR_MS
    await inNotes('lost', ({ ctx }) => ctx.storage.deleteAlarm())
    await evictDurableObject(env.NOTES.getByName('lost'))
    // The alarm is due at once, so it is the runtime that runs it.
    await inNotes('lost', () => undefined)
    await vi.waitFor(() => expect(taken).toEqual([1]))
  })
})

describe('processEach', () => {
  const EPOCH = '01ARZ3NDEKTSV4RRFFQ69G5FAV'

  function delivery(firstLSN: number, lastLSN: number, lsns: readonly number[], subscription = 'copy'): Delivery {
    const log = { ns: 'acme', source: 'DO/Orders', epoch: EPOCH }
    const records = lsns.map((lsn) => ({
      ...log,
      id: `01ARZ3NDEKTSV4RRFFQ6${String(lsn).padStart(6, '0')}`,
      type: 'N',
      timestamp: '2026-11-28T00:00:00.000Z',
      lsn,
      txid: EPOCH,
      correlation_id: `request-${lsn}`,
      _meta: { schemaVersion: 1, source: 'DO/Orders', epoch: EPOCH },
    }))
    return { ...log, subscription, firstLSN, lastLSN, records }
  }

  function receive(name: string, ...deliveries: Delivery[]): Promise<number[]> {
    return inNotes(name, (notes) => deliveries.map((each) => notes.receive(each)))
  }

  function rangesOf(name: string): Promise<[number, number][]> {
    return inNotes(name, ({ ctx }) =>
      ctx.storage.sql
        .exec<{ first_lsn: number; last_lsn: number }>('SELECT * FROM _cdc_inbox ORDER BY first_lsn')
        .toArray()
        .map((row) => [row.first_lsn, row.last_lsn]),
    )
  }

  it('remembers a whole range in one row, whatever a filter leaves out', async () => {
    expect(await receive('ranges', delivery(1, 9, [2, 5]), delivery(10, 20, [11]), delivery(1, 9, [2, 5]))).toEqual([
      2, 1, 0,
    ])
    expect(await rangesOf('ranges')).toEqual([[1, 20]])
    expect(await inNotes('ranges', (notes) => notes.notes())).toEqual(['2', '5', '11'])
  })

  it('takes an event that was left out as a dead letter when it comes later, once', async () => {
    const counts = await receive(
      'late',
      delivery(1, 4, [2]),
      delivery(6, 9, [7]),
      delivery(5, 5, [5]),
      delivery(5, 5, [5]),
    )
    expect(counts).toEqual([1, 1, 1, 0])
    expect(await rangesOf('late')).toEqual([[1, 9]])
  })

  it('takes what overlaps in parts, and tells subscriptions apart', async () => {
    const counts = await receive(
      'parts',
      delivery(1, 4, [1, 4]),
      delivery(1, 8, [1, 4, 8]),
      delivery(1, 8, [1, 4], 'other'),
    )
    expect(counts).toEqual([2, 1, 2])
  })

  it('[I1] commits a delivery as a whole or not at all', async () => {
    const events = await inNotes('whole', async ({ ctx, outbox }) => {
      const failing = () =>
        ctx.processEach(delivery(1, 2, [1, 2]), async (tx, { lsn }) => {
          await Promise.resolve()
          tx.emit({ type: 'Seen' })
          if (lsn === 2) throw new Error('on purpose')
        })
      expect(await failureOf(failing)).toMatchObject({ message: 'on purpose' })
      await ctx.processEach(delivery(1, 2, [1, 2]), (tx) => void tx.emit({ type: 'Seen' }))
      return outbox.list().items
    })
    expect(events.map(({ correlationId }) => correlationId)).toEqual(['request-1', 'request-2'])
    expect(new Set(events.map(({ txid }) => txid)).size).toBe(1)
  })

  it.each([{ firstLSN: 0 }, { epoch: 'x' }, { subscription: '' }, { ns: undefined }])(
    'refuses what is no delivery: %j',
    async (fields) => {
      const failure = await failureOf(() => receive('none', { ...delivery(1, 1, [1]), ...fields } as Delivery))
      expect(failure.code).toBe('event-invalid')
    },
  )
})
