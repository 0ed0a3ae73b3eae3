import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { beforeAll, describe, expect, it } from 'vitest'
import { failNextPut } from '../../faulty-bucket.ts'
import { failureOf } from '../../notes.ts'
import { HOLD_MS, lakeAlarms, lakeClock } from '../../worker.ts'
import { batch, commit, EPOCH, metadata, record, rowsOf, table, totalRecords, unlogged, watermarks } from '../table.ts'
import { deploy, handOver, landAll, reshard, shardStubs } from './sharded.ts'

async function lsnsOf(source: string): Promise<number[]> {
  return (await rowsOf(`acme/${source}`)).map((row) => Number(row['lsn']))
}

function upTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1)
}

beforeAll(() => {
  lakeAlarms.areByTest = true
})

describe('a lake with four shards', () => {
  beforeAll(() => reshard(4))

  it('[I5] lands what each of them took in, in one snapshot', async () => {
    const sources = upTo(12).map((n) => `four-${n}`)
    for (const source of sources) await env.LAKE.send(batch(source, 1, 3))
    await handOver()
    await commit()
    // More than one file in a partition, which upkeep may have compacted at once.
    const appends = (await metadata()).snapshots.filter((snapshot) => snapshot.summary.operation === 'append')
    expect(appends.map(({ summary }) => summary['added-records'])).toEqual(['36'])
    for (const source of sources) expect(await lsnsOf(source)).toEqual([1, 2, 3])
    expect((await watermarks())['acme/four-7']).toEqual({ [EPOCH]: 3 })
    for (const shard of await shardStubs()) expect(await shard.status()).toMatchObject({ bufferedEvents: 0 })
  })

  it('[I5] lands each LSN once when batches come again, before the hand-over, before the commit and after it', async () => {
    for (const next of [async () => undefined, handOver, landAll]) {
      await env.LAKE.send(batch('again', 1, 5))
      await next()
    }
    await env.LAKE.send(batch('again', 3, 8))
    await landAll()
    expect(await lsnsOf('again')).toEqual(upTo(8))
  })

  it('divides a batch of many logs, and of events without one', async () => {
    const events = upTo(20).map((n) => unlogged(`free${n % 3}`, n))
    const records = upTo(20).flatMap((n) => batch(`mixed-${n}`, 1, 2))
    const before = await totalRecords()
    await env.LAKE.send([...events.slice(0, 10), ...records, ...events.slice(10)])
    const waiting = await Promise.all((await shardStubs()).map((shard) => shard.status()))
    expect(waiting.every(({ bufferedEvents }) => bufferedEvents > 0)).toBe(true)
    await landAll()
    expect((await totalRecords()) - before).toBe(60)
  })

  it('refuses a batch with a record that is not valid, names it, and takes none of them', async () => {
    const before = await table.status()
    const records = [...upTo(9).flatMap((n) => batch(`bad-${n}`, 1, 1)), record('bad-10', 1, { timestamp: 'noon' })]
    expect(await failureOf(() => env.LAKE.send(records).then(() => undefined))).toMatchObject({
      code: 'record-invalid',
      message: expect.stringContaining('record 9'),
    })
    expect((await table.status()).bufferedEvents).toBe(before.bufferedEvents)
  })

  it('holds back what would leave a hole, and lands it after holdMs', async () => {
    await env.LAKE.send(batch('hole', 1, 1))
    await landAll()
    await env.LAKE.send(batch('hole', 3, 3))
    await landAll()
    expect(await table.status()).toMatchObject({ heldEvents: 1 })
    lakeClock.aheadMs += HOLD_MS
    await landAll()
    expect(await lsnsOf('hole')).toEqual([1, 3])
    await env.LAKE.send(batch('hole', 2, 2))
    await landAll()
    expect(await lsnsOf('hole')).toEqual([1, 2, 3])
  })

  it('[I13] counts what waits in a shard and what waits for the commit, and tells each shard', async () => {
    await env.LAKE.send(batch('fresh', 1, 4))
    lakeClock.aheadMs += 5_000
    expect((await table.status()).lagMs).toBeGreaterThanOrEqual(5_000)
    await handOver()
    const status = await table.status()
    expect(status.lagMs).toBeGreaterThanOrEqual(5_000)
    expect(status).toMatchObject({ bufferedEvents: 4, isBehind: false })
    expect(status.shards).toHaveLength(4)
    await commit()
    expect(await table.status()).toMatchObject({ bufferedEvents: 0, lagMs: 0 })
  })

  it('[I13] refuses what is sent if the object that commits is behind', async () => {
    await env.LAKE.send(batch('behind', 1, 1))
    await handOver()
    lakeClock.aheadMs += 5 * 3_600_000
    expect(await table.status()).toMatchObject({ isBehind: true })
    await env.LAKE.send(batch('behind', 2, 2))
    await handOver()
    expect(await failureOf(() => env.LAKE.send(batch('behind', 3, 3)).then(() => undefined))).toMatchObject({
      code: 'lake-behind',
    })
    await commit()
    await landAll()
    await env.LAKE.send(batch('behind', 3, 3))
    await landAll()
    expect(await lsnsOf('behind')).toEqual([1, 2, 3])
  })

  it('[I5] tells a fork from an event that came twice', async () => {
    await env.LAKE.send(batch('forked', 1, 2))
    await landAll()
    const fork = record('forked', 2, { id: '01ARZ3NDEKTSV4RRFFQ6ZZZZZZ' })
    await env.LAKE.send([record('forked', 1), fork])
    await landAll()
    expect(await lsnsOf('forked')).toEqual([1, 2, 2])
  })

  it('remembers an event without a log', async () => {
    await env.LAKE.send([unlogged('seen', 1)])
    await landAll()
    await env.LAKE.send([unlogged('seen', 1)])
    await landAll()
    expect(await rowsOf('acme/seen')).toHaveLength(1)
  })

  it('[I3] keeps the files of an offer whose commit had to be tried again', async () => {
    await env.LAKE.send(batch('tried', 1, 2))
    await handOver()
    failNextPut('metadata.json', 'before')
    await commit()
    await landAll()
    await landAll()
    expect(await lsnsOf('tried')).toEqual([1, 2])
  })

  it('[I3] lets rows land again that the table has lost', async () => {
    await env.LAKE.send(batch('lost', 1, 3))
    await landAll()
    const { objects } = await env.LAKE_BUCKET.list({ prefix: 'cdc/events/data/' })
    const newest = objects.toSorted((a, b) => b.uploaded.getTime() - a.uploaded.getTime())[0]
    await env.LAKE_BUCKET.delete(newest?.key ?? '')
    const missing = [{ ns: 'acme', source: 'acme/lost', epoch: EPOCH, ranges: [{ first: 1, last: 3 }] }]
    expect(await table.repair(missing)).toMatchObject({ goneFiles: 1 })
    await env.LAKE.send(batch('lost', 1, 3))
    await landAll()
    expect(await lsnsOf('lost')).toEqual([1, 2, 3])
  })
})

describe('a lake that changes the number of its shards', () => {
  it('[I5] keeps all events, each once, from none to four to two to none', async () => {
    let lsn = 0
    for (const shards of [0, 4, 2, 3, 0, 1]) {
      await env.LAKE.send(batch('moving', lsn + 1, lsn + 3))
      await env.LAKE.send([unlogged('same', lsn), record('moving', lsn + 5)])
      lsn += 3
      await reshard(shards)
      // Repeats, a fork, and what goes on; before the last layout's have been committed.
      await env.LAKE.send([...batch('moving', 1, lsn), unlogged('same', lsn - 3)])
      await env.LAKE.send([
        record('moving', lsn + 2),
        record('moving', lsn, { id: `01ARZ3NDEKTSV4RRFFQ6F${shards}${String(lsn).padStart(4, '0')}` }),
      ])
      await landAll()
    }
    lakeClock.aheadMs += HOLD_MS
    await landAll()
    const lsns = await lsnsOf('moving')
    const forks = [3, 6, 9, 12, 15, 18]
    const once = [...new Set(lsns)]
    console.error(
      JSON.stringify((await rowsOf('acme/moving')).map((r) => [Number(r['lsn']), String(r['id']).slice(-6)])),
    )
    expect(lsns.filter((each, index) => each === lsns[index - 1])).toEqual(forks)
    expect(once).toEqual([...upTo(17), 18, 20])
    expect(await rowsOf('acme/same')).toHaveLength(6)
  })

  it('refuses what is sent while shards are emptied, and says that it may be sent again', async () => {
    await reshard(2)
    await env.LAKE.send(batch('closing', 1, 3))
    await deploy(1)
    await commit()
    expect(await failureOf(() => env.LAKE.send(batch('closing', 4, 4)).then(() => undefined))).toMatchObject({
      code: 'lake-resharding',
      message: expect.stringContaining('try again'),
    })
    await reshard(1)
    await env.LAKE.send(batch('closing', 4, 4))
    await landAll()
    expect(await lsnsOf('closing')).toEqual(upTo(4))
  })

  it('goes on to another layout if the number is changed back meanwhile', async () => {
    await reshard(2)
    const { layout } = await table.layout()
    await env.LAKE.send(batch('back', 1, 1))
    await deploy(1)
    await commit()
    await reshard(2)
    expect((await table.layout()).layout).toBe(layout + 1)
    await env.LAKE.send(batch('back', 1, 2))
    await landAll()
    expect(await lsnsOf('back')).toEqual([1, 2])
  })

  it('lets shards of long ago forget what they know', async () => {
    await reshard(2)
    const [shard] = await shardStubs()
    await env.LAKE.send(upTo(9).flatMap((n) => batch(`old-${n}`, 1, 1)))
    await reshard(0)
    lakeClock.aheadMs += 32 * 86_400_000
    await commit()
    if (shard === undefined) throw new Error('there was a shard')
    const ids = await runInDurableObject(shard, (_, { storage }) =>
      storage.sql.exec('SELECT * FROM lake_ids').toArray(),
    )
    expect(ids).toEqual([])
    await evictDurableObject(shard)
    expect(await failureOf(() => shard.send('[]').then(() => undefined))).toMatchObject({ code: 'lake-resharding' })
    lakeClock.aheadMs = 0
  })
})
