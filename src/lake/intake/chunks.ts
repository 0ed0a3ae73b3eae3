// Records cut into chunks, each of which is kept as one row of SQLite.

import type { ParsedRecords } from '../../event/parse-records.ts'
import type { CommittedRecord, EventRecord } from '../../event/record.ts'
import { utf8Bytes } from '../../event/utf8.ts'
import type { LogKey } from '../log.ts'
import { type RecordRun, type Run, runsOf } from './runs.ts'

/** Records that are kept as one row. */
export interface Chunk {
  readonly records: readonly EventRecord[]
  readonly bytes: number
  /** JSON array of the records. */
  readonly json: string
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
  return isVerbatim && bytes <= CHUNK_BYTES_MAX ? { records, bytes, json } : undefined
}

export function chunksOfRuns(runs: readonly Pick<RecordRun, 'log' | 'records'>[]): RunsChunk[] {
  const logs = new Map(runs.flatMap(({ log, records }) => records.map((record) => [record, log] as const)))
  return chunksOf([...logs.keys()]).map((chunk) => ({ ...chunk, runs: runsIn(chunk.records, logs) }))
}

function runsIn(records: readonly CommittedRecord[], logs: ReadonlyMap<CommittedRecord, LogKey>): Run[] {
  return [...Map.groupBy(records, (record) => logs.get(record) ?? '')].flatMap(([log, group]) =>
    runsOf(log, group).map(({ first, last }) => ({ log, first, last })),
  )
}

export function chunksOf<Item extends EventRecord>(
  records: readonly Item[],
): (Chunk & { readonly records: readonly Item[] })[] {
  const chunks: { records: Item[]; bytes: number; json: string[] }[] = []
  for (const record of records) {
    const json = JSON.stringify(record)
    // With the comma or the bracket before it.
    const bytes = utf8Bytes(json) + 1
    const chunk = chunks.at(-1)
    if (chunk !== undefined && chunk.bytes + bytes <= CHUNK_BYTES_MAX) {
      chunk.records.push(record)
      chunk.bytes += bytes
      chunk.json.push(json)
    } else chunks.push({ records: [record], bytes: bytes + 1, json: [json] })
  }
  return chunks.map(({ json, ...chunk }) => ({ ...chunk, json: `[${json.join(',')}]` }))
}

/** Items as JSON, as arrays each of which may be half a row; at least one item each. */
export function textChunks(items: readonly string[]): string[] {
  const chunks: { items: string[]; bytes: number }[] = []
  for (const item of items) {
    const bytes = utf8Bytes(item) + 1
    const chunk = chunks.at(-1)
    if (chunk !== undefined && chunk.bytes + bytes <= CHUNK_BYTES_MAX / 2) {
      chunk.items.push(item)
      chunk.bytes += bytes
    } else chunks.push({ items: [item], bytes })
  }
  return chunks.map((chunk) => `[${chunk.items.join(',')}]`)
}
