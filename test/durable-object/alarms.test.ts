import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import { acceptedRecords, nextFates } from 'durable-outbox/testing'
import { describe, expect, it } from 'vitest'
import { failureOf, inNotes } from '../notes.ts'
import { configurations } from '../worker.ts'

const HOUR_MS = 3_600_000
const YEAR_MS = 365 * 24 * HOUR_MS

/** A clock for the object of that name, which the test moves. */
function clock(name: string): { nowMs: number } {
  const time = { nowMs: Date.now() }
  configurations.set(name, { now: () => time.nowMs })
  return time
}

function alarm(name: string): Promise<boolean> {
  return runDurableObjectAlarm(env.NOTES.getByName(name))
}

describe('this.alarms', () => {
  it('runs each alarm once when it is due, with the same info as the platform', async () => {
    const time = clock('two')
    const first = time.nowMs + HOUR_MS
    await inNotes('two', ({ timers }) => {
      timers.set('first', first)
      timers.set('second', new Date(first + HOUR_MS))
    })
    time.nowMs = first
    await alarm('two')
    expect(await inNotes('two', (notes) => [notes.ran, notes.timers.list().map(({ name }) => name)])).toEqual([
      [{ name: 'first', info: { scheduledTime: first, retryCount: 0, isRetry: false } }],
      ['second'],
    ])
    time.nowMs = first + HOUR_MS
    await alarm('two')
    expect(await inNotes('two', (notes) => [notes.ran.length, notes.timers.list()])).toEqual([2, []])
    expect(await alarm('two')).toBe(false)
  })

  it('gets, replaces and deletes alarms by name', async () => {
    const time = clock('names')
    await inNotes('names', async ({ ctx, timers }) => {
      timers.set('a', time.nowMs + HOUR_MS)
      timers.set('a', time.nowMs + 2 * HOUR_MS)
      expect(timers.get('a')?.getTime()).toBe(time.nowMs + 2 * HOUR_MS)
      expect(timers.get('b')).toBeUndefined()
      expect([timers.delete('b'), timers.delete('a'), timers.delete('a')]).toEqual([false, true, false])
      expect(await ctx.storage.getAlarm()).toBeNull()
    })
  })

  it('[I1] are part of a transaction', async () => {
    const time = clock('rolled-back')
    await inNotes('rolled-back', async ({ ctx, timers }) => {
      await failureOf(() =>
        ctx.transaction(() => {
          timers.set('a', time.nowMs + HOUR_MS)
          throw new Error('on purpose')
        }),
      )
      expect(timers.list()).toEqual([])
      expect(await ctx.storage.getAlarm()).toBeNull()
    })
  })

  it('retries a failing alarm after 2 s, 4 s, … 64 s, like the platform, and then drops it', async () => {
    const time = clock('failing')
    const start = time.nowMs + HOUR_MS
    await inNotes('failing', ({ timers }) => timers.set('fails', start))
    time.nowMs = start
    const delays: number[] = []
    for (let runs = 0; await alarm('failing'); runs++) {
      const due = await inNotes('failing', (notes) =>
        notes.ctx.storage.sql.exec<{ due: number }>('SELECT due FROM _cdc_alarm').toArray(),
      )
      const [next] = due
      if (next === undefined) break
      delays.push((next.due - time.nowMs) / 1_000)
      time.nowMs = next.due
    }
    expect(delays).toEqual([2, 4, 8, 16, 32, 64])
    const ran = await inNotes('failing', (notes) => notes.ran.map(({ info }) => info))
    expect(ran.map(({ retryCount }) => retryCount)).toEqual([0, 1, 2, 3, 4, 5, 6])
    expect(new Set(ran.map(({ scheduledTime }) => scheduledTime))).toEqual(new Set([start]))
  })

  it('[I6] are tried again soon if the clock was a year ahead when they failed', async () => {
    const time = clock('ahead')
    const start = time.nowMs
    await inNotes('ahead', ({ timers }) => timers.set('fails', start))
    time.nowMs += YEAR_MS
    await alarm('ahead')
    expect(await inNotes('ahead', (notes) => notes.ran.length)).toBe(1)
    time.nowMs = start
    await evictDurableObject(env.NOTES.getByName('ahead'))
    const [due, list] = await inNotes('ahead', async ({ ctx, timers }) => [await ctx.storage.getAlarm(), timers.list()])
    // It is due, or the runtime has run it already and it is due again.
    expect(due === null || due <= start + HOUR_MS).toBe(true)
    expect(list).toHaveLength(1)
  })

  it('[I6] are due when they were set for, however far ahead that is', async () => {
    const time = clock('in a year')
    await inNotes('in a year', ({ timers }) => timers.set('trial-ends', time.nowMs + YEAR_MS))
    await evictDurableObject(env.NOTES.getByName('in a year'))
    expect(await inNotes('in a year', ({ ctx }) => ctx.storage.getAlarm())).toBe(time.nowMs + YEAR_MS)
    expect(await inNotes('in a year', (notes) => notes.ran)).toEqual([])
  })

  it('[I6] are due although the stored alarm is far ahead', async () => {
    const time = clock('far')
    await inNotes('far', async ({ ctx, timers }) => {
      timers.set('soon', time.nowMs + HOUR_MS)
      await ctx.storage.setAlarm(time.nowMs + YEAR_MS)
    })
    await evictDurableObject(env.NOTES.getByName('far'))
    expect(await inNotes('far', ({ ctx }) => ctx.storage.getAlarm())).toBe(time.nowMs + HOUR_MS)
  })

  it('[I6] do not delay the relay, and are not delayed by it', async () => {
    const time = clock('both')
    await inNotes('both', ({ ctx, timers }) => {
      timers.set('far off', time.nowMs + 100 * HOUR_MS)
      timers.set('fails', time.nowMs + HOUR_MS)
      ctx.transactionSync((tx) => tx.emit({ type: 'A' }))
    })
    time.nowMs += 2 * HOUR_MS
    await alarm('both')
    expect(acceptedRecords('both')).toHaveLength(1)
    expect(await inNotes('both', (notes) => notes.ran.map(({ name }) => name))).toEqual(['fails'])

    nextFates('both', 'reject')
    await inNotes('both', ({ ctx, timers }) => {
      timers.set('on time', time.nowMs + HOUR_MS)
      ctx.transactionSync((tx) => tx.emit({ type: 'B' }))
    })
    time.nowMs += HOUR_MS
    await alarm('both')
    expect(await inNotes('both', (notes) => notes.ran.map(({ name }) => name))).toContain('on time')
    expect(await inNotes('both', (notes) => notes.ctx.storage.getAlarm())).not.toBeNull()
  })

  it('[I6] do not postpone the relay if they are set while it lingers', async () => {
    const time = clock('lingering')
    await inNotes('lingering', async ({ ctx, timers }) => {
      ctx.transactionSync((tx) => tx.emit({ type: 'A' }))
      const due = await ctx.storage.getAlarm()
      time.nowMs += HOUR_MS / 2
      timers.set('later', time.nowMs + 10 * HOUR_MS)
      expect(await ctx.storage.getAlarm()).toBe(due)
      timers.delete('later')
      expect(await ctx.storage.getAlarm()).toBe(due)
    })
  })

  it('do not wait for a handler that hangs, and run it again later', async () => {
    const time = clock('hanging')
    configurations.set('hanging', { now: () => time.nowMs, maxAlarmMs: 20 })
    await inNotes('hanging', ({ timers }) => timers.set('hangs', time.nowMs + HOUR_MS))
    time.nowMs += HOUR_MS
    await alarm('hanging')
    expect(await inNotes('hanging', (notes) => notes.timers.list().map(({ name }) => name))).toEqual(['hangs'])
    await evictDurableObject(env.NOTES.getByName('hanging'))
    time.nowMs += 2 * HOUR_MS
    await alarm('hanging')
    expect(await inNotes('hanging', (notes) => notes.ran.map(({ name }) => name))).toEqual(['hangs'])
  })

  it('let a handler set alarms', async () => {
    const time = clock('setting')
    await inNotes('setting', ({ timers }) => timers.set('again', time.nowMs + HOUR_MS))
    time.nowMs += HOUR_MS
    await alarm('setting')
    expect(await inNotes('setting', (notes) => notes.timers.list().map(({ name }) => name))).toEqual(['again later'])
  })

  it('are due again when the object wakes after the platform has lost its alarm', async () => {
    const time = clock('lost')
    await inNotes('lost', async ({ ctx, timers }) => {
      timers.set('a', time.nowMs + HOUR_MS)
      await ctx.storage.deleteAlarm()
    })
    await evictDurableObject(env.NOTES.getByName('lost'))
    expect(await inNotes('lost', (notes) => notes.ctx.storage.getAlarm())).toBe(time.nowMs + HOUR_MS)
  })

  it('can be set again after deleteAll while the object runs', async () => {
    const time = clock('emptied-alarms')
    await inNotes('emptied-alarms', async (notes) => {
      const { ctx, timers } = notes
      timers.set('a', time.nowMs + HOUR_MS)
      await ctx.storage.deleteAll()
      expect([timers.list(), timers.get('a'), timers.delete('a')]).toEqual([[], undefined, false])
      await ctx.storage.deleteAll()
      await notes.alarm()
      timers.set('b', time.nowMs + HOUR_MS)
      expect(timers.list().map(({ name }) => name)).toEqual(['b'])
    })
  })

  it.each<[string, unknown]>([
    ['', 0],
    ['a\0', 0],
    ['a', Number.NaN],
    ['a', -1],
    ['a', new Date('never')],
    ['x'.repeat(1_025), 0],
  ])('refuse %j at %s', async (name, when) => {
    const failure = await inNotes('bad-alarms', ({ timers }) => failureOf(() => timers.set(name, when as number)))
    expect(failure.code).toBe('invalid-argument')
  })
})
