// Types of events: what is emitted is checked when it is emitted, and what is read has the newest form, whoever emitted it.

import { env } from 'cloudflare:workers'
import {
  CDCDurableObject,
  CDCEmitter,
  type CDCOptions,
  defineEvents,
  type EventRecord,
  ExactlyOnceContext,
  readEvent,
  UnsentError,
} from 'durable-outbox'
import { acceptedRecords, fakePipeline, nextFates, setFate } from 'durable-outbox/testing'
import { describe, expect, expectTypeOf, it } from 'vitest'
import * as z from 'zod'
import { drain, failureOf, inNotes } from '../notes.ts'
import { configurations } from '../worker.ts'

const events = defineEvents({
  'Order.placed': z.object({ order: z.string(), cents: z.int().min(0), currency: z.string().default('EUR') }),
  'Shop.opened': z.object({ note: z.optional(z.string()) }),
})

/** The same order after two changes: first it had `euros`, then no currency. */
const versioned = defineEvents({
  'Order.placed': {
    data: z.object({ order: z.string(), cents: z.int(), currency: z.string() }),
    upcast: [
      ({ euros, ...rest }) => ({ ...rest, cents: Math.round(Number(euros) * 100) }),
      (rest) => ({ currency: 'EUR', ...rest }),
    ],
  },
})

const record: EventRecord = {
  id: '01ARZ3NDEKTSV4RRFFQ69G5FA1',
  type: 'Order.placed',
  timestamp: '2026-11-22T10:00:00.000Z',
  ns: 'acme',
  source: 'DO/Shop',
  epoch: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
  lsn: 1,
  txid: '01ARZ3NDEKTSV4RRFFQ69G5FAW',
  correlation_id: 'request-1',
  data: { order: 'a', euros: 12.34 },
  _meta: { schemaVersion: 1, source: 'DO/Shop', epoch: '01ARZ3NDEKTSV4RRFFQ69G5FAV' },
}

/** Only compiled: each line that is expected to fail is one. */
export class Shop extends CDCDurableObject<Cloudflare.Env, {}, typeof events> {
  protected override configure(): CDCOptions<typeof events> {
    return { events }
  }

  async compiles(received: EventRecord): Promise<void> {
    this.ctx.transactionSync((tx) => {
      tx.emit({ type: 'Order.placed', data: { order: 'a', cents: 1 }, actor: 'User/alice' })
      tx.emit({ type: 'Shop.opened' })
      tx.emit({ op: 'u', store: 'relational', table: 'orders', key: 'a' })
      // @ts-expect-error There is no such type.
      tx.emit({ type: 'Order.plcaed', data: { order: 'a', cents: 1 } })
      // @ts-expect-error Its data lacks something.
      tx.emit({ type: 'Order.placed', data: { order: 'a' } })
      // @ts-expect-error It has no data.
      tx.emit({ type: 'Order.placed' })
      // @ts-expect-error One of a batch is not valid.
      tx.emitBatch([{ type: 'Shop.opened' }, { type: 'Order.placed', data: { order: 1, cents: 1 } }])
    })
    await this.ctx.processOnce(received, (tx) => tx.emit({ type: 'Shop.opened', data: { note: 'again' } }))
    // @ts-expect-error A consumer emits the same types.
    await this.ctx.processOnce(received, (tx) => tx.emit({ type: 'Nothing' }))
    const context = new ExactlyOnceContext(this.ctx, { events })
    // @ts-expect-error A context that is composed learns the types from its options.
    context.transactionSync((tx) => tx.emit({ type: 'Nothing' }))
    const event = events.read(received)
    if (event?.type === 'Order.placed') expectTypeOf(event.data.currency).toEqualTypeOf<string>()
    if (event?.type === 'Shop.opened') expectTypeOf(event.data.note).toEqualTypeOf<string | undefined>()
  }
}

describe('an event of a type that was defined', () => {
  it('[I1] is checked before it commits, and is what its schema makes of it', async () => {
    configurations.set('typed', { events })
    const failures = await inNotes('typed', async ({ ctx }) => {
      ctx.transactionSync((tx) => tx.emit({ type: 'Order.placed', data: { order: 'a', cents: 5 } }))
      return Promise.all(
        [
          { type: 'Order.placed', data: { order: 'b', cents: -1 } },
          { type: 'Order.placed' },
          { type: 'Order.plcaed' },
        ].map((event) =>
          failureOf(() =>
            ctx.transactionSync((tx) => {
              tx.execute(`INSERT INTO notes (text) VALUES ('gone')`)
              tx.emit(event)
            }),
          ),
        ),
      )
    })
    expect(failures).toMatchObject([
      { code: 'event-invalid', message: expect.stringMatching(/^emit: Order\.placed: data\.cents: .*0/) },
      { code: 'event-invalid', message: expect.stringMatching(/^emit: Order\.placed: data\.order: .*; data\.cents: /) },
      {
        code: 'event-invalid',
        message: 'emit: Order.plcaed is not a type of event here; the types are Order.placed, Shop.opened',
      },
    ])
    expect(await inNotes('typed', (notes) => notes.notes())).toEqual([])
    expect(await drain('typed')).toMatchObject([{ lsn: 1, data: { order: 'a', cents: 5, currency: 'EUR' } }])
  })

  it('leaves changes and the events of the library alone', async () => {
    configurations.set('typed changes', { events })
    await inNotes('typed changes', ({ ctx, drafts }) => {
      drafts.create({ text: 'one' })
      ctx.transactionSync((tx) => tx.emit({ op: 'u', store: 'relational', table: 'notes', key: '1' }))
      ctx.capture('notes')
      ctx.uncapture('notes')
    })
    expect((await drain('typed changes')).map(({ type }) => type)).toEqual(['cdc.insert', 'cdc.update', 'cdc.capture'])
  })

  it('carries the version of its type, in the log and on the wire, also after it was a dead letter', async () => {
    configurations.set('versioned', { events: versioned })
    await inNotes('versioned', ({ ctx }) =>
      ctx.transactionSync((tx) => tx.emit({ type: 'Order.placed', data: { order: 'a', cents: 5, currency: 'NOK' } })),
    )
    using outbox = await env.NOTES.getByName('versioned').outbox
    const { items } = await outbox.list()
    expect(items).toMatchObject([{ data: { order: 'a' }, _meta: { dataVersion: 3 } }])
    expect(items[0]).not.toHaveProperty('dataVersion')
    nextFates('versioned', { do: 'reject', error: { status: 422, retryable: false } })
    await drain('versioned')
    await outbox.redrive({ all: true })
    const sent = (await drain('versioned')).at(-1)
    expect(sent).toMatchObject({ data: { order: 'a' }, _meta: { dataVersion: 3, redrivenFrom: 1 } })
    expect(sent).not.toHaveProperty('dataVersion')
  })

  it('is checked by an emitter too', async () => {
    const emitter = new CDCEmitter(fakePipeline(), {
      ns: 'emitted types',
      source: 'Worker/test',
      events: versioned,
      deadlineMs: 0,
    })
    await emitter.emit({ type: 'Order.placed', data: { order: 'a', cents: 5, currency: 'NOK' } })
    expect(acceptedRecords('emitted types')).toMatchObject([{ _meta: { dataVersion: 3 } }])
    setFate('emitted types', 'reject')
    const error: unknown = await emitter
      .emit({ type: 'Order.placed', data: { order: 'b', cents: 6, currency: 'NOK' } })
      .catch((thrown: unknown) => thrown)
    setFate('emitted types', 'accept')
    await emitter.emitBatch(error instanceof UnsentError ? error.unsent : [])
    expect(acceptedRecords('emitted types').map(({ data }) => data?.['order'])).toEqual(['a', 'b'])
    // @ts-expect-error There is no such type.
    const failure = failureOf(() => emitter.emit({ type: 'Order.cancelled' }))
    expect(await failure).toMatchObject({ code: 'event-invalid' })
  })
})

describe('a reader of events', () => {
  it('has one form of an event, however it comes', async () => {
    await inNotes('one form', ({ ctx }) => {
      ctx.transactionSync((tx) => tx.emit({ type: 'Shop.opened', data: { note: 'today' } }), { correlationId: 'r1' })
    })
    using outbox = await env.NOTES.getByName('one form').outbox
    const listed = await outbox.get(1)
    const [sent] = await drain('one form')
    if (sent === undefined || listed === undefined) throw new Error('nothing was sent')
    const { status: _, ...event } = listed
    expect(readEvent(sent)).toEqual(event)
    expect(readEvent(event)).toBe(event)
    expect(events.read(sent)).toEqual(event)
    expect(events.read(event)).toEqual(event)
  })

  it('reads data of earlier versions as the newest', () => {
    expect(versioned.read(record)).toMatchObject({
      correlationId: 'request-1',
      data: { order: 'a', cents: 1234, currency: 'EUR' },
    })
    const second = { ...record, data: { order: 'a', cents: 7 }, _meta: { ...record._meta, dataVersion: 2 } }
    expect(versioned.read(second)?.data).toEqual({ order: 'a', cents: 7, currency: 'EUR' })
  })

  it('is told of another type, of data that is not valid, and of a version that is newer than its own', async () => {
    expect(events.read({ ...record, type: 'Order.cancelled' })).toBeUndefined()
    expect(await failureOf(() => events.read(record))).toMatchObject({
      code: 'event-invalid',
      message: expect.stringMatching(/^events\.read: Order\.placed: data\.cents: /),
    })
    const newer = { ...record, _meta: { ...record._meta, dataVersion: 4 } }
    expect(await failureOf(() => versioned.read(newer))).toMatchObject({
      code: 'schema-newer',
      message: expect.stringContaining('has version 4, and 3 is the newest here'),
    })
  })
})
