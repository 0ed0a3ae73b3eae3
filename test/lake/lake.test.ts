import { env } from 'cloudflare:workers'
import { createExecutionContext, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test'
import { Lake } from 'durable-outbox/lake'
import type { EventRecord } from 'durable-outbox'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { failNextPut } from '../faulty-bucket.ts'
import { failureOf } from '../notes.ts'
import {
  batch,
  commit,
  commitHeld,
  EPOCH,
  metadata,
  record,
  rowsOf as rowsOfSource,
  table,
  totalRecords,
  unlogged,
  watermarks,
} from './table.ts'
import type { SlowLakeTable } from '../worker.ts'

function large(source: string, lsn: number): EventRecord {
  return record(source, lsn, { data: { body: 'x'.repeat(60_000) } })
}

/** The rows of a source of the ns `acme`. */
function rowsOf(source: string): Promise<Record<string, unknown>[]> {
  return rowsOfSource(`acme/${source}`)
}

async function lsnsOf(source: string): Promise<number[]> {
  return (await rowsOf(source)).map((row) => Number(row['lsn'])).toSorted((a, b) => a - b)
}

/** How the lake refuses records. Called inside the object, as the runtime prints what leaves it as an error. */
function refusalOf(records: unknown): Promise<{ code?: string; message: string }> {
  return runInDurableObject(table, (lake) => failureOf(() => (lake as SlowLakeTable).send(JSON.stringify(records))))
}

const upTo = (last: number): number[] => Array.from({ length: last }, (_, index) => index + 1)

describe('a lake with a jurisdiction', () => {
  it('has its object there', async () => {
    const asked: string[] = []
    // workerd has no jurisdictions, so that the namespace is one of the test.
    const tables = {
      jurisdiction: (name: string) => {
        asked.push(name)
        return env.LAKE_TABLE
      },
    } as unknown as typeof env.LAKE_TABLE
    const lake = new Lake(createExecutionContext(), {
      LAKE_TABLE: tables,
      LAKE_BUCKET: env.LAKE_BUCKET,
      LAKE_JURISDICTION: 'eu',
    })
    expect(await lake.version()).toBe(await table.version())
    expect(asked).toEqual(['eu'])
  })
})

describe('send', () => {
  it('[I5] lands what it accepted, and reports it in the snapshot', async () => {
    await env.LAKE.send(batch('lands', 1, 3))
    expect(await table.status()).toMatchObject({ bufferedEvents: 3 })
    await commit()
    expect(await table.status()).toMatchObject({ bufferedEvents: 0, bufferedBytes: 0 })
    expect(await lsnsOf('lands')).toEqual([1, 2, 3])
    expect((await watermarks())['acme/lands']).toEqual({ [EPOCH]: 3 })
  })

  it('[I5] lands each LSN once when a batch comes twice, before a commit and after it', async () => {
    await env.LAKE.send(batch('twice', 1, 3))
    await env.LAKE.send(batch('twice', 1, 3))
    await commit()
    await env.LAKE.send(batch('twice', 1, 3))
    await env.LAKE.send(batch('twice', 2, 5))
    await commit()
    expect(await lsnsOf('twice')).toEqual(upTo(5))
  })

  it('[I5] lands an older batch that comes after a newer one', async () => {
    await env.LAKE.send(batch('late', 4, 6))
    await commit()
    expect((await watermarks())['acme/late']).toEqual({ [EPOCH]: 6 })
    await env.LAKE.send(batch('late', 1, 3))
    await commit()
    expect(await lsnsOf('late')).toEqual(upTo(6))
  })

  it('[I8] keeps logs separate whose ns and source join to the same name', async () => {
    await env.LAKE.send([record('b/DO', 1, { ns: 'acme/a' }), record('a/b/DO', 1), record('a/b/DO', 2)])
    await commit()
    expect((await rowsOf('a/b/DO')).map((row) => [row['ns'], String(row['lsn'])].join(' ')).toSorted()).toEqual([
      'acme 1',
      'acme 2',
      'acme/a 1',
    ])
  })

  it('lands an event that went through no outbox once, no matter how often it comes', async () => {
    await env.LAKE.send([unlogged('free', 1), unlogged('free', 2), unlogged('free', 1)])
    await env.LAKE.send([unlogged('free', 2), record('free', 1)])
    await commit()
    await env.LAKE.send([unlogged('free', 1), unlogged('free', 3)])
    await commit()
    const rows = await rowsOf('free')
    expect(rows.map((row) => String(row['id'])).toSorted()).toEqual(
      [record('free', 1), unlogged('free', 1), unlogged('free', 2), unlogged('free', 3)].map(({ id }) => id).toSorted(),
    )
    expect(rows.filter((row) => row['lsn'] === null)).toHaveLength(3)
  })

  it('[I8] treats the same id in another ns as another event', async () => {
    await env.LAKE.send([unlogged('same', 1), unlogged('same', 1, 'other')])
    await commit()
    expect(await rowsOf('same')).toHaveLength(1)
    await env.LAKE.send([unlogged('same', 1, 'other')])
    expect(await table.status()).toMatchObject({ bufferedEvents: 0 })
  })

  it('remembers the ids of as many events as its limit allows', async () => {
    await env.LAKE.send([1, 2, 3, 4, 5, 6].map((n) => unlogged('span', n)))
    await commit()
    // An alarm of upkeep may commit at any time.
    const taken = async () => {
      const { bufferedEvents, landedEvents } = await table.status()
      return bufferedEvents + landedEvents
    }
    const before = await taken()
    await env.LAKE.send([unlogged('span', 6), unlogged('span', 1)])
    expect((await taken()) - before).toBe(1)
    await commit()
  })

  it('records when it took an event in', async () => {
    const before = Date.now()
    await env.LAKE.send(batch('when', 1, 1))
    await commit()
    const [row] = await rowsOf('when')
    const taken = row?.['__ingest_ts']
    if (!(taken instanceof Date)) throw new Error('it does not say when')
    expect(taken.getTime()).toBeGreaterThanOrEqual(before)
    expect(taken.getTime()).toBeLessThanOrEqual(Date.now())
  })

  it('[I5] keeps epochs and sources separate that have the same LSNs', async () => {
    const other = '01BX5ZZKBKACTAV9WEVGEMMVRZ'
    await env.LAKE.send([record('apart', 1), record('apart', 1, { epoch: other }), record('apart-too', 1)])
    await commit()
    expect((await rowsOf('apart')).map((row) => String(row['epoch'])).toSorted()).toEqual([EPOCH, other])
    expect(await lsnsOf('apart-too')).toEqual([1])
  })

  it('[I5] lands each LSN once, even if batches are duplicated, cut or reordered on their way', async () => {
    let runs = 0
    const sends = fc.array(
      fc.record({
        first: fc.integer({ min: 1, max: 30 }),
        length: fc.integer({ min: 1, max: 10 }),
        next: fc.constantFrom('nothing', 'commit', 'evict'),
      }),
      { minLength: 1, maxLength: 8 },
    )
    await fc.assert(
      fc.asyncProperty(sends, async (script) => {
        const source = `random-${runs++}`
        const sent = new Set<number>()
        for (const { first, length, next } of script) {
          const records = batch(source, first, first + length - 1)
          for (const { lsn } of records) sent.add(lsn)
          await env.LAKE.send(records)
          if (next === 'commit') await commit()
          if (next === 'evict') await evictDurableObject(table)
        }
        await commitHeld()
        expect(await lsnsOf(source)).toEqual([...sent].toSorted((a, b) => a - b))
      }),
      { numRuns: 15 },
    )
  })

  it.each<[string, unknown]>([
    ['records that are not an array', { id: 'x' }],
    ['a record without an LSN', [record('bad', 1), { ...record('bad', 2), lsn: undefined }]],
    ['a record with an invalid time', [record('bad', 1), record('bad', 2, { timestamp: 'noon' })]],
  ])('refuses %s, names the record and takes none of them', async (_, records) => {
    const failure = await refusalOf(records)
    expect(failure.message).toMatch(/^send: record(s must| 1: )/)
    await commit()
    expect(await lsnsOf('bad')).toEqual([])
  })

  it('[I7] refuses more than its buffer holds, until some of it is committed', async () => {
    await env.LAKE.send([large('full', 1)])
    await env.LAKE.send([large('full', 2)])
    const failure = await refusalOf([large('full', 3)])
    expect(failure.message).toContain('the limit is 100000')
    await commit()
    await env.LAKE.send([large('full', 3)])
    await commit()
    expect(await lsnsOf('full')).toEqual(upTo(3))
  })

  it('accepts a record that is newer than the lake and has fields that it does not know', async () => {
    const newer = { ...record('newer', 1), region: 'weur' }
    newer._meta = { ...newer._meta, schemaVersion: 2, traceId: 't' }
    await env.LAKE.send([newer])
    await commit()
    expect(JSON.parse(String((await rowsOf('newer'))[0]?.['_meta']))).toMatchObject({ schemaVersion: 2, traceId: 't' })
  })
})

describe('the table', () => {
  it('has the columns that streams/events.sql makes, with global names and JSON as text', async () => {
    await env.LAKE.send([
      record('columns', 1, {
        op: 'u',
        store: 'document',
        table: 'Customer',
        key: 'cust_123',
        before: { name: 'Alice' },
        after: { name: 'Alïce 😀', n: 1.5, list: [true, null] },
        actor: 'User/nathan',
        data: { nul: 'a\0b' },
        correlation_id: 'req_1',
        visibility: 'team',
        timestamp: '1999-12-31T23:59:59.123456Z',
      }),
      record('columns', 2),
    ])
    await commit()
    const [full, bare] = (await rowsOf('columns')).toSorted((a, b) => Number(a['lsn']) - Number(b['lsn']))
    expect(full).toMatchObject({
      ns: 'acme',
      source: 'acme/columns',
      table_url: 'acme/Customer',
      op: 'u',
      store: 'document',
      key: 'cust_123',
      actor: 'User/nathan',
      correlation_id: 'req_1',
      txid: 'tx',
      epoch: EPOCH,
      lsn: 1n,
      visibility: 'team',
    })
    expect(JSON.parse(String(full?.['after']))).toEqual({ name: 'Alïce 😀', n: 1.5, list: [true, null] })
    expect(JSON.parse(String(full?.['data']))).toEqual({ nul: 'a\0b' })
    expect(full?.['timestamp']).toEqual(new Date('1999-12-31T23:59:59.123Z'))
    expect(bare).toMatchObject({ table_url: null, op: null, before: null, after: null })
  })

  it('is partitioned by type and day', async () => {
    await env.LAKE.send([record('partitions', 1, { type: 'Customer.created', timestamp: '2024-01-14T23:59:59.999Z' })])
    await commit()
    const { objects } = await env.LAKE_BUCKET.list({ prefix: 'cdc/events/data/type=Customer.created/dt=2024-01-14/' })
    expect(objects).toHaveLength(1)
  })

  it('brings a buffer that is larger than one commit into the table in several', async () => {
    const { version } = await table.status()
    await env.LAKE.send(batch('many', 1, 90))
    await env.LAKE.send(batch('many', 91, 180))
    await commit()
    expect((await table.status()).version).toBeGreaterThanOrEqual(version + 2)
    expect(await lsnsOf('many')).toEqual(upTo(180))
  })
})

describe('the history of the table', () => {
  it('[I7] is forgotten except for the newest snapshots, and loses no row', async () => {
    const before = await totalRecords()
    for (let n = 1; n <= 12; n++) {
      await env.LAKE.send(batch('history', n, n))
      await commit()
    }
    await commit()
    const { snapshots, 'snapshot-log': log } = await metadata()
    expect([snapshots.length, log.length]).toEqual([5, 5])
    expect(await totalRecords()).toBe(before + 12)

    const { version } = await table.status()
    const { objects } = await env.LAKE_BUCKET.list({ prefix: 'cdc/events/metadata/' })
    const keys = objects.map(({ key }) => key.replace('cdc/events/metadata/', ''))
    const versions = Array.from({ length: 6 }, (_, index) => `v${version - 5 + index}.metadata.json`)
    expect(keys.filter((key) => key.startsWith('v') && key.endsWith('.json')).toSorted()).toEqual(versions.toSorted())
    for (const snapshot of snapshots) expect(keys).toContain(snapshot['manifest-list'].split('/').at(-1))
    expect(keys.filter((key) => key.startsWith('snap-'))).toHaveLength(5)
  })
})

describe('commit', () => {
  const steps = ['data/', '-m0.avro', 'snap-', 'metadata.json', 'version-hint']
  const cases = steps.flatMap((key) => [[key, 'before'] as const, [key, 'after'] as const])

  it.each(cases)('[I5] counts each event once if a put of %s fails %s it was stored', async (key, when) => {
    const source = `fails-${key.replaceAll(/\W/g, '')}-${when}`
    const before = await totalRecords()
    await env.LAKE.send(batch(source, 1, 3))
    failNextPut(key, when)
    await commit()
    await env.LAKE.send(batch(source, 1, 5))
    await commit()
    await commit()
    expect(await totalRecords()).toBe(before + 5)
    expect(await table.status()).toMatchObject({ bufferedEvents: 0 })
    expect((await watermarks())[`acme/${source}`]).toEqual({ [EPOCH]: 5 })
  })

  it('[I5] counts each event once if the object dies after the metadata file was stored', async () => {
    const before = await totalRecords()
    await env.LAKE.send(batch('gone', 1, 3))
    failNextPut('metadata.json', 'after')
    await commit()
    await evictDurableObject(table)
    await commit()
    expect(await totalRecords()).toBe(before + 3)
    expect(await table.status()).toMatchObject({ bufferedEvents: 0 })
  })

  it('[I5] does not replace what another lake has committed in its place', async () => {
    await env.LAKE.send(batch('beside', 1, 1))
    await commit()
    const { version } = await table.status()
    const key = `cdc/events/metadata/v${version + 1}.metadata.json`
    await env.LAKE_BUCKET.put(key, JSON.stringify({ ...(await metadata()), 'current-snapshot-id': 1 }))
    await env.LAKE.send(batch('beside', 2, 2))
    await commit()
    expect((await table.status()).lastError).toContain('has commits that this lake does not know')
    const object = await env.LAKE_BUCKET.get(key)
    expect(await object?.json()).toMatchObject({ 'current-snapshot-id': 1 })
    await env.LAKE_BUCKET.delete(key)
    await commit()
    expect(await lsnsOf('beside')).toEqual([1, 2])
  })

  it('refuses a table that another lake has written, and keeps what it holds', async () => {
    const before = await totalRecords()
    const intruder = env.LAKE_TABLE.getByName('another lake')
    await intruder.send(JSON.stringify(batch('intruder', 1, 2)))
    await runDurableObjectAlarm(intruder)
    expect(await intruder.status()).toMatchObject({ bufferedEvents: 2, version: 0 })
    expect(await totalRecords()).toBe(before)
  })
})
