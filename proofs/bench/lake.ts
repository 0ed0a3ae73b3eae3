// How fast records become committed Parquet in one lake, against the Parquet writer alone, and whether that stays so as
// the table grows.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import type { EventRecord } from 'durable-outbox'
import { type ColumnSource, parquetWriteBuffer } from 'hyparquet-writer'
import * as z from 'zod'
import { EVENTS_COLUMNS } from '../../src/lake/table/table.ts'
import type { Figure } from './figure.ts'
import { createRecords, type IngestLoad } from './lake-records.ts'
import { median } from './quantile.ts'
import { callWorker } from './workerd.ts'

const ROUNDS = 7
const ROUND_EVENTS = 10_000
const BATCH_EVENTS = 1_000
/** The sizes of the table, in events, at which the rate is measured. */
const TABLE_EVENTS = [1_000, 10_000, 100_000, 1_000_000]
const [FEW_SOURCES, MANY_SOURCES] = [10, 10_000]

/** More shards make more and smaller files of the same events. */
const SHARDS = [
  { shards: 1, atLeast: 0.7 },
  { shards: 2, atLeast: 0.6 },
  { shards: 4, atLeast: 0.5 },
]

/** A commit waits for its files, for the metadata and for the hint, or the catalog; and it computes. */
const REQUESTS_IN_A_ROW = 3
const COMMIT_MS = 250
const COMMITS = 30

const timesSchema = z.object({ sendMs: z.number(), handOverMs: z.number(), commitMs: z.number() })
const bytesSchema = z.object({ bytes: z.number() })

export const lakeFigures: readonly Figure[] = [
  {
    name: 'lake.ingest.ratio',
    unit: 'events/s into committed Parquet to those of hyparquet-writer alone, in Node',
    goal: { atLeast: 0.6 },
    measure: measureIngest,
  },
  {
    name: 'lake.ingest.growth.ratio',
    unit: 'events/s into a table of 1,000,000 events to those into one of 1,000',
    goal: { atLeast: 0.7 },
    isLong: true,
    measure: measureGrowth,
  },
  {
    name: 'lake.ingest.sources.ratio',
    unit: 'events/s from 10,000 sources, one event each in a commit, to those from 10',
    goal: { atLeast: 0.8 },
    measure: measureSources,
  },
  ...SHARDS.map(({ shards, atLeast }): Figure => ({
    name: `lake.shards.${shards}`,
    unit: `events/s with ${shards} intake ${shards === 1 ? 'shard' : 'shards'} to those without, all objects on one thread`,
    goal: { atLeast },
    measure: () => measureShards(shards),
  })),
  ...(['own', 'rest'] as const).flatMap((catalog) =>
    [5, 20, 50].map((latencyMs): Figure => ({
      name: `lake.commits.${catalog}.${latencyMs}ms`,
      unit: `commits/s, if each request to R2${catalog === 'own' ? '' : ' and to the catalog'} takes ${latencyMs} ms`,
      goal: { atLeast: Math.floor((1_000 / (latencyMs * REQUESTS_IN_A_ROW + COMMIT_MS)) * 10) / 10 },
      measure: () => measureCommits(catalog, latencyMs),
    })),
  ),
  {
    name: 'lake.bytes.ratio',
    unit: 'bytes of the data files to those of gzipped NDJSON of the same events',
    goal: { atMost: 1 },
    measure: measureBytes,
  },
]

async function measureIngest(): Promise<number> {
  const lakeMs: number[] = []
  const sendMs: number[] = []
  const bareMs: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const load = loadOf(ROUND_EVENTS, 10, round)
    const times = await ingest('ingest', load)
    lakeMs.push(times.sendMs + times.commitMs)
    sendMs.push(times.sendMs)
    bareMs.push(writeAlone(createRecords(load)))
  }
  console.error(
    `lake.ingest: ${perEvent(lakeMs)} µs an event, ${perEvent(sendMs)} of them to take it in; the writer alone ${perEvent(bareMs)} µs`,
  )
  return median(lakeMs.map((ms, round) => (bareMs[round] ?? Number.NaN) / ms))
}

/** The same rows in the same files, by the Parquet writer and the disk alone. @returns milliseconds. */
function writeAlone(records: readonly EventRecord[]): number {
  const directory = mkdtempSync(join(tmpdir(), 'durable-outbox-bench-lake-'))
  const partitions = [...Map.groupBy(records, ({ type }) => type).values()].map(columnsOf)
  const begin = performance.now()
  for (const [index, columnData] of partitions.entries()) {
    const file = parquetWriteBuffer({ columnData, codec: 'ZSTD', compressors: { ZSTD: zstdCompressSync } })
    writeFileSync(join(directory, `${index}.parquet`), new Uint8Array(file))
  }
  const ms = performance.now() - begin
  rmSync(directory, { recursive: true })
  return ms
}

function columnsOf(records: readonly EventRecord[]): ColumnSource[] {
  const rows = records.map((record) => ({
    ...record,
    timestamp: BigInt(Date.parse(record.timestamp)) * 1_000n,
    __ingest_ts: BigInt(Date.parse(record.timestamp)) * 1_000n,
    source: `${record.ns}/${record.source}`,
    table_url: `${record.ns}/${record.table}`,
    lsn: BigInt(record.lsn ?? 0),
    before: text(record.before),
    after: text(record.after),
    data: text(record.data),
    _meta: text(record._meta),
  }))
  return EVENTS_COLUMNS.map(({ name, type, required }) => ({
    name,
    data: rows.map((row) => (row as Record<string, unknown>)[name] ?? null),
    type: type === 'string' ? 'STRING' : 'INT64',
    nullable: !required,
  }))
}

async function measureGrowth(): Promise<number> {
  const rates: number[] = []
  let events = 0
  const grow = async (more: number): Promise<number> => {
    const eventsPerSource = more / 10
    const rate = await rateOf('growth', {
      sources: 10,
      eventsPerSource,
      firstLSN: 1 + events / 10,
      batch: BATCH_EVENTS,
    })
    events += more
    return rate
  }
  for (const target of TABLE_EVENTS) {
    for (let more = target - events; more > 0; more = target - events) await grow(Math.min(50_000, more))
    const round = [await grow(ROUND_EVENTS), await grow(ROUND_EVENTS), await grow(ROUND_EVENTS)]
    rates.push(median(round))
    console.error(`lake.ingest.growth: ${Math.round(median(round))} events/s at ${target} events in the table`)
  }
  return (rates.at(-1) ?? Number.NaN) / (rates[0] ?? Number.NaN)
}

async function measureSources(): Promise<number> {
  const rates: { few: number; many: number }[] = []
  // The first round creates the sources, and is left out.
  for (let round = 0; round <= ROUNDS; round++) {
    const rate = (sources: number) => rateOf(`sources-${sources}`, loadOf(ROUND_EVENTS, sources, round))
    rates.push({ few: await rate(FEW_SOURCES), many: await rate(MANY_SOURCES) })
  }
  const measured = rates.slice(1)
  const medianOf = (side: 'few' | 'many') => Math.round(median(measured.map((each) => each[side])))
  console.error(
    `lake.ingest.sources: ${medianOf('few')} events/s from ${FEW_SOURCES} sources, ${medianOf('many')} from ${MANY_SOURCES}`,
  )
  return median(measured.map(({ few, many }) => many / few))
}

/** workerd runs all objects of a process on one thread, so this is what the hand-over costs, not what more objects give. */
async function measureShards(shards: number): Promise<number> {
  const rates: { without: number; with: number }[] = []
  const commitMs: number[] = []
  // The first round warms up, and is left out.
  for (let round = 0; round <= ROUNDS; round++) {
    const load = loadOf(ROUND_EVENTS, 10, round)
    const timesOf = async (path: string) => timesSchema.parse(await callWorker(path, load))
    const without = await timesOf(`/lake/ingest/beside-shards-of-${shards}`)
    const sharded = await timesOf(`/lake/shards/${shards}`)
    if (round === 0) continue
    rates.push({ without: rateIn(without), with: rateIn(sharded) })
    commitMs.push(sharded.commitMs)
  }
  const medianOf = (side: 'without' | 'with') => median(rates.map((each) => each[side]))
  console.error(
    `lake.shards.${shards}: ${Math.round(medianOf('with'))} events/s, ${Math.round(medianOf('without'))} without shards; of ` +
      `${(1_000_000 / medianOf('with')).toFixed(1)} µs an event, ${perEvent(commitMs)} are those of the object that commits`,
  )
  return median(rates.map((each) => each.with / each.without))
}

function rateIn({ sendMs, handOverMs, commitMs }: z.infer<typeof timesSchema>): number {
  return (ROUND_EVENTS / (sendMs + handOverMs + commitMs)) * 1_000
}

async function measureCommits(catalog: 'own' | 'rest', latencyMs: number): Promise<number> {
  const load: IngestLoad = { sources: 1, eventsPerSource: COMMITS, firstLSN: 1, batch: 1 }
  const { ms } = z
    .object({ ms: z.number() })
    .parse(await callWorker(`/lake/commits/commits-${catalog}-${latencyMs}ms`, load))
  console.error(`lake.commits.${catalog}: ${(ms / COMMITS).toFixed(0)} ms a commit at ${latencyMs} ms a request`)
  return (COMMITS / ms) * 1_000
}

async function measureBytes(): Promise<number> {
  const events = 50_000
  const load = loadOf(events, 10, 0)
  await ingest('bytes', load)
  const { bytes } = bytesSchema.parse(await callWorker('/lake/bytes/bytes', {}))
  const ndjson = gzipSync(
    createRecords(load)
      .map((record) => `${JSON.stringify(record)}\n`)
      .join(''),
  )
  console.error(
    `lake.bytes: ${(bytes / events).toFixed(1)} bytes an event, gzipped NDJSON ${(ndjson.byteLength / events).toFixed(1)}`,
  )
  return bytes / ndjson.byteLength
}

async function rateOf(table: string, load: IngestLoad): Promise<number> {
  const { sendMs, commitMs } = await ingest(table, load)
  return ((load.sources * load.eventsPerSource) / (sendMs + commitMs)) * 1_000
}

/** One of several loads that follow each other in the logs of the same sources. */
function loadOf(events: number, sources: number, round: number): IngestLoad {
  const eventsPerSource = events / sources
  return { sources, eventsPerSource, firstLSN: 1 + round * eventsPerSource, batch: BATCH_EVENTS }
}

function perEvent(ms: readonly number[]): string {
  return ((median(ms) * 1_000) / ROUND_EVENTS).toFixed(1)
}

function text(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value)
}

async function ingest(table: string, load: IngestLoad): Promise<z.infer<typeof timesSchema>> {
  return timesSchema.parse(await callWorker(`/lake/ingest/${table}`, load))
}
