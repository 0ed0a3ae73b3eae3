// The lake never stops in silence: whatever time is stored, its alarm is due for what waits, and a broken promise is visible.

import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { RowMeter } from '../../proofs/bench/row-meter.ts'
import { failNextPut } from '../faulty-bucket.ts'
import { failureOf } from '../notes.ts'
import { HOLD_MS, lakeClock, type SlowLakeTable } from '../worker.ts'
import { batch, commit, rowsOf, table } from './table.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const YEAR_MS = 365 * DAY_MS
/** What the lake of the tests promises, and how long it waits for more. */
const FRESHNESS_MS = 4 * HOUR_MS
const ROLL_MS = HOUR_MS

function alarmMs(): Promise<number | null> {
  return runInDurableObject(table, (_, { storage }) => storage.getAlarm())
}

async function lsnsOf(source: string): Promise<number[]> {
  return (await rowsOf(`acme/${source}`)).map(({ lsn }) => Number(lsn))
}

function send(source: string, first: number, last = first): Promise<{ code?: string; message: string } | undefined> {
  return runInDurableObject(table, async (lake) => {
    const sending = (lake as SlowLakeTable).send(JSON.stringify(batch(source, first, last)))
    return sending.then(
      () => undefined,
      (error: unknown) => failureOf(() => Promise.reject(error)),
    )
  })
}

/**
 * Whether what waits is due within rollMs; or has landed already, by an alarm that upkeep had set. While that one fires and runs,
 * none is set.
 */
async function isDue(): Promise<boolean> {
  const atMs = (await alarmMs()) ?? Infinity
  const { bufferedEvents } = await table.status()
  return bufferedEvents === 0 || atMs <= Date.now() + ROLL_MS
}

beforeEach(async () => {
  lakeClock.aheadMs = 0
  // Until upkeep has nothing left to do, which would set the alarm by itself.
  do await commit()
  while (((await alarmMs()) ?? Infinity) <= Date.now() + ROLL_MS)
})

describe('a lake whose clock has stepped back', () => {
  it.each(['stays awake', 'wakes'])('lets times of arrival rise, if it %s', async (what) => {
    const source = `back-${what.replace(' ', '-')}`
    lakeClock.aheadMs = HOUR_MS
    await send(source, 1)
    await commit()
    lakeClock.aheadMs = 0
    if (what === 'wakes') await evictDurableObject(table)
    for (const lsn of [2, 3]) await send(source, lsn)
    await commit()
    const times = (await rowsOf(`acme/${source}`)).map((row) => Number(row['__ingest_ts']))
    expect(times).toEqual([...new Set(times)].toSorted((a, b) => a - b))
  })
})

describe('a busy lake whose alarm fires late', () => {
  it('[I6] leaves it as it is', async () => {
    await send('busy', 1)
    lakeClock.aheadMs = ROLL_MS + 1
    const alarms = await runInDurableObject(table, async (lake, { storage }) => {
      const meter = new RowMeter(storage)
      for (let lsn = 2; lsn <= 20; lsn += 1) await (lake as SlowLakeTable).send(JSON.stringify(batch('busy', lsn, lsn)))
      return meter.take()['setAlarm'] ?? 0
    })
    // It is later than an alarm can be, so one is set; the writes after that leave it.
    expect(alarms).toBeLessThanOrEqual(1)
    await runDurableObjectAlarm(table)
    await vi.waitFor(async () => expect(await lsnsOf('busy')).toHaveLength(20))
  })
})

describe('a lake whose clock was a year ahead', () => {
  it.each(['waking', 'a write'])('[I6] commits within rollMs after %s', async (what) => {
    const source = `ahead-${what.replace(' ', '-')}`
    lakeClock.aheadMs = YEAR_MS
    await send(source, 1)
    expect(await alarmMs()).toBeGreaterThan(Date.now() + DAY_MS)
    lakeClock.aheadMs = 0
    if (what === 'waking') await evictDurableObject(table)
    else await send(source, 2)
    await vi.waitFor(async () => expect(await isDue()).toBe(true))
    await runDurableObjectAlarm(table)
    await vi.waitFor(async () => expect(await lsnsOf(source)).toContain(1))
  })

  it('[I6] releases what it held back then, after holdMs', async () => {
    await send('held', 1)
    await commit()
    lakeClock.aheadMs = YEAR_MS
    await send('held', 3)
    lakeClock.aheadMs = 0
    await commit()
    expect(await table.status()).toMatchObject({ heldEvents: 1 })
    lakeClock.aheadMs = HOLD_MS + 1
    await commit()
    expect(await lsnsOf('held')).toEqual([1, 3])
  })

  it('[I6] sweeps the bucket within sweepMs', async () => {
    await send('swept', 1)
    await commit()
    await runInDurableObject(table, (_, { storage }) =>
      storage.sql.exec('INSERT OR REPLACE INTO lake_upkeep VALUES (1, NULL, ?, NULL)', Date.now() + YEAR_MS),
    )
    await commit()
    const { due } = await runInDurableObject(table, (_, { storage }) =>
      storage.sql.exec<{ due: number }>('SELECT sweep_due_ms AS due FROM lake_upkeep').one(),
    )
    expect(due).toBeLessThanOrEqual(Date.now() + DAY_MS)
  })

  it('[I6] deletes what became garbage then, once its grace is over', async () => {
    await runInDurableObject(table, (_, { storage }) =>
      storage.sql.exec('INSERT INTO lake_garbage VALUES (?, 0, ?)', 'data/gone.parquet', Date.now() + YEAR_MS),
    )
    await commit()
    const left = await runInDurableObject(table, (_, { storage }) =>
      storage.sql.exec('SELECT key FROM lake_garbage WHERE key = ?', 'data/gone.parquet').toArray(),
    )
    expect(left).toEqual([])
  })
})

describe('a lake whose stored alarm is far ahead, for whatever reason', () => {
  it.each(['waking', 'a write'])('[I6] commits within rollMs after %s', async (what) => {
    const source = `far-${what.replace(' ', '-')}`
    await send(source, 1)
    await runInDurableObject(table, (_, { storage }) => storage.setAlarm(Date.now() + YEAR_MS))
    await evictDurableObject(table)
    if (what === 'a write') await send(source, 2)
    await vi.waitFor(async () => expect(await isDue()).toBe(true))
  })

  it('[I6] sets it again if the clock steps back while the alarm runs', async () => {
    await send('stepped', 1)
    await runInDurableObject(table, (lake) =>
      (lake as SlowLakeTable).alarm({ retryCount: 0, isRetry: false, scheduledTime: Date.now() + YEAR_MS }),
    )
    await send('stepped', 2)
    await vi.waitFor(async () => expect(await isDue()).toBe(true))
  })

  it('[I6] tries a commit again that failed, and not sooner for each write', async () => {
    await send('fails', 1)
    failNextPut('metadata.json', 'before')
    await commit()
    const retryMs = await alarmMs()
    lakeClock.aheadMs = ROLL_MS / 2
    await send('fails', 2)
    expect(await alarmMs()).toBe(retryMs)
    expect(await table.status()).toMatchObject({ lastError: expect.stringContaining('metadata.json failed') })
    await commit()
    expect(await table.status()).not.toHaveProperty('lastError')
    expect(await lsnsOf('fails')).toEqual([1, 2])
  })
})

describe('a lake that is behind', () => {
  it('[I13] says so in its status and in the log, and refuses more until it has caught up', async () => {
    const logged = vi.spyOn(console, 'error').mockImplementation(() => undefined)
    await send('behind', 1)
    expect(await table.status()).toMatchObject({ isBehind: false, freshnessMs: FRESHNESS_MS })
    lakeClock.aheadMs = FRESHNESS_MS + 60_000
    const status = await table.status()
    expect(status).toMatchObject({ isBehind: true, bufferedEvents: 1 })
    expect(status.lagMs).toBeGreaterThan(FRESHNESS_MS)
    const refusal = await send('behind', 2)
    expect(refusal).toMatchObject({ code: 'lake-behind', message: expect.stringContaining('freshnessMs') })
    expect(logged.mock.calls.flat().join()).toContain('lake: behind: the oldest of 1 events has waited')
    logged.mockRestore()
    // The refused write has made the alarm due at once.
    expect(await alarmMs()).toBeLessThanOrEqual(Date.now() + lakeClock.aheadMs)
    await runDurableObjectAlarm(table)
    expect(await table.status()).toMatchObject({ isBehind: false, lagMs: 0 })
    expect(await send('behind', 2)).toBeUndefined()
    await commit()
    expect(await lsnsOf('behind')).toEqual([1, 2])
  })
})
