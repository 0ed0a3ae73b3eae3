// Damage to the bucket and to the lake's own database, alone and together: each is named, and `recover` heals it. Each test has
// a log of its own, since all share one lake.

import { env } from 'cloudflare:workers'
import { evictDurableObject, runInDurableObject } from 'cloudflare:test'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import type { RecoverOutcome } from '../../src/lake/recover/recover.ts'
import { lakeClock, type SlowLakeTable } from '../worker.ts'
import {
  batch,
  commit as runAlarm,
  EPOCH,
  liveKeys,
  metadata,
  record,
  rowsOf,
  table,
  totalRecords,
  unlogged,
  watermarks,
} from './table.ts'

const DAY_MS = 86_400_000
const ROOT = 'cdc/events/'

let log = ''
let tests = 0

beforeEach(async () => {
  lakeClock.aheadMs = 0
  log = `recover-${(tests += 1)}`
  await land(1, 4)
})

/** Their type makes files of their own. */
function events(first: number, last: number) {
  return batch(log, first, last).map((event) => ({ ...event, type: log }))
}

function send(records: unknown[]): Promise<void> {
  return table.send(JSON.stringify(records))
}

async function commit(): Promise<void> {
  await runAlarm()
  await vi.waitFor(async () => expect((await table.status()).bufferedEvents).toBe(0))
}

async function land(first: number, last: number): Promise<void> {
  await send(events(first, last))
  await commit()
}

async function lsns(): Promise<number[]> {
  return (await rowsOf(`acme/${log}`)).map(({ lsn }) => Number(lsn))
}

function recover(isDryRun = false): Promise<RecoverOutcome> {
  return runInDurableObject(table, (lake) => (lake as SlowLakeTable).recover(isDryRun))
}

async function keys(prefix = ''): Promise<string[]> {
  return (await env.LAKE_BUCKET.list({ prefix: ROOT + prefix })).objects.map(({ key }) => key)
}

async function fileOf(source: string): Promise<string> {
  const files = await liveKeys()
  return ROOT + (files.find((key) => key.includes(`type=${source}/`)) ?? '')
}

async function currentMetadata(): Promise<string> {
  return `${ROOT}metadata/v${(await table.status()).version}.metadata.json`
}

async function manifestList(): Promise<string> {
  const { snapshots } = await metadata()
  return snapshots.at(-1)?.['manifest-list'].replace('s3://lake/', '') ?? ''
}

function newestManifest(): Promise<string> {
  return runInDurableObject(table, (_, { storage }) => {
    const { key } = storage.sql
      .exec<{ key: string }>('SELECT key FROM lake_manifest ORDER BY version DESC LIMIT 1')
      .one()
    return ROOT + key
  })
}

/** An event without a log. */
function withoutLog() {
  return { ...unlogged(`${log}-u`, tests), id: `01BRZ3NDEKTSV4RRFFQ6${String(tests).padStart(6, '0')}` }
}

/** Replaces the middle of a file by other bytes. */
async function corrupt(key: string): Promise<void> {
  const bytes = new Uint8Array((await (await env.LAKE_BUCKET.get(key))?.arrayBuffer()) ?? new ArrayBuffer(0))
  const third = Math.floor(bytes.length / 3)
  await env.LAKE_BUCKET.put(
    key,
    bytes.map((byte, index) => (index >= third && index < 2 * third ? byte ^ 0xff : byte)),
  )
}

/** A copy of the lake's database. @returns what restores it. */
async function copyState(): Promise<() => Promise<void>> {
  const copy = await runInDurableObject(table, (_, { storage }) =>
    lakeTables(storage).map((name) => ({ name, rows: [...storage.sql.exec(`SELECT * FROM ${name}`).raw()] })),
  )
  return async () => {
    await runInDurableObject(table, (_, { storage }) => {
      for (const { name, rows } of copy) {
        storage.sql.exec(`DELETE FROM ${name}`)
        for (const row of rows)
          storage.sql.exec(`INSERT INTO ${name} VALUES (${row.map(() => '?').join(', ')})`, ...row)
      }
    })
    await evictDurableObject(table)
  }
}

async function loseState(): Promise<void> {
  await runInDurableObject(table, (_, { storage }) => {
    for (const name of lakeTables(storage)) storage.sql.exec(`DELETE FROM ${name}`)
  })
  await evictDurableObject(table)
}

function lakeTables({ sql }: DurableObjectStorage): string[] {
  return sql
    .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'lake_*'")
    .toArray()
    .map(({ name }) => name)
    .filter((name) => name !== 'lake_migrations')
}

/** A copy of the bucket. @returns what restores it. */
async function copyBucket(): Promise<() => Promise<void>> {
  const copy = new Map<string, ArrayBuffer>()
  for (const key of await keys())
    copy.set(key, (await (await env.LAKE_BUCKET.get(key))?.arrayBuffer()) ?? new ArrayBuffer(0))
  return async () => {
    const newer = (await keys()).filter((key) => !copy.has(key))
    await env.LAKE_BUCKET.delete(newer)
    for (const [key, bytes] of copy) await env.LAKE_BUCKET.put(key, bytes)
  }
}

/** What must hold after each recovery: the table is whole, takes nothing twice, and goes on. */
async function expectHealed(last: number): Promise<void> {
  expect(await recover()).toMatchObject({ faults: [], isDone: false })
  await send(events(1, last))
  await commit()
  await land(last + 1, last + 2)
  expect(await lsns()).toEqual(Array.from({ length: last + 2 }, (_, index) => index + 1))
  expect((await watermarks())[`acme/${log}`]).toEqual({ [EPOCH]: last + 2 })
  expect((await table.status()).lastError).toBeUndefined()
}

describe('recover', () => {
  it('changes nothing in a table that is whole', async () => {
    const before = await table.status()
    expect(await recover()).toMatchObject({ faults: [], lostEvents: 0, isDone: false, version: before.version })
    expect(await table.status()).toEqual(before)
  })

  it.each(['corrupt', 'gone'])('[I5] heals a current metadata file that is %s', async (how) => {
    const key = await currentMetadata()
    await (how === 'gone' ? env.LAKE_BUCKET.delete(key) : corrupt(key))
    await evictDurableObject(table)
    await send(events(5, 5))
    await runAlarm()
    expect((await table.status()).lastError).toMatch(new RegExp(`${key} is .*durable-outbox recover`))
    const planned = await recover(true)
    expect(planned).toMatchObject({ lostEvents: 0, isDone: false })
    expect(JSON.stringify(planned)).toMatch(how === 'gone' ? /has lost its newest metadata/ : key)
    const total = planned.events
    expect(await recover()).toMatchObject({ events: total, isDone: true })
    expect(await totalRecords()).toBe(total)
    await commit()
    expect(await lsns()).toEqual([1, 2, 3, 4, 5])
    await expectHealed(5)
  })

  it.each([
    { what: 'manifest list', find: manifestList, how: 'corrupt' },
    { what: 'manifest list', find: manifestList, how: 'gone' },
    { what: 'manifest', find: newestManifest, how: 'corrupt' },
    { what: 'manifest', find: newestManifest, how: 'gone' },
  ])('[I5] heals a $what that is $how, and loses no row', async ({ find, how }) => {
    const key = await find()
    await (how === 'gone' ? env.LAKE_BUCKET.delete(key) : corrupt(key))
    expect((await recover(true)).faults).toMatchObject([{ file: key }])
    expect(await recover()).toMatchObject({ lostEvents: 0, isDone: true })
    expect(await lsns()).toEqual([1, 2, 3, 4])
    await expectHealed(4)
  })

  it.each(['corrupt', 'gone', 'short'])(
    '[I3] takes a data file out that is %s, and lets its rows land again',
    async (how) => {
      const key = await fileOf(log)
      if (how === 'gone') await env.LAKE_BUCKET.delete(key)
      else if (how === 'corrupt') await corrupt(key)
      else await env.LAKE_BUCKET.put(key, 'PAR1')
      expect(await recover(true)).toMatchObject({ faults: [{ file: key }], lostEvents: 4 })
      expect(await recover()).toMatchObject({ isDone: true })
      expect(await lsns()).toEqual([])
      await send(events(1, 4))
      await commit()
      await expectHealed(4)
    },
  )

  it('[I5] heals a lake whose database is older than the bucket, with what waited in it then', async () => {
    await send([...events(5, 6), withoutLog()])
    const restore = await copyState()
    await commit()
    await land(7, 8)
    await restore()
    await runAlarm()
    expect((await table.status()).lastError).toMatch(
      /commits that this lake does not know.*from an older copy.*durable-outbox recover/,
    )
    const planned = await recover(true)
    expect(planned).toMatchObject({
      faults: [],
      lostEvents: 0,
      disagreement: expect.stringContaining('from an older copy'),
    })
    await recover()
    expect((await table.status()).bufferedEvents).toBe(0)
    expect(await lsns()).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(await rowsOf(`acme/${log}-u`)).toHaveLength(1)
    await expectHealed(8)
  })

  it('[I3] heals a lake with an older database, whose upkeep has deleted none of the files that it does not know', async () => {
    const restore = await copyState()
    await land(5, 8)
    const newer = await keys()
    await restore()
    lakeClock.aheadMs = 4 * DAY_MS
    for (let alarm = 0; alarm < 3; alarm += 1) await runAlarm()
    expect((await table.status()).lastError).toMatch(/commits that this lake does not know.*durable-outbox recover/)
    expect(await keys()).toEqual(expect.arrayContaining(newer.filter((key) => key.includes(`type=${log}/`))))
    lakeClock.aheadMs = 0
    await recover()
    expect(await lsns()).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    await expectHealed(8)
  })

  it('[I5] keeps what waits in the lake and is not in the table, forks and events without a log too', async () => {
    const fork = record(log, 2, { id: '01ARZ3NDEKTSV4RRFFQ6ZZZZZZ', type: log })
    await send([...events(5, 6), fork, withoutLog()])
    await env.LAKE_BUCKET.delete(await manifestList())
    expect(await recover()).toMatchObject({ isDone: true })
    expect((await table.status()).bufferedEvents).toBe(4)
    await commit()
    expect(await lsns()).toEqual([1, 2, 2, 3, 4, 5, 6])
    expect(await rowsOf(`acme/${log}-u`)).toHaveLength(1)
  })

  it('[I5] knows a fork again after it has adopted the table', async () => {
    await loseState()
    await recover()
    const fork = record(log, 2, { id: '01ARZ3NDEKTSV4RRFFQ6ZZZZZZ', type: log })
    await send([fork])
    await commit()
    expect((await rowsOf(`acme/${log}`)).map(({ id, lsn }) => [Number(lsn), id === fork.id])).toContainEqual([2, true])
  })

  it('[I5] heals a lake that has lost its database', async () => {
    await loseState()
    await send(events(5, 5))
    await runAlarm()
    expect((await table.status()).lastError).toMatch(/does not know.*durable-outbox recover/)
    expect(await recover(true)).toMatchObject({ stateVersion: 0, disagreement: expect.stringContaining('new or lost') })
    await recover()
    await commit()
    expect(await lsns()).toEqual([1, 2, 3, 4, 5])
    await expectHealed(5)
  })

  it('[I3] heals a bucket that is older than the lake: what landed since lands again', async () => {
    const restore = await copyBucket()
    await land(5, 6)
    await restore()
    await evictDurableObject(table)
    await send(events(7, 7))
    await runAlarm()
    expect((await table.status()).lastError).toMatch(/is gone from the bucket; .*durable-outbox recover/)
    expect(await recover(true)).toMatchObject({ lostEvents: 2, disagreement: expect.stringContaining('older copy') })
    await recover()
    await send(events(5, 6))
    await commit()
    expect(await lsns()).toEqual([1, 2, 3, 4, 5, 6, 7])
    await expectHealed(7)
  })

  it('[I5] is named by a second lake at the same location, which lands nothing, while the first one goes on', async () => {
    const second = env.LAKE_TABLE.getByName('a second lake')
    const before = await table.status()
    await second.send(JSON.stringify(batch(`${log}-2`, 1, 2)))
    await runInDurableObject(second, (lake) => (lake as SlowLakeTable).alarm())
    expect((await second.status()).lastError).toMatch(
      /another lake writes to it.*LAKE_LOCATION of its own; .*durable-outbox recover/,
    )
    expect(await table.status()).toEqual(before)
    await land(5, 5)
    expect(await lsns()).toEqual([1, 2, 3, 4, 5])
    expect(await rowsOf(`acme/${log}-2`)).toEqual([])
    await runInDurableObject(second, (_, { storage }) => storage.deleteAll())
  })

  it('[I5] rebuilds the table from the data files alone', async () => {
    const before = await totalRecords()
    await env.LAKE_BUCKET.delete(await keys('metadata/'))
    await loseState()
    expect(await recover()).toMatchObject({ isDone: true, events: before })
    expect(await lsns()).toEqual([1, 2, 3, 4])
    await expectHealed(4)
  })
})
