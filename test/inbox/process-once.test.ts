import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { type CommittedEvent, type EventRecord, ExactlyOnceContext, isCommitted, type NamedEvent } from 'durable-outbox'
import { acceptedRecords } from 'durable-outbox/testing'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { drain, failureOf, inNotes } from '../notes.ts'
import { configurations, type Notes } from '../worker.ts'

const EPOCH = '01ARZ3NDEKTSV4RRFFQ69G5FAV'

function logged(lsn: number, fields: Partial<NamedEvent> = {}): NamedEvent {
  const id = `01ARZ3NDEKTSV4RRFFQ6${String(lsn).padStart(6, '0')}`
  return { id, ns: 'acme', source: 'DO/Orders', epoch: EPOCH, lsn, ...fields }
}

function unlogged(n: number, fields: Partial<NamedEvent> = {}): NamedEvent {
  return { id: `01BRZ3NDEKTSV4RRFFQ6${String(n).padStart(6, '0')}`, ns: 'acme', ...fields }
}

/** Processes events in order. @returns which were new. */
function process(name: string, ...events: NamedEvent[]): Promise<boolean[]> {
  return inNotes(name, async (notes) => {
    const outcomes: boolean[] = []
    for (const event of events)
      outcomes.push(notes.ctx.processOnceSync(event, (tx) => void tx.emit({ type: 'Seen' })).isNew)
    return outcomes
  })
}

function rowsOf(name: string, table: '_cdc_inbox' | '_cdc_inbox_id'): Promise<number> {
  return inNotes(name, ({ ctx }) => ctx.storage.sql.exec(`SELECT * FROM ${table}`).toArray().length)
}

describe('processOnce', () => {
  it('[I1] commits the record, the changes and the events of the callback together, and returns its result', async () => {
    const outcome = await inNotes('together', (notes) =>
      notes.ctx.processOnce(logged(1), async (tx) => {
        await Promise.resolve()
        tx.execute('INSERT INTO notes (text) VALUES (?)', 'seen')
        tx.emit({ type: 'Order.seen' })
        return 42
      }),
    )
    expect(outcome).toEqual({ isNew: true, result: 42 })
    expect(await inNotes('together', (notes) => notes.notes())).toEqual(['seen'])
    expect(await drain('together')).toMatchObject([{ type: 'Order.seen' }])
  })

  it('does not run the callback for an event that arrives again, also after an eviction', async () => {
    expect(await process('again', logged(1), logged(2), logged(1))).toEqual([true, true, false])
    await evictDurableObject(env.NOTES.getByName('again'))
    expect(await process('again', logged(2), logged(3), logged(3))).toEqual([false, true, false])
    expect(await drain('again')).toHaveLength(3)
  })

  it('[I1] does not record an event whose callback throws', async () => {
    const messages = await inNotes('throws', async (notes) => {
      const { ctx } = notes
      const sync = await failureOf(() =>
        ctx.processOnceSync(logged(1), (tx) => {
          tx.emit({ type: 'lost' })
          throw new Error('on purpose')
        }),
      )
      const async = await failureOf(() =>
        ctx.processOnce(unlogged(1), async (tx) => {
          tx.emit({ type: 'lost' })
          await Promise.reject(new Error('on purpose'))
        }),
      )
      return [sync.message, async.message]
    })
    expect(messages).toEqual(['on purpose', 'on purpose'])
    expect(await process('throws', logged(1), unlogged(1))).toEqual([true, true])
  })

  it('distinguishes epochs, sources, ns, and ids without a log', async () => {
    const events = [
      logged(1),
      logged(1, { epoch: '01BX5ZZKBKACTAV9WEVGEMMVRZ' }),
      logged(1, { source: 'DO/Other' }),
      logged(1, { ns: 'acme/DO', source: 'Orders' }),
      unlogged(1),
      unlogged(1, { ns: 'other' }),
    ]
    expect(await process('distinct', ...events, ...events)).toEqual([
      ...events.map(() => true),
      ...events.map(() => false),
    ])
  })

  it('recognises an event and its record as the same', async () => {
    configurations.set('origin', { retentionMs: 1_000 })
    await inNotes('origin', ({ ctx }) => ctx.transactionSync((tx) => tx.emit({ type: 'N', correlationId: 'req_1' })))
    await drain('origin')
    const [record] = acceptedRecords('origin') as [EventRecord]
    const event = await inNotes('origin', (notes) => notes.outbox.get(1) as CommittedEvent)
    expect(await process('forms', record, event)).toEqual([true, false])
    expect(await drain('forms')).toMatchObject([{ type: 'Seen', correlation_id: 'req_1' }])
  })

  it('[I7] remembers a log in one row, however long it is, also if it arrives out of order', async () => {
    const lsns = Array.from({ length: 100 }, (_, index) => ((index * 37) % 100) + 1)
    expect(await process('long', ...lsns.map((lsn) => logged(lsn)))).toEqual(lsns.map(() => true))
    expect(await rowsOf('long', '_cdc_inbox')).toBe(1)
  })

  it('writes one row for each event of a log that arrives in order', async () => {
    const written = await inNotes('cost', ({ ctx }) => {
      ctx.processOnceSync(logged(1), () => undefined)
      const { sql } = ctx.storage
      const exec = sql.exec.bind(sql)
      const answers: SqlStorageCursor<Record<string, SqlStorageValue>>[] = []
      sql.exec = (statement, ...values) => {
        const answer = exec<never>(statement, ...values)
        answers.push(answer)
        return answer
      }
      ctx.processOnceSync(logged(2), () => undefined)
      ctx.processOnceSync(logged(3), () => undefined)
      sql.exec = exec
      return answers.map((answer) => answer.rowsWritten)
    })
    expect(written.filter((rows) => rows > 0)).toEqual([1, 1])
  })

  it('[I7] refuses an event below the ranges that it remembers of a log with holes', async () => {
    const last = ExactlyOnceContext.limits.inboxRangesPerLog + 5
    const sparse = Array.from({ length: last }, (_, index) => logged(2 * index + 1))
    await process('sparse', ...sparse)
    expect(await rowsOf('sparse', '_cdc_inbox')).toBe(ExactlyOnceContext.limits.inboxRangesPerLog + 1)
    for (const lsn of [1, 2, 9])
      expect(
        await inNotes('sparse', ({ ctx }) => failureOf(() => ctx.processOnceSync(logged(lsn), () => 0))),
      ).toMatchObject({ code: 'event-forgotten' })
    expect(await process('sparse', logged(11), logged(12), logged(13), logged(10))).toEqual([false, true, false, true])
  })

  it('[I7] remembers up to maxInboxIds ids, each for inboxMs', async () => {
    let nowMs = Date.parse('2026-11-22T08:00:00Z')
    configurations.set('ids', { now: () => nowMs, maxInboxIds: 3, inboxMs: 1_000 })
    expect(await process('ids', unlogged(1), unlogged(2), unlogged(3), unlogged(4), unlogged(2))).toEqual([
      true,
      true,
      true,
      true,
      false,
    ])
    expect(await process('ids', unlogged(1))).toEqual([true])
    nowMs += 1_001
    expect(await process('ids', unlogged(9), unlogged(4))).toEqual([true, true])
    expect(await rowsOf('ids', '_cdc_inbox_id')).toBe(2)
  })

  it('[I7] forgets a log that was quiet for inboxMs', async () => {
    let nowMs = Date.parse('2026-11-22T08:00:00Z')
    configurations.set('quiet', { now: () => nowMs, inboxMs: 1_000 })
    await process('quiet', logged(1), logged(1, { source: 'DO/Other' }))
    nowMs += 600
    await process('quiet', logged(2))
    nowMs += 600
    await process('quiet', logged(1, { source: 'DO/Third' }))
    expect(await rowsOf('quiet', '_cdc_inbox')).toBe(2)
    expect(await process('quiet', logged(2))).toEqual([false])
  })

  it('forgets everything when the storage of its object is emptied', async () => {
    await process('emptied', logged(1))
    await runInDurableObject<Notes, void>(env.NOTES.getByName('emptied'), (_, { storage }) => storage.deleteAll())
    const outcome = await inNotes('emptied', ({ ctx }) => ctx.processOnceSync(logged(1), () => undefined))
    expect(outcome.isNew).toBe(true)
  })

  it.each<[string, object]>([
    ['ns', { id: unlogged(1).id }],
    ['id', { ns: 'acme', id: 'order-1' }],
    ['source', { ...logged(1), source: undefined }],
    ['lsn', { ...logged(1), lsn: 0 }],
    ['epoch', { ...logged(1), epoch: 'first' }],
  ])('refuses an event without a valid %s', async (field, event) => {
    const error = await inNotes('nameless', ({ ctx }) =>
      failureOf(() => ctx.processOnceSync(event as NamedEvent, () => undefined)),
    )
    expect(error).toMatchObject({ code: 'event-invalid' })
    expect(error.message).toContain(field)
  })

  it('processes each event once, in any order and however often it arrives', async () => {
    let runs = 0
    const lsn = fc.integer({ min: 1, max: 40 })
    await fc.assert(
      fc.asyncProperty(fc.array(lsn, { maxLength: 120 }), async (lsns) => {
        const seen = new Set<number>()
        const expected = lsns.map((lsn) => !seen.has(lsn) && seen.add(lsn).has(lsn))
        expect(await process(`random-${runs++}`, ...lsns.map((lsn) => logged(lsn)))).toEqual(expected)
      }),
      { numRuns: 50 },
    )
  })
})

describe('processEachSync', () => {
  it('[I1] does not compile with an async callback, and keeps nothing if it gets one', async () => {
    await inNotes('each source', (notes) => notes.write('Hello'))
    const records = (await drain('each source')).filter(isCommitted)
    const [first] = records
    if (first === undefined) throw new Error('nothing was delivered')
    const { ns, source, epoch } = first
    const delivery = { subscription: 'copy', ns, source, epoch, firstLSN: 1, lastLSN: 1, records }
    const slow = async (): Promise<void> => {
      await Promise.resolve()
    }
    const failure = await inNotes('each target', (notes) =>
      failureOf(() => {
        // @ts-expect-error a callback that returns a promise is not atomic here
        void notes.ctx.processEachSync(delivery, slow)
      }),
    )
    expect(failure.code).toBe('async-callback')
    expect(await inNotes('each target', (notes) => notes.ctx.processEachSync(delivery, () => undefined))).toBe(1)
  })
})
