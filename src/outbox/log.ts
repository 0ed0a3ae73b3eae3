// The rows of the log, and the events in them: what a row says once is put back into each of its events.

import type { EncodedEvent, EventContent } from '../event/create-event.ts'
import type { CommittedRecord } from '../event/record.ts'
import { type CommittedEvent, SCHEMA_VERSION } from '../event/unified-event.ts'
import { utf8Bytes } from '../event/utf8.ts'
import { type CapturedContent, showCaptured } from './captured-values.ts'
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

/** Cuts a transaction's events into rows that stay below SQLite's row limit and the limit of a batch. */
export function splitRows(events: readonly EncodedEvent[], envelope: number): RowContent[] {
  const rows: { count: number; bytes: number; events: string }[] = []
  let row = { count: 0, bytes: 0, events: '' }
  for (const { json, bytes } of events) {
    const rowBytes = row.bytes + bytes + envelope
    const isFull = row.count === ROW_EVENTS_MAX || rowBytes > ROW_BYTES_MAX
    if (row.count === 0 || isFull) {
      row = { count: 1, bytes: bytes + envelope, events: json }
      rows.push(row)
    } else {
      row.count += 1
      row.bytes = rowBytes
      row.events += `,${json}`
    }
  }
  return rows.map(({ count, bytes, events: list }) => ({ count, bytes, events: `[${list}]` }))
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
  return utf8Bytes(JSON.stringify(envelope))
}

/** Type that stands for an event of which the log's row can no longer be read. */
export const UNREADABLE_TYPE = 'cdc.unreadable'

/** The contents of a row's events, in LSN order. If the row can't be read, so many events say so. */
export function readContents(row: OutboxRow): EventContent[] {
  const contents = parseContents(row)
  if (!(contents instanceof Error)) return contents
  const data = { reason: contents.message }
  return Array.from({ length: row.count }, () => ({ id: '', type: UNREADABLE_TYPE, data }))
}

/** The same, or why they can't be read. */
export function parseContents(row: OutboxRow): EventContent[] | Error {
  try {
    const contents: unknown = JSON.parse(row.events)
    if (!Array.isArray(contents) || contents.length !== row.count) return wrongCount(row)
    for (const content of contents as CapturedContent[]) if (content.captured === 1) showCaptured(content)
    return contents
  } catch (error) {
    return new Error(`the row that ends at LSN ${row.lsn} can't be read: ${String(error)}`)
  }
}

function wrongCount({ lsn, count }: OutboxRow): Error {
  return new Error(`I2: the row that ends at LSN ${lsn} does not hold its ${count} events`)
}

/** A row's events in full, those of them that lie in a range of LSNs, both ends included. */
export function readRow(identity: Identity, row: OutboxRow, first = 0, last = Infinity): CommittedEvent[] {
  return readContents(row)
    .map((content, index) => toEvent(identity, { ...row, lsn: row.lsn - row.count + 1 + index }, content))
    .filter((event) => event.lsn >= first && event.lsn <= last)
}

/**
 * The events of a batch as they go over the wire. The hot path of the relay: all rows are parsed at once, what was parsed
 * becomes the records themselves, and all of them share one `_meta`, which an RPC call then carries once.
 */
export function readRecords(
  { ns, source, epoch }: Identity,
  rows: readonly OutboxRow[],
  { first, last, retries }: { first: number; last: number; retries: number },
): CommittedRecord[] {
  const parsed: unknown = JSON.parse(`[${rows.map((row) => row.events).join(',')}]`)
  const contents = Array.isArray(parsed) ? (parsed as CapturedContent[][]) : []
  const _meta = { schemaVersion: SCHEMA_VERSION, source, epoch, ...(retries > 0 && { retries }) }
  const records: CommittedRecord[] = []
  let [time, timestamp] = [Number.NaN, '']
  for (const [index, row] of rows.entries()) {
    const events = contents[index]
    if (events?.length !== row.count) throw wrongCount(row)
    if (row.time !== time) [time, timestamp] = [row.time, new Date(row.time).toISOString()]
    let lsn = row.lsn - row.count
    for (const content of events) {
      if (content.captured === 1) showCaptured(content)
      lsn += 1
      if (lsn >= first && lsn <= last)
        records.push(completeRecord(content, { timestamp, ns, source, epoch, lsn, txid: row.txid, _meta }))
    }
  }
  return records
}

/**
 * The records of events as they happened, each at its own place: that of an event which the pipeline has refused, and not the
 * record of the dead letter. What was sent again under a new LSN is left out, because its place is the former one.
 */
export function readOriginals(
  { ns, source, epoch }: Identity,
  rows: readonly OutboxRow[],
  { first, last, retries }: { first: number; last: number; retries: number },
): CommittedRecord[] {
  const _meta = { schemaVersion: SCHEMA_VERSION, source, epoch, ...(retries > 0 && { retries }) }
  return rows.flatMap((row) => {
    const timestamp = new Date(row.time).toISOString()
    return readContents(row).flatMap((content, index) => {
      const lsn = row.lsn - row.count + 1 + index
      const original = originalOf(content)
      if (lsn < first || lsn > last || original.redrivenFrom !== undefined) return []
      return [completeRecord(original, { timestamp, ns, source, epoch, lsn, txid: row.txid, _meta })]
    })
  })
}

/** The event itself, also if the pipeline has refused it. */
export function originalOf(content: EventContent): EventContent {
  return content.refused ?? content
}

type Envelope = Pick<CommittedRecord, 'timestamp' | 'ns' | 'source' | 'epoch' | 'lsn' | 'txid' | '_meta'>

/** Makes a record of an event's content, in place: a copy of each would cost as much as reading it. */
function completeRecord(content: EventContent & { correlation_id?: string }, envelope: Envelope): CommittedRecord {
  const { correlationId, redrivenFrom, dataVersion, traceparent, timestamp = envelope.timestamp } = content
  if (correlationId !== undefined) {
    content.correlation_id = correlationId
    delete content.correlationId
  }
  if (redrivenFrom !== undefined) delete content.redrivenFrom
  if (dataVersion !== undefined) delete content.dataVersion
  if (traceparent !== undefined) delete content.traceparent
  if (content.refused !== undefined) delete content.refused
  const own = ownMeta({ redrivenFrom, dataVersion, traceparent })
  const _meta = own === undefined ? envelope._meta : { ...envelope._meta, ...own }
  return Object.assign(content, envelope, { timestamp, _meta })
}

/** An event in full, from its content and what is known of where it stands. */
export function toEvent(
  { ns, source, epoch }: Identity,
  { lsn, txid, time }: Pick<OutboxRow, 'lsn' | 'txid' | 'time'>,
  stored: EventContent,
): CommittedEvent {
  const { redrivenFrom, dataVersion, traceparent, ...content } = stored
  delete content.refused
  return {
    ...content,
    timestamp: content.timestamp ?? new Date(time).toISOString(),
    ns,
    txid,
    lsn,
    _meta: { schemaVersion: SCHEMA_VERSION, source, epoch, ...ownMeta({ redrivenFrom, dataVersion, traceparent }) },
  }
}

/** What `_meta` says of one event alone; nothing of most. */
function ownMeta({
  redrivenFrom,
  dataVersion,
  traceparent,
}: {
  [Field in 'redrivenFrom' | 'dataVersion' | 'traceparent']: EventContent[Field] | undefined
}) {
  if (redrivenFrom === undefined && dataVersion === undefined && traceparent === undefined) return undefined
  return {
    ...(redrivenFrom !== undefined && { redrivenFrom }),
    ...(dataVersion !== undefined && { dataVersion }),
    ...(traceparent !== undefined && { traceparent }),
  }
}
