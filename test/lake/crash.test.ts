import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { dieAtStep, revive } from '../faulty-bucket.ts'
import type { SlowLakeTable } from '../worker.ts'
import { batch, commit, EPOCH, liveKeys, metadata, rowsOf, summary, table, totalRecords, watermarks } from './table.ts'

const STEPS_MAX = 100

describe('a lake whose transaction is rolled back after a commit has happened', () => {
  it('[I5] has the same table afterwards, and counts what waits', async () => {
    await env.LAKE.send(batch('rolled-back', 1, 3))
    await runInDurableObject(table, async (lake, { storage }) => {
      const transactionSync = storage.transactionSync.bind(storage)
      const hasLanded = () => storage.sql.exec('SELECT 1 FROM lake_buffer').toArray().length === 0
      storage.transactionSync = (change) =>
        transactionSync(() => {
          const result = change()
          if (hasLanded()) throw new Error('the disk is full')
          return result
        })
      await (lake as SlowLakeTable).alarm()
      storage.transactionSync = transactionSync
    })
    expect(await table.status()).toMatchObject({ bufferedEvents: 3 })
    await commit()
    expect(await table.status()).toMatchObject({ bufferedEvents: 0, bufferedBytes: 0 })
    expect((await rowsOf('acme/rolled-back')).map((row) => Number(row['lsn']))).toEqual([1, 2, 3])
  })
})

describe.each(['before', 'after'] as const)('a lake that dies %s a step of its commit', (when) => {
  it('[I5] has the same table afterwards, whichever step it was', async () => {
    const source = `dies-${when}`
    let lsn = 0
    let deaths = 0
    for (let step = 1, isDone = false; !isDone && step < STEPS_MAX; step++) {
      await env.LAKE.send(batch(source, lsn + 1, lsn + 3))
      lsn += 3
      dieAtStep(step, when)
      await commit()
      await evictDurableObject(table)
      isDone = !revive()
      if (isDone) break
      deaths += 1
      // What was acknowledged before comes again, and more; then the lake continues.
      await env.LAKE.send(batch(source, lsn - 2, lsn + 1))
      lsn += 1
      await commit()
      await commit()

      const rows = await rowsOf(`acme/${source}`)
      expect(rows.map((row) => Number(row['lsn']))).toEqual(Array.from({ length: lsn }, (_, index) => index + 1))
      expect(await table.status()).toMatchObject({ bufferedEvents: 0, logsWithHoles: 0 })
      expect((await watermarks())[`acme/${source}`]).toEqual({ [EPOCH]: lsn })
      const { 'total-data-files': files, 'total-records': records } = await summary()
      expect(Number(files)).toBe((await liveKeys()).length)
      expect(Number(records)).toBe((await table.status()).landedEvents)
    }
    // Data file, manifest, list, two transactions, metadata, pointer, hint: fewer would mean that they are not steps.
    expect(deaths).toBeGreaterThanOrEqual(8)
    const { 'metadata-log': log } = await metadata()
    expect(new Set(log.map((entry) => entry['metadata-file'])).size).toBe(log.length)
    expect(await totalRecords()).toBe((await table.status()).landedEvents)
  })
})
