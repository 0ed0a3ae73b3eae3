import { env } from 'cloudflare:workers'
import { evictDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { dieAtStep, revive } from '../../faulty-bucket.ts'
import { lakeClock } from '../../worker.ts'
import { batch, commit, EPOCH, liveKeys, metadata, record, rowsOf, table, totalRecords, watermarks } from '../table.ts'

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1)

async function lsnsOf(source: string): Promise<number[]> {
  return (await rowsOf(`acme/${source}`)).map((row) => Number(row['lsn']))
}

/** Commits one event at a time: a file and a manifest each. */
async function trickle(source: string, first: number, last: number): Promise<void> {
  for (let lsn = first; lsn <= last; lsn++) {
    await env.LAKE.send([record(source, lsn, { timestamp: '2026-11-22T08:30:00.123456Z', data: { lsn } })])
    await commit()
  }
}

/** Commits, and does all the upkeep that there is to do. */
async function commitUntilQuiet(): Promise<void> {
  for (let before = -1, version = 0; version !== before; version = (await table.status()).version) {
    before = version
    await commit()
  }
}

async function keysUnder(prefix: string): Promise<string[]> {
  const { objects } = await env.LAKE_BUCKET.list({ prefix: `cdc/events/${prefix}` })
  return objects.map(({ key }) => key.slice('cdc/events/'.length))
}

describe('upkeep', () => {
  it('compacts small files of a partition, and changes no row', async () => {
    // Here a partition is compacted from 4 files on, and the alarm of each commit does one step.
    await trickle('small', 1, 3)
    const before = await rowsOf('acme/small')
    await trickle('small', 4, 4)
    expect(await table.status()).toMatchObject({
      upkeep: { did: 'compact', filesBefore: 4, filesAfter: 1 },
      files: 1,
      landedEvents: 4,
    })
    const rows = await rowsOf('acme/small')
    expect(rows.slice(0, 3)).toEqual(before)
    expect(rows.map((row) => JSON.parse(String(row['data'])))).toEqual(upTo(4).map((lsn) => ({ lsn })))
    expect(await totalRecords()).toBe(4)
    const { snapshots } = await metadata()
    expect(snapshots.at(-1)?.summary).toMatchObject({
      operation: 'replace',
      'added-records': '4',
      'deleted-records': '4',
      'total-data-files': '1',
      'total-records': '4',
    })
    expect((await watermarks())['acme/small']).toEqual({ [EPOCH]: 4 })
  })

  it('does not touch other partitions in the same manifests', async () => {
    for (let lsn = 1; lsn <= 8; lsn += 2) {
      await env.LAKE.send([record('two', lsn), record('two', lsn + 1, { type: `rare-${lsn}` })])
      await commit()
    }
    expect(await lsnsOf('two')).toEqual(upTo(8))
    expect((await keysUnder('data/type=rare-')).length).toBe(4)
  })

  it('keeps the number of manifests low over many commits', async () => {
    for (let n = 1; n <= 30; n++) {
      await env.LAKE.send([record('wide', n, { type: `wide-${n}` })])
      await commit()
    }
    const { manifests } = await table.status()
    // The limit is 10 here.
    expect(manifests).toBeLessThanOrEqual(12)
    expect(await lsnsOf('wide')).toEqual(upTo(30))
  })

  it('deletes files that were replaced once no snapshot reads them and their grace is over', async () => {
    await trickle('old', 1, 4)
    const { files, garbage } = await table.status()
    expect(garbage).toBeGreaterThan(0)
    expect((await keysUnder('data/')).length).toBeGreaterThan(files)
    for (let n = 5; n <= 12; n++) {
      await env.LAKE.send([record('old', n, { type: `old-${n}` })])
      await commit()
    }
    lakeClock.aheadMs += 10_000
    await env.LAKE.send(batch('old', 13, 13))
    await commit()
    await commit()
    const live = new Set(await liveKeys())
    const dead = (await keysUnder('data/')).filter((key) => !live.has(key))
    // Only what the last five snapshots may read is there.
    expect(dead.length).toBeLessThanOrEqual(8)
    expect(await lsnsOf('old')).toEqual(upTo(13))
  })

  it('lets a reader continue with the snapshot that it began with', async () => {
    await trickle('reader', 1, 3)
    const files = await liveKeys()
    await trickle('reader', 4, 4)
    for (const key of files) expect(await env.LAKE_BUCKET.head(`cdc/events/${key}`)).not.toBeNull()
  })

  it('deletes files that nothing refers to, except young ones', async () => {
    const orphans = ['data/type=x/lost.parquet', 'metadata/lost-m0.avro']
    for (const key of orphans) await env.LAKE_BUCKET.put(`cdc/events/${key}`, 'lost')
    await env.LAKE_BUCKET.put('elsewhere/lost.parquet', 'not ours')
    await env.LAKE.send(batch('sweep', 1, 1))
    await commit()
    for (const key of orphans) expect(await env.LAKE_BUCKET.head(`cdc/events/${key}`)).not.toBeNull()

    lakeClock.aheadMs += 3 * 24 * 3_600_000
    const before = await lsnsOf('sweep')
    for (let n = 2; n <= 6; n++) {
      await env.LAKE.send(batch('sweep', n, n))
      await commit()
    }
    for (const key of orphans) expect(await env.LAKE_BUCKET.head(`cdc/events/${key}`)).toBeNull()
    expect(await env.LAKE_BUCKET.head('elsewhere/lost.parquet')).not.toBeNull()
    expect(await lsnsOf('sweep')).toEqual([...before, 2, 3, 4, 5, 6])
    const { snapshots, 'metadata-log': log } = await metadata()
    const named = [
      ...snapshots.map((snapshot) => snapshot['manifest-list']),
      ...log.slice(-5).map((entry) => entry['metadata-file']),
    ]
    for (const location of named) expect(await env.LAKE_BUCKET.head(location.replace('s3://lake/', ''))).not.toBeNull()
  })

  it.each(['before', 'after'] as const)('[I5] leaves the same table if it dies %s any of its steps', async (when) => {
    const source = `upkeep-dies-${when}`
    let lsn = 0
    let deaths = 0
    for (let step = 1, isDone = false; !isDone && step < 60; step++) {
      // Three files of a type of its own, then the commit of a fourth, whose alarm also compacts them.
      const type = `${source}-${step}`
      for (let file = 1; file <= 4; file++) {
        lsn += 1
        await env.LAKE.send([record(source, lsn, { type })])
        if (file < 4) await commitUntilQuiet()
      }
      dieAtStep(step, when)
      await commit()
      await evictDurableObject(table)
      isDone = !revive()
      deaths += isDone ? 0 : 1
      lsn += 1
      await env.LAKE.send(batch(source, lsn, lsn))
      await commitUntilQuiet()
      expect(await lsnsOf(source)).toEqual(upTo(lsn))
      expect((await watermarks())[`acme/${source}`]).toEqual({ [EPOCH]: lsn })
      expect(await totalRecords()).toBe((await table.status()).landedEvents)
      expect((await liveKeys()).filter((key) => key.includes(`type=${type}/`))).toHaveLength(1)
    }
    expect(deaths).toBeGreaterThanOrEqual(12)
  })
})
