// The rows of the log, and the events in them: what a row says once is put back into each of its events.

import type { EncodedEvent, EventContent } from '../event/create-event.ts'
import { type CommittedEvent, SCHEMA_VERSION } from '../event/unified-event.ts'
import type { Identity } from './identity.ts'
import { ROW_BYTES_MAX, ROW_EVENTS_MAX } from './limits.ts'

export type OutboxRow = { lsn: number; count: number; bytes: number; txid: string; time: number; events: string }

/** A part of a transaction's events, as large as a row may be. */
export interface RowContent {
  readonly count: number
  /** UTF-8 bytes of these events on the wire, at most. */
  readonly bytes: number
  readonly events: string
}

const utf8 = new TextEncoder()

/** Cuts a transaction's events into rows that stay below SQLite's row limit and the limit of a batch. */
export function splitRows(events: readonly EncodedEvent[], envelope: number): RowContent[] {
  const rows: EncodedEvent[][] = []
  let rowBytes = 0
  for (const event of events) {
    const row = rows.at(-1)
    rowBytes += event.bytes + envelope
    if (row !== undefined && row.length < ROW_EVENTS_MAX && rowBytes <= ROW_BYTES_MAX) row.push(event)
    else {
      rows.push([event])
      rowBytes = event.bytes + envelope
    }
  }
  return rows.map((row) => ({
    count: row.length,
    bytes: row.reduce((sum, event) => sum + event.bytes + envelope, 0),
    events: `[${row.map((event) => event.json).join(',')}]`,
  }))
}

/** UTF-8 bytes that a record has beyond its event's content, at most. */
export function envelopeBytes({ ns, source, epoch }: Identity): number {
  const largest = Number.MAX_SAFE_INTEGER
  const envelope = {
    ns,
    source,
    epoch,
    lsn: largest,
    txid: epoch,
    timestamp: new Date(0).toISOString(),
    _meta: { schemaVersion: SCHEMA_VERSION, source, epoch, retries: largest, redrivenFrom: largest },
  }
  return utf8.encode(JSON.stringify(envelope)).byteLength
}

/** The contents of a row's events, in LSN order. */
export function readContents(row: OutboxRow): EventContent[] {
  const contents: unknown = JSON.parse(row.events)
  if (!Array.isArray(contents) || contents.length !== row.count)
    throw new Error(`I2: the row that ends at LSN ${row.lsn} does not hold its ${row.count} events`)
  return contents
}

/** A row's events in full, those of them that lie in a range of LSNs, both ends included. */
export function readRow(identity: Identity, row: OutboxRow, first = 0, last = Infinity): CommittedEvent[] {
  return readContents(row)
    .map((content, index) => toEvent(identity, { ...row, lsn: row.lsn - row.count + 1 + index }, content))
    .filter((event) => event.lsn >= first && event.lsn <= last)
}

/** An event in full, from its content and what is known of where it stands. */
export function toEvent(
  { ns, source, epoch }: Identity,
  { lsn, txid, time }: Pick<OutboxRow, 'lsn' | 'txid' | 'time'>,
  { redrivenFrom, ...content }: EventContent,
): CommittedEvent {
  return {
    ...content,
    timestamp: content.timestamp ?? new Date(time).toISOString(),
    ns,
    txid,
    lsn,
    _meta: { schemaVersion: SCHEMA_VERSION, source, epoch, ...(redrivenFrom !== undefined && { redrivenFrom }) },
  }
}
