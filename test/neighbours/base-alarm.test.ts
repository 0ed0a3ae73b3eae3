// The alarm of the object's own class, as that class sees it: as if it were the platform's.

import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { acceptedRecords, drain } from 'durable-outbox/testing'
import { describe, expect, it } from 'vitest'
import { aheadMs, type Timed } from './worker.ts'

const HOUR_MS = 3_600_000

function inTimed<T>(name: string, work: (timed: Timed, storage: DurableObjectStorage) => T | Promise<T>): Promise<T> {
  return runInDurableObject(env.TIMED.getByName(name), (timed, { storage }) => work(timed, storage))
}

/** Runs the object's alarm with its clock so far ahead, as the platform does that has one alarm for all. */
function alarm(name: string, atMs: number): Promise<unknown> {
  aheadMs.set(name, atMs)
  return inTimed(name, (timed) => timed.alarm())
}

function emit({ cdc }: Timed): void {
  cdc.transactionSync((tx) => tx.emit({ type: 'Noted' }))
}

describe('the alarm of the own class of an object', () => {
  it('is set, read and deleted, whatever else needs the alarm', async () => {
    await inTimed('own', async (timed, storage) => {
      const dueMs = Date.now() + HOUR_MS
      expect(await storage.getAlarm()).toBeNull()
      emit(timed)
      expect(await storage.getAlarm()).toBeNull()
      await storage.setAlarm(new Date(dueMs))
      expect(await storage.getAlarm()).toBe(dueMs)
      await storage.setAlarm(dueMs + 1)
      expect(await storage.getAlarm()).toBe(dueMs + 1)
      expect(timed.cdc.alarms.list()).toEqual([])
      await storage.deleteAlarm()
      expect(await storage.getAlarm()).toBeNull()
    })
    expect(await drain(env.TIMED.getByName('own'))).toHaveLength(1)
    expect(await inTimed('own', ({ ran }) => ran)).toEqual([])
  })

  it('runs once, with the info of the platform, and may set the next', async () => {
    const dueMs = Date.now() + HOUR_MS
    await inTimed('next', async (timed, storage) => {
      await storage.setAlarm(dueMs)
      timed.onRun = async () => {
        expect(await storage.getAlarm()).toBeNull()
        await storage.setAlarm(dueMs + HOUR_MS)
      }
    })
    await alarm('next', HOUR_MS + 1_000)
    expect(await inTimed('next', async ({ ran }, storage) => [ran, await storage.getAlarm()])).toEqual([
      [{ scheduledTime: dueMs, retryCount: 0, isRetry: false }],
      dueMs + HOUR_MS,
    ])
  })

  it('is tried again if it fails, and delays no event', async () => {
    await inTimed('fails', async (timed, storage) => {
      await storage.setAlarm(Date.now() + HOUR_MS)
      emit(timed)
      timed.onRun = () => {
        throw new Error('on purpose')
      }
    })
    await alarm('fails', HOUR_MS + 1_000)
    expect(acceptedRecords('fails')).toHaveLength(1)
    await inTimed('fails', (timed) => {
      timed.onRun = () => undefined
    })
    await alarm('fails', HOUR_MS + 10_000)
    const [runs, left] = await inTimed('fails', async ({ ran }, storage) => [
      ran.map(({ retryCount }) => retryCount),
      await storage.getAlarm(),
    ])
    expect({ runs, left }).toEqual({ runs: [0, 1], left: null })
  })

  it('is not run a second time while it still runs', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    await inTimed('slow', async (timed, storage) => {
      await storage.setAlarm(Date.now() + HOUR_MS)
      timed.onRun = () => promise
      aheadMs.set('slow', HOUR_MS + 1_000)
      const first = timed.alarm()
      aheadMs.set('slow', HOUR_MS + 60_000)
      await timed.alarm()
      expect(timed.ran).toHaveLength(1)
      resolve()
      await first
      expect(await storage.getAlarm()).toBeNull()
    })
  })

  it('[I1] is part of a transaction', async () => {
    await inTimed('rolled back', async (_, storage) => {
      const dueMs = Date.now() + HOUR_MS
      await storage.setAlarm(dueMs)
      const failing = storage.transaction(async (txn) => {
        await txn.setAlarm(dueMs + 1)
        expect(await txn.getAlarm()).toBe(dueMs + 1)
        await txn.deleteAlarm()
        throw new Error('on purpose')
      })
      await expect(failing).rejects.toThrow('on purpose')
      expect(await storage.getAlarm()).toBe(dueMs)
      await expect(storage.setAlarm(NaN)).rejects.toThrow('is not a time')
    })
  })

  it('survives an eviction, and is kept if it was set before there was an outbox', async () => {
    const dueMs = Date.now() + HOUR_MS
    await inTimed('before', async (timed, storage) => {
      await storage.setAlarm(dueMs)
      // As an object of an earlier deployment has it: the platform's alarm, and no row of it.
      storage.sql.exec('DELETE FROM _cdc_alarm')
      expect(timed.ran).toEqual([])
    })
    await evictDurableObject(env.TIMED.getByName('before'))
    expect(await inTimed('before', (_, storage) => storage.getAlarm())).toBe(dueMs)
    await evictDurableObject(env.TIMED.getByName('before'))
    await alarm('before', HOUR_MS + 1_000)
    expect(await inTimed('before', ({ ran }) => ran)).toMatchObject([{ scheduledTime: dueMs }])
  })
})
