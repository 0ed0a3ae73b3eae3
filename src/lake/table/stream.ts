// From the records of the stream to the rows of the table.

import type { EventRecord } from '../../event/record.ts'
import type { Row, Value } from '../iceberg/schema.ts'
import { rowOf } from './stream.generated.ts'
import type { StreamEvent, StreamRow } from './stream-row.ts'
import { EVENTS_COLUMNS } from './table.ts'

/** The rows of records that the lake took in at a time, in milliseconds since 1970. */
export function toRows(records: readonly EventRecord[], takenMs: number): Row[] {
  const takenAt = new Date(takenMs).toISOString()
  return records.map((record) => toRow(rowOf(toEvent(record, takenAt))))
}

export function toEvent(record: EventRecord, takenAt: string): StreamEvent {
  return {
    id: record.id,
    type: record.type,
    timestamp: record.timestamp,
    ns: record.ns,
    source: record.source,
    epoch: record.epoch ?? null,
    lsn: record.lsn ?? null,
    txid: record.txid ?? null,
    correlation_id: record.correlation_id ?? null,
    op: record.op ?? null,
    store: record.store ?? null,
    table: record.table ?? null,
    key: record.key ?? null,
    before: toText(record.before),
    after: toText(record.after),
    actor: record.actor ?? null,
    data: toText(record.data),
    visibility: record.visibility ?? null,
    _meta: toText(record._meta),
    __ingest_ts: takenAt,
  }
}

function toText(value: object | undefined): string | null {
  return value === undefined ? null : JSON.stringify(value)
}

/** Gives a row the types of the table's columns. */
function toRow(row: StreamRow): Row {
  const typed = row as Record<string, Value>
  for (const { name, convert } of TYPED_COLUMNS) {
    const value = row[name] ?? null
    if (value !== null) typed[name] = convert(value)
  }
  return typed
}

const TYPED_COLUMNS = EVENTS_COLUMNS.flatMap(({ name, type }) => {
  if (type === 'string') return []
  return [{ name, convert: type === 'timestamptz' ? createTimeReader() : BigInt }]
})

/** Reads times as `toMicros` does, and remembers the last one: the events of a transaction share theirs. */
function createTimeReader(): (timestamp: string | number) => bigint {
  let last: { timestamp: string | number; micros: bigint } | undefined
  return (timestamp) => {
    if (timestamp !== last?.timestamp) last = { timestamp, micros: toMicros(String(timestamp)) }
    return last.micros
  }
}

const MILLISECONDS_LENGTH = '2026-11-22T08:30:00.000Z'.length

/** Microseconds since 1970 of an ISO 8601 time with at most six digits after the second. */
function toMicros(timestamp: string): bigint {
  if (timestamp.length === MILLISECONDS_LENGTH) return BigInt(Date.parse(timestamp)) * 1_000n
  const [whole = '', fraction = ''] = timestamp.replace('Z', '').split('.')
  return BigInt(Date.parse(`${whole}Z`)) * 1_000n + BigInt(fraction.padEnd(6, '0'))
}
