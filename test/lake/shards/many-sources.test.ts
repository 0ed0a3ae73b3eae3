import { env } from 'cloudflare:workers'
import { beforeAll, expect, it } from 'vitest'
import { lakeAlarms, lakeLimits } from '../../worker.ts'
import { record, summary, table, watermarks } from '../table.ts'
import { landAll, reshard } from './sharded.ts'

const SOURCES = 10_000
const BATCH = 1_000

beforeAll(() => {
  lakeAlarms.areByTest = true
  Object.assign(lakeLimits, { maxCommitEvents: SOURCES, maxBufferBytes: 64_000_000, rollEvents: SOURCES })
})

it('[I7] 10,000 sources at once land in one snapshot, with all their watermarks', async () => {
  await reshard(4)
  for (let first = 0; first < SOURCES; first += BATCH)
    await env.LAKE.send(Array.from({ length: BATCH }, (_, index) => record(`many-${first + index}`, 1)))
  await landAll()
  expect(await table.status()).toMatchObject({ bufferedEvents: 0, landedEvents: SOURCES })
  expect((await summary())['added-records']).toBe(String(SOURCES))
  const all = await watermarks()
  expect(Object.keys(all)).toHaveLength(SOURCES)
  // Each of them is known again.
  await env.LAKE.send(Array.from({ length: BATCH }, (_, index) => record(`many-${index}`, 1)))
  expect(await table.status()).toMatchObject({ bufferedEvents: 0 })
})
