import { env } from 'cloudflare:workers'
import {
  CDCEmitter,
  type CDCEmitterOptions,
  CDCError,
  type EventInput,
  type Pipeline,
  UnsentError,
} from 'durable-outbox'
import { acceptedRecords, attemptedBatches, fakePipeline, nextFates, setFate } from 'durable-outbox/testing'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../notes.ts'

const NOW = Date.parse('2026-11-22T08:30:00Z')

/** An emitter whose clock goes on only while it waits. */
function emitter(ns: string, options: Partial<CDCEmitterOptions> = {}, pipeline: Pipeline = fakePipeline()) {
  const clock = { ms: NOW, waits: [] as number[] }
  const cdc = new CDCEmitter(pipeline, {
    ns,
    source: 'Worker/test',
    now: () => clock.ms,
    random: () => 1,
    wait: async (ms) => {
      clock.waits.push(ms)
      clock.ms += ms
    },
    ...options,
  })
  return { cdc, clock }
}

async function unsentOf(run: () => Promise<unknown>): Promise<UnsentError> {
  const error = await run().catch((error: unknown) => error)
  if (error instanceof UnsentError) return error
  throw new Error(`it was not left unsent: ${String(error)}`)
}

const orders = (count: number): EventInput[] =>
  Array.from({ length: count }, (_, n) => ({ op: 'c', store: 'document', table: 'Order', key: `ord_${n}` }))

describe('CDCEmitter', () => {
  it('fills in what the event lacks, and sends what it returns', async () => {
    const { cdc } = emitter('complete')
    const event = await cdc.emit({ op: 'c', store: 'document', table: 'Customer', key: 'cust_123', after: { n: 1 } })
    expect(event).toEqual({
      id: expect.stringMatching(/^[0-9A-HJKMNP-TV-Z]{26}$/),
      type: 'cdc.insert',
      timestamp: '2026-11-22T08:30:00.000Z',
      ns: 'complete',
      op: 'c',
      store: 'document',
      table: 'Customer',
      key: 'cust_123',
      after: { n: 1 },
      _meta: { schemaVersion: 1, source: 'Worker/test' },
    })
    expect(acceptedRecords('complete')).toEqual([{ ...event, source: 'Worker/test' }])
  })

  it('keeps the id and the time of an event that has them', async () => {
    const given = { id: '01ARZ3NDEKTSV4RRFFQ69G5FAV', type: 'Imported', timestamp: '2020-01-01T00:00:00.000001Z' }
    expect(await emitter('imported').cdc.emit(given)).toMatchObject(given)
  })

  it('adds its actor and its correlation id, unless the event has its own', async () => {
    const { cdc } = emitter('correlated', { actor: 'User/nathan' })
    await cdc.withCorrelation('req_1').emitBatch([{ type: 'A' }, { type: 'B', correlationId: 'own', actor: 'own' }])
    await cdc.emit({ type: 'C' })
    expect(acceptedRecords('correlated').map((record) => [record.correlation_id, record.actor])).toEqual([
      ['req_1', 'User/nathan'],
      ['own', 'own'],
      [undefined, 'User/nathan'],
    ])
  })

  it('sends through a binding', async () => {
    await emitter('bound', {}, env.EVENTS_PIPELINE).cdc.emit({ type: 'N' })
    expect(acceptedRecords('bound')).toHaveLength(1)
  })

  it('sends none of a batch if one event is bad', async () => {
    const { cdc } = emitter('bad')
    const error = await failureOf(() => cdc.emitBatch([{ type: 'good' }, { type: '' }]))
    expect(error).toMatchObject({ code: 'event-invalid' })
    expect(attemptedBatches('bad')).toEqual([])
  })

  it('sends nothing for an empty batch', async () => {
    expect(await emitter('empty').cdc.emitBatch([])).toEqual([])
    expect(attemptedBatches('empty')).toEqual([])
  })

  it('[I7] cuts a batch at 1,000 events and at 4 MB, in order', async () => {
    const { cdc } = emitter('cut')
    await cdc.emitBatch(orders(2_001))
    expect(attemptedBatches('cut').map((batch) => batch.length)).toEqual([1_000, 1_000, 1])
    expect(acceptedRecords('cut').map((record) => record.key)).toEqual(orders(2_001).map(({ key }) => key))

    const large = emitter('large').cdc
    await large.emitBatch(Array.from({ length: 9 }, () => ({ type: 'L', data: { body: 'é'.repeat(450_000) } })))
    const sizes = attemptedBatches('large').map((batch) => new TextEncoder().encode(JSON.stringify(batch)).byteLength)
    expect(sizes).toHaveLength(3)
    expect(Math.max(...sizes)).toBeLessThanOrEqual(4_000_001)
  })

  it('retries under the same ids, waits as long as it is told, and counts the retries', async () => {
    const { cdc, clock } = emitter('again')
    nextFates('again', 'reject', { do: 'reject', error: { status: 429, retryAfter: 7 } }, 'lose-answer', 'accept')
    const event = await cdc.emit({ type: 'N' })
    expect(clock.waits).toEqual([200, 7_000, 800])
    expect(attemptedBatches('again').flat()).toMatchObject(
      [undefined, 1, 2, 3].map((retries) => ({ id: event.id, _meta: retries === undefined ? {} : { retries } })),
    )
  })

  it('gives up at its deadline, and returns all events that may not have arrived', async () => {
    const { cdc, clock } = emitter('deadline', { deadlineMs: 1_000 })
    nextFates('deadline', 'accept')
    setFate('deadline', 'reject')
    const error = await unsentOf(() => cdc.emitBatch(orders(1_500)))
    expect(error).toBeInstanceOf(CDCError)
    expect(error).toMatchObject({ code: 'pipeline-failed', retryable: true })
    expect(error.message).toContain('500 events')
    expect(error.unsent.map(({ key }) => key)).toEqual(
      orders(1_500)
        .slice(1_000)
        .map(({ key }) => key),
    )
    expect(clock.ms - NOW).toBeLessThanOrEqual(1_000)

    setFate('deadline', 'accept')
    const again = await cdc.emitBatch(error.unsent)
    const attempts = attemptedBatches('deadline').slice(1)
    expect(again.map(({ id }) => id)).toEqual(attempts[0]?.map(({ id }) => id))
    expect(acceptedRecords('deadline')).toHaveLength(1_500)
  })

  it('gives up at once if the pipeline refuses the batch', async () => {
    const { cdc, clock } = emitter('refused')
    setFate('refused', { do: 'reject', error: { status: 422 } })
    const error = await unsentOf(() => cdc.emit({ type: 'N' }))
    expect([error.retryable, error.unsent.length, clock.waits]).toEqual([false, 1, []])
  })

  it('waits no longer for an answer than configured', async () => {
    const { cdc } = emitter('hangs', { sendTimeoutMs: 5 })
    nextFates('hangs', 'hang', 'accept')
    await cdc.emit({ type: 'N' })
    expect(attemptedBatches('hangs')).toHaveLength(2)
  })

  it.each([
    [{ ns: '' }, 'ns'],
    [{ source: 'a\0b' }, 'source'],
    [{ deadlineMs: -1 }, 'deadlineMs'],
    [{ sendTimeoutMs: 0 }, 'sendTimeoutMs'],
  ])('refuses the options %j', (options, name) => {
    expect(() => emitter('x', options)).toThrow(expect.objectContaining({ code: 'invalid-config' }))
    expect(() => emitter('x', options)).toThrow(name)
  })

  it('refuses a correlation id that no event can have as soon as it is given', () => {
    expect(() => emitter('x').cdc.withCorrelation('')).toThrow(expect.objectContaining({ code: 'event-invalid' }))
  })

  it('loses no event and keeps their order for any fates of its sends', async () => {
    const fates = fc.array(fc.constantFrom('accept', 'reject', 'lose-answer', 'full'), { maxLength: 8 })
    let runs = 0
    await fc.assert(
      fc.asyncProperty(fates, fc.integer({ min: 1, max: 2_500 }), async (script, count) => {
        const ns = `random-${runs++}`
        const { cdc } = emitter(ns, { deadlineMs: 1e9 })
        nextFates(ns, ...script)
        const sent = await cdc.emitBatch(orders(count))
        const arrived = new Set(acceptedRecords(ns).map(({ id }) => id))
        expect([...arrived]).toEqual(sent.map(({ id }) => id))
      }),
      { numRuns: 30 },
    )
  })
})
