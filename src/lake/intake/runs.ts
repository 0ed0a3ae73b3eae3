// Decides which of the records that came are new, and in which order they may land. Pure: what is known of their logs is
// passed in.

import type { CommittedRecord } from '../../event/record.ts'
import { type LogKey, logKey } from '../log.ts'
import { contains, type LSNRange, overlaps, touches, unite } from './ranges.ts'

/** Consecutive LSNs of a log. */
export interface Run extends LSNRange {
  readonly log: LogKey
}

/** A run with the marks of its events' ids, one after the other. */
export interface MarkedRun extends Run {
  readonly ids: string
}

/** A run with its records. */
export interface RecordRun extends MarkedRun {
  readonly records: readonly CommittedRecord[]
}

/** Characters of an id that are kept under its LSN: enough of a ULID's random characters to tell two events apart. */
export const MARK_LENGTH = 10

export function markOf(id: string): string {
  return id.slice(-MARK_LENGTH)
}

/** Groups records by their log, each group sorted by LSN. */
export function groupByLog(records: readonly CommittedRecord[]): Map<LogKey, CommittedRecord[]> {
  const groups = new Map<LogKey, CommittedRecord[]>()
  let group: CommittedRecord[] = []
  for (const record of records) {
    // Neighbours are mostly of one log.
    const before = group.at(-1)
    if (before === undefined || !isSameLog(before, record)) {
      const log = logKey(record)
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

/**
 * Tells which records of one log are new, and which are forks: other events under LSNs that were taken before, as a database
 * sends them that was restored to an earlier time. The rest came before.
 *
 * @param taken the LSNs that were taken before.
 * @param marksOf the marks of the ids that were taken under an LSN; none if they are forgotten.
 */
export function classify(
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

/** Divides records of one log, sorted by LSN and each LSN once, into runs. */
export function runsOf(log: LogKey, records: readonly CommittedRecord[]): RecordRun[] {
  const runs: { log: LogKey; first: number; last: number; ids: string; records: CommittedRecord[] }[] = []
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

/** The record as the table shows it if its LSN is another event's. */
export function markFork(record: CommittedRecord): CommittedRecord {
  return { ...record, _meta: { ...record._meta, isFork: true } }
}

/**
 * Divides runs into those that connect to their log, by extending it or filling a hole in it, and those that would leave a
 * hole. An empty log begins with the lowest run.
 *
 * @param settled the LSNs that are in the table, or on their way to it.
 */
export function connectRuns<Item extends LSNRange>(
  runs: readonly Item[],
  settled: readonly LSNRange[],
): { connected: Item[]; held: Item[] } {
  const connected: Item[] = []
  let held = runs.toSorted((a, b) => a.first - b.first)
  let ranges = unite(settled)
  for (let before = -1; before !== held.length;) {
    before = held.length
    held = held.filter((run) => {
      if (ranges.length > 0 && !touches(ranges, run)) return true
      connected.push(run)
      ranges = unite([...ranges, run])
      return false
    })
  }
  return { connected, held }
}
