// Objects with the defaults of the library that commit at a steady rate, and the times at which their events reach the table.

import { zstdDecompressSync } from 'node:zlib'
import { CDCDurableObject, type CDCOptions } from 'durable-outbox'
import type { Lake } from 'durable-outbox/lake'
import { parquetReadObjects } from 'hyparquet'
import { currentSnapshot } from '../../src/lake/iceberg/metadata.ts'
import { type BenchLakeTable, catalogOf } from './lake-object.ts'

export interface SteadyLoad {
  readonly seconds: number
  readonly eventsPerSecond: number
  readonly objects: number
  /** Whether the table is in a REST catalog, and is watched through that. */
  readonly isInCatalog: boolean
}

/** What one event went through, in milliseconds since 1970. */
export interface EventTimes {
  readonly committedMs: number
  /** When the lake accepted it. */
  readonly acceptedMs: number
  /** When a metadata file first named it. */
  readonly visibleMs: number
}

interface FreshnessEnv {
  LAKE: Service<Lake>
  LAKE_TABLE: DurableObjectNamespace<BenchLakeTable>
  LAKE_BUCKET: R2Bucket
  FRESHNESS: DurableObjectNamespace<FreshnessObject>
}

/** The lake whose table is in a REST catalog, and the names of the objects that send to it. */
const CATALOG_LAKE = 'freshness-rest'
const CATALOG_OBJECT = 'rest'

const TICK_MS = 20
const LANDING_MS_MAX = 60_000

export class FreshnessObject extends CDCDurableObject<FreshnessEnv> {
  protected override configure(): CDCOptions {
    if (this.ctx.id.name?.startsWith(CATALOG_OBJECT) !== true) return { pipeline: this.env.LAKE }
    const lake = this.env.LAKE_TABLE.getByName(CATALOG_LAKE)
    return { pipeline: { send: async (records) => lake.send(JSON.stringify(records)) } }
  }

  /** Commits transactions of one event each. */
  commit(events: number): void {
    for (let event = 0; event < events; event++)
      this.ctx.transactionSync((tx) => tx.emit({ type: 'Reading', data: { event, note: 'a reading like any other' } }))
  }
}

/** Commits at a steady rate, and watches the table meanwhile. */
export async function measureFreshness(env: FreshnessEnv, load: SteadyLoad): Promise<EventTimes[]> {
  const sightings: { atMs: number; events: number }[] = []
  const expected = await Promise.all([watch(env, sightings, load), commitSteadily(env, load)])
  const landed = await readTimes(env.LAKE_BUCKET, load.isInCatalog ? 'warehouse/cdc/events-1/' : 'cdc.events/events/')
  if (landed.length !== expected[1]) throw new Error(`${landed.length} of ${expected[1]} events have landed`)
  // Events become visible in the order in which the lake took them in.
  let sighting = 0
  return landed.map(({ committedMs, acceptedMs }, index) => {
    while ((sightings[sighting]?.events ?? Infinity) <= index) sighting += 1
    return { committedMs, acceptedMs, visibleMs: sightings[sighting]?.atMs ?? Number.NaN }
  })
}

async function commitSteadily(env: FreshnessEnv, load: SteadyLoad): Promise<number> {
  const perTick = (load.eventsPerSecond * TICK_MS) / 1_000
  const ticks = (load.seconds * 1_000) / TICK_MS
  const beginMs = Date.now()
  const name = load.isInCatalog ? CATALOG_OBJECT : 'fresh'
  for (let tick = 0; tick < ticks; tick++) {
    await env.FRESHNESS.getByName(`${name}-${tick % load.objects}`).commit(perTick)
    await scheduler.wait(Math.max(0, beginMs + (tick + 1) * TICK_MS - Date.now()))
  }
  return ticks * perTick
}

/** Records how many events are in the table over time, until all of them are. */
async function watch(
  env: FreshnessEnv,
  sightings: { atMs: number; events: number }[],
  { seconds, eventsPerSecond, isInCatalog }: SteadyLoad,
): Promise<void> {
  const endMs = Date.now() + seconds * 1_000 + LANDING_MS_MAX
  for (let events = 0; events < seconds * eventsPerSecond && Date.now() < endMs;) {
    const landedEvents = isInCatalog ? recordsInCatalog(env) : (await env.LAKE.status()).landedEvents
    if (landedEvents > events) sightings.push({ atMs: Date.now(), events: landedEvents })
    events = landedEvents
    await scheduler.wait(5)
  }
}

/** What a reader of the catalog would see now. */
function recordsInCatalog(env: FreshnessEnv): number {
  const catalog = catalogOf(CATALOG_LAKE, env.LAKE_BUCKET)
  return catalog.hasTable ? Number(currentSnapshot(catalog.metadata)?.summary['total-records'] ?? 0) : 0
}

/** When each event was committed and accepted, in the order of acceptance. */
async function readTimes(bucket: R2Bucket, prefix: string): Promise<Omit<EventTimes, 'visibleMs'>[]> {
  const { objects } = await bucket.list({ prefix: `${prefix}data/type=Reading/` })
  const times = new Map<unknown, Omit<EventTimes, 'visibleMs'>>()
  for (const { key } of objects) {
    const file = await (await bucket.get(key))?.arrayBuffer()
    if (file === undefined) continue
    const compressors = { ZSTD: (page: Uint8Array) => new Uint8Array(zstdDecompressSync(page)) }
    // A file that was compacted exists beside the new one for a while.
    for (const row of await parquetReadObjects({ file, compressors, columns: ['id', 'timestamp', '__ingest_ts'] }))
      times.set(row['id'], { committedMs: msOf(row['timestamp']), acceptedMs: msOf(row['__ingest_ts']) })
  }
  return [...times.values()].toSorted((a, b) => a.acceptedMs - b.acceptedMs)
}

function msOf(time: unknown): number {
  return time instanceof Date ? time.getTime() : Number.NaN
}
