// The tail of an object, past the routes: what a client gets, and when.

import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { OutboxTail } from 'durable-outbox/tail'
import { acceptedRecords } from 'durable-outbox/testing'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { commit } from '../lake/table.ts'
import { drain, inNotes } from '../notes.ts'
import { configurations, tailOptions } from '../worker.ts'
import { connect, lsnsOf, tailOfNotes } from './client.ts'

const SOON = { timeout: 5_000, interval: 5 }

beforeEach(() => {
  tailOptions.hasLake = true
  tailOptions.isLakeDown = false
  tailOptions.aheadMs = 0
})

function write(name: string, ...texts: string[]): Promise<void> {
  return inNotes(name, (notes) => texts.forEach((text) => notes.write(text)))
}

function texts(count: number): string[] {
  return Array.from({ length: count }, (_, index) => String(index + 1))
}

/** LSNs from one to another. */
function lsns(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

/** Brings what is pending into the table. */
async function land(name: string): Promise<void> {
  await drain(name)
  await env.LAKE.send(acceptedRecords(name))
  await commit()
}

/** Takes delivered events out of the object, as the retention does in time. */
async function prune(name: string, throughLSN: number): Promise<void> {
  await inNotes(name, ({ ctx }) => void ctx.storage.sql.exec('DELETE FROM _cdc_outbox WHERE lsn <= ?', throughLSN))
}

/** The clients of a tail wait until the alarm looks after them. */
async function lookLater(name: string, ms: number): Promise<void> {
  tailOptions.aheadMs += ms
  await runDurableObjectAlarm(tailOfNotes(name))
}

describe('a tail', () => {
  it('[I2] sends each event once it has committed, in the order of the log', async () => {
    const client = await connect('live')
    await write('live', 'a')
    await write('live', 'b', 'c')
    await vi.waitFor(() => expect(lsnsOf(client)).toEqual([1, 2, 3]), SOON)
    expect(client.events[0]).toMatchObject({ type: 'Note.written', data: { text: 'a' }, ns: 'live' })
    client.close()
  })

  it('begins at an LSN, after a cursor, or with what comes next', async () => {
    await write('starts', ...texts(5))
    const all = await connect('starts', { from: '1' })
    await vi.waitFor(() => expect(lsnsOf(all)).toEqual(lsns(1, 5)), SOON)
    const cursor = all.messages.find(({ event }) => event?.lsn === 3)?.cursor ?? ''
    const rest = await connect('starts', { after: cursor })
    const next = await connect('starts')
    await write('starts', 'new')
    await vi.waitFor(() => expect([rest, next].map(lsnsOf)).toEqual([[4, 5, 6], [6]]), SOON)
    expect(next.messages[0]).toEqual({ cursor: cursor.replace('/3', '/5') })
    for (const client of [all, rest, next]) client.close()
  })

  it('[I1] sends nothing of a transaction that is rolled back, nor of one that is open', async () => {
    const client = await connect('rollback')
    const pokes = vi.spyOn(OutboxTail.prototype, 'poke')
    await inNotes('rollback', async ({ ctx }) => {
      await ctx
        .transaction(async (tx) => {
          tx.emit({ type: 'Rolled.back' })
          await Promise.resolve()
          throw new Error('on purpose')
        })
        .catch(() => undefined)
      const open = ctx.storage.transaction(async () => {
        ctx.transactionSync((tx) => tx.emit({ type: 'Rolled.back' }))
        // The tail is told, and asks, while the transaction is open.
        await vi.waitFor(() => expect(pokes).toHaveBeenCalled(), SOON)
        throw new Error('on purpose')
      })
      await open.catch(() => undefined)
      ctx.transactionSync((tx) => tx.emit({ type: 'Committed' }))
    })
    await vi.waitFor(() => expect(lsnsOf(client)).toEqual([1]), SOON)
    expect(client.events.map(({ type }) => type)).toEqual(['Committed'])
    pokes.mockRestore()
    client.close()
  })

  it('sends what triggers capture, also while other events are pending', async () => {
    await write('captured', 'before')
    const client = await connect('captured')
    await inNotes('captured', ({ ctx }) => {
      ctx.storage.sql.exec('CREATE TABLE plain (id INTEGER PRIMARY KEY, text TEXT)')
      ctx.capture('plain')
      ctx.storage.sql.exec("INSERT INTO plain (text) VALUES ('a')")
    })
    await inNotes('captured', ({ ctx }) => void ctx.storage.sql.exec("UPDATE plain SET text = 'b'"))
    await vi.waitFor(() => expect(client.events.map(({ type }) => type)).toEqual(['cdc.insert', 'cdc.update']), SOON)
    client.close()
  })

  it('sends only what a filter lets through, and moves the cursor past the rest', async () => {
    const client = await connect('filter', { type: 'Wanted' })
    await inNotes('filter', ({ ctx }) =>
      ctx.transactionSync((tx) => void tx.emitBatch([{ type: 'Other' }, { type: 'Wanted' }, { type: 'Other' }])),
    )
    await vi.waitFor(() => expect(client.messages.at(-1)?.cursor).toMatch(/\/3$/), SOON)
    expect(lsnsOf(client)).toEqual([2])
    client.close()
  })

  it('keeps nobody awake, and continues for the same sockets after both slept', async () => {
    const client = await connect('asleep', { from: '1' })
    await write('asleep', 'a')
    await vi.waitFor(() => expect(lsnsOf(client)).toEqual([1]), SOON)
    await evictDurableObject(tailOfNotes('asleep'))
    await evictDurableObject(env.NOTES.getByName('asleep'))
    const sockets = await runInDurableObject(tailOfNotes('asleep'), (_, state) => state.getWebSockets().length)
    expect(sockets).toBe(1)
    await evictDurableObject(tailOfNotes('asleep'))
    await write('asleep', 'b')
    await vi.waitFor(() => expect(lsnsOf(client)).toEqual([1, 2]), SOON)
    client.close()
  })

  it('leaves no socket in the object, and nothing when the last client has gone', async () => {
    const tables = () =>
      inNotes(
        'gone',
        ({ ctx }) => ctx.storage.sql.exec("SELECT 1 FROM sqlite_master WHERE name = '_cdc_tail'").toArray().length,
      )
    await write('gone', 'a')
    expect(await tables()).toBe(0)
    const client = await connect('gone')
    expect(await tables()).toBe(1)
    expect(await inNotes('gone', ({ ctx }) => ctx.getWebSockets().length)).toBe(0)
    client.close()
    await vi.waitFor(async () => {
      await write('gone', 'b')
      expect(await tables()).toBe(0)
    }, SOON)
  })

  it('keeps to a client that connects while the last one leaves', async () => {
    for (let round = 0; round < 5; round++) {
      const before = await connect('change')
      before.close()
      const [after] = await Promise.all([connect('change'), write('change', 'a')])
      await write('change', 'b')
      await vi.waitFor(() => expect(lsnsOf(after).at(-1)).toBe(2 * round + 2), SOON)
      after.close()
    }
  })

  it('tells that the log begins anew after deleteAll', async () => {
    await write('anew', 'a', 'b')
    const client = await connect('anew', { from: '1' })
    await vi.waitFor(() => expect(lsnsOf(client)).toEqual([1, 2]), SOON)
    await inNotes('anew', (notes) => notes.empty())
    await evictDurableObject(env.NOTES.getByName('anew'))
    await write('anew', 'c')
    await vi.waitFor(() => expect(lsnsOf(client)).toEqual([1, 2, 1]), SOON)
    const [began] = client.messages.filter((message) => message.began !== undefined)
    expect(began?.cursor).toBe(`${began?.began}/0`)
    client.close()
  })

  it('[I7] sends no more to a client that reads nothing, and closes it with a cursor to continue from', async () => {
    const client = await connect('slow', { from: '1' }, { acknowledges: false })
    await write('slow', ...texts(3_000))
    await vi.waitFor(() => expect(client.events.length).toBe(1_024), SOON)
    client.acknowledge()
    await vi.waitFor(() => expect(client.events.length).toBe(2_048), SOON)
    await lookLater('slow', 59_000)
    await write('slow', 'more')
    expect(client.closed).toBeUndefined()
    await lookLater('slow', 2_000)
    await vi.waitFor(() => expect(client.closed?.code).toBe(4408), SOON)
    const [, after = ''] = / after=(\S+)$/.exec(client.closed?.reason ?? '') ?? []
    expect(after).toMatch(/\/1024$/)
    const again = await connect('slow', { after })
    await vi.waitFor(() => expect(lsnsOf(again)).toEqual(lsns(1_025, 3_001)), SOON)
    again.close()
  })

  it('closes a client that sends something else than a cursor that it was given', async () => {
    const client = await connect('nonsense')
    client.send('x')
    await vi.waitFor(() => expect(client.closed?.code).toBe(4400), SOON)
  })
})

describe('the past of a log', () => {
  it('comes from the lake, in the form in which the object had it', async () => {
    await inNotes('past', (notes) => {
      notes.draft('a draft')
      notes.ctx.transactionSync(
        (tx) => tx.emit({ type: 'Told', key: 'k', visibility: 'team', timestamp: '2026-11-22T08:30:00.000125Z' }),
        { actor: 'User/a', correlationId: 'r' },
      )
    })
    await write('past', ...texts(10))
    const hot = await connect('past', { from: '1' })
    await vi.waitFor(() => expect(lsnsOf(hot)).toEqual(lsns(1, 12)), SOON)
    await land('past')
    await prune('past', 10)
    const cold = await connect('past', { from: '1' })
    await write('past', 'new')
    await vi.waitFor(() => expect(lsnsOf(cold)).toEqual(lsns(1, 13)), SOON)
    expect(cold.events.slice(0, 12)).toEqual(hot.events.slice(0, 12))
    hot.close()
    cold.close()
  })

  it('comes from the lake if the retention has dropped it', async () => {
    configurations.set('retained', { retentionBytes: 0, maxBatchEvents: 100 })
    const large = 'x'.repeat(900_000)
    for (let i = 0; i < 6; i++) await write('retained', large)
    await land('retained')
    await write('retained', 'a')
    await land('retained')
    using outbox = await env.NOTES.getByName('retained').outbox
    expect((await outbox.tail({ from: 1 })).firstLSN).toBe(7)
    const client = await connect('retained', { from: '1' })
    await vi.waitFor(() => expect(lsnsOf(client)).toEqual(lsns(1, 7)), SOON)
    client.close()
  })

  it('ends with a code if there is no lake', async () => {
    tailOptions.hasLake = false
    await write('no-lake', 'a', 'b', 'c')
    await land('no-lake')
    await prune('no-lake', 2)
    const client = await connect('no-lake', { from: '1' })
    await vi.waitFor(() => expect(client.closed?.code).toBe(4410), SOON)
    expect(client.closed?.reason).toMatch(/^gone: the object holds LSN 3 and later.* after=\w{26}\/0$/)
    expect(client.events).toEqual([])
  })

  it('is waited for while it is on its way to the table, and for a minute', async () => {
    await write('late', 'a', 'b')
    await drain('late')
    await prune('late', 2)
    const [patient, client] = [await connect('late', { from: '1' }), await connect('late', { from: '2' })]
    await vi.waitFor(() => expect(client.messages.length).toBe(1), SOON)
    const [first] = acceptedRecords('late')
    if (first !== undefined) await env.LAKE.send([first])
    await commit()
    await lookLater('late', 2_000)
    await vi.waitFor(() => expect(lsnsOf(patient)).toEqual([1]), SOON)
    await lookLater('late', 61_000)
    await vi.waitFor(() => expect(client.closed?.code).toBe(4410), SOON)
    patient.close()
  })

  it('is tried again while it cannot be read, for a minute', async () => {
    tailOptions.isLakeDown = true
    await write('down', 'a', 'b')
    await land('down')
    await prune('down', 2)
    const client = await connect('down', { from: '1' })
    await vi.waitFor(() => expect(tailOptions.failed).toContain('down'), SOON)
    await lookLater('down', 59_000)
    expect(client.closed).toBeUndefined()
    await lookLater('down', 2_000)
    await vi.waitFor(() => expect(client.closed?.code).toBe(4503), SOON)
    const again = await connect('down', { from: '1' })
    tailOptions.isLakeDown = false
    await lookLater('down', 6_000)
    await vi.waitFor(() => expect(lsnsOf(again)).toEqual([1, 2]), SOON)
    again.close()
  })

  it('[I8] is that of the object alone, whatever epoch a cursor has', async () => {
    for (const name of ['older', 'mine', 'newer']) {
      await write(name, 'a')
      await drain(name)
    }
    // In the same files, which hold one log beside the other.
    await env.LAKE.send(['older', 'mine', 'newer'].flatMap((name) => acceptedRecords(name)))
    await commit()
    for (const name of ['older', 'newer']) {
      using theirs = await env.NOTES.getByName(name).outbox
      const { epoch } = await theirs.stats()
      const client = await connect('mine', { after: `${epoch}/0` })
      await vi.waitFor(() => expect(client.closed ?? client.events[0]).toBeDefined(), SOON)
      expect(client.events.filter(({ ns }) => ns !== 'mine')).toEqual([])
      client.close()
    }
  })

  it('is read through former epochs, and then the current one', async () => {
    await write('epochs', 'a', 'b')
    await land('epochs')
    using outbox = await env.NOTES.getByName('epochs').outbox
    const { epoch } = await outbox.stats()
    await inNotes('epochs', (notes) => notes.empty())
    await write('epochs', 'c')
    await land('epochs')
    await inNotes('epochs', (notes) => notes.empty())
    await write('epochs', 'd', 'e')
    const client = await connect('epochs', { after: `${epoch}/0` })
    await vi.waitFor(
      () => expect(client.events.map(({ data }) => data?.['text'])).toEqual(['a', 'b', 'c', 'd', 'e']),
      SOON,
    )
    expect(client.messages.flatMap((message) => message.began ?? [])).toHaveLength(2)
    client.close()
  })

  it('is not what a cursor beyond the end of the log belongs to', async () => {
    await write('ahead', 'a')
    using outbox = await env.NOTES.getByName('ahead').outbox
    const { epoch } = await outbox.stats()
    const client = await connect('ahead', { after: `${epoch}/9` })
    await vi.waitFor(() => expect(client.closed?.code).toBe(4409), SOON)
  })
})
