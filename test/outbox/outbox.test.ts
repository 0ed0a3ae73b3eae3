import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { ExactlyOnceContext } from 'durable-outbox'
import { describe, expect, it } from 'vitest'
import { configurations, type Stores } from '../worker.ts'
import { migrate } from '../../src/sqlite/migrate.ts'
import { acceptedRecords } from 'durable-outbox/testing'
import { drain, failureOf, inNotes } from '../notes.ts'
import type { Plain } from '../worker.ts'

function inPlain<T>(name: string, run: (state: DurableObjectState) => T | Promise<T>): Promise<T> {
  return runInDurableObject<Plain, T>(env.PLAIN.getByName(name), (_, state) => run(state))
}

function rowsOf(name: string): Promise<unknown[]> {
  return inNotes(name, (notes) => notes.ctx.storage.sql.exec('SELECT lsn, count FROM _cdc_outbox').toArray())
}

function emit(context: ExactlyOnceContext, type: string): void {
  context.transactionSync((tx) => tx.emit({ type }))
}

/** Opens an outbox like an object that wakes, emits, and delivers. */
async function deliver(state: DurableObjectState, source: string, types: string[]): Promise<void> {
  const context = new ExactlyOnceContext(state, { source })
  for (const type of types) emit(context, type)
  await context.alarm()
}

describe('_cdc_outbox', () => {
  it('has one row for each transaction', async () => {
    await inNotes('rows', (notes) => {
      notes.ctx.transactionSync((tx) => tx.emitBatch([{ type: 'A' }, { type: 'A' }, { type: 'A' }]))
      notes.ctx.transactionSync((tx) => tx.emit({ type: 'B' }))
    })
    expect(await rowsOf('rows')).toEqual([
      { lsn: 3, count: 3 },
      { lsn: 4, count: 1 },
    ])
  })

  it('writes no row and arms no alarm for a transaction without events', async () => {
    await inNotes('no-events', async (notes) => {
      notes.ctx.transactionSync((tx) => tx.execute("INSERT INTO notes (text) VALUES ('quiet')"))
      expect(await notes.ctx.storage.getAlarm()).toBeNull()
    })
    expect(await drain('no-events')).toEqual([])
  })

  it('splits a transaction of many events into rows, under one txid', async () => {
    await inNotes('huge', (notes) =>
      notes.ctx.transactionSync((tx) =>
        tx.emitBatch(Array.from({ length: 2_500 }, (_, n) => ({ type: 'N', data: { n } }))),
      ),
    )
    const records = await drain('huge')
    expect(records.map((record) => record.data?.['n'])).toEqual(Array.from({ length: 2_500 }, (_, n) => n))
    expect(new Set(records.map((record) => record.txid)).size).toBe(1)
  })

  it('keeps each row below 2 MB however large the events of a transaction are', async () => {
    const data = { body: 'é'.repeat(400_000) }
    await inNotes('large', (notes) =>
      notes.ctx.transactionSync((tx) => tx.emitBatch(Array.from({ length: 5 }, () => ({ type: 'A', data })))),
    )
    const lengths = await inNotes('large', (notes) =>
      notes.ctx.storage.sql
        .exec<{ bytes: number }>('SELECT length(CAST(events AS BLOB)) AS bytes FROM _cdc_outbox')
        .toArray()
        .map((row) => row.bytes),
    )
    expect(lengths.length).toBeGreaterThan(1)
    expect(Math.max(...lengths)).toBeLessThan(2_000_000)
    expect(await drain('large')).toHaveLength(5)
  })
})

describe('migrations', () => {
  it('refuses a database that is newer than the code', async () => {
    const failure = await inPlain('newer', (state) => {
      emit(new ExactlyOnceContext(state), 'A')
      state.storage.sql.exec("INSERT INTO _cdc_migrations VALUES (99, '0099_later')")
      return failureOf(() => new ExactlyOnceContext(state))
    })
    expect(failure.code).toBe('schema-newer')
    expect(failure.message).toContain('the database is at version 99')
    expect(failure.message).toContain('deploy a version')
  })

  it('names the migration that fails and why, and applies nothing of it', async () => {
    await inPlain('bad-migration', async (state) => {
      const good = { name: '0001_good', sql: 'CREATE TABLE a (x INTEGER)' }
      const bad = { name: '0002_bad', sql: 'CREATE TABLE b (x INTEGER);--> statement-breakpoint\nCREATE TABLE a (x)' }
      const failure = await failureOf(() => migrate(state.storage, 'test_migrations', [good, bad]))
      expect(failure.code).toBe('migration-failed')
      expect(failure.message).toMatch(/0002_bad failed: .*table a already exists/)
      const tables = state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name IN ('a', 'b')").toArray()
      expect(tables).toEqual([])
    })
  })

  it('applies new migrations only', async () => {
    await inPlain('two-migrations', (state) => {
      const first = { name: '0001_a', sql: 'CREATE TABLE a (x INTEGER)' }
      const second = { name: '0002_b', sql: 'ALTER TABLE a ADD COLUMN y INTEGER' }
      migrate(state.storage, 'test_migrations', [first])
      state.storage.sql.exec('INSERT INTO a VALUES (1)')
      migrate(state.storage, 'test_migrations', [first, second])
      migrate(state.storage, 'test_migrations', [first, second])
      expect(state.storage.sql.exec('SELECT * FROM a').toArray()).toEqual([{ x: 1, y: null }])
    })
  })
})

describe('epoch', () => {
  it('[I9] continues after an eviction', async () => {
    await inNotes('same-epoch', (notes) => notes.ctx.transactionSync((tx) => tx.emit({ type: 'A' })))
    await evictDurableObject(env.NOTES.getByName('same-epoch'))
    await inNotes('same-epoch', (notes) => notes.ctx.transactionSync((tx) => tx.emit({ type: 'B' })))
    const records = await drain('same-epoch')
    expect(new Set(records.map((record) => record.epoch)).size).toBe(1)
    expect(records.map((record) => record.lsn)).toEqual([1, 2])
  })

  it('[I9] is new after deleteAll, also while the object runs', async () => {
    await inNotes('emptied', (notes) => notes.ctx.transactionSync((tx) => tx.emit({ type: 'A' })))
    await drain('emptied')
    await inNotes('emptied', async (notes) => {
      await notes.ctx.storage.deleteAll()
      notes.ctx.transactionSync((tx) => tx.emit({ type: 'B' }))
    })
    const [before, after] = await drain('emptied')
    expect([before?.lsn, after?.lsn]).toEqual([1, 1])
    expect(after?.epoch).not.toBe(before?.epoch)
  })

  it('[I9] is new in a copy of the database, which delivers the pending events too', async () => {
    await inNotes('copy', (notes) => {
      notes.ctx.transactionSync((tx) => tx.emit({ type: 'A' }))
      notes.ctx.storage.sql.exec("UPDATE _cdc_state SET object = 'the original', epoch = '01ARZ3NDEKTSV4RRFFQ69G5FAV'")
    })
    await evictDurableObject(env.NOTES.getByName('copy'))
    const records = await drain('copy')
    expect(records.map((record) => record.lsn)).toEqual([1])
    expect(records[0]?.epoch).not.toBe('01ARZ3NDEKTSV4RRFFQ69G5FAV')
  })

  it('[I9] is new under a new source, once nothing is pending under the old one', async () => {
    await inPlain('renamed', async (state) => {
      emit(new ExactlyOnceContext(state, { source: 'DO/Old' }), 'A')
      await deliver(state, 'DO/New', ['B'])
      await deliver(state, 'DO/New', ['C'])
    })
    const records = acceptedRecords('renamed')
    expect(records.map(({ type, source, lsn }) => [type, source, lsn])).toEqual([
      ['A', 'DO/Old', 1],
      ['B', 'DO/Old', 2],
      ['C', 'DO/New', 3],
    ])
    expect(records[1]?.epoch).toBe(records[0]?.epoch)
    expect(records[2]?.epoch).not.toBe(records[0]?.epoch)
  })

  it('[I9] sorts after the one before, although the clock has stepped back', async () => {
    const clock = { ms: Date.now() }
    configurations.set('clock back', { now: () => clock.ms })
    await runInDurableObject<Stores, void>(env.STORES.getByName('clock back'), async ({ ctx, outbox }) => {
      const before = outbox.stats().epoch
      clock.ms -= 5_000
      await ctx.storage.deleteAll()
      const after = outbox.stats().epoch
      expect(after > before).toBe(true)
    })
    await inPlain('renamed back', async (state) => {
      const first = new ExactlyOnceContext(state, { source: 'DO/Old' }).outbox.stats().epoch
      const now = (): number => Date.now() - 3_600_000
      const second = new ExactlyOnceContext(state, { source: 'DO/New', now }).outbox.stats().epoch
      expect(second > first).toBe(true)
    })
  })

  it('[I9] is another one in each copy of a database, although the clock has stepped back', async () => {
    await inPlain('two copies', async (state) => {
      const original = new ExactlyOnceContext(state).outbox.stats().epoch
      const now = (): number => Date.now() - 3_600_000
      const copies = [1, 2].map(() => {
        state.storage.sql.exec("UPDATE _cdc_state SET object = 'the original', epoch = ?", original)
        return new ExactlyOnceContext(state, { now }).outbox.stats().epoch
      })
      expect(new Set(copies).size).toBe(2)
      expect(copies.every((epoch) => epoch > original)).toBe(true)
    })
  })
})
