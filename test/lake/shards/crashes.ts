// A lake with shards that dies at steps of a hand-over, of the commit and of the change to another number of shards.

import { env } from 'cloudflare:workers'
import { beforeAll, describe, expect, it } from 'vitest'
import { dieAtStep, revive } from '../../faulty-bucket.ts'
import { lakeAlarms } from '../../worker.ts'
import { batch, commit, EPOCH, liveKeys, record, rowsOf, summary, table, unlogged, watermarks } from '../table.ts'
import { deploy, handOver, killAll, landAll, reshard } from './sharded.ts'

const STEPS_MAX = 150

/** Another each time, so that all are tried in the end. */
function firstStep(stride: number): number {
  return 1 + Math.floor(Math.random() * stride)
}

async function expectAll(source: string, last: number, events: number): Promise<void> {
  const lsns = (await rowsOf(`acme/${source}`)).map((row) => Number(row['lsn'])).filter((lsn) => lsn > 0)
  expect(lsns).toEqual(Array.from({ length: last }, (_, index) => index + 1))
  expect((await rowsOf(`acme/${source}`)).filter((row) => row['lsn'] === null)).toHaveLength(events)
  expect((await watermarks())[`acme/${source}`]).toEqual({ [EPOCH]: last })
  const { 'total-data-files': files, 'total-records': records } = await summary()
  expect(Number(files)).toBe((await liveKeys()).length)
  expect(Number(records)).toBe((await table.status()).landedEvents)
}

/** @param stride from one step at which it dies to the next: 1 for all. */
export function describeCrashes(stride: number): void {
  beforeAll(() => {
    lakeAlarms.areByTest = true
  })

  describe.each(['before', 'after'] as const)('a lake with shards that dies %s a step', (when) => {
    it('[I5] of a hand-over or of the commit lands each event once, whichever step it was', async () => {
      await reshard(2)
      const source = when === 'before' ? 'bead' : 'dead'
      let [lsn, events, deaths] = [0, 0, 0]
      for (let step = firstStep(stride); step < STEPS_MAX; step += stride) {
        await env.LAKE.send([...batch(source, lsn + 1, lsn + 2), unlogged(source, events)])
        await env.LAKE.send(batch(`${source}-too`, lsn + 1, lsn + 2))
        ;[lsn, events] = [lsn + 2, events + 1]
        dieAtStep(step, when)
        await handOver().catch(() => undefined)
        await commit()
        const hasDied = revive()
        await killAll()
        if (!hasDied) break
        deaths += 1
        await env.LAKE.send([...batch(source, lsn - 1, lsn + 1), unlogged(source, events - 1)])
        lsn += 1
        await env.LAKE.send(batch(`${source}-too`, lsn, lsn))
        await landAll()
        await landAll()
        await expectAll(source, lsn, events)
      }
      // Two hand-overs of an admission, an offer, files, transactions and an answer, and a commit.
      expect(deaths * stride).toBeGreaterThanOrEqual(16)
      expect(await table.status()).toMatchObject({ bufferedEvents: 0, logsWithHoles: 0 })
    })

    it('[I5] of the change to another number of shards keeps each event, once', async () => {
      const source = when === 'before' ? 'bend' : 'send'
      let [lsn, deaths, shards] = [0, 0, 2]
      await reshard(shards)
      for (let step = firstStep(stride); step < STEPS_MAX; step += stride) {
        await env.LAKE.send([...batch(source, lsn + 1, lsn + 2), unlogged(source, lsn)])
        // One that waits for another.
        await env.LAKE.send([record(source, lsn + 4)])
        lsn += 2
        shards = (shards + 1) % 3
        await deploy(shards)
        await table.version()
        dieAtStep(step, when)
        for (let turn = 0; turn < 3; turn += 1) {
          await commit()
          await handOver().catch(() => undefined)
        }
        const hasDied = revive()
        await killAll()
        await reshard(shards)
        await env.LAKE.send([...batch(source, 1, lsn + 2), unlogged(source, lsn - 2)])
        lsn += 2
        await landAll()
        await landAll()
        await expectAll(source, lsn, lsn / 4)
        deaths += Number(hasDied)
        if (!hasDied) break
      }
      expect(deaths * stride).toBeGreaterThanOrEqual(8)
      expect(await table.status()).toMatchObject({ bufferedEvents: 0, heldEvents: 0, logsWithHoles: 0 })
    })
  })
}
