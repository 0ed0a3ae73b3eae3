// What holds for every store.

import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, it, vi } from 'vitest'
import type { ListedEvent } from 'durable-outbox'
import { failureOf } from '../notes.ts'
import type { Stores } from '../worker.ts'
import { subjects } from './subjects.ts'

let objects = 0

/** Runs code in an object of its own. */
function inObject<T>(run: (object: Stores) => T | Promise<T>): Promise<T> {
  objects += 1
  return runInDurableObject<Stores, T>(env.STORES.getByName(`conformance-${objects}`), run)
}

/** The events of an object after an LSN. */
function eventsAfter(object: Stores, lsn: number): ListedEvent[] {
  return object.outbox.list({ from: lsn + 1, limit: 1_000 }).items
}

function lastLSN(object: Stores): number {
  return object.outbox.stats().lastLSN
}

function inShort({ op, table, key }: ListedEvent): string {
  return `${op} ${table} ${key}`
}

function sortedFields(row: object): [string, unknown][] {
  return Object.entries(row).toSorted(([a], [b]) => (a < b ? -1 : 1))
}

/** Everything in the tables that are not the library's own. */
function contents(object: Stores): unknown {
  const { sql } = object.ctx.storage
  const tables = sql.exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'").toArray()
  return tables
    .filter(({ name }) => !/^_c(dc|f)_/.test(name))
    .map(({ name }) => [name, sql.exec(`SELECT * FROM "${name}"`).toArray()])
}

describe.each(subjects)('$name', ({ store, cases }) => {
  it.each(cases)('[I1] [I2] emits, for $title, exactly its events in one transaction', async ({ open, emits }) => {
    await inObject((object) => {
      const { prepare, run } = open(object.ctx)
      prepare()
      const before = lastLSN(object)
      run()
      const emitted = eventsAfter(object, before)
      expect(emitted.map(inShort)).toEqual(emits)
      expect(emitted.map(({ lsn }) => lsn)).toEqual(emits.map((_, index) => before + 1 + index))
      expect(new Set(emitted.map(({ txid }) => txid)).size).toBe(Math.min(1, emits.length))
    })
  })

  it.each(cases)('[I1] leaves neither row nor event of $title if its transaction throws', async ({ open }) => {
    await inObject(async (object) => {
      const { prepare, run } = open(object.ctx)
      prepare()
      const before = { lsn: lastLSN(object), contents: contents(object) }
      const failure = await failureOf(() =>
        object.ctx.transactionSync(() => {
          run()
          throw new Error('on purpose')
        }),
      )
      expect(failure.message).toBe('on purpose')
      expect({ lsn: lastLSN(object), contents: contents(object) }).toEqual(before)
    })
  })

  it.each(cases)('records for $title the actor and the request', async ({ open }) => {
    await inObject((object) => {
      const { prepare, run } = open(object.ctx)
      prepare()
      const before = lastLSN(object)
      object.ctx.transactionSync(run, { actor: 'User/nathan', correlationId: 'request-1' })
      for (const event of eventsAfter(object, before))
        expect(event).toMatchObject({ actor: 'User/nathan', correlationId: 'request-1' })
    })
  })

  it('has its tables again after deleteAll, even if the first write afterwards is rolled back', async () => {
    const [first] = cases
    // What is captured is the user's own table, which only the user makes.
    if (first === undefined || store.startsWith('relational/')) return
    await inObject(async (object) => {
      const { run } = first.open(object.ctx)
      await object.ctx.storage.deleteAll()
      await failureOf(() =>
        object.ctx.transactionSync(() => {
          run()
          throw new Error('on purpose')
        }),
      )
      run()
      expect(eventsAfter(object, 0).map(inShort)).toEqual(first.emits)
    })
  })

  it('gives its present rows to a snapshot', async () => {
    const [first] = cases
    if (first === undefined) throw new Error('there is no case')
    objects += 1
    const stub = env.STORES.getByName(`conformance-${objects}`)
    const before = await runInDurableObject<Stores, number>(stub, (object) => {
      first.open(object.ctx).run()
      object.outbox.snapshot(store, { chunk: 1 })
      return lastLSN(object)
    })
    // The alarm is due at once, so it is the runtime that runs it.
    await vi.waitFor(() =>
      runInDurableObject<Stores, void>(stub, (object) =>
        expect(object.outbox.stats().snapshots).toMatchObject([{ name: store, endedAt: expect.any(String) }]),
      ),
    )
    await runInDurableObject<Stores, void>(stub, (object) => {
      expect(object.outbox.stats().snapshots[0]?.error).toBeUndefined()
      const inTurn = (events: ListedEvent[]): string[] =>
        events.map(({ key, after = {} }) => JSON.stringify([key, sortedFields(after)])).toSorted()
      const read = eventsAfter(object, before)
      expect(new Set(read.map(({ op }) => op))).toEqual(new Set(['r']))
      expect(inTurn(read)).toEqual(inTurn(eventsAfter(object, 0).filter(({ lsn }) => lsn <= before)))
    })
  })
})

describe('all stores together', () => {
  it('[I1] [I2] change in one transaction with one txid and consecutive LSNs', async () => {
    await inObject((object) => {
      const firsts = subjects.map(({ cases }) => cases[0]?.open(object.ctx))
      object.ctx.transactionSync(() => firsts.forEach((each) => each?.run()))
      const emitted = eventsAfter(object, 0)
      expect(emitted.map(({ lsn }) => lsn)).toEqual(emitted.map((_, index) => index + 1))
      expect(new Set(emitted.map(({ txid }) => txid)).size).toBe(1)
      expect(emitted.map(inShort).toSorted()).toEqual(subjects.flatMap(({ cases }) => cases[0]?.emits ?? []).toSorted())
    })
  })

  it('[I1] change all or not at all', async () => {
    await inObject(async (object) => {
      const firsts = subjects.map(({ cases }) => cases[0]?.open(object.ctx))
      const before = contents(object)
      await failureOf(() =>
        object.ctx.transactionSync(() => {
          firsts.forEach((each) => each?.run())
          throw new Error('on purpose')
        }),
      )
      expect(eventsAfter(object, 0)).toEqual([])
      expect(contents(object)).toEqual(before)
    })
  })
})
