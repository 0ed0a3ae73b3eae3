// What the lake makes of a request: which of its records are new, cut into parts that are kept as rows. Keeps I5: each
// (source, epoch, lsn) is taken in once, whatever was retried, doubled or reordered on its way.

import { CDCError } from '../error.ts'
import { type CommittedRecord, type EventRecord, eventRecordSchema } from '../event/record.ts'
import { utf8Bytes } from '../event/utf8.ts'
import { contains, type LSNRange } from './ranges.ts'

/** UTF-8 bytes of one part's records as JSON. The platform documents 2 MB for a SQLite row. */
const PART_BYTES_MAX = 1_900_000

/** One outbox in one life, as the table names it: `source` is global, `<ns>/<source>`, and may be that of two ns. */
export interface Origin {
  readonly ns: string
  readonly source: string
  readonly epoch: string
}

/** Records that are kept as one row. */
export interface Part {
  readonly events: number
  readonly bytes: number
  /** JSON array of the records. */
  readonly records: string
}

/** A part of one origin, with consecutive LSNs. */
export interface Run extends Part, Origin, LSNRange {}

/** Checks what was sent. @throws {CDCError} `record-invalid`, with the record's index; then none of them is taken in. */
export function parseRecords(records: unknown): EventRecord[] {
  if (!Array.isArray(records)) throw new CDCError('record-invalid', 'send: records must be an array')
  return records.map((record, index) => {
    const parsed = eventRecordSchema.safeParse(record)
    if (parsed.success) return parsed.data
    const [issue] = parsed.error.issues
    throw new CDCError('record-invalid', `send: record ${index}: ${issue?.path.join('.')}: ${issue?.message}`)
  })
}

/** Sorts records by the outbox that they come from. */
export function groupByOrigin(records: readonly CommittedRecord[]): { origin: Origin; records: CommittedRecord[] }[] {
  const groups = Map.groupBy(records, ({ ns, source, epoch }) => JSON.stringify([ns, source, epoch]))
  return Array.from(groups.values(), (group) => ({ origin: originOf(group), records: group }))
}

/** The records of one origin that are not among the LSNs `taken`, as runs. */
export function newRuns(origin: Origin, records: readonly CommittedRecord[], taken: readonly LSNRange[]): Run[] {
  const rows: CommittedRecord[] = []
  for (const record of records.toSorted((a, b) => a.lsn - b.lsn))
    if (!contains(taken, record.lsn) && rows.at(-1)?.lsn !== record.lsn) rows.push(record)
  return cut(rows, (before, { lsn }) => before.lsn + 1 === lsn).map(({ first, last, ...part }) => ({
    ...origin,
    ...part,
    first: first.lsn,
    last: last.lsn,
  }))
}

/** Records that have no place in a log, as parts. */
export function partsOf(records: readonly EventRecord[]): Part[] {
  return cut(records, () => true).map(({ events, bytes, records }) => ({ events, bytes, records }))
}

/** Cuts records into parts that are not too large, and also where one may not follow the other. */
function cut<Item extends EventRecord>(
  items: readonly Item[],
  follows: (before: Item, item: Item) => boolean,
): (Part & { first: Item; last: Item })[] {
  const parts: { first: Item; last: Item; bytes: number; json: string[] }[] = []
  for (const item of items) {
    const json = JSON.stringify(item)
    // With the comma or the bracket before it.
    const bytes = utf8Bytes(json) + 1
    const part = parts.at(-1)
    if (part !== undefined && part.bytes + bytes <= PART_BYTES_MAX && follows(part.last, item)) {
      part.last = item
      part.bytes += bytes
      part.json.push(json)
    } else parts.push({ first: item, last: item, bytes: bytes + 1, json: [json] })
  }
  return parts.map(({ json, ...part }) => ({ ...part, events: json.length, records: `[${json.join(',')}]` }))
}

function originOf(group: readonly CommittedRecord[]): Origin {
  const [record] = group
  if (record === undefined) throw new Error('a group of records is never empty')
  return { ns: record.ns, source: `${record.ns}/${record.source}`, epoch: record.epoch }
}
