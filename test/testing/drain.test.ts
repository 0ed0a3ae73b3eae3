import { env } from 'cloudflare:workers'
import { assertLog, drain, nextFates, setFate } from 'durable-outbox/testing'
import { describe, expect, it } from 'vitest'
import { failureOf, inNotes } from '../notes.ts'
import { configurations } from '../worker.ts'

const HOUR_MS = 3_600_000

function write(name: string, ...numbers: number[]): Promise<void> {
  return inNotes(name, (notes) => {
    for (const n of numbers) notes.ctx.transactionSync((tx) => tx.emit({ type: 'N', data: { n } }))
  })
}

const numbersOf = (records: { data?: Record<string, unknown> }[]): unknown[] => records.map(({ data }) => data?.['n'])

describe('drain', () => {
  it('returns what was accepted since the last drain', async () => {
    const stub = env.NOTES.getByName('since')
    await write('since', 1, 2)
    expect(numbersOf(await drain(stub))).toEqual([1, 2])
    await write('since', 3)
    expect(numbersOf(await drain(stub))).toEqual([3])
    expect(await drain(stub)).toEqual([])
    assertLog('since', { events: 3 })
  })

  it('runs the alarm as often as a failing pipeline requires', async () => {
    await write('failing', 1, 2)
    nextFates('failing', 'reject', 'lose-answer', 'full', 'deliver-twice')
    expect(numbersOf(await drain(env.NOTES.getByName('failing')))).toEqual([1, 2, 1, 2, 1, 2])
    assertLog('failing', { events: 2 })
  })

  it('throws if an alarm is still set after maxAlarms, and the next drain continues', async () => {
    const stub = env.NOTES.getByName('full')
    await write('full', 1)
    setFate('full', 'full')
    const failure = await failureOf(() => drain(stub, { maxAlarms: 3 }))
    expect(failure.message).toBe('drain: an alarm of full is still set after 3 alarms')
    setFate('full', 'accept')
    expect(numbersOf(await drain(stub))).toEqual([1])
  })

  it('runs named alarms that are due, sends what is pending, and leaves later alarms', async () => {
    const time = { nowMs: Date.now() }
    configurations.set('named', { now: () => time.nowMs })
    await write('named', 1)
    await inNotes('named', ({ timers }) => {
      timers.set('later', time.nowMs + 2 * HOUR_MS)
      timers.set('due', time.nowMs + HOUR_MS)
    })
    time.nowMs += HOUR_MS
    expect(numbersOf(await drain(env.NOTES.getByName('named')))).toEqual([1])
    expect(await inNotes('named', (notes) => notes.timers.list().map(({ name }) => name))).toEqual(['later'])
    expect(await drain(env.NOTES.getByName('named'))).toEqual([])
  })

  it('needs no more alarms than it may have', async () => {
    await write('one', 1)
    expect(await drain(env.NOTES.getByName('one'), { maxAlarms: 1 })).toHaveLength(1)
  })

  it('finds the ns of an object without a name, or uses the one that is given', async () => {
    const stub = env.NOTES.get(env.NOTES.newUniqueId())
    await expect(drain(stub)).resolves.toEqual([])
    await write('told', 1)
    expect(await drain(env.NOTES.getByName('told'), { ns: 'another' })).toEqual([])
    expect(await drain(env.NOTES.getByName('told'))).toHaveLength(1)
  })
})
