// R2 does not answer: the lake gives the call up, tells, and tries again; and what arrives after all does no harm.

import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { TableMetadata } from '../../src/lake/iceberg/metadata.ts'
import { limitsFrom } from '../../src/lake/limits.ts'
import { hangNext } from '../faulty-bucket.ts'
import type { SlowLakeTable } from '../worker.ts'
import { batch, commit, EPOCH, metadata, rowsOf, table, totalRecords, watermarks } from './table.ts'

const { bucketMs } = limitsFrom()
type Hanging = ReturnType<typeof hangNext>

afterEach(() => void vi.useRealTimers())

/** Does something inside the lake's object, where its calls to R2 belong. */
function inLake(run: (lake: SlowLakeTable) => Promise<void>): Promise<void> {
  return runInDurableObject(table, (lake) => run(lake as SlowLakeTable))
}

/** Commits, until the call was made and its time is over. */
function commitUntilGivenUp(hang: Hanging): Promise<void> {
  return inLake(async (lake) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const committing = lake.alarm()
    await hang.isMade
    vi.advanceTimersByTime(bucketMs)
    await committing
    vi.useRealTimers()
  })
}

function arrive(hang: Hanging): Promise<void> {
  return inLake(() => hang.arrive())
}

/** The lake has each event of a source once, up to an LSN, and knows it. */
async function expectLanded(source: string, last: number): Promise<void> {
  const lsns = (await rowsOf(`acme/${source}`)).map(({ lsn }) => Number(lsn))
  expect(lsns).toEqual(Array.from({ length: last }, (_, index) => index + 1))
  expect((await watermarks())[`acme/${source}`]).toEqual({ [EPOCH]: last })
  const status = await table.status()
  expect(status).toMatchObject({ bufferedEvents: 0, logsWithHoles: 0 })
  expect(await totalRecords()).toBe(status.landedEvents)
}

async function snapshotIds(): Promise<unknown[]> {
  return (await metadata()).snapshots.map((snapshot) => snapshot['snapshot-id'])
}

/** The snapshot of a version that is in the bucket. */
async function snapshotIdOf(version: number): Promise<unknown> {
  const object = await env.LAKE_BUCKET.get(`cdc/events/metadata/v${version}.metadata.json`)
  return (await object?.json<TableMetadata>())?.['current-snapshot-id']
}

describe('a lake to which R2 does not answer', () => {
  it.each(['data/', '-m0.avro', 'snap-', '.metadata.json', 'version-hint'])(
    '[I13] gives a put of %s up, tells, and tries again',
    async (key) => {
      const source = `hangs-${key.replaceAll(/\W/g, '')}`
      await env.LAKE.send(batch(source, 1, 3))
      const hang = hangNext('put', key)
      await commitUntilGivenUp(hang)
      expect((await table.status()).lastError).toMatch(`no answer from R2 in ${bucketMs} ms: put cdc/events/`)
      await env.LAKE.send(batch(source, 2, 5))
      await commit()
      expect(await table.status()).not.toHaveProperty('lastError')
      await expectLanded(source, 5)
      // Much too late.
      await arrive(hang)
      await env.LAKE.send(batch(source, 6, 6))
      await commit()
      await expectLanded(source, 6)
    },
  )

  it('[I13] gives a get up, tells, and tries again', async () => {
    await env.LAKE.send(batch('hangs-get', 1, 3))
    // After a failure the lake reads the table anew.
    await commitUntilGivenUp(hangNext('put', 'data/'))
    await commitUntilGivenUp(hangNext('get', 'metadata/v'))
    expect((await table.status()).lastError).toContain('ms: get cdc/events/metadata/v')
    await commit()
    await expectLanded('hangs-get', 3)
  })

  it('[I13] gives a delete up, tells, and tries again; what it has committed before stays', async () => {
    await env.LAKE.send(batch('hangs-delete', 1, 3))
    await runInDurableObject(table, (_, { storage }) =>
      storage.sql.exec("INSERT INTO lake_garbage VALUES ('data/gone.parquet', 0, 0)"),
    )
    const hang = hangNext('delete', '')
    await commitUntilGivenUp(hang)
    expect((await table.status()).lastError).toMatch(/ms: delete \d+ files/)
    await expectLanded('hangs-delete', 3)
    await commit()
    await arrive(hang)
    await expectLanded('hangs-delete', 3)
  })
})

describe('the metadata of a version that R2 stores after the lake has given it up', () => {
  it('[I5] is found by the next commit, if it is there by then', async () => {
    await env.LAKE.send(batch('late-found', 1, 3))
    const hang = hangNext('put', '.metadata.json')
    await commitUntilGivenUp(hang)
    await arrive(hang)
    const late = await snapshotIdOf((await table.status()).version + 1)
    await commit()
    expect(await snapshotIds()).toContain(late)
    await expectLanded('late-found', 3)
  })

  it('[I5] is found by the next commit, if it comes between its look and its own', async () => {
    await env.LAKE.send(batch('late-raced', 1, 3))
    const first = hangNext('put', '.metadata.json')
    await commitUntilGivenUp(first)
    const { version } = await table.status()
    const second = hangNext('put', '.metadata.json')
    let late: unknown
    await inLake(async (lake) => {
      const committing = lake.alarm()
      await second.isMade
      await first.arrive()
      late = await snapshotIdOf(version + 1)
      await second.arrive()
      await committing
    })
    expect(await snapshotIds()).toContain(late)
    await expectLanded('late-raced', 3)
  })

  it('[I5] is refused, if the next commit has taken its place', async () => {
    await env.LAKE.send(batch('late-refused', 1, 3))
    const hang = hangNext('put', '.metadata.json')
    await commitUntilGivenUp(hang)
    const version = (await table.status()).version + 1
    await commit()
    const taken = await snapshotIdOf(version)
    await arrive(hang)
    expect(await snapshotIdOf(version)).toBe(taken)
    await expectLanded('late-refused', 3)
  })
})
