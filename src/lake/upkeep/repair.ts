// Brings what the lake remembers back in line with what its table holds. The lake lands an LSN once because it remembers that
// it did; if the rows went away afterwards, by no commit of its own, it must be told. It is told where to look and looks
// itself, so that no LSN that the table holds is ever forgotten.

import * as z from 'zod'
import { CDCError } from '../../error.ts'
import { readParquet } from '../iceberg/parquet.ts'
import type { Intake } from '../intake/intake.ts'
import { contains, type LSNRange, unite, without } from '../intake/ranges.ts'
import { type LogKey, logKeyOf, logName } from '../log.ts'
import type { TableState } from '../table/table-state.ts'
import type { TableWriter } from '../table/table-writer.ts'
import type { Upkeep } from './upkeep.ts'

/** Logs that one repair looks for, and LSNs of all of them. */
export const REPAIR_LOGS_MAX = 1_000
export const REPAIR_LSNS_MAX = 100_000

const lsnSchema = z.int().positive()
const logRangesSchema = z.strictObject({
  ns: z.string(),
  /** Global: `<ns>/<source>`. */
  source: z.string(),
  epoch: z.string(),
  ranges: z.array(z.strictObject({ first: lsnSchema, last: lsnSchema })),
})
const missingSchema = z
  .array(logRangesSchema)
  .max(REPAIR_LOGS_MAX)
  .refine((missing) => countLSNs(missing.flatMap(({ ranges }) => ranges)) <= REPAIR_LSNS_MAX, {
    error: `more than ${REPAIR_LSNS_MAX} LSNs at once`,
  })

/** LSNs of one log. */
export type LogRanges = z.infer<typeof logRangesSchema>

export interface RepairOutcome {
  /** Data files that were gone from the bucket, and that the table no longer names. */
  goneFiles: number
  /** What was believed to have landed and is not in the table. It lands when it is sent again. */
  forgotten: LogRanges[]
}

export interface RepairPorts {
  readonly bucket: R2Bucket
  readonly writer: TableWriter
  readonly state: TableState
  readonly upkeep: Upkeep
  readonly intake: Intake
}

type RangesByLog = ReadonlyMap<LogKey, readonly LSNRange[]>

/** Checks what is reported as missing. @throws {CDCError} `invalid-argument`. */
export function parseMissing(missing: unknown): LogRanges[] {
  const parsed = missingSchema.safeParse(missing)
  if (parsed.success) return parsed.data
  throw new CDCError('invalid-argument', `repair: ${z.prettifyError(parsed.error)}`)
}

/** Removes files from the table that are gone, and forgets those of the missing LSNs that no data file holds. */
export async function repair(missing: readonly LogRanges[], ports: RepairPorts): Promise<RepairOutcome> {
  const { writer, upkeep, intake } = ports
  await writer.adoptOpen()
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
  for (let cursor: string | undefined, isLast = false; !isLast;) {
    const page = await bucket.list({ prefix: writer.keyOf('data/'), ...(cursor !== undefined && { cursor }) })
    for (const { key } of page.objects) gone.delete(key.slice(root.length))
    isLast = !page.truncated
    cursor = page.truncated ? page.cursor : undefined
  }
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

const rowSchema = z.object({
  ns: z.string(),
  source: z.string().nullish(),
  epoch: z.string().nullish(),
  lsn: z.coerce.number().nullish(),
  _meta: z.string().nullish(),
})

/** The place in its log of each row of a data file. */
async function readPlaces({ bucket, writer }: RepairPorts, key: string) {
  const object = await bucket.get(writer.keyOf(key))
  if (object === null)
    throw new CDCError('not-found', `repair: ${key} has just gone from the bucket`, { retryable: true })
  const rows = await readParquet(await object.arrayBuffer(), Object.keys(rowSchema.shape))
  return rows.map((row) => {
    const { ns, source, epoch, lsn, _meta } = rowSchema.parse(row)
    return { ns, source: source ?? '', epoch: epoch ?? '', lsn: lsn ?? 0, _meta: _meta ?? '{}' }
  })
}

/** A fork has the LSN of another event, and does not stand for that event. */
function isFork(meta: string): boolean {
  return z.object({ isFork: z.literal(true) }).safeParse(JSON.parse(meta)).success
}

function asRanges(lsns: readonly number[]): LSNRange[] {
  return lsns.map((lsn) => ({ first: lsn, last: lsn }))
}

function countLSNs(ranges: readonly LSNRange[]): number {
  return ranges.reduce((sum, { first, last }) => sum + Math.max(0, last - first + 1), 0)
}
