// Logs with holes, logs that fork, and what the table reports about them.

import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { lakeClock } from '../../worker.ts'
import { batch, commit, commitHeld, EPOCH, metadata, record, rowsOf, summary, table, watermarks } from '../table.ts'

const lsnsOf = async (source: string): Promise<number[]> =>
  (await rowsOf(`acme/${source}`)).map((row) => Number(row['lsn']))

/** A record of another event under the LSN of a first one. */
const other = (source: string, lsn: number, n = 1): ReturnType<typeof record> =>
  record(source, lsn, { id: `01CRZ3NDEKTSV4RRFF${n}000${String(lsn).padStart(4, '0')}` })

describe('a batch that leaves a hole', () => {
  it('[I5] is held back until the hole is filled', async () => {
    await env.LAKE.send(batch('holed', 1, 2))
    await env.LAKE.send(batch('holed', 5, 6))
    await commit()
    expect(await lsnsOf('holed')).toEqual([1, 2])
    expect(await table.status()).toMatchObject({ heldEvents: 2, logsWithHoles: 0 })
    await evictDurableObject(table)
    await env.LAKE.send(batch('holed', 3, 4))
    expect(await table.status()).toMatchObject({ heldEvents: 0, bufferedEvents: 4 })
    await commit()
    expect(await lsnsOf('holed')).toEqual([1, 2, 3, 4, 5, 6])
    expect((await watermarks())['acme/holed']).toEqual({ [EPOCH]: 6 })
  })

  it('[I5] is taken in once, even if it comes again while it is held', async () => {
    await env.LAKE.send(batch('held-twice', 1, 1))
    await env.LAKE.send(batch('held-twice', 4, 5))
    await env.LAKE.send(batch('held-twice', 3, 6))
    await env.LAKE.send(batch('held-twice', 2, 4))
    await commit()
    expect(await lsnsOf('held-twice')).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('[I7] lands after a while without what is missing, and the lake reports the hole', async () => {
    const { logsWithHoles } = await table.status()
    await env.LAKE.send(batch('stays', 1, 1))
    await env.LAKE.send(batch('stays', 3, 4))
    await commitHeld()
    expect(await lsnsOf('stays')).toEqual([1, 3, 4])
    expect(await table.status()).toMatchObject({ heldEvents: 0, logsWithHoles: logsWithHoles + 1 })
    expect((await watermarks())['acme/stays']).toEqual({ [EPOCH]: 1 })

    // The log continues after the hole, and the hole can still be filled.
    await env.LAKE.send(batch('stays', 5, 5))
    await commit()
    expect(await lsnsOf('stays')).toEqual([1, 3, 4, 5])
    await env.LAKE.send(batch('stays', 2, 2))
    await commit()
    expect(await lsnsOf('stays')).toEqual([1, 2, 3, 4, 5])
    expect(await table.status()).toMatchObject({ logsWithHoles })
    expect((await watermarks())['acme/stays']).toEqual({ [EPOCH]: 5 })
  })

  it('[I7] lands at once if too much is held back', async () => {
    await env.LAKE.send(batch('much', 1, 1))
    const body = { body: 'x'.repeat(15_000) }
    await env.LAKE.send([record('much', 3, { data: body }), record('much', 5, { data: body })])
    await commit()
    // The limit is 20,000 bytes here: the oldest goes.
    expect(await lsnsOf('much')).toEqual([1, 3])
    await commitHeld()
    expect(await lsnsOf('much')).toEqual([1, 3, 5])
  })
})

describe('another event under an LSN that was taken', () => {
  it('lands beside the first, marked as a fork, and once', async () => {
    await env.LAKE.send(batch('forks', 1, 5))
    await commit()
    // A database that was restored to the time of LSN 3 continues in another way.
    const rest = [other('forks', 4), other('forks', 5), record('forks', 6)]
    await env.LAKE.send(rest)
    await env.LAKE.send(rest)
    await evictDurableObject(table)
    await env.LAKE.send([other('forks', 5), other('forks', 5, 2), record('forks', 5)])
    await commit()
    await env.LAKE.send(rest)
    await commit()
    const rows = await rowsOf('acme/forks')
    const isFork = (row: Record<string, unknown>): boolean => String(row['_meta']).includes('"isFork":true')
    expect(rows.filter((row) => !isFork(row)).map((row) => row['id'])).toEqual(batch('forks', 1, 6).map(({ id }) => id))
    expect(new Set(rows.filter(isFork).map((row) => row['id']))).toEqual(
      new Set([other('forks', 4).id, other('forks', 5).id, other('forks', 5, 2).id]),
    )
    expect(rows).toHaveLength(9)
    expect((await watermarks())['acme/forks']).toEqual({ [EPOCH]: 6 })
  })

  it('lands beside it also if both come in one batch, or if one is held back', async () => {
    await env.LAKE.send([record('forks-at-once', 1), other('forks-at-once', 1), record('forks-at-once', 1)])
    await env.LAKE.send([record('forks-at-once', 3)])
    await env.LAKE.send([other('forks-at-once', 3)])
    await commitHeld()
    expect(await lsnsOf('forks-at-once')).toEqual([1, 1, 3, 3])
  })

  it('[I7] counts as the same event once the ids of that time are forgotten', async () => {
    await env.LAKE.send(batch('forgotten', 1, 1))
    await commit()
    lakeClock.aheadMs += 32 * 24 * 3_600_000
    await env.LAKE.send(batch('forgotten', 2, 2))
    await commit()
    await env.LAKE.send([other('forgotten', 1), other('forgotten', 2)])
    await commit()
    expect(await lsnsOf('forgotten')).toEqual([1, 2, 2])
  })
})

describe('the watermarks of the table', () => {
  it('are complete, even after snapshots have expired, and for many logs', async () => {
    const before = await watermarks()
    const many = Array.from({ length: 1_500 }, (_, n) => record(`log-${n}`, 1))
    await env.LAKE.send(many)
    await commit()
    for (let n = 2; n <= 9; n++) {
      await env.LAKE.send([record('log-7', n), record(`late-${n}`, 1)])
      await commit()
    }
    const after = await watermarks()
    const expected = { ...before, ...Object.fromEntries(many.map(({ source }) => [`acme/${source}`, { [EPOCH]: 1 }])) }
    for (let n = 2; n <= 9; n++) expected[`acme/late-${n}`] = { [EPOCH]: 1 }
    expect(after).toEqual({ ...expected, 'acme/log-7': { [EPOCH]: 9 } })
  })

  it('[I7] are not repeated in every summary', async () => {
    const { snapshots } = await metadata()
    for (const { summary } of snapshots) expect(JSON.stringify(summary).length).toBeLessThan(2_000)
    expect((await summary())['cdc.watermarks-file']).toMatch(/^s3:\/\/lake\/cdc\/events\/metadata\/watermarks-/)
    const { objects } = await env.LAKE_BUCKET.list({ prefix: 'cdc/events/metadata/watermarks-' })
    expect(objects.length).toBeLessThan(8)
  })

  it('are those that the lake itself uses', async () => {
    const own = await runInDurableObject(table, (_, { storage }) =>
      storage.sql
        .exec<{ source: string; lsn: number }>(
          `SELECT log ->> 0 || '/' || (log ->> 1) AS source, min(last_lsn) AS lsn FROM lake_landed GROUP BY log`,
        )
        .toArray(),
    )
    const said = Object.entries(await watermarks()).map(([source, epochs]) => ({ source, lsn: epochs[EPOCH] }))
    expect(new Set(said.map((entry) => JSON.stringify(entry)))).toEqual(
      new Set(own.map((entry) => JSON.stringify(entry))),
    )
  })
})

describe('a lake with much to commit', () => {
  it('commits early once there is enough', async () => {
    const before = await runInDurableObject(table, (_, { storage }) => storage.getAlarm())
    await env.LAKE.send(batch('rolls', 1, 400))
    const after = await runInDurableObject(table, (_, { storage }) => storage.getAlarm())
    expect(after ?? 0).toBeLessThan(Date.now() + lakeClock.aheadMs + 1_000)
    expect(before ?? Infinity).toBeGreaterThan(after ?? 0)
    await commit()
    expect(await lsnsOf('rolls')).toHaveLength(400)
  })
})
