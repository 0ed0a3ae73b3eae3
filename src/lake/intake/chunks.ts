// Records cut into chunks, each of which is kept as one row of SQLite.

import type { ParsedRecords } from '../../event/parse-records.ts'
import type { CommittedRecord, EventRecord } from '../../event/record.ts'
import { utf8Bytes } from '../../event/utf8.ts'
import type { LogKey } from '../log.ts'
import { type RecordRun, type Run, runsOf } from './runs.ts'

/** Records that are kept as one row. */
export interface Chunk {
  readonly events: number
  readonly bytes: number
  /** JSON array of the records. */
  readonly records: string
}

/** A chunk with the runs in it, of however many logs. */
export interface RunsChunk extends Chunk {
  readonly runs: readonly Run[]
}

/** UTF-8 bytes of a chunk's records as JSON. The platform documents 2 MB for a SQLite row. */
const CHUNK_BYTES_MAX = 1_900_000

/** The request as it came, if it can be one chunk. */
export function verbatimChunk({ records, isVerbatim }: ParsedRecords, json: string): Chunk | undefined {
  const bytes = utf8Bytes(json)
  return isVerbatim && bytes <= CHUNK_BYTES_MAX ? { events: records.length, bytes, records: json } : undefined
}

export function chunksOfRuns(runs: readonly Pick<RecordRun, 'log' | 'records'>[]): RunsChunk[] {
  const logs = new Map(runs.flatMap(({ log, records }) => records.map((record) => [record, log] as const)))
  return cut([...logs.keys()]).map(({ items, ...chunk }) => ({ ...chunk, runs: runsIn(items, logs) }))
}

function runsIn(records: readonly CommittedRecord[], logs: ReadonlyMap<CommittedRecord, LogKey>): Run[] {
  return [...Map.groupBy(records, (record) => logs.get(record) ?? '')].flatMap(([log, group]) =>
    runsOf(log, group).map(({ first, last }) => ({ log, first, last })),
  )
}

export function chunksOf(records: readonly EventRecord[]): Chunk[] {
  return cut(records).map(({ items: _items, ...chunk }) => chunk)
}

function cut<Item extends EventRecord>(items: readonly Item[]): (Chunk & { readonly items: readonly Item[] })[] {
  const chunks: { items: Item[]; bytes: number; json: string[] }[] = []
  for (const item of items) {
    const json = JSON.stringify(item)
    // With the comma or the bracket before it.
    const bytes = utf8Bytes(json) + 1
    const chunk = chunks.at(-1)
    if (chunk !== undefined && chunk.bytes + bytes <= CHUNK_BYTES_MAX) {
      chunk.items.push(item)
      chunk.bytes += bytes
      chunk.json.push(json)
    } else chunks.push({ items: [item], bytes: bytes + 1, json: [json] })
  }
  return chunks.map(({ items, bytes, json }) => ({
    items,
    events: items.length,
    bytes,
    records: `[${json.join(',')}]`,
  }))
}
