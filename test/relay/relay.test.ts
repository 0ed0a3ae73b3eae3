import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import { describe, expect, it, vi } from 'vitest'
import { acceptedBatches, acceptedRecords, attemptedBatches, type Fate, nextFates } from 'durable-outbox/testing'
import type { CDCOptions } from 'durable-outbox'
import { RowMeter } from '../../proofs/bench/row-meter.ts'
import { drain, inNotes } from '../notes.ts'
import { configurations } from '../worker.ts'

const HOUR_MS = 3_600_000
const YEAR_MS = 365 * 24 * HOUR_MS

/** A clock for the object of that name, which the test moves. */
function clock(name: string, options: CDCOptions = {}): { nowMs: number } {
  const time = { nowMs: Date.now() }
  configurations.set(name, { ...options, now: () => time.nowMs })
  return time
}

/** Commits each number as a transaction of its own. */
function write(name: string, ...numbers: number[]): Promise<void> {
  return inNotes(name, (notes) => {
    for (const n of numbers) notes.ctx.transactionSync((tx) => tx.emit({ type: 'N', data: { n } }))
  })
}

function alarmOf(name: string): Promise<number | null> {
  return inNotes(name, (notes) => notes.ctx.storage.getAlarm())
}

/** Runs the alarm once, with the fate of each send. */
async function alarm(name: string, ...fates: Fate[]): Promise<void> {
  nextFates(name, ...fates)
  await runDurableObjectAlarm(env.NOTES.getByName(name))
  nextFates(name)
}

const lsns = (batch: { lsn?: number }[]): (number | undefined)[] => batch.map((record) => record.lsn)

describe('relay', () => {
  it('sets the alarm once for many commits of one turn, in which the clock stands still, also if the batch is full', async () => {
    clock('one-turn', { lingerMs: HOUR_MS, maxBatchEvents: 5 })
    const alarms = await inNotes('one-turn', (notes) => {
      const meter = new RowMeter(notes.ctx.storage)
      for (let n = 0; n < 20; n += 1) notes.ctx.transactionSync((tx) => tx.emit({ type: 'N' }))
      return meter.take()['setAlarm']
    })
    // For the first event, and for the full batch.
    expect(alarms).toBe(2)
    expect(await drain('one-turn')).toHaveLength(20)
  })

  it('[I6] leaves the alarm of a busy object as it is when it fires late, and sets it again if it is lost', async () => {
    const time = clock('busy', { lingerMs: 100 })
    const alarms = await inNotes('busy', (notes) => {
      const meter = new RowMeter(notes.ctx.storage)
      const commitAfter = (ms: number) => {
        time.nowMs += ms
        notes.ctx.transactionSync((tx) => tx.emit({ type: 'N' }))
        return meter.take()['setAlarm'] ?? 0
      }
      const first = commitAfter(0)
      const late = Array.from({ length: 100 }, () => commitAfter(10)).reduce((sum, alarm) => sum + alarm)
      return { first, late, lost: commitAfter(1_000) }
    })
    expect(alarms).toEqual({ first: 1, late: 0, lost: 1 })
    expect(await drain('busy')).toHaveLength(102)
  })

  it('[I4] sends batches of at most maxBatchEvents events, in LSN order', async () => {
    await write('batches', 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)
    await drain('batches')
    expect(acceptedBatches('batches').map(lsns)).toEqual([
      [1, 2, 3, 4, 5],
      [6, 7, 8, 9, 10],
      [11, 12],
    ])
  })

  it('keeps a transaction together in its batch', async () => {
    await inNotes('together', (notes) => {
      for (const events of [3, 3, 2])
        notes.ctx.transactionSync((tx) => tx.emitBatch(Array.from({ length: events }, () => ({ type: 'N' }))))
    })
    await drain('together')
    expect(acceptedBatches('together').map(lsns)).toEqual([
      [1, 2, 3],
      [4, 5, 6, 7, 8],
    ])
  })

  it('[I7] sends batches of at most 4 MB, whatever the number of events', async () => {
    await inNotes('bytes', (notes) => {
      for (let n = 0; n < 6; n++)
        notes.ctx.transactionSync((tx) => tx.emit({ type: 'N', data: { body: 'é'.repeat(490_000) } }))
    })
    await drain('bytes')
    const batches = acceptedBatches('bytes')
    expect(batches.flatMap(lsns)).toEqual([1, 2, 3, 4, 5, 6])
    for (const batch of batches)
      expect(new TextEncoder().encode(JSON.stringify(batch)).byteLength).toBeLessThan(4_000_000)
    expect(batches).toHaveLength(2)
  })

  it.each(['reject', 'lose-answer', 'hang'] as const)(
    '[I3] [I4] sends the same batch again after "%s", counts the retries, and loses nothing',
    async (fate) => {
      const name = `fate-${fate}`
      await write(name, 1, 2)
      await alarm(name, fate)
      await write(name, 3)
      await alarm(name, fate)
      await alarm(name, 'accept')

      const attempts = attemptedBatches(name)
      expect(attempts.map(lsns)).toEqual([[1, 2], [1, 2], [1, 2], [3]])
      expect(attempts.map((batch) => batch[0]?._meta.retries)).toEqual([undefined, 1, 2, undefined])
      const ids = attempts.slice(0, 3).map((batch) => batch.map((record) => record.id))
      expect(ids).toEqual([ids[0], ids[0], ids[0]])
      expect(new Set(acceptedRecords(name).map((record) => record.lsn))).toEqual(new Set([1, 2, 3]))
    },
  )

  it('[I4] sends the same batch again after an eviction between the attempts', async () => {
    await write('evicted', 1, 2)
    await alarm('evicted', 'lose-answer')
    await evictDurableObject(env.NOTES.getByName('evicted'))
    await write('evicted', 3)
    await drain('evicted')
    expect(attemptedBatches('evicted').map(lsns)).toEqual([[1, 2], [1, 2], [3]])
  })

  it('[I3] delivers events that are committed while a batch is in flight', async () => {
    await write('meanwhile', 1)
    const draining = runDurableObjectAlarm(env.NOTES.getByName('meanwhile'))
    await write('meanwhile', 2)
    await draining
    expect(lsns(await drain('meanwhile'))).toEqual([1, 2])
  })
})

describe('alarm', () => {
  it('[I6] is due from the first pending event until all are delivered', async () => {
    expect(await alarmOf('due')).toBeNull()
    await write('due', 1)
    const first = await alarmOf('due')
    expect(first).not.toBeNull()
    await write('due', 2)
    expect(await alarmOf('due')).toBe(first)
    await drain('due')
    expect(await alarmOf('due')).toBeNull()
  })

  it('[I6] is due after a failed attempt', async () => {
    await write('failed', 1)
    await alarm('failed', 'reject')
    expect(await alarmOf('failed')).toBeGreaterThan(Date.now())
  })

  it('[I6] is due again when the object wakes with pending events after the alarm was lost', async () => {
    await write('stuck', 1)
    await inNotes('stuck', (notes) => notes.ctx.storage.deleteAlarm())
    await evictDurableObject(env.NOTES.getByName('stuck'))
    // The alarm is due at once, so it is the runtime that runs it.
    await inNotes('stuck', () => undefined)
    await vi.waitFor(() => expect(lsns(acceptedRecords('stuck'))).toEqual([1]))
  })

  it.each(['waking', 'a write'])('[I6] is due within lingerMs after %s if the clock was a year ahead', async (what) => {
    const name = `ahead-${what}`
    const time = clock(name, { lingerMs: 100 })
    time.nowMs += YEAR_MS
    await write(name, 1)
    time.nowMs -= YEAR_MS
    if (what === 'waking') await evictDurableObject(env.NOTES.getByName(name))
    // The alarm is due at once, so it is the runtime that runs it.
    await (what === 'waking' ? inNotes(name, () => undefined) : write(name, 2))
    await vi.waitFor(() => expect(lsns(acceptedRecords(name))).toContain(1))
  })

  it.each(['waking', 'a write'])('[I6] is due at once after %s if the retry was set by such a clock', async (what) => {
    const name = `retry-${what}`
    const time = clock(name)
    await write(name, 1)
    time.nowMs += YEAR_MS
    await alarm(name, 'reject')
    time.nowMs -= YEAR_MS
    if (what === 'waking') await evictDurableObject(env.NOTES.getByName(name))
    await (what === 'waking' ? inNotes(name, () => undefined) : write(name, 2))
    await vi.waitFor(() => expect(lsns(acceptedRecords(name))).toContain(1))
  })

  it('[I6] is not put off by named alarms while the retry is a year ahead', async () => {
    const time = clock('busy-names')
    await write('busy-names', 1)
    time.nowMs += YEAR_MS
    await alarm('busy-names', 'reject')
    time.nowMs -= YEAR_MS
    await inNotes('busy-names', ({ timers }) => timers.set('any', time.nowMs + HOUR_MS))
    // The alarm is due at once, so it is the runtime that runs it.
    await vi.waitFor(() => expect(lsns(acceptedRecords('busy-names'))).toEqual([1]))
  })

  it('[I6] is due soon after a transaction was rolled back that had set it', async () => {
    const time = clock('rolled', { lingerMs: 60_000 })
    time.nowMs += YEAR_MS
    await write('rolled', 1)
    time.nowMs -= YEAR_MS
    await inNotes('rolled', (notes) => {
      expect(() =>
        notes.ctx.transactionSync((tx) => {
          tx.emit({ type: 'N' })
          throw new Error('on purpose')
        }),
      ).toThrow('on purpose')
      notes.ctx.transactionSync((tx) => tx.emit({ type: 'N', data: { n: 2 } }))
    })
    await vi.waitFor(() => expect(lsns(acceptedRecords('rolled'))).toContain(1))
  })

  it('[I6] is due for a new epoch that began while a batch of the old one was in flight', async () => {
    await write('emptied', 1, 2, 3)
    nextFates('emptied', { do: 'delay', ms: 400 })
    const draining = runDurableObjectAlarm(env.NOTES.getByName('emptied'))
    await vi.waitFor(() => expect(attemptedBatches('emptied')).toHaveLength(1))
    await inNotes('emptied', (notes) => notes.ctx.storage.deleteAll())
    await write('emptied', 4)
    // Due before the old batch is answered, because the runtime may end before that.
    expect(await alarmOf('emptied')).not.toBeNull()
    await draining
    expect(acceptedRecords('emptied').map((record) => record.data)).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }])
  })

  it('[I6] survives deleteAll while a batch is in flight', async () => {
    await write('emptied-meanwhile', 1)
    nextFates('emptied-meanwhile', 'hang')
    const draining = runDurableObjectAlarm(env.NOTES.getByName('emptied-meanwhile'))
    await inNotes('emptied-meanwhile', (notes) => notes.ctx.storage.deleteAll())
    await draining
    await write('emptied-meanwhile', 2)
    const records = await drain('emptied-meanwhile')
    expect(records.map((record) => record.data)).toEqual([{ n: 2 }])
  })

  it('[I6] is not set for a batch that fails after deleteAll', async () => {
    await write('emptied-then-failed', 1)
    nextFates('emptied-then-failed', 'hang')
    const draining = runDurableObjectAlarm(env.NOTES.getByName('emptied-then-failed'))
    await vi.waitFor(() => expect(attemptedBatches('emptied-then-failed')).toHaveLength(1))
    await inNotes('emptied-then-failed', (notes) => notes.ctx.storage.deleteAll())
    await draining
    expect(await alarmOf('emptied-then-failed')).toBeNull()
  })
})
