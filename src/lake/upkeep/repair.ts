// Brings what the lake remembers back in line with what its table holds. The lake lands an LSN once because it remembers that
// it did; if the rows went away afterwards, by no commit of its own, it must be told. It is told where to look and looks
// itself, so that no LSN that the table holds is ever forgotten.

import { CDCError } from '../../error.ts'
import { Fields } from '../../event/fields.ts'
import { checked, isObject, listOf, name, text, whole } from '../../event/kinds.ts'
import { NAME_LENGTH_MAX } from '../../event/limits.ts'
import { readParquet } from '../iceberg/parquet.ts'
import type { Intake } from '../intake/intake.ts'
import { contains, type LSNRange, unite, without } from '../intake/ranges.ts'
import { type LogKey, logKeyOf, logName } from '../log.ts'
import type { Bucket } from '../table/bucket.ts'
import type { TableState } from '../table/table-state.ts'
import type { TableWriter } from '../table/table-writer.ts'
import type { Upkeep } from './upkeep.ts'

/** Logs that one repair looks for, and LSNs of all of them. */
export const REPAIR_LOGS_MAX = 1_000
export const REPAIR_LSNS_MAX = 100_000

/** LSNs of one log. */
export interface LogRanges {
  ns: string
  /** Global: `<ns>/<source>`. */
  source: string
  epoch: string
  ranges: LSNRange[]
}

const others = 'is not known here'
const range = new Fields<LSNRange>({ first: whole(), last: whole() }, { others })
const logs = listOf(
  new Fields<LogRanges>(
    { ns: name, source: text(2 * NAME_LENGTH_MAX + 1), epoch: name, ranges: listOf(range) },
    { others },
  ),
  { to: REPAIR_LOGS_MAX },
)

export interface RepairOutcome {
  /** Data files that were gone from the bucket, and that the table no longer names. */
  goneFiles: number
  /** What was believed to have landed and is not in the table. It lands when it is sent again. */
  forgotten: LogRanges[]
}

export interface RepairPorts {
  readonly bucket: Bucket
  readonly writer: TableWriter
  readonly state: TableState
  readonly upkeep: Upkeep
  readonly intake: Intake
}

type RangesByLog = ReadonlyMap<LogKey, readonly LSNRange[]>

/** Checks what is reported as missing. @throws {CDCError} `invalid-argument`. */
export function parseMissing(missing: unknown): LogRanges[] {
  const checkedLogs = checked(logs, missing, 'repair', 'invalid-argument')
  if (countLSNs(checkedLogs.flatMap(({ ranges }) => ranges)) <= REPAIR_LSNS_MAX) return checkedLogs
  throw new CDCError('invalid-argument', `repair: more than ${REPAIR_LSNS_MAX} LSNs; send fewer in each call`)
}

/** Removes files from the table that are gone, and forgets those of the missing LSNs that no data file holds. */
export async function repair(missing: readonly LogRanges[], ports: RepairPorts): Promise<RepairOutcome> {
  const { writer, upkeep, intake } = ports
  await writer.adoptOpen()
  await writer.refresh()
  const gone = await findGoneFiles(ports)
  if (gone.size > 0) await upkeep.removeFiles(gone)
  const lost = await findLost(rangesByLog(missing), ports)
  const forgotten = intake.forgetLanded(lost)
  return { goneFiles: gone.size, forgotten: Array.from(forgotten, ([log, ranges]) => ({ ...logName(log), ranges })) }
}

/** A log may be reported more than once, or without an LSN. */
function rangesByLog(missing: readonly LogRanges[]): RangesByLog {
  const groups = Map.groupBy(
    missing.filter(({ ranges }) => ranges.length > 0),
    logKeyOf,
  )
  return new Map(Array.from(groups, ([log, group]) => [log, unite(group.flatMap(({ ranges }) => ranges))]))
}

/** The table's data files that the bucket does not have. */
async function findGoneFiles({ bucket, writer, state }: RepairPorts): Promise<Set<string>> {
  const gone = new Set(state.fileKeys())
  const root = writer.keyOf('')
  for await (const key of bucket.keys(writer.keyOf('data/'))) gone.delete(key.slice(root.length))
  return gone
}

/** Those of the missing LSNs that none of the table's data files holds. */
async function findLost(missing: RangesByLog, ports: RepairPorts): Promise<RangesByLog> {
  if (missing.size === 0) return missing
  const found = new Map(Array.from(missing.keys(), (log): [LogKey, number[]] => [log, []]))
  for (const key of ports.state.fileKeys())
    for (const { lsn, _meta, ...name } of await readPlaces(ports, key)) {
      const log = logKeyOf(name)
      if (contains(missing.get(log) ?? [], lsn) && !isFork(_meta)) found.get(log)?.push(lsn)
    }
  return new Map(Array.from(missing, ([log, ranges]) => [log, without(ranges, asRanges(found.get(log) ?? []))]))
}

const PLACE_COLUMNS = ['ns', 'source', 'epoch', 'lsn', '_meta']

/** The place in its log of each row of a data file. */
async function readPlaces({ bucket, writer }: RepairPorts, key: string) {
  const bytes = await bucket.read(writer.keyOf(key))
  if (bytes === undefined)
    throw new CDCError('table-damaged', `repair: ${key} has just gone from the bucket`, { retryable: true })
  const rows = await readParquet(bytes, PLACE_COLUMNS).catch((cause: unknown) => {
    throw new CDCError(
      'table-damaged',
      `repair: ${writer.keyOf(key)} is not valid Parquet; \`durable-outbox recover\` takes it out of the table`,
      { cause },
    )
  })
  return rows.map(({ ns, source, epoch, lsn, _meta }) => ({
    ns: textOf(ns),
    source: textOf(source),
    epoch: textOf(epoch),
    lsn: Number(lsn ?? 0),
    _meta: textOf(_meta),
  }))
}

/** Empty for a column that has no value. */
function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** A fork has the LSN of another event, and does not stand for that event. */
function isFork(meta: string): boolean {
  const parsed: unknown = JSON.parse(meta || '{}')
  return isObject(parsed) && parsed['isFork'] === true
}

function asRanges(lsns: readonly number[]): LSNRange[] {
  return lsns.map((lsn) => ({ first: lsn, last: lsn }))
}

function countLSNs(ranges: readonly LSNRange[]): number {
  return ranges.reduce((sum, { first, last }) => sum + Math.max(0, last - first + 1), 0)
}
