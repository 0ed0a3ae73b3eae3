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
