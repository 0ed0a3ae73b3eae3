// What the lake makes of a request: which of its records are new, cut into parts that are kept as rows. Keeps I5: each
// (source, epoch, lsn) is taken in once, whatever was retried, doubled or reordered on its way.

import { CDCError } from '../error.ts'
import { parseRecordsJSON } from '../event/plain-record.ts'
import { type CommittedRecord, type EventRecord, isCommitted } from '../event/record.ts'
import { utf8Bytes } from '../event/utf8.ts'
import { contains, type LSNRange, touches, unite } from './ranges.ts'

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

/** A part of one origin, with consecutive LSNs, and the marks of their ids. */
export interface Run extends Part, Origin, LSNRange {
  readonly ids: string
}

/** Checks what was sent. @throws {CDCError} `record-invalid`, with the record's index; then none of them is taken in. */
export function parseRecords(json: string): { records: EventRecord[]; isVerbatim: boolean } {
  return parseRecordsJSON(json, (index, problem) => {
    const where = index < 0 ? 'send' : `send: record ${index}`
    return new CDCError('record-invalid', `${where}: ${problem}`)
  })
}

/** A batch as relays send it, as the part that it makes: all of it one run, in order and verbatim. */
export function wholeRun({ records, isVerbatim }: ReturnType<typeof parseRecords>, json: string): Run | undefined {
  const [first] = records
  const bytes = utf8Bytes(json)
  if (!isVerbatim || bytes > PART_BYTES_MAX || first === undefined || !isCommitted(first)) return undefined
  const { ns, source, epoch, lsn } = first
  let ids = ''
  for (const [index, record] of records.entries()) {
    const isNext = record.lsn === lsn + index && record.epoch === epoch && record.source === source && record.ns === ns
    if (!isNext) return undefined
    ids += markOf(record.id)
  }
  const last = lsn + records.length - 1
  return { ns, source: `${ns}/${source}`, epoch, first: lsn, last, events: records.length, bytes, records: json, ids }
}

/** Sorts records by the outbox that they come from, and by LSN. */
export function groupByOrigin(records: readonly CommittedRecord[]): { origin: Origin; records: CommittedRecord[] }[] {
  const groups = Map.groupBy(records, ({ ns, source, epoch }) => JSON.stringify([ns, source, epoch]))
  return Array.from(groups.values(), (group) => ({
    origin: originOf(group),
    records: group.toSorted((a, b) => a.lsn - b.lsn),
  }))
}

/** What an id leaves behind under its LSN: of a ULID's random part as much as tells two events apart. */
export const MARK_LENGTH = 10

function markOf(id: string): string {
  return id.slice(-MARK_LENGTH)
}

/**
 * Which records of one origin are new, and which are forks: other events under LSNs that were taken before, as a database
 * sends them that was restored to an earlier time.
 *
 * @param taken the LSNs that were taken before.
 * @param marksOf the marks of the ids that were taken under an LSN; none where they are forgotten.
 */
export function sortOut(
  records: readonly CommittedRecord[],
  taken: readonly LSNRange[],
  marksOf: (lsn: number) => ReadonlySet<string>,
): { fresh: CommittedRecord[]; forks: CommittedRecord[] } {
  const fresh: CommittedRecord[] = []
  const forks: CommittedRecord[] = []
  const marks = new Map<number, Set<string>>()
  for (const record of records) {
    const mark = markOf(record.id)
    const known = marks.get(record.lsn) ?? new Set(contains(taken, record.lsn) ? marksOf(record.lsn) : undefined)
    const isFirst = !contains(taken, record.lsn) && !marks.has(record.lsn)
    if (isFirst) fresh.push(record)
    else if (known.size > 0 && !known.has(mark)) forks.push(record)
    marks.set(record.lsn, known.add(mark))
  }
  return { fresh, forks }
}

/** Records of one origin, in the order of their LSNs and each LSN once, as runs. */
export function runsOf(origin: Origin, records: readonly CommittedRecord[]): Run[] {
  return cut(records, (before, { lsn }) => before.lsn + 1 === lsn).map(({ items, ...part }) => ({
    ...origin,
    ...part,
    first: items[0]?.lsn ?? 0,
    last: items.at(-1)?.lsn ?? 0,
    ids: items.map(({ id }) => markOf(id)).join(''),
  }))
}

/** Records that take no place in a log, as parts. */
export function partsOf(records: readonly EventRecord[]): Part[] {
  return cut(records, () => true).map(({ items: _items, ...part }) => part)
}

/** A record as the table shows it that has another event's LSN. */
export function markFork(record: CommittedRecord): CommittedRecord {
  return { ...record, _meta: { ...record._meta, isFork: true } }
}

/**
 * Tells runs that go on from what is there, or close a hole in it, from those that leave one. Where nothing is there, the
 * log begins with the lowest run.
 *
 * @param settled the LSNs that are in the table or on their way to it.
 */
export function settle<Item extends LSNRange>(
  runs: readonly Item[],
  settled: readonly LSNRange[],
): { free: Item[]; held: Item[] } {
  const free: Item[] = []
  let held = runs.toSorted((a, b) => a.first - b.first)
  let ranges = unite(settled)
  for (let before = -1; before !== held.length;) {
    before = held.length
    held = held.filter((run) => {
      if (ranges.length > 0 && !touches(ranges, run)) return true
      free.push(run)
      ranges = unite([...ranges, run])
      return false
    })
  }
  return { free, held }
}

/** Cuts records into parts that are not too large, and also where one may not follow the other. */
function cut<Item extends EventRecord>(
  items: readonly Item[],
  follows: (before: Item, item: Item) => boolean,
): (Part & { readonly items: readonly Item[] })[] {
  const parts: { items: Item[]; bytes: number; json: string[] }[] = []
  for (const item of items) {
    const json = JSON.stringify(item)
    // With the comma or the bracket before it.
    const bytes = utf8Bytes(json) + 1
    const part = parts.at(-1)
    const before = part?.items.at(-1)
    if (part && before && part.bytes + bytes <= PART_BYTES_MAX && follows(before, item)) {
      part.items.push(item)
      part.bytes += bytes
      part.json.push(json)
    } else parts.push({ items: [item], bytes: bytes + 1, json: [json] })
  }
  return parts.map(({ items, bytes, json }) => ({ items, events: items.length, bytes, records: `[${json.join(',')}]` }))
}

function originOf(group: readonly CommittedRecord[]): Origin {
  const [record] = group
  if (record === undefined) throw new Error('a group of records is never empty')
  return { ns: record.ns, source: `${record.ns}/${record.source}`, epoch: record.epoch }
}
