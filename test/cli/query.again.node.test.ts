// A query after which nothing was written: the next one does not reach the bucket.

import { readdir, rm, truncate, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import * as wrangler from 'wrangler'
import { createProject, eventRow, type Lake, openLake, runIn } from './lake-fixture.ts'

vi.mock('wrangler', async (load) => {
  const original = await load<typeof wrangler>()
  return { ...original, getPlatformProxy: vi.fn<typeof original.getPlatformProxy>(original.getPlatformProxy) }
})

const WAIT = { timeout: 60_000 }
const TIME = '2026-11-01T02:00:00.000Z'

describe('a query of a lake', () => {
  let project: Awaited<ReturnType<typeof createProject>>
  let lake: Lake

  beforeEach(async () => {
    project = await createProject()
    lake = await openLake(project.root)
    await lake.append([eventRow(TIME, { id: 'a' })])
    await settle(project.root)
    await query()
  })

  afterEach(() => project.remove())

  /** @returns the ids, and whether the bucket was reached. */
  async function query(...flags: string[]): Promise<[ids: string, isReached: boolean]> {
    vi.mocked(wrangler.getPlatformProxy).mockClear()
    const { code, stdout, stderr } = await runIn(project.root, [
      'query',
      'SELECT id FROM events ORDER BY id',
      '--csv',
      ...flags,
    ])
    expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('(') })
    return [stdout.replaceAll('\r\n', ' '), vi.mocked(wrangler.getPlatformProxy).mock.calls.length > 0]
  }

  it('does not reach the bucket again if nothing was written', async () => {
    // A reader of before may still be closing the database, which is a change too.
    await vi.waitFor(async () => expect(await query()).toEqual(['id a ', false]), WAIT)
  })

  it('sees at once what was written', async () => {
    await lake.append([eventRow(TIME, { id: 'b' })])
    expect(await query()).toEqual(['id a b ', true])
  })

  it('reaches it for a copy that is gone or not whole, for another configuration, and for a proof', async () => {
    const cache = join(project.root, '.wrangler/state/query-cache/files')
    const [name = ''] = (await readdir(cache)).filter((file) => file.endsWith('.parquet'))
    await truncate(join(cache, name), 1)
    expect(await query()).toEqual(['id a ', true])
    await rm(join(cache, name))
    expect(await query()).toEqual(['id a ', true])
    await vi.waitFor(async () => expect(await query()).toEqual(['id a ', false]), WAIT)
    await writeFile(
      join(project.root, 'other.toml'),
      'name = "shop"\nr2_buckets = [{ binding = "LAKE_BUCKET", bucket_name = "durable-outbox-lake" }]',
    )
    expect(await query('--config', 'other.toml')).toEqual(['id a ', true])
    vi.mocked(wrangler.getPlatformProxy).mockClear()
    expect(await runIn(project.root, ['verify'])).toMatchObject({ stdout: expect.stringContaining('1 event') })
    expect(wrangler.getPlatformProxy).toHaveBeenCalled()
  })
})

/** Makes the files of the buckets older: one that was written just now may be written again within the same tick. */
async function settle(root: string, state = '.wrangler/state'): Promise<void> {
  const folder = join(root, state, 'v3/r2')
  const before = new Date(Date.now() - 1_000)
  for (const name of await readdir(folder, { recursive: true })) await utimes(join(folder, name), before, before)
}

describe('a query of a lake that only the demo has made', () => {
  it('finds it, and has a place for what it keeps', async () => {
    const project = await createProject()
    const demo = await openLake(project.root, '.wrangler/demo')
    await demo.append([eventRow(TIME, { id: 'a' })])
    await settle(project.root, '.wrangler/demo')
    const { code, stdout } = await runIn(project.root, ['query', 'SELECT id FROM events', '--csv'])
    await project.remove()
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'id\r\na\r\n' })
  })
})
