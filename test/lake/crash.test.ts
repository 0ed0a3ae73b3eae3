import { env } from 'cloudflare:workers'
import { evictDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { dieAtStep, revive } from '../faulty-bucket.ts'
import { batch, commit, EPOCH, liveKeys, metadata, rowsOf, summary, table, totalRecords, watermarks } from './table.ts'

const STEPS_MAX = 100

describe.each(['before', 'after'] as const)('a lake that dies %s a step of its commit', (when) => {
  it('[I5] has one and the same table afterwards, whichever step it is', async () => {
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
      // What was acknowledged before comes again, and more; then the lake goes on.
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
