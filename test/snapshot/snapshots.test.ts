import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { describe, expect, it, vi } from 'vitest'
import { DocumentStore, type SnapshotProgress } from 'durable-outbox'
import { failureOf } from '../notes.ts'
import { foldRows } from '../stores/fold.ts'
import { configurations, type Stores } from '../worker.ts'

function inObject<T>(name: string, run: (object: Stores) => T | Promise<T>): Promise<T> {
  return runInDurableObject<Stores, T>(env.STORES.getByName(name), run)
}

/** Makes a table with rows, and captures it afterwards. */
function withRows<T>(name: string, count: number, run: (object: Stores) => T | Promise<T>): Promise<T> {
  return inObject(name, (object) => {
    const { sql } = object.ctx.storage
    sql.exec('CREATE TABLE IF NOT EXISTS items (id TEXT PRIMARY KEY, n INTEGER, blob BLOB)')
    sql.exec(
      `INSERT OR IGNORE INTO items SELECT printf('i%05d', value), value, CASE WHEN value % 2 THEN x'00ff' END
       FROM json_each(?)`,
      JSON.stringify(Array.from({ length: count }, (_, index) => index)),
    )
    object.ctx.capture('items')
    return run(object)
  })
}

function progress(name: string): Promise<SnapshotProgress[]> {
  return inObject(name, (object) => object.outbox.stats().snapshots)
}

/** Runs alarms until the snapshot has ended. */
async function finish(name: string): Promise<void> {
  for (let alarms = 0; alarms < 50; alarms++) {
    if ((await progress(name)).every(({ endedAt }) => endedAt !== undefined)) return
    await runDurableObjectAlarm(env.STORES.getByName(name))
  }
  throw new Error('the snapshot does not end')
}

describe('snapshot', () => {
  it('[I1] emits the rows from before the capture, each as it is at its LSN', async () => {
    await withRows('before', 25, (object) => {
      expect(object.outbox.snapshot('items', { chunk: 10 })).toMatchObject({ name: 'relational/items', rows: 0 })
    })
    await finish('before')
    await inObject('before', (object) => {
      const { items } = object.outbox.list({ limit: 1_000 })
      expect(items.map(({ op, key }) => `${op} ${key}`)).toEqual(
        Array.from({ length: 25 }, (_, index) => `r i${String(index).padStart(5, '0')}`),
      )
      expect(items[1]?.after).toEqual({ id: 'i00001', n: 1, blob: 'AP8=' })
      expect(new Set(items.map(({ txid }) => txid)).size).toBe(3)
      expect(object.outbox.stats().snapshots).toMatchObject([{ name: 'relational/items', rows: 25 }])
    })
  })

  it('ends with the true state while writes continue, also after an eviction', async () => {
    configurations.set('meanwhile', { now: () => clock })
    let clock = 1_000_000
    await withRows('meanwhile', 40, (object) => void object.outbox.snapshot('items', { chunk: 10 }))
    for (let round = 0; round < 4; round++) {
      // Each alarm has time for only one chunk.
      clock += 1
      const advance = setInterval(() => (clock += 10_000), 0)
      await runDurableObjectAlarm(env.STORES.getByName('meanwhile'))
      clearInterval(advance)
      await withRows('meanwhile', 0, (object) => {
        const { sql } = object.ctx.storage
        sql.exec("DELETE FROM items WHERE id IN ('i00003', 'i00033')")
        sql.exec("UPDATE items SET n = n + 100 WHERE id IN ('i00005', 'i00035')")
        sql.exec("INSERT OR IGNORE INTO items VALUES ('i00012x', -1, NULL)")
      })
      await evictDurableObject(env.STORES.getByName('meanwhile'))
      await withRows('meanwhile', 0, () => undefined)
    }
    await finish('meanwhile')
    await inObject('meanwhile', (object) => {
      const folded = foldRows(object.outbox.list({ limit: 1_000 }).items).get('relational/items')
      const rows = object.ctx.storage.sql.exec('SELECT id, n FROM items ORDER BY id').toArray()
      const seen = [...(folded ?? [])].toSorted(([a], [b]) => (a < b ? -1 : 1))
      expect(seen.map(([, row]) => row)).toMatchObject(rows)
      expect(seen).toHaveLength(rows.length)
    })
  })

  it('continues if it is started again while it runs, and starts anew once it has ended', async () => {
    await withRows('again', 3, (object) => {
      const first = object.outbox.snapshot('items')
      expect(object.outbox.snapshot('relational/items')).toEqual(first)
    })
    await finish('again')
    await inObject('again', (object) => expect(object.outbox.list().items).toHaveLength(3))
    await withRows('again', 3, (object) => void object.outbox.snapshot('items'))
    await finish('again')
    await inObject('again', (object) => expect(object.outbox.list().items).toHaveLength(6))
  })

  it.each([
    ['is lost', 'DELETE FROM _cdc_alarm'],
    ['was set by a clock that was a year ahead', 'UPDATE _cdc_alarm SET due = due + 31536000000, scheduled = due'],
  ])('[I6] continues on waking if its alarm %s', async (_, change) => {
    const name = change.slice(0, 6)
    await withRows(name, 25, (object) => {
      object.outbox.snapshot('items', { chunk: 10 })
      object.ctx.storage.sql.exec(change)
      void object.ctx.storage.setAlarm(Date.now() + 365 * 24 * 3_600_000)
    })
    await evictDurableObject(env.STORES.getByName(name))
    // Its alarm is due at once, so it is the runtime that runs it.
    await withRows(name, 0, () => undefined)
    await vi.waitFor(async () => expect(await progress(name)).toMatchObject([{ rows: 25 }]))
  })

  it('[I7] waits while the outbox is full', async () => {
    configurations.set('full-snapshot', { maxBacklogEvents: 15 })
    await withRows('full-snapshot', 30, (object) => {
      object.outbox.pause()
      object.outbox.snapshot('items', { chunk: 10 })
    })
    await runDurableObjectAlarm(env.STORES.getByName('full-snapshot'))
    expect(await progress('full-snapshot')).toMatchObject([{ rows: 10 }])
    await inObject('full-snapshot', async (object) => {
      expect(await object.ctx.storage.getAlarm()).toBeGreaterThan(Date.now())
    })
  })

  it('reports the error that ended it', async () => {
    await inObject('fails', (object) => {
      const store = {
        name: 'document/Broken',
        createTables: () => undefined,
        readRows: () => {
          throw new Error('on purpose')
        },
      }
      object.ctx.attach(store)
      object.outbox.snapshot(store)
    })
    await finish('fails')
    expect(await progress('fails')).toMatchObject([{ name: 'document/Broken', rows: 0, error: 'on purpose' }])
  })

  it('refuses a store that it does not know, and a bad chunk', async () => {
    await withRows('unknown', 1, async (object) => {
      const store = new DocumentStore(object.ctx, 'items')
      expect(store.name).toBe('document/items')
      expect(await failureOf(() => object.outbox.snapshot('nothing'))).toMatchObject({ code: 'not-found' })
      expect(await failureOf(() => object.outbox.snapshot('items'))).toMatchObject({
        code: 'not-found',
        message: expect.stringContaining('more than one'),
      })
      expect(await failureOf(() => object.outbox.snapshot(store, { chunk: 0 }))).toMatchObject({
        code: 'invalid-argument',
      })
    })
  })
})
