// The trace of a request follows its events, into the table and into the objects that consume them.

import { describe, expect, it } from 'vitest'
import { drain, failureOf, inNotes } from '../notes.ts'

const TRACE = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
const OTHER = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00'

describe('a traceparent', () => {
  it('of a transaction lands in _meta of its events, also of stores and captured tables; an event may have its own', async () => {
    await inNotes('traced', (notes) => {
      notes.ctx.capture('notes')
      notes.ctx.transactionSync(
        (tx) => {
          tx.emit({ type: 'A' })
          tx.emit({ type: 'B', traceparent: OTHER })
          notes.draft('text')
          tx.execute("INSERT INTO notes (text) VALUES ('captured')")
        },
        { traceparent: TRACE },
      )
      notes.ctx.transactionSync((tx) => tx.emit({ type: 'C' }))
      expect(notes.outbox.get(1)).toMatchObject({ type: 'cdc.insert', _meta: { traceparent: TRACE } })
    })
    const traces = (await drain('traced')).map(({ type, _meta }) => [type, _meta['traceparent']])
    expect(traces).toHaveLength(5)
    expect(traces).toEqual(
      expect.arrayContaining([
        ['A', TRACE],
        ['B', OTHER],
        ['C', undefined],
        ['cdc.insert', TRACE],
      ]),
    )
    for (const record of await drain('traced')) expect(record).not.toHaveProperty('traceparent')
  })

  it('of an event that is consumed is that of what its consumer emits, if it is one', async () => {
    const event = (lsn: number, traceparent: string) => ({
      id: `01ARZ3NDEKTSV4RRFFQ6${String(lsn).padStart(6, '0')}`,
      ns: 'acme',
      source: 'DO/Orders',
      epoch: '01ARZ3NDEKTSV4RRFFQ69G5FAV',
      lsn,
      _meta: { traceparent },
    })
    await inNotes('consumer', (notes) => {
      notes.ctx.processOnceSync(event(1, TRACE), (tx) => void tx.emit({ type: 'Seen' }))
      notes.ctx.processOnceSync(event(2, 'nonsense'), (tx) => void tx.emit({ type: 'Seen' }))
    })
    expect((await drain('consumer')).map(({ _meta }) => _meta['traceparent'])).toEqual([TRACE, undefined])
  })

  it('that is not one is refused', async () => {
    const failure = await failureOf(() =>
      inNotes('refused', (notes) => notes.ctx.transactionSync((tx) => tx.emit({ type: 'A' }), { traceparent: 'x' })),
    )
    expect(failure.message).toContain('traceparent: must be a W3C traceparent')
  })
})
