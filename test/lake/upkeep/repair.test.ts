// Rows that went away from the table after they had landed, by no commit of the lake's: because a file of the bucket was deleted,
// or restored from an older backup.

import { env } from 'cloudflare:workers'
import { runInDurableObject } from 'cloudflare:test'
import type { CommittedRecord } from 'durable-outbox'
import { LakeTable } from 'durable-outbox/lake'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { parseMissing, REPAIR_LSNS_MAX } from '../../../src/lake/upkeep/repair.ts'
import { batch, commit as runAlarm, EPOCH, liveKeys, record, rowsOf, summary, table, watermarks } from '../table.ts'

/** Each test has a log of its own, since all share one lake. */
let orders = ''
let log = { ns: 'acme', source: '', epoch: EPOCH }
let tests = 0

beforeEach(() => {
  orders = `orders-${(tests += 1)}`
  log = { ...log, source: `acme/${orders}` }
})

/** Their type makes files of their own, too few to be compacted. */
function events(first: number, last: number): CommittedRecord[] {
  return batch(orders, first, last).map((event) => ({ ...event, type: orders }))
}

async function lsns(): Promise<number[]> {
  return (await rowsOf(log.source)).map(({ lsn }) => Number(lsn))
}

/** Commits what was sent: by the alarm of the test, or by one that was due for garbage and is already running. */
async function commit(): Promise<void> {
  await runAlarm()
  await vi.waitFor(async () => expect((await table.status()).bufferedEvents).toBe(0))
}

/** Commits what was sent. @returns the file that it makes. */
async function land(): Promise<string> {
  const before = new Set(await liveKeys())
  await commit()
  const [file = ''] = (await liveKeys()).filter((key) => !before.has(key))
  return file
}

/** Lands LSNs 1 to 3 in one file, and 4 to 6 in another. */
async function landTwoFiles(): Promise<{ first: string; second: string }> {
  await table.send(JSON.stringify(events(1, 3)))
  const first = await land()
  await table.send(JSON.stringify(events(4, 6)))
  return { first, second: await land() }
}

/** Replaces a file by one with other rows. */
async function overwrite(key: string, kept: readonly number[]): Promise<void> {
  const text = (name: string, values: (string | null)[]) => ({ name, data: values, type: 'STRING' as const })
  const file = parquetWriteBuffer({
    columnData: [
      text(
        'ns',
        kept.map(() => log.ns),
      ),
      text(
        'source',
        kept.map(() => log.source),
      ),
      text(
        'epoch',
        kept.map(() => log.epoch),
      ),
      { name: 'lsn', data: kept.map(BigInt), type: 'INT64' },
      text(
        '_meta',
        kept.map(() => '{}'),
      ),
    ],
  })
  await env.LAKE_BUCKET.put(`cdc/events/${key}`, file)
}

function remove(key: string): Promise<void> {
  return env.LAKE_BUCKET.delete(`cdc/events/${key}`)
}

describe('a repair', () => {
  it('[I5] forgets nothing that the table holds, even if it is reported as missing', async () => {
    await landTwoFiles()
    const outcome = await table.repair([{ ...log, ranges: [{ first: 1, last: 6 }] }])
    expect(outcome).toEqual({ goneFiles: 0, forgotten: [] })
    await table.send(JSON.stringify(events(1, 6)))
    await commit()
    expect(await lsns()).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('[I5] forgets nothing that the table holds if a log is reported twice, or under a wrong name', async () => {
    await landTwoFiles()
    const ranges = [{ first: 1, last: 3 }]
    const { ns, epoch, source } = log
    const misnamed = { ns, epoch, source: source.replace('/', '-'), ranges }
    const outcome = await table.repair([{ ...log, ranges }, { ...log, ranges: [{ first: 9, last: 9 }] }, misnamed])
    expect(outcome).toEqual({ goneFiles: 0, forgotten: [] })
  })

  it('[I5] lets only the rows of a file that was overwritten land again', async () => {
    const { second } = await landTwoFiles()
    await overwrite(second, [4, 6])
    expect(await lsns()).toEqual([1, 2, 3, 4, 6])
    await table.send(JSON.stringify(events(1, 6)))
    expect((await table.status()).bufferedEvents).toBe(0)
    const outcome = await table.repair([{ ...log, ranges: [{ first: 3, last: 5 }] }])
    expect(outcome).toEqual({ goneFiles: 0, forgotten: [{ ...log, ranges: [{ first: 5, last: 5 }] }] })
    await table.send(JSON.stringify(events(1, 6)))
    await commit()
    expect(await lsns()).toEqual([1, 2, 3, 4, 5, 6])
    expect((await watermarks())[log.source]).toEqual({ [EPOCH]: 6 })
  })

  it('[I10] lets the watermark fall back to what the table holds, once something of the log has landed', async () => {
    const { second } = await landTwoFiles()
    await overwrite(second, [4, 6])
    await table.repair([{ ...log, ranges: [{ first: 5, last: 5 }] }])
    await table.send(JSON.stringify(events(7, 7)))
    await commit()
    expect((await watermarks())[log.source]).toEqual({ [EPOCH]: 4 })
  })

  it('removes a file from the table that is gone, and its rows land again', async () => {
    const { first, second } = await landTwoFiles()
    await remove(first)
    const outcome = await table.repair([{ ...log, ranges: [{ first: 1, last: 6 }] }])
    expect(outcome).toEqual({ goneFiles: 1, forgotten: [{ ...log, ranges: [{ first: 1, last: 3 }] }] })
    expect(await liveKeys()).toContain(second)
    expect(await liveKeys()).not.toContain(first)
    expect(await summary()).toMatchObject({ operation: 'delete', 'deleted-data-files': '1', 'deleted-records': '3' })
    await table.send(JSON.stringify(events(1, 3)))
    await commit()
    expect(await lsns()).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('lets a log begin again whose files are all gone', async () => {
    const { first, second } = await landTwoFiles()
    await Promise.all([remove(first), remove(second)])
    expect(await table.repair([])).toEqual({ goneFiles: 2, forgotten: [] })
    expect(await lsns()).toEqual([])
    await table.repair([{ ...log, ranges: [{ first: 1, last: 6 }] }])
    await table.send(JSON.stringify(events(1, 6)))
    await commit()
    expect(await lsns()).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('does not confuse a fork with the event whose LSN it has', async () => {
    await table.send(JSON.stringify(events(1, 2)))
    const file = await land()
    await table.send(JSON.stringify([record(orders, 2, { id: '01ARZ3NDEKTSV4RRFFQ6ZZZZZZ', type: orders })]))
    await commit()
    await overwrite(file, [1])
    const { forgotten } = await table.repair([{ ...log, ranges: [{ first: 1, last: 2 }] }])
    expect(forgotten).toEqual([{ ...log, ranges: [{ first: 2, last: 2 }] }])
  })

  it('waits for a running commit', async () => {
    await table.send(JSON.stringify(events(1, 3)))
    await runInDurableObject(table, async (lake) => {
      if (!(lake instanceof LakeTable)) throw new Error('the table of the test is a lake')
      const committing = lake.alarm()
      const repairing = lake.repair([{ ...log, ranges: [{ first: 1, last: 3 }] }])
      await committing
      expect((await repairing).forgotten).toEqual([])
    })
    await table.send(JSON.stringify(events(1, 3)))
    await commit()
    expect(await lsns()).toEqual([1, 2, 3])
  })

  it.each([
    ['anything but an array', 'everything'],
    ['an LSN below 1', [{ ...log, ranges: [{ first: 0, last: 1 }] }]],
    ['more LSNs than it can hold', [{ ...log, ranges: [{ first: 1, last: REPAIR_LSNS_MAX + 1 }] }]],
  ])('refuses %s', (_, suspects) => {
    expect(() => parseMissing(suspects)).toThrow(expect.objectContaining({ code: 'invalid-argument' }))
  })
})
