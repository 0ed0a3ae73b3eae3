import { env } from 'cloudflare:workers'
import type { CommittedRecord } from 'durable-outbox'
import { describe, expect, it } from 'vitest'
import { batch, commit, commitHeld, EPOCH, record } from './table.ts'

const LATER = '01BRZ3NDEKTSV4RRFFQ69G5FAV'

function read(source: string, after: number, epoch = EPOCH) {
  return env.LAKE.readLog({ ns: 'acme', source, epoch, after })
}

async function lsnsAfter(source: string, after: number): Promise<number[]> {
  return (await read(source, after)).events.map(({ lsn }) => lsn)
}

function later(record: CommittedRecord): CommittedRecord {
  return { ...record, id: record.id.replace('01A', '01C'), epoch: LATER, _meta: { ...record._meta, epoch: LATER } }
}

describe('a log in the table', () => {
  it('is read from any place, without the rows of others in the same files', async () => {
    await env.LAKE.send([...batch('mine', 1, 5), ...batch('others', 1, 9), ...batch('mine2', 1, 9)])
    await commit()
    await env.LAKE.send([...batch('mine', 6, 8), record('mine', 9, { type: 'Told' }), ...batch('mine', 10, 12)])
    await commit()
    expect(await lsnsAfter('mine', 0)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    expect(await lsnsAfter('mine', 10)).toEqual([11, 12])
    expect(await read('mine', 12)).toEqual({ events: [] })
    expect(await env.LAKE.readLog({ ns: 'globex', source: 'mine', epoch: EPOCH, after: 0 })).toEqual({ events: [] })
  })

  it('has the events as the outbox had them', async () => {
    const given = record('given', 1, {
      timestamp: '2026-11-22T08:30:00.000125Z',
      table: 'Note',
      before: { a: 1 },
      data: { b: [null] },
      correlation_id: 'request',
    })
    await env.LAKE.send([given])
    await commit()
    const { correlation_id: correlationId, source: _source, epoch: _epoch, ...event } = given
    expect((await read('given', 0)).events).toEqual([{ ...event, correlationId }])
  })

  it('[I10] ends before a hole, and says where it continues', async () => {
    await env.LAKE.send([...batch('hole', 1, 2), ...batch('hole', 4, 5)])
    await commitHeld()
    expect(await lsnsAfter('hole', 0)).toEqual([1, 2])
    expect(await read('hole', 2)).toEqual({ events: [], afterHole: 4 })
    expect(await lsnsAfter('hole', 3)).toEqual([4, 5])
  })

  it('has the event that came first under an LSN, and no fork', async () => {
    await env.LAKE.send([record('forked', 1)])
    await commit()
    await env.LAKE.send([record('forked', 1, { id: record('forked', 999).id, type: 'A.fork' })])
    await commit()
    expect((await read('forked', 0)).events.map(({ type }) => type)).toEqual(['cdc.insert'])
  })

  it('names the next epoch at its end', async () => {
    await env.LAKE.send([...batch('anew', 1, 2), ...batch('anew', 3, 4).map(later)])
    await commitHeld()
    expect(await read('anew', 2)).toEqual({ events: [], next: { epoch: LATER, firstLSN: 3 } })
    expect((await read('anew', 2, LATER)).events.map(({ lsn }) => lsn)).toEqual([3, 4])
  })

  it('[I7] is read by pages', async () => {
    const large = batch('large', 1, 9).map((each) => ({ ...each, data: { text: 'x'.repeat(900_000) } }))
    for (const each of large) {
      await env.LAKE.send([each]).catch(() => undefined)
      await commit()
    }
    const first = await lsnsAfter('large', 0)
    expect(first.length).toBeLessThan(9)
    expect([...first, ...(await lsnsAfter('large', first.length))]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
  })
})
