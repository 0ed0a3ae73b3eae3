// Types and days make partitions, and partitions files: senders choose the first, so the lake bounds the others.

import { env } from 'cloudflare:workers'
import { evictDurableObject } from 'cloudflare:test'
import type { CommittedRecord } from 'durable-outbox'
import { describe, expect, it } from 'vitest'
import { lakeVariables } from '../worker.ts'
import { batch, commit, liveKeys, metadata, rowsOf, summary, table, totalRecords } from './table.ts'

/** What one commit may have here. */
const COMMIT_PARTITIONS = 40

/** Events of as many types, from an LSN on. */
function ofTypes(source: string, types: number, first = 1): CommittedRecord[] {
  return batch(source, first, first + types - 1).map((event, index) => ({ ...event, type: `${source}-${index}` }))
}

async function land(records: CommittedRecord[]): Promise<string[]> {
  const before = new Set(await liveKeys())
  await env.LAKE.send(records)
  await commit()
  return (await liveKeys()).filter((key) => !before.has(key))
}

async function typesOf(source: string): Promise<unknown[]> {
  return (await rowsOf(`acme/${source}`)).map(({ type }) => type)
}

describe('the partitions of a commit', () => {
  it('[I7] are as many as there are types, up to maxCommitPartitions', async () => {
    const keys = await land(ofTypes('few', COMMIT_PARTITIONS))
    expect(keys.filter((key) => key.startsWith('data/type=few-'))).toHaveLength(COMMIT_PARTITIONS)
    expect((await metadata())['partition-specs']).toHaveLength(1)
  })

  it('[I7] are none beyond that: all rows are in one file, of another spec', async () => {
    const records = ofTypes('many', COMMIT_PARTITIONS + 1)
    const [key, ...others] = await land(records)
    expect(others).toEqual([])
    expect(key).toMatch(/^data\/[\w-]+\.parquet$/)
    expect(await typesOf('many')).toEqual(records.map(({ type }) => type))
    expect((await metadata())['partition-specs']).toMatchObject([{ 'spec-id': 0 }, { 'spec-id': 1, fields: [] }])
    expect(await metadata()).toMatchObject({ 'default-spec-id': 0 })
    expect(await summary()).toMatchObject({ operation: 'append', 'added-data-files': '1' })
  })

  it('[I7] are none for as many days either', async () => {
    const days = batch('days', 1, COMMIT_PARTITIONS + 1).map((event, index) => ({
      ...event,
      timestamp: new Date(index * 24 * 3_600_000).toISOString(),
    }))
    expect(await land(days)).toHaveLength(1)
    expect(await typesOf('days')).toHaveLength(COMMIT_PARTITIONS + 1)
  })

  it('are there again in the next commit', async () => {
    expect(await land(ofTypes('again', 2))).toEqual([
      expect.stringContaining('type=again-0/'),
      expect.stringContaining('type=again-1/'),
    ])
  })
})

describe('files without a partition', () => {
  it('[I7] are compacted with each other, and change no row', async () => {
    const before = await totalRecords()
    // Here four small files of a partition are compacted, by the alarm of each commit.
    for (let n = 0; n < 5; n++) await land(ofTypes('wide', COMMIT_PARTITIONS + 1, n * (COMMIT_PARTITIONS + 1) + 1))
    await commit()
    const unpartitioned = (await liveKeys()).filter((key) => !key.includes('type='))
    expect(unpartitioned.length).toBeLessThan(4)
    expect(await typesOf('wide')).toHaveLength(5 * (COMMIT_PARTITIONS + 1))
    expect(await totalRecords()).toBe(before + 5 * (COMMIT_PARTITIONS + 1))
  })

  it('[I7] share manifests with each other only, also where these are merged', async () => {
    for (let n = 1; n <= 14; n++) {
      await land(batch('thin', n, n))
      await land(ofTypes('broad', COMMIT_PARTITIONS + 1, (n - 1) * (COMMIT_PARTITIONS + 1) + 1))
    }
    expect((await table.status()).manifests).toBeLessThanOrEqual(24)
    expect(await typesOf('broad')).toHaveLength(14 * (COMMIT_PARTITIONS + 1))
    expect(await typesOf('thin')).toHaveLength(14)
  })

  it('[I5] leave the table together with others if they are gone from the bucket', async () => {
    const [bare = ''] = await land(ofTypes('gone', COMMIT_PARTITIONS + 1))
    const [other = ''] = await land(ofTypes('gone-too', 1))
    await env.LAKE_BUCKET.delete([`cdc/events/${bare}`, `cdc/events/${other}`])
    expect(await table.repair([])).toMatchObject({ goneFiles: 2 })
    const left = await liveKeys()
    expect([left.includes(bare), left.includes(other)]).toEqual([false, false])
    expect(await totalRecords()).toBeGreaterThan(0)
  })
})

describe('the partitions of the table', () => {
  it('[I7] are at most maxPartitions: what would be more goes into a file without one', async () => {
    await land([...ofTypes('known', 1)])
    lakeVariables.LAKE_LIMITS = '{"maxPartitions":1}'
    await evictDurableObject(table)
    expect(await land(ofTypes('new', 2))).toEqual([expect.not.stringContaining('type=')])
    expect(await land(ofTypes('known', 1, 2))).toEqual([expect.stringContaining('type=known-0/')])
    delete lakeVariables.LAKE_LIMITS
    await evictDurableObject(table)
    expect(await land(ofTypes('new', 1, 3))).toEqual([expect.stringContaining('type=new-0/')])
  })
})
