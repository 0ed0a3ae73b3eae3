// A lake with shards whose table is in a REST catalog, in which others change it.

import { env } from 'cloudflare:workers'
import { beforeAll, expect, it } from 'vitest'
import { lakeAlarms, lakeVariables } from '../../worker.ts'
import { type Fault, StandIn } from '../rest/stand-in.ts'
import { batch, commit, liveKeys, table, unlogged } from '../table.ts'
import { handOver, killAll, landAll, reshard } from './sharded.ts'

const SOURCES = ['rest-1', 'rest-2', 'rest-3', 'rest-4', 'rest-5']

let catalog: StandIn
let lsn = 0

beforeAll(async () => {
  lakeAlarms.areByTest = true
  catalog = new StandIn(env.LAKE_BUCKET)
  Object.assign(lakeVariables, {
    LAKE_CATALOG: catalog.binding,
    LAKE_CATALOG_URI: 'https://catalog.test/iceberg/',
    LAKE_CATALOG_TOKEN: catalog.token,
    LAKE_CATALOG_WAREHOUSE: catalog.warehouse,
    LAKE_LIMITS: '{"commitMs":0}',
  })
  await reshard(3)
})

async function send(): Promise<void> {
  for (const source of SOURCES) await env.LAKE.send(batch(source, lsn + 1, lsn + 2))
  lsn += 2
}

/** The LSNs of each source in the table, how many events wait, and whether the lake's own list of files is the catalog's. */
async function found() {
  const rows = await catalog.rows()
  const lsnsOf = (source: string): number[] =>
    rows
      .filter((row) => row['source'] === `acme/${source}`)
      .map((row) => Number(row['lsn']))
      .toSorted((a, b) => a - b)
  const { bufferedEvents, heldEvents } = await table.status()
  const listed = new Set(await liveKeys())
  const agrees = listed.symmetricDifference(new Set((await catalog.files()).map(({ key }) => key))).size === 0
  return { lsns: SOURCES.map(lsnsOf), waiting: bufferedEvents + heldEvents, agrees }
}

function expected(): Awaited<ReturnType<typeof found>> {
  const all = Array.from({ length: lsn }, (_, index) => index + 1)
  return { lsns: SOURCES.map(() => all), waiting: 0, agrees: true }
}

it('[I5] writes the files of a table that others have created, by its columns and partitions', async () => {
  await catalog.createByOthers()
  await send()
  await landAll()
  expect(await found()).toEqual(expected())
})

it.each<Fault>([
  'is lost before it arrives',
  'is applied, and its answer is lost',
  'is applied, and answered by 500',
  'arrives late',
])('[I5] lands each event once if the commit of offers %s', async (fault) => {
  await send()
  await handOver()
  catalog.fault = fault
  await commit()
  await send()
  await landAll()
  if (fault === 'arrives late') await catalog.deliverLate()
  await landAll()
  await landAll()
  expect(await found()).toEqual(expected())
})

it('[I5] lands each event once if others change columns and partitions between the files and their commit', async () => {
  await send()
  await handOver()
  await catalog.addColumn('rating')
  await catalog.changePartitions()
  await catalog.compact()
  await commit()
  await send()
  await landAll()
  expect(await found()).toEqual(expected())
})

it('[I5] keeps each event, once, if the number of shards changes and all objects die', async () => {
  for (const shards of [1, 0, 2]) {
    await send()
    await env.LAKE.send([unlogged('rest', shards)])
    await killAll()
    await reshard(shards)
    await env.LAKE.send([unlogged('rest', shards)])
    await landAll()
  }
  expect(await found()).toEqual(expected())
  expect((await catalog.rows()).filter((row) => row['lsn'] === null)).toHaveLength(3)
})

it('[I5] takes over by recover what the table holds, and lands what waits in the shards', async () => {
  await send()
  await catalog.compact()
  await catalog.expire()
  await table.recover(false)
  await landAll()
  expect(await found()).toEqual(expected())
})
