import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import type { EventRecord } from 'durable-outbox'
import type { IngestBatchesOptions } from 'durable-outbox/ingest'
import { acceptedBatches, attemptedBatches, nextFates, setFate } from 'durable-outbox/testing'
import { describe, expect, it } from 'vitest'
import { batch, record } from '../testing/record.ts'
import { type Batches, batchesOptions } from '../worker.ts'
import { type Answer, committed, createClient, TOKEN, tokenOf } from './client.ts'

const HOUR_MS = 3_600_000
const tokens = [await tokenOf(TOKEN, ['*']), await tokenOf('another', ['*'])]
const client = await createClient({ tokens, batches: env.INGEST_BATCHES })

function post(records: EventRecord[], key?: string, token = TOKEN): Promise<Answer> {
  const headers = { authorization: `Bearer ${token}`, ...(key !== undefined && { 'idempotency-key': key }) }
  return client(records, { headers })
}

/** Runs code inside the object of an ns, as one of its requests. */
function inBatches<T>(ns: string, run: (batches: Batches, state: DurableObjectState) => T | Promise<T>): Promise<T> {
  return runInDurableObject<Batches, T>(env.INGEST_BATCHES.getByName(ns), run)
}

function rows(ns: string): Promise<number> {
  return inBatches(ns, (_, { storage }) => storage.sql.exec('SELECT * FROM batches').toArray().length)
}

/** A clock that a test moves, for the object of an ns. It begins when the test does, because alarms know no other. */
function createClock(ns: string, options: IngestBatchesOptions = {}): { forward(ms: number): void } {
  let nowMs = Date.now()
  batchesOptions.set(ns, { now: () => nowMs, ...options })
  return { forward: (ms) => (nowMs += ms) }
}

describe('[I5] a batch', () => {
  it('that is repeated is answered as before, and not forwarded again', async () => {
    const records = batch('again', 1, 2)
    for (let times = 0; times < 3; times++) expect(await post(records, 'key')).toMatchObject(committed(2))
    expect(attemptedBatches('again')).toEqual([records])
    expect(await rows('again')).toBe(1)
  })

  it('is the same from any sender, and after any number of attempts', async () => {
    const tried = (retries: number) =>
      batch('tried', 1, 2).map((each) => ({ ...each, _meta: { ...each._meta, retries } }))
    expect(await post(tried(0), 'key')).toMatchObject(committed(2))
    expect(await post(tried(1), 'key')).toMatchObject(committed(2))
    expect(await post(tried(2), 'key', 'another')).toMatchObject(committed(2))
    expect(attemptedBatches('tried')).toHaveLength(1)
  })

  it('is known by its records if it has no key', async () => {
    for (let times = 0; times < 2; times++) await post(batch('keyless', 1, 2))
    expect(attemptedBatches('keyless')).toHaveLength(1)
    await post(batch('keyless', 1, 2), 'key')
    expect(attemptedBatches('keyless')).toHaveLength(2)
  })

  it.each([
    ['more', (ns: string) => batch(ns, 1, 2, 3)],
    ['fewer', (ns: string) => batch(ns, 1)],
    ['other', (ns: string) => batch(ns, 1, 3)],
    ['the same, in another order,', (ns: string) => batch(ns, 2, 1)],
    ["another source's", (ns: string) => [record(ns, 1), record(ns, 2, { source: 'DO/Other' })]],
    ["another ns's", (ns: string) => [record(ns, 1), record(`${ns} too`, 2)]],
  ])('with %s records is another one, also under the same key', async (title, make) => {
    const ns = `other ${title}`
    await post(batch(ns, 1, 2), 'key')
    const others = make(ns)
    expect(await post(others, 'key')).toMatchObject(committed(others.length))
    expect(attemptedBatches(ns)).toHaveLength(2)
    expect(await rows(ns)).toBe(2)
  })

  it('that is sent many times at once is forwarded once, and all are answered', async () => {
    nextFates('at once', { do: 'delay', ms: 50 })
    const answers = await Promise.all(Array.from({ length: 5 }, () => post(batch('at once', 1), 'key')))
    for (const answer of answers) expect(answer).toMatchObject(committed(1))
    expect(attemptedBatches('at once')).toHaveLength(1)
    expect(await rows('at once')).toBe(1)
  })

  it('that fails while it is sent twice fails for both, and is forwarded again', async () => {
    nextFates('fails', 'reject')
    const answers = await Promise.all([post(batch('fails', 1), 'key'), post(batch('fails', 1), 'key')])
    for (const answer of answers) expect(answer).toMatchObject({ status: 503, body: { retryable: true } })
    expect(attemptedBatches('fails')).toHaveLength(1)
    expect(await rows('fails')).toBe(0)
    expect(await post(batch('fails', 1), 'key')).toMatchObject(committed(1))
    expect(acceptedBatches('fails')).toHaveLength(1)
  })

  it.each([
    ['whose answer was lost', 'lose-answer', 503],
    ['that got no answer', 'hang', 503],
    ['that was too much for now', 'full', 429],
  ] as const)('%s is forwarded again, the same as before', async (_, fate, status) => {
    const ns = `unsure ${fate}`
    nextFates(ns, fate)
    expect(await post(batch(ns, 1), 'key')).toMatchObject({ status, body: { retryable: true } })
    expect(await post(batch(ns, 1), 'key')).toMatchObject(committed(1))
    expect(await post(batch(ns, 1), 'key')).toMatchObject(committed(1))
    expect(attemptedBatches(ns)).toEqual([batch(ns, 1), batch(ns, 1)])
  })

  it('that was refused is forwarded again: the receiver may have been mended', async () => {
    nextFates('mended', { do: 'reject', error: { status: 422 } })
    expect(await post(batch('mended', 1), 'key')).toMatchObject({ status: 422, body: { retryable: false } })
    expect(await post(batch('mended', 1), 'key')).toMatchObject(committed(1))
  })

  it('is remembered by an object that was evicted', async () => {
    await post(batch('evicted', 1), 'key')
    await evictDurableObject(env.INGEST_BATCHES.getByName('evicted'))
    expect(await post(batch('evicted', 1), 'key')).toMatchObject(committed(1))
    expect(attemptedBatches('evicted')).toHaveLength(1)
  })

  it('costs one row, once an alarm is set', async () => {
    await post(batch('cost', 1), 'first')
    const before = await inBatches('cost', (_, { storage }) => countWrites(storage))
    await post(batch('cost', 2), 'second')
    await post(batch('cost', 2), 'second')
    expect(await inBatches('cost', () => before())).toBe(1)
  })
})

/** Counts the rows that are written from now on. */
function countWrites(storage: DurableObjectStorage): () => number {
  let rowsWritten = 0
  const exec = storage.sql.exec.bind(storage.sql)
  storage.sql.exec = ((...args: Parameters<typeof exec>) => {
    const cursor = exec(...args)
    const toArray = cursor.toArray.bind(cursor)
    cursor.toArray = () => {
      const all = toArray()
      rowsWritten += cursor.rowsWritten
      return all
    }
    return cursor
  }) as typeof storage.sql.exec
  const setAlarm = storage.setAlarm.bind(storage)
  storage.setAlarm = (...args) => {
    rowsWritten++
    return setAlarm(...args)
  }
  return () => rowsWritten
}

describe('[I7] what is remembered', () => {
  it('is remembered for 24 hours', async () => {
    const clock = createClock('day')
    await post(batch('day', 1), 'key')
    clock.forward(HOUR_MS)
    await post(batch('day', 1), 'key')
    clock.forward(22.9 * HOUR_MS)
    await post(batch('day', 1), 'key')
    expect(attemptedBatches('day')).toHaveLength(1)
    clock.forward(HOUR_MS)
    expect(await post(batch('day', 1), 'key')).toMatchObject(committed(1))
    await post(batch('day', 1), 'key')
    expect(attemptedBatches('day')).toHaveLength(2)
  })

  it('is forgotten by an alarm after that time, and the object sleeps when nothing is left', async () => {
    const clock = createClock('sweep')
    const alarm = () => inBatches('sweep', (_, { storage }) => storage.getAlarm())
    await post(batch('sweep', 1), 'first')
    clock.forward(12 * HOUR_MS)
    await post(batch('sweep', 2), 'second')
    clock.forward(12 * HOUR_MS)
    expect(await runDurableObjectAlarm(env.INGEST_BATCHES.getByName('sweep'))).toBe(true)
    expect(await rows('sweep')).toBe(1)
    expect(await alarm()).toBeGreaterThan(Date.now() + 35 * HOUR_MS)
    clock.forward(12 * HOUR_MS)
    expect(await runDurableObjectAlarm(env.INGEST_BATCHES.getByName('sweep'))).toBe(true)
    expect(await rows('sweep')).toBe(0)
    expect(await alarm()).toBeNull()
    await post(batch('sweep', 3), 'third')
    expect(await alarm()).not.toBeNull()
  })

  it('is limited: the oldest batches are forgotten first', async () => {
    const clock = createClock('most', { maxBatches: 10 })
    for (let lsn = 1; lsn <= 11; lsn++) {
      await post(batch('most', lsn))
      clock.forward(1_000)
    }
    expect(await inBatches('most', (_, { storage }) => storage.getAlarm())).toBeLessThan(Date.now() + HOUR_MS)
    await runDurableObjectAlarm(env.INGEST_BATCHES.getByName('most'))
    expect(await rows('most')).toBe(9)
    await post(batch('most', 3))
    expect(attemptedBatches('most')).toHaveLength(11)
    await post(batch('most', 2))
    expect(attemptedBatches('most')).toHaveLength(12)
  })

  it('is forgotten in runs that end', async () => {
    const clock = createClock('runs')
    await post(batch('runs', 1))
    await inBatches('runs', (_, { storage }) =>
      storage.sql.exec(`
        INSERT INTO batches WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
        SELECT 'batch ' || i, i FROM n`),
    )
    clock.forward(24 * HOUR_MS)
    await runDurableObjectAlarm(env.INGEST_BATCHES.getByName('runs'))
    expect(await rows('runs')).toBe(2_001)
    await runDurableObjectAlarm(env.INGEST_BATCHES.getByName('runs'))
    expect(await rows('runs')).toBe(0)
  })

  it('gets another alarm if the last one is stuck', async () => {
    const clock = createClock('stuck')
    await post(batch('stuck', 1))
    await inBatches('stuck', (_, { storage }) => storage.deleteAlarm())
    clock.forward(25 * HOUR_MS)
    await post(batch('stuck', 2))
    expect(await inBatches('stuck', (_, { storage }) => storage.getAlarm())).not.toBeNull()
  })

  it.each(['waking', 'a write'])('[I6] is forgotten in time after %s if the clock was a year ahead', async (what) => {
    const name = `ahead-${what.replace(' ', '-')}`
    const clock = createClock(name)
    clock.forward(365 * 24 * HOUR_MS)
    await post(batch(name, 1))
    clock.forward(-365 * 24 * HOUR_MS)
    if (what === 'waking') await evictDurableObject(env.INGEST_BATCHES.getByName(name))
    else await post(batch(name, 2))
    expect(await inBatches(name, (_, { storage }) => storage.getAlarm())).toBeLessThanOrEqual(Date.now() + 24 * HOUR_MS)
  })

  it('does not include batches that are being sent, whose number is limited', async () => {
    batchesOptions.set('busy', { maxSends: 2 })
    setFate('busy', { do: 'delay', ms: 100 })
    const answers = await Promise.all([1, 2, 3].map((lsn) => post(batch('busy', lsn))))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(2)
    const [busy] = answers.filter(({ status }) => status === 429)
    expect(busy).toMatchObject({ body: { code: 'pipeline-full', retryable: true } })
    expect(busy?.headers.get('retry-after')).toBe('1')
    setFate('busy', 'accept')
    expect(await post(batch('busy', 4))).toMatchObject(committed(1))
  })

  it('does not matter if the object itself fails: the request can be retried, as this is no verdict on the batch', async () => {
    batchesOptions.set('nonsense', { maxBatches: 0 })
    const answer = await post(batch('nonsense', 1))
    expect(answer).toMatchObject({ status: 503, body: { code: 'pipeline-failed', retryable: true } })
    expect(JSON.stringify(answer.body)).not.toContain('maxBatches')
  })
})

describe('[I8] the object of a batch', () => {
  it.each([
    ['plain', 'plain'],
    ['with spaces', 'with spaces'],
    ['in other letters', 'Zürich/日本'],
    ['with a percent sign', '100%'],
    ['percent-encoded', 'a%2Fb'],
    ['like a property', '__proto__'],
    ['long', 'x'.repeat(1_024)],
    ['longer in UTF-8', '日'.repeat(1_024)],
  ])('has exactly this ns as its name: one that is %s', async (_, ns) => {
    for (let times = 0; times < 2; times++) expect(await post(batch(ns, 1))).toMatchObject(committed(1))
    expect(attemptedBatches(ns)).toHaveLength(1)
    expect(await rows(ns)).toBe(1)
  })
})
