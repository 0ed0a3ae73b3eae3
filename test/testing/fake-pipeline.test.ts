import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import { type EventRecord, eventRecordSchema, type Pipeline } from 'durable-outbox'
import {
  acceptedBatches,
  acceptedRecords,
  ALL_NS,
  attemptedBatches,
  droppedRecords,
  fakePipeline,
  type Fate,
  forget,
  nextFates,
  REQUEST_BYTES_MAX,
  setFate,
} from 'durable-outbox/testing'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { EVENTS_SCHEMA } from '../../src/testing/stream-schema.generated.ts'
import { drain, failureOf, inNotes } from '../notes.ts'
import { batch, record } from './record.ts'

const lsns = (batches: { lsn?: number }[][]): (number | undefined)[][] =>
  batches.map((records) => records.map(({ lsn }) => lsn))

/** What JavaScript would let through to a pipeline that takes only records. */
function untyped(records: unknown): EventRecord[] {
  return records as EventRecord[]
}

/** A record with one field that its type forbids. */
function bent(ns: string, field: string, value: unknown): EventRecord[] {
  return untyped([{ ...record(ns, 1), [field]: value }])
}

/** How many failures a sender sees before it gets through. */
async function failuresOf(pipeline: Pipeline, records: EventRecord[]): Promise<Record<string, unknown>[]> {
  const failures: Record<string, unknown>[] = []
  for (;;)
    try {
      await pipeline.send(records)
      return failures
    } catch (error) {
      if (!(error instanceof Error)) throw error
      failures.push({ ...Object.fromEntries(Object.entries(error)), message: error.message })
    }
}

let names = 0
/** One ns for each test. */
function freshNs(): string {
  return `ns-${names++}`
}

afterEach(() => setFate(ALL_NS, 'accept'))

const ways: Record<string, () => Pipeline> = {
  'as an object': () => fakePipeline(),
  'as an object over its binding': () => fakePipeline(env.EVENTS_PIPELINE),
}

describe.each(Object.entries(ways))('%s', (_, create) => {
  const pipeline = create()

  it('keeps what is sent, as JSON carries it', async () => {
    const ns = freshNs()
    const at = new Date('2026-11-22T08:30:00.000Z')
    await pipeline.send([record(ns, 1, { data: { at, nothing: undefined, none: NaN } }), record(ns, 2)])
    expect(acceptedBatches(ns)).toEqual([
      [record(ns, 1, { data: { at: '2026-11-22T08:30:00.000Z', none: null } }), record(ns, 2)],
    ])
    expect(acceptedRecords(ns)[0]?.data).not.toHaveProperty('nothing')
    expect(attemptedBatches(ns)).toEqual(acceptedBatches(ns))
    expect(droppedRecords(ns)).toEqual([])
  })

  it('keeps a record as it was sent, if the caller changes it afterwards', async () => {
    const ns = freshNs()
    const mine = record(ns, 1, { data: { text: 'as sent' } })
    const sending = pipeline.send([mine])
    await sending
    mine.data = { text: 'changed' }
    expect(acceptedRecords(ns)[0]?.data).toEqual({ text: 'as sent' })
  })

  it('deduplicates nothing', async () => {
    const ns = freshNs()
    await pipeline.send(batch(ns, 1, 2))
    await pipeline.send(batch(ns, 1, 2))
    expect(lsns(acceptedBatches(ns))).toEqual([
      [1, 2],
      [1, 2],
    ])
  })

  it.each([
    ['a record', record('not-an-array', 1)],
    ['text', '[]'],
    ['nothing', undefined],
  ])('refuses %s instead of an array', async (_, records) => {
    const failure = await failureOf(() => pipeline.send(untyped(records)))
    expect(failure.message).toContain('array')
    expect(attemptedBatches('not-an-array')).toEqual([])
  })

  it('refuses what cannot be JSON', async () => {
    const failure = await failureOf(() => pipeline.send(bent('no-json', 'data', { n: 1n })))
    expect(failure.message).toContain('JSON')
  })

  it('refuses a request of more than 5 MB in UTF-8, and accepts one of just that', async () => {
    const ns = freshNs()
    const envelope = new TextEncoder().encode(JSON.stringify([record(ns, 1, { data: { body: '' } })])).byteLength
    const room = REQUEST_BYTES_MAX - envelope
    const body = 'é'.repeat(Math.floor(room / 2)) + 'e'.repeat(room % 2)
    await pipeline.send([record(ns, 1, { data: { body } })])
    const failure = await failureOf(() => pipeline.send([record(ns, 2, { data: { body: `${body}e` } })]))
    expect(failure.message).toContain('5000001 bytes')
    expect(lsns(acceptedBatches(ns))).toEqual([[1]])
    expect(lsns(attemptedBatches(ns))).toEqual([[1], [2]])
  })

  it.each<[string, Fate, object[], number[][]]>([
    ['accept', 'accept', [], [[1, 2]]],
    ['reject', 'reject', [{ message: 'the pipeline refused' }], [[1, 2]]],
    [
      'reject with an error',
      {
        do: 'reject',
        error: { message: 'too large', retryable: false, status: 413, retryAfter: 7, name: 'CDCError', code: 'e' },
      },
      [{ message: 'too large', retryable: false, status: 413, retryAfter: 7, name: 'CDCError', code: 'e' }],
      [[1, 2]],
    ],
    [
      'lose-answer',
      'lose-answer',
      [{ message: 'the connection broke' }],
      [
        [1, 2],
        [1, 2],
      ],
    ],
    [
      'lose-answer with an error',
      { do: 'lose-answer', error: { retryable: false } },
      [{ message: 'the connection broke', retryable: false }],
      [
        [1, 2],
        [1, 2],
      ],
    ],
    [
      'deliver-twice',
      'deliver-twice',
      [],
      [
        [1, 2],
        [1, 2],
      ],
    ],
    ['full', 'full', [{ message: 'the stream is full', retryable: true, status: 429 }], [[1, 2]]],
    ['delay', { do: 'delay', ms: 1 }, [], [[1, 2]]],
    ['slow', { do: 'slow', msPerRecord: 1 }, [], [[1, 2]]],
  ])('does "%s" to the next send, and to no other', async (_, fate, failures, accepted) => {
    const ns = freshNs()
    nextFates(ns, fate)
    expect(await failuresOf(pipeline, batch(ns, 1, 2))).toEqual(failures)
    expect(lsns(acceptedBatches(ns))).toEqual(accepted)
    expect(attemptedBatches(ns)).toHaveLength(failures.length + 1)
    await pipeline.send(batch(ns, 3))
    expect(lsns(acceptedBatches(ns))).toEqual([...accepted, [3]])
  })

  it('delivers the first batch again after a newer one with "replay-older"', async () => {
    const ns = freshNs()
    await pipeline.send(batch(ns, 1))
    await pipeline.send(batch(ns, 2))
    nextFates(ns, 'replay-older')
    await pipeline.send(batch(ns, 3))
    expect(lsns(acceptedBatches(ns))).toEqual([[1], [2], [3], [1]])
    expect(lsns(attemptedBatches(ns))).toEqual([[1], [2], [3]])
  })

  it('waits with "delay" and, for each record, with "slow"', async () => {
    const ns = freshNs()
    nextFates(ns, { do: 'delay', ms: 40 }, { do: 'slow', msPerRecord: 10 })
    const begin = Date.now()
    await pipeline.send(batch(ns, 1))
    const middle = Date.now()
    await pipeline.send(batch(ns, 2, 3, 4, 5))
    // A timer may be a millisecond early by this clock.
    expect(middle - begin).toBeGreaterThanOrEqual(39)
    expect(Date.now() - middle).toBeGreaterThanOrEqual(39)
  })
})

describe('FakePipeline as a binding', () => {
  it('throws errors whose own properties survive the RPC call', async () => {
    const ns = freshNs()
    nextFates(ns, { do: 'reject', error: { retryable: false, status: 413 } })
    const error = await env.EVENTS_PIPELINE.send(batch(ns, 1)).then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(error).toMatchObject({ message: 'the pipeline refused', retryable: false, status: 413 })
    await env.EVENTS_PIPELINE.send(batch(ns, 1))
    expect(lsns(acceptedBatches(ns))).toEqual([[1]])
  })
})

describe('what does not fit the stream', () => {
  it.each<[string, unknown, string, string]>([
    ['id', undefined, 'missing_field', 'id is missing'],
    ['ns', undefined, 'missing_field', 'ns is missing'],
    ['source', null, 'null_value', 'source is null'],
    ['_meta', null, 'null_value', '_meta is null'],
    ['lsn', '1', 'type_mismatch', 'lsn is the string "1", but its column is int64'],
    ['lsn', 1.5, 'type_mismatch', 'lsn is 1.5, but its column is int64'],
    ['type', 7, 'type_mismatch', 'type is 7, but its column is string'],
    ['actor', { name: 'nathan' }, 'type_mismatch', 'actor is an object, but its column is string'],
    ['table', ['t'], 'type_mismatch', 'table is an array, but its column is string'],
    ['timestamp', 'yesterday', 'type_mismatch', 'timestamp is the string "yesterday", but its column is timestamp'],
    ['timestamp', '2026-13-01T00:00:00Z', 'type_mismatch', 'its column is timestamp'],
    ['timestamp', true, 'type_mismatch', 'timestamp is true, but its column is timestamp'],
  ])('is accepted and dropped: %s %j', async (field, value, kind, reason) => {
    const [dropped, ...others] = await dropsOf(bent('dropping', field, value))
    expect(others).toEqual([])
    expect(dropped).toMatchObject({ kind, field })
    expect(dropped?.reason).toContain(reason)
    expect(acceptedRecords(ALL_NS)).toEqual([])
  })

  it.each([null, 'text', 7, [[]]])('is accepted and dropped: a record that is %j', async (thing) => {
    const drops = await dropsOf(untyped([thing]))
    expect(drops).toMatchObject([{ kind: 'parse_failure', record: thing }])
    expect(drops[0]).not.toHaveProperty('field')
  })

  it('leaves the rest of its batch as it is', async () => {
    const ns = freshNs()
    await fakePipeline().send([record(ns, 1), ...bent(ns, 'lsn', '1'), record(ns, 3)])
    expect(lsns(acceptedBatches(ns))).toEqual([[1, 3]])
    expect(attemptedBatches(ns)[0]).toHaveLength(3)
    expect(droppedRecords(ns)).toHaveLength(1)
  })

  it('is dropped each time that it is accepted, and not if it is refused', async () => {
    const ns = freshNs()
    nextFates(ns, 'reject', 'deliver-twice')
    await failuresOf(fakePipeline(), bent(ns, 'txid', 7))
    expect(droppedRecords(ns)).toHaveLength(2)
  })

  it.each<[string, unknown]>([
    ['actor', null],
    ['data', null],
    ['data', { deep: [1, 'a', null, { b: true }] }],
    ['data', 'any JSON'],
    ['timestamp', '2026-11-22T08:30:00.123456Z'],
    ['timestamp', '2026-11-22T10:30:00+02:00'],
    ['timestamp', 1_795_336_200_000_000],
    ['op', 'not one of ours'],
  ])('does not include what the schema allows: %s %j', async (field, value) => {
    expect(await dropsOf(bent('allowed', field, value))).toEqual([])
    expect(acceptedRecords('allowed')).toMatchObject([{ [field]: value }])
  })

  it('leaves out a field that has no column', async () => {
    expect(await dropsOf(bent('column', 'trace', 'lost'))).toEqual([])
    expect(acceptedRecords('column')[0]).not.toHaveProperty('trace')
    expect(attemptedBatches('column')[0]?.[0]).toHaveProperty('trace')
  })

  it('is found by the columns that the schema of our records has', () => {
    const { shape } = eventRecordSchema
    expect(EVENTS_SCHEMA.fields.map((field) => field.name)).toEqual(Object.keys(shape))
    const required = EVENTS_SCHEMA.fields.filter((field) => field.required).map((field) => field.name)
    const { epoch, lsn, txid, ...parsed } = eventRecordSchema.parse(record('schema', 1))
    expect([epoch, lsn, txid]).not.toContain(undefined)
    expect(required.toSorted()).toEqual(Object.keys(parsed).toSorted())
  })
})

describe('fates', () => {
  it('hold until they are set again, after those that are queued', async () => {
    const ns = freshNs()
    setFate(ns, 'full')
    nextFates(ns, 'reject', 'accept')
    const statuses: unknown[] = []
    for (let attempt = 0; attempt < 4; attempt++)
      statuses.push(
        await fakePipeline()
          .send(batch(ns, 1))
          .then(
            () => 'accepted',
            (error: { status?: number }) => error.status ?? 'rejected',
          ),
      )
    expect(statuses).toEqual(['rejected', 'accepted', 429, 429])
    setFate(ns, 'accept')
    expect(await failuresOf(fakePipeline(), batch(ns, 1))).toEqual([])
  })

  it('of one ns do not apply to another', async () => {
    const [ns, other] = [freshNs(), freshNs()]
    nextFates(ns, 'reject')
    setFate(ns, 'full')
    expect(await failuresOf(fakePipeline(), batch(other, 1))).toEqual([])
  })

  it('of all ns apply to each, except to one that has its own', async () => {
    const [ns, other] = [freshNs(), freshNs()]
    setFate(ALL_NS, 'full')
    setFate(other, 'accept')
    expect(await failureOf(() => fakePipeline().send(batch(ns, 1)))).toMatchObject({ message: 'the stream is full' })
    expect(await failuresOf(fakePipeline(), batch(other, 1))).toEqual([])
    nextFates(ALL_NS, 'lose-answer')
    expect(await failuresOf(fakePipeline(), batch(other, 2))).toHaveLength(1)
  })

  it('that were queued are removed by an empty queue', async () => {
    const ns = freshNs()
    nextFates(ns, 'reject', 'reject')
    nextFates(ns)
    expect(await failuresOf(fakePipeline(), batch(ns, 1))).toEqual([])
  })

  it.each([
    { do: 'delay', ms: -1 },
    { do: 'slow', msPerRecord: NaN },
  ] as const)('refuse %j', async (fate) => {
    expect(await failureOf(() => nextFates('time', fate))).toMatchObject({ code: 'invalid-argument' })
    expect(await failureOf(() => setFate('time', fate))).toMatchObject({ code: 'invalid-argument' })
  })
})

describe('an object whose pipeline', () => {
  it('hangs gives up, can be evicted, and sends again', async () => {
    await inNotes('hangs', (notes) => notes.ctx.transactionSync((tx) => tx.emit({ type: 'N' })))
    nextFates('hangs', 'hang')
    await runDurableObjectAlarm(env.NOTES.getByName('hangs'))
    expect([attemptedBatches('hangs').length, acceptedBatches('hangs').length]).toEqual([1, 0])
    await evictDurableObject(env.NOTES.getByName('hangs'))
    expect(await drain('hangs')).toHaveLength(1)
  })

  it('answers late gives up, and its batch arrives nevertheless', async () => {
    await inNotes('late', (notes) => notes.ctx.transactionSync((tx) => tx.emit({ type: 'N' })))
    // Later than the object's sendTimeoutMs, and the end of the test waits for it.
    nextFates('late', { do: 'delay', ms: 1_500 })
    await runDurableObjectAlarm(env.NOTES.getByName('late'))
    expect(acceptedBatches('late')).toEqual([])
    await drain('late')
    await vi.waitFor(() => expect(lsns(acceptedBatches('late'))).toEqual([[1], [1]]), { timeout: 30_000 })
  })
})

describe('forget', () => {
  it('forgets one ns and its fates, and no other', async () => {
    const [ns, other] = [freshNs(), freshNs()]
    await fakePipeline().send([...batch(ns, 1), ...batch(other, 1), ...bent(ns, 'lsn', '1')])
    setFate(ns, 'reject')
    forget(ns)
    expect([attemptedBatches(ns), acceptedBatches(ns), droppedRecords(ns)]).toEqual([[], [], []])
    expect([lsns(attemptedBatches(other)), lsns(acceptedBatches(other))]).toEqual([[[1]], [[1]]])
    expect(await failuresOf(fakePipeline(), batch(ns, 1))).toEqual([])
  })
})

/** Sends to a pipeline that has received nothing, and gives what it dropped. */
async function dropsOf(records: EventRecord[]): Promise<ReturnType<typeof droppedRecords>> {
  forget(ALL_NS)
  await fakePipeline().send(records)
  return droppedRecords(ALL_NS)
}
