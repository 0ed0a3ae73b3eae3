// The log in segments, as users meet it: by what is delivered, listed and replayed, and by the rows that they pay for.

import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import type { EventRecord, ListedEvent } from 'durable-outbox'
import { acceptedRecords, nextFates } from 'durable-outbox/testing'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RowMeter, totalRows } from '../../proofs/bench/row-meter.ts'
import { migrations } from '../../src/outbox/migrations.generated.ts'
import { drain, inNotes } from '../notes.ts'
import { configurations, type Notes } from '../worker.ts'

/** Five of them seal the newest table: it has more than 4 MB then. */
const LARGE = 'x'.repeat(900_000)

/** Otherwise a segment would be an eighth of 100 MB. */
const small = { retentionBytes: 8_000_000 }

function emit(notes: Notes, count: number, type = 'A'): void {
  for (let n = 0; n < count; n += 1) notes.ctx.transactionSync((tx) => tx.emit({ type, data: { body: LARGE } }))
}

function write(name: string, count: number, type?: string): Promise<void> {
  return inNotes(name, (notes) => emit(notes, count, type))
}

function segmentsOf({ ctx }: Notes): string[] {
  return ctx.storage.sql
    .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE name GLOB '_cdc_outbox_*' ORDER BY rowid")
    .toArray()
    .map(({ name }) => name)
}

/** All events that the log still holds, page by page. */
async function listed(name: string, limit = 100): Promise<ListedEvent[]> {
  using outbox = await env.NOTES.getByName(name).outbox
  const events: ListedEvent[] = []
  for (let from = 1, isLast = false; !isLast;) {
    const { items, nextLSN } = await outbox.list({ from, limit })
    events.push(...items)
    isLast = nextLSN === undefined
    from = nextLSN ?? from
  }
  return events
}

function lsnsOf(events: readonly { lsn?: number }[]): (number | undefined)[] {
  return events.map(({ lsn }) => lsn)
}

function upTo(last: number, first = 1): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

/** Commits transactions of one small event, and delivers them. */
async function commitMany({ ctx, outbox }: Notes, transactions: number): Promise<void> {
  for (let n = 0; n < transactions; n += 1) ctx.transactionSync((tx) => tx.emit({ type: 'A' }))
  await outbox.flush()
}

describe('delivered events', () => {
  it('leave with their segment, which costs 1 % of the rows that were written', async () => {
    configurations.set('many', { maxBatchEvents: 1_000 })
    await inNotes('many', async (notes) => {
      const meter = new RowMeter(notes.ctx.storage)
      for (let round = 0; round < 8; round += 1) await commitMany(notes, 1_000)
      const ofLog = Object.entries(meter.take()).filter(([name]) => !/_cdc_state|larm/.test(name))
      expect(totalRows(Object.fromEntries(ofLog)) / 8_000).toBeLessThan(1.02)
      expect(segmentsOf(notes).length).toBeLessThanOrEqual(1)
      expect(notes.outbox.stats().retainedBytes).toBeLessThan(3_000_000)
    })
  })

  it('can be listed and replayed from every segment', async () => {
    configurations.set('kept', { maxBatchEvents: 1_000, retentionMs: 3_600_000, retentionBytes: 5_000_000 })
    await inNotes('kept', async (notes) => {
      for (let round = 0; round < 10; round += 1) await commitMany(notes, 1_000)
      expect(segmentsOf(notes).length).toBeGreaterThan(1)
    })
    const [first = 0] = await inNotes('kept', segmentsOf).then((names) => names.map((name) => Number(name.slice(12))))
    expect(lsnsOf(await listed('kept', 700))).toEqual(upTo(10_000))
    using outbox = await env.NOTES.getByName('kept').outbox
    expect(await outbox.replay({ fromLSN: first - 2, toLSN: first + 3 })).toMatchObject({ replayed: 6 })
    expect(lsnsOf(acceptedRecords('kept').slice(10_000))).toEqual(upTo(first + 3, first - 2))
    expect(await outbox.get(first)).toMatchObject({ lsn: first, type: 'A' })
  })
})

describe('pending events', () => {
  it('[I2] [I3] are delivered in order from a sealed segment, and the log counts on', async () => {
    configurations.set('pending', small)
    nextFates('pending', 'accept', 'reject')
    await inNotes('pending', async (notes) => {
      emit(notes, 12)
      await notes.outbox.flush()
    })
    expect(acceptedRecords('pending')).toHaveLength(4)
    expect(await inNotes('pending', segmentsOf)).toEqual(['_cdc_outbox_12'])
    await evictDurableObject(env.NOTES.getByName('pending'))
    await write('pending', 1)
    expect(lsnsOf(await drain('pending'))).toEqual(upTo(13))
  })

  it('[I3] become dead letters in a sealed segment too', async () => {
    configurations.set('poisoned', small)
    nextFates('poisoned', 'accept', 'reject')
    await inNotes('poisoned', async (notes) => {
      emit(notes, 6)
      emit(notes, 1, 'Poison')
      emit(notes, 2)
      await notes.outbox.flush()
    })
    expect(await inNotes('poisoned', segmentsOf)).toEqual(['_cdc_outbox_9'])
    const records = await drain('poisoned')
    expect(lsnsOf(records)).toEqual(upTo(9))
    expect(records[6]).toMatchObject({ type: 'cdc.dead_letter' })
  })
})

describe('a captured table', () => {
  it('[I1] is captured on after a segment was sealed, whatever the user set for ALTER TABLE', async () => {
    configurations.set('captured', small)
    await inNotes('captured', async (notes) => {
      notes.ctx.capture('notes')
      const rowsOfHead = () => notes.ctx.storage.sql.exec('SELECT lsn FROM _cdc_outbox').toArray().length
      emit(notes, 5)
      await notes.outbox.flush()
      expect(rowsOfHead()).toBe(0)
      notes.ctx.storage.sql.exec('PRAGMA legacy_alter_table = ON')
      notes.ctx.storage.sql.exec("INSERT INTO notes (text) VALUES ('a'), ('b')")
      emit(notes, 5)
      await notes.outbox.flush()
      expect(rowsOfHead()).toBe(0)
      expect(notes.ctx.storage.sql.exec('PRAGMA legacy_alter_table').toArray()).toEqual([{ legacy_alter_table: 1 }])
      notes.ctx.storage.sql.exec("INSERT INTO notes (text) VALUES ('c')")
    })
    const records = await drain('captured')
    expect(lsnsOf(records)).toEqual(upTo(records.length))
    expect(records.filter(({ op }) => op === 'c').map(({ after }) => after)).toMatchObject([
      { text: 'a' },
      { text: 'b' },
      { text: 'c' },
    ])
  })
})

describe('a segment that can not be dropped', () => {
  it('[I3] stays while the user reads a table, and what was accepted is not sent again', async () => {
    configurations.set('read', small)
    await inNotes('read', async (notes) => {
      notes.ctx.storage.sql.exec("INSERT INTO notes (text) VALUES ('a'), ('b')")
      emit(notes, 5)
      const cursor = notes.ctx.storage.sql.exec('SELECT text FROM notes')
      cursor.next()
      await notes.outbox.flush()
      expect(segmentsOf(notes)).toEqual(['_cdc_outbox_5'])
      expect(cursor.toArray()).toEqual([{ text: 'b' }])
      emit(notes, 1)
      await notes.outbox.flush()
      expect(segmentsOf(notes)).toEqual([])
    })
    expect(lsnsOf(acceptedRecords('read'))).toEqual(upTo(6))
  })
})

describe('an object whose storage fails at a statement', () => {
  it('[I2] [I3] lands every event once, whichever statement of a delivery it was', async () => {
    configurations.set('fails', small)
    let count = 0
    let isDone = false
    for (let failing = 1; !isDone && failing < 60; failing += 1) {
      isDone = await inNotes('fails', async (notes) => {
        emit(notes, 5)
        const { sql } = notes.ctx.storage
        const exec = sql.exec.bind(sql)
        let statements = 0
        sql.exec = (...args: Parameters<SqlStorage['exec']>) => {
          statements += 1
          if (statements === failing) throw new Error('the disk is full')
          return exec(...args) as never
        }
        await notes.outbox.flush().catch(() => undefined)
        sql.exec = exec
        return statements < failing
      })
      await evictDurableObject(env.NOTES.getByName('fails'))
      count += 5
      const records = await drain('fails')
      // What was accepted before the failure was stored may come again.
      expect([...new Set(lsnsOf(records))]).toEqual(upTo(count))
    }
    expect(isDone).toBe(true)
  }, 60_000)
})

describe('a database of an earlier version', () => {
  it('[I2] [I3] is migrated when its object wakes: what waits is delivered, what was delivered can be listed', async () => {
    const stub = env.NOTES.getByName('earlier')
    configurations.set('earlier', { retentionMs: 3_600_000 })
    const time = Date.now()
    await runInDurableObject(stub, async (_, { storage, id }) => {
      await storage.deleteAll()
      const { sql } = storage
      sql.exec('CREATE TABLE _cdc_migrations (id INTEGER PRIMARY KEY, name TEXT NOT NULL)')
      for (const [index, { name, sql: statements }] of migrations.slice(0, 2).entries()) {
        sql.exec('INSERT INTO _cdc_migrations VALUES (?, ?)', index + 1, name)
        for (const statement of statements.split('--> statement-breakpoint')) sql.exec(statement)
      }
      sql.exec(
        `INSERT INTO _cdc_state (id, object, ns, source, epoch, epoch_lsn, acked_lsn, acked_bytes, pruned_bytes, paused,
           batch_lsn, attempts_begun, attempts_ended, first_attempt, next_attempt, last_error, suspect_lsn)
         VALUES (1, ?, 'earlier', 'DO/Notes', '01ARZ3NDEKTSV4RRFFQ69G5FAV', 1, 4, 400, 200, 0, 0, 0, 0, 0, 0, NULL, 0)`,
        id.toString(),
      )
      for (let lsn = 3; lsn <= 6; lsn += 1)
        sql.exec(
          'INSERT INTO _cdc_outbox (lsn, count, bytes, txid, time, events) VALUES (?, 1, ?, ?, ?, ?)',
          lsn,
          lsn * 100,
          `tx-${lsn}`,
          time,
          JSON.stringify([{ id: `event-${lsn}`, type: 'Old' }]),
        )
    })
    await evictDurableObject(stub)
    await write('earlier', 1)
    const records: EventRecord[] = await drain('earlier')
    expect(records.map(({ lsn, type, epoch }) => [lsn, type, epoch])).toEqual([
      [5, 'Old', '01ARZ3NDEKTSV4RRFFQ69G5FAV'],
      [6, 'Old', '01ARZ3NDEKTSV4RRFFQ69G5FAV'],
      [7, 'A', '01ARZ3NDEKTSV4RRFFQ69G5FAV'],
    ])
    expect(lsnsOf(await listed('earlier'))).toEqual(upTo(7, 3))
  })
})

describe('any sequence of events, deliveries, failures, wakes and clocks', () => {
  const steps = fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant('emit' as const), count: fc.integer({ min: 1, max: 6 }) }) },
    { weight: 3, arbitrary: fc.constant({ do: 'drain' as const }) },
    fc.constant({ do: 'deliver one batch' as const }),
    fc.constant({ do: 'evict' as const }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1_000, 30_000, 90_000, -20_000) }),
  )
  const RETENTION_MS = 60_000
  const RETENTION_BYTES = 6_000_000
  let runs = 0

  it(
    '[I2] [I3] delivers each event once, and keeps what the retention says',
    () =>
      fc.assert(
        fc.asyncProperty(fc.array(steps, { minLength: 4, maxLength: 14 }), async (script) => {
          const name = `script-${(runs += 1)}`
          const time = { nowMs: Date.now() }
          configurations.set(name, {
            retentionMs: RETENTION_MS,
            retentionBytes: RETENTION_BYTES,
            now: () => time.nowMs,
          })
          const committedMs: number[] = []
          for (const step of script) {
            if (step.do === 'emit') {
              await write(name, step.count)
              for (let n = 0; n < step.count; n += 1) committedMs.push(time.nowMs)
            } else if (step.do === 'drain') await drain(name)
            else if (step.do === 'evict') {
              await inNotes(name, () => undefined)
              await evictDurableObject(env.NOTES.getByName(name))
            } else if (step.do === 'wait') time.nowMs += step.ms
            else {
              nextFates(name, 'accept', 'reject')
              await inNotes(name, (notes) => notes.outbox.flush())
            }
            if (step.do !== 'drain') continue
            const kept = lsnsOf(await listed(name))
            // Without a gap, and to the end.
            expect(kept).toEqual(upTo(committedMs.length, kept[0] ?? committedMs.length + 1))
            const latestMs = Math.max(...committedMs.slice(0, (kept[0] ?? 1) - 1), 0)
            const newerBytes = (committedMs.length - (kept[0] ?? 1) + 1) * LARGE.length
            if (latestMs > time.nowMs - RETENTION_MS) expect(newerBytes).toBeGreaterThan(0.98 * RETENTION_BYTES)
            expect(await inNotes(name, (notes) => segmentsOf(notes).length)).toBeLessThanOrEqual(24)
          }
          nextFates(name)
          expect(lsnsOf(await drain(name))).toEqual(upTo(committedMs.length))
          using outbox = await env.NOTES.getByName(name).outbox
          expect((await outbox.stats()).retainedBytes).toBeLessThan(RETENTION_BYTES + committedMs.length * 1_000_000)
        }),
        { numRuns: 8 },
      ),
    60_000,
  )
})
