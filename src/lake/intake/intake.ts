// What the lake makes of a request: which of its records are new, cut into parts that are kept as rows. Keeps I5: each
// (source, epoch, lsn) is taken in once, whatever was retried, doubled or reordered on its way.

import { CDCError } from '../../error.ts'
import { type ParsedRecords, parseRecordsJSON } from '../../event/parse-records.ts'
import type { CommittedRecord, EventRecord } from '../../event/record.ts'
import { utf8Bytes } from '../../event/utf8.ts'
import { contains, type LSNRange, overlaps, touches, unite } from './ranges.ts'

/** UTF-8 bytes of one part's records as JSON. The platform documents 2 MB for a SQLite row. */
const PART_BYTES_MAX = 1_900_000

/** One outbox in one life, as JSON of `[ns, source, epoch]`. `source` alone is not global: two ns may have the same. */
export type Log = string

function logOf({ ns, source, epoch }: Pick<CommittedRecord, 'ns' | 'source' | 'epoch'>): Log {
  return JSON.stringify([ns, source, epoch])
}

/** A log as the table names it: `source` is global, `<ns>/<source>`. */
export function namesOf(log: Log): { ns: string; source: string; epoch: string } {
  const [ns, source, epoch] = JSON.parse(log) as [string, string, string]
  return { ns, source: `${ns}/${source}`, epoch }
}

/** The log that the table names so. */
export function logNamed({ ns, source, epoch }: ReturnType<typeof namesOf>): Log {
  return logOf({ ns, source: source.slice(ns.length + 1), epoch })
}

/** Consecutive LSNs of a log. */
export interface Run extends LSNRange {
  readonly log: Log
}

/** A run with the marks of its events' ids. */
export interface MarkedRun extends Run {
  readonly ids: string
}

/** Records that are kept as one row. */
export interface Part {
  readonly events: number
  readonly bytes: number
  /** JSON array of the records. */
  readonly records: string
}

/** Checks what was sent. @throws {CDCError} `record-invalid`, with the record's index; then none of them is taken in. */
export function parseRecords(json: string): ParsedRecords {
  return parseRecordsJSON(json, (index, problem) => {
    const where = index < 0 ? 'send' : `send: record ${index}`
    return new CDCError('record-invalid', `${where}: ${problem}`)
  })
}

/** A request that is kept as it came, where it is not too large. */
export function verbatimPart({ records, isVerbatim }: ParsedRecords, json: string): Part | undefined {
  const bytes = utf8Bytes(json)
  return isVerbatim && bytes <= PART_BYTES_MAX ? { events: records.length, bytes, records: json } : undefined
}

/** Sorts records by the log that they are of, and by LSN. */
export function groupByLog(records: readonly CommittedRecord[]): Map<Log, CommittedRecord[]> {
  const groups = new Map<Log, CommittedRecord[]>()
  let group: CommittedRecord[] = []
  for (const record of records) {
    // Neighbours are mostly of one log.
    const before = group.at(-1)
    if (before === undefined || !isSameLog(before, record)) {
      const log = logOf(record)
      group = groups.get(log) ?? []
      groups.set(log, group)
    }
    group.push(record)
  }
  for (const sorted of groups.values()) if (!isRising(sorted)) sorted.sort((a, b) => a.lsn - b.lsn)
  return groups
}

function isSameLog(a: CommittedRecord, b: CommittedRecord): boolean {
  return a.epoch === b.epoch && a.source === b.source && a.ns === b.ns
}

function isRising(records: readonly CommittedRecord[]): boolean {
  return records.every((record, index) => record.lsn > (records[index - 1]?.lsn ?? 0))
}

/** What an id leaves behind under its LSN: of a ULID's random part as much as tells two events apart. */
export const MARK_LENGTH = 10

function markOf(id: string): string {
  return id.slice(-MARK_LENGTH)
}

/**
 * Which records of one log are new, and which are forks: other events under LSNs that were taken before, as a database
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
  const [first, last] = [records[0], records.at(-1)]
  const isNew = first && last && isRising(records) && !overlaps(taken, { first: first.lsn, last: last.lsn })
  if (isNew) return { fresh: [...records], forks: [] }
  const fresh: CommittedRecord[] = []
  const forks: CommittedRecord[] = []
  const marks = new Map<number, Set<string>>()
  for (const record of records) {
    const mark = markOf(record.id)
    const isTaken = contains(taken, record.lsn)
    const known = marks.get(record.lsn) ?? new Set(isTaken ? marksOf(record.lsn) : undefined)
    if (!isTaken && !marks.has(record.lsn)) fresh.push(record)
    else if (known.size > 0 && !known.has(mark)) forks.push(record)
    marks.set(record.lsn, known.add(mark))
  }
  return { fresh, forks }
}

/** Records of one log, in the order of their LSNs and each LSN once, as runs. */
export function runsOf(log: Log, records: readonly CommittedRecord[]): (MarkedRun & { records: CommittedRecord[] })[] {
  const runs: { log: Log; first: number; last: number; ids: string; records: CommittedRecord[] }[] = []
  for (const record of records) {
    const run = runs.at(-1)
    if (run?.last === record.lsn - 1) {
      run.last = record.lsn
      run.ids += markOf(record.id)
      run.records.push(record)
    } else runs.push({ log, first: record.lsn, last: record.lsn, ids: markOf(record.id), records: [record] })
  }
  return runs
}

/** Cuts runs into parts that are not too large. A part holds what runs it holds, of however many logs. */
export function partsOfRuns(
  runs: readonly { log: Log; records: readonly CommittedRecord[] }[],
): (Part & { runs: Run[] })[] {
  const logs = new Map(runs.flatMap(({ log, records }) => records.map((record) => [record, log] as const)))
  return cut([...logs.keys()]).map(({ items, ...part }) => ({
    ...part,
    runs: [...Map.groupBy(items, (record) => logs.get(record) ?? '')].flatMap(([log, group]) =>
      runsOf(log, group).map(({ first, last }) => ({ log, first, last })),
    ),
  }))
}

/** Records that take no place in a log, as parts. */
export function partsOf(records: readonly EventRecord[]): Part[] {
  return cut(records).map(({ items: _items, ...part }) => part)
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

/** Cuts records into parts that are not too large. */
function cut<Item extends EventRecord>(items: readonly Item[]): (Part & { readonly items: readonly Item[] })[] {
  const parts: { items: Item[]; bytes: number; json: string[] }[] = []
  for (const item of items) {
    const json = JSON.stringify(item)
    // With the comma or the bracket before it.
    const bytes = utf8Bytes(json) + 1
    const part = parts.at(-1)
    if (part !== undefined && part.bytes + bytes <= PART_BYTES_MAX) {
      part.items.push(item)
      part.bytes += bytes
      part.json.push(json)
    } else parts.push({ items: [item], bytes: bytes + 1, json: [json] })
  }
  return parts.map(({ items, bytes, json }) => ({ items, events: items.length, bytes, records: `[${json.join(',')}]` }))
}
