import { env } from 'cloudflare:workers'
import { acceptedRecords } from 'durable-outbox/testing'
import { describe, expect, it } from 'vitest'
import { drain, failureOf, inNotes } from '../notes.ts'
import { configurations } from '../worker.ts'

function emit(name: string, count: number, data: Record<string, unknown> = {}): Promise<void> {
  return inNotes(name, (notes) =>
    notes.ctx.transactionSync((tx) => {
      tx.execute("INSERT INTO notes (text) VALUES ('beside the event')")
      tx.emitBatch(Array.from({ length: count }, () => ({ type: 'A', data })))
    }),
  )
}

/** How an object refuses one event more. Inside it, as the runtime prints what leaves it as an error. */
function refusalOf(name: string, body: string): Promise<{ code?: string; message: string }> {
  return inNotes(name, (notes) =>
    failureOf(() =>
      notes.ctx.transactionSync((tx) => {
        tx.execute("INSERT INTO notes (text) VALUES ('refused')")
        tx.emit({ type: 'A', data: { body } })
      }),
    ),
  )
}

function rowsOf(name: string): Promise<number[]> {
  return inNotes(name, (notes) =>
    notes.ctx.storage.sql
      .exec<{ lsn: number }>('SELECT lsn FROM _cdc_outbox ORDER BY lsn')
      .toArray()
      .map((row) => row.lsn),
  )
}

describe('back-pressure', () => {
  it('[I1] [I7] refuses a transaction beyond maxBacklogEvents, rolls it back, and accepts it once there is room', async () => {
    configurations.set('full', { maxBacklogEvents: 4 })
    await emit('full', 3)
    await emit('full', 1)
    const failure = await refusalOf('full', '')
    expect(failure).toMatchObject({ code: 'outbox-full' })
    expect(failure.message).toContain('maxBacklogEvents')
    expect(await inNotes('full', (notes) => notes.notes().length)).toBe(2)
    await drain('full')
    await emit('full', 1)
    expect((await drain('full')).map((record) => record.lsn)).toEqual([1, 2, 3, 4, 5])
  })

  it('[I7] refuses a transaction beyond maxBacklogBytes', async () => {
    configurations.set('full-bytes', { maxBacklogBytes: 10_000 })
    await emit('full-bytes', 1, { body: 'x'.repeat(9_000) })
    const failure = await refusalOf('full-bytes', 'x'.repeat(2_000))
    expect(failure).toMatchObject({ code: 'outbox-full' })
  })

  it('accepts a transaction of any size if the outbox is empty', async () => {
    configurations.set('large-one', { maxBacklogEvents: 4 })
    await emit('large-one', 10)
    expect(await drain('large-one')).toHaveLength(10)
  })
})

describe('retention', () => {
  it('keeps delivered events for retentionMs, and prunes them with later deliveries', async () => {
    const time = { nowMs: Date.now() }
    configurations.set('kept', { retentionMs: 1_000, now: () => time.nowMs })
    await emit('kept', 1)
    await drain('kept')
    expect(await rowsOf('kept')).toEqual([1])
    time.nowMs += 600
    await emit('kept', 1)
    await drain('kept')
    expect(await rowsOf('kept')).toEqual([1, 2])
    time.nowMs += 600
    await emit('kept', 1)
    await drain('kept')
    expect(await rowsOf('kept')).toEqual([2, 3])
  })

  it('keeps at most retentionBytes of them', async () => {
    configurations.set('kept-bytes', { retentionMs: 3_600_000, retentionBytes: 25_000 })
    for (let n = 0; n < 5; n++) {
      await emit('kept-bytes', 1, { body: 'x'.repeat(10_000) })
      await drain('kept-bytes')
    }
    expect(await rowsOf('kept-bytes')).toEqual([4, 5])
    using outbox = await env.NOTES.getByName('kept-bytes').outbox
    expect((await outbox.stats()).retainedBytes).toBeLessThanOrEqual(25_000)
  })

  it('never prunes pending events, however old', async () => {
    const time = { nowMs: Date.now() }
    configurations.set('old', { retentionMs: 0, now: () => time.nowMs })
    await emit('old', 2)
    time.nowMs += 1e9
    await emit('old', 1)
    expect(await rowsOf('old')).toEqual([2, 3])
    await drain('old')
    expect(acceptedRecords('old')).toHaveLength(3)
    expect(await rowsOf('old')).toEqual([])
  })

  it('[I2] continues to count after everything was pruned', async () => {
    await emit('pruned', 2)
    await drain('pruned')
    expect(await rowsOf('pruned')).toEqual([])
    await emit('pruned', 1)
    expect((await drain('pruned')).map((record) => record.lsn)).toEqual([1, 2, 3])
  })
})
