// Rebuilds the table and the lake's own state from what there is: the metadata of the bucket as far as it is valid, the list of
// files that the lake keeps in SQLite, and the data files themselves. Each file is read, each event is taken once, and what is
// damaged or missing is named. The result is one commit, after which table and state agree. What no file holds any more is
// missing then, and lands when its outbox sends it again.

import { CDCError, reasonOf } from '../../error.ts'
import {
  type CommitOptions,
  type ListedFile,
  listFile,
  prepareRebuild,
  type WrittenFile,
  writeRows,
} from '../iceberg/commit.ts'
import { createTableMetadata, evolveSchema, type TableMetadata, withUnpartitionedSpec } from '../iceberg/metadata.ts'
import { readParquet } from '../iceberg/parquet.ts'
import { snapshotIdFrom } from '../iceberg/snapshot.ts'
import type { Intake } from '../intake/intake.ts'
import { type LSNRange, unite, without } from '../intake/ranges.ts'
import { type LogKey, logName } from '../log.ts'
import type { Bucket } from '../table/bucket.ts'
import { type Location, metadataKey, VERSION_HINT_KEY } from '../table/location.ts'
import { EVENTS_COLUMNS, EVENTS_PARTITION } from '../table/table.ts'
import type { TableState } from '../table/table-state.ts'
import { summarizeWatermarks } from '../table/watermarks.ts'
import { Contents, IDENTITY_COLUMNS } from './contents.ts'
import { type Fault, type NamedFiles, readNamedFiles } from './named-files.ts'
import { listKeys, type TableBucket } from './table-bucket.ts'

export interface RecoverPorts {
  readonly bucket: Bucket
  readonly location: Location
  readonly state: TableState
  readonly intake: Intake
  readonly mayPartition: NonNullable<CommitOptions['mayPartition']>
  /** Whether a shard is going to offer a file. */
  readonly isExpected: (key: string) => boolean
  readonly sync: () => Promise<void>
  readonly now: () => number
}

/** What was found, and what was done about it. */
export interface RecoverOutcome {
  /** Files of the table that are missing or not valid, by their keys in the bucket. */
  faults: Fault[]
  /** How the lake's state and the table disagree; missing if they don't. */
  disagreement?: string
  /** The version of the lake's state and of the table before, and of both after; the same if nothing was to be done. */
  stateVersion: number
  tableVersion: number
  version: number
  /** Data files that stay as they are, and rows that are taken out of others. */
  keptFiles: number
  rescuedEvents: number
  /** Events in the table, after this. */
  events: number
  /** Events that the lake has landed once and that no file holds any more: their outboxes may have them. */
  lostEvents: number
  /** Whether it was done; false if there was nothing to do, or if it was only asked for. */
  isDone: boolean
}

/** A data file of which some rows, or all, are written again. */
interface Rescue {
  readonly key: string
  readonly isNew: readonly boolean[]
}

interface Survey {
  readonly named: NamedFiles
  readonly faults: readonly Fault[]
  readonly kept: readonly ListedFile[]
  /** Files that shards have offered, which the commit adds. */
  readonly offered: readonly WrittenFile[]
  readonly rescues: readonly Rescue[]
  readonly contents: Contents
  readonly lostEvents: number
  readonly disagreement: string | undefined
}

export async function recover(isDryRun: boolean, ports: RecoverPorts): Promise<RecoverOutcome> {
  const survey = await surveyTable(ports)
  const { named, faults, kept, rescues, contents, lostEvents, disagreement } = survey
  const { version: stateVersion } = ports.state.pointer()
  const isNeeded = faults.length > 0 || disagreement !== undefined
  const outcome = {
    faults: [...faults],
    ...(disagreement !== undefined && { disagreement }),
    stateVersion,
    tableVersion: named.newestVersion,
    keptFiles: kept.length,
    rescuedEvents: rescues.reduce((sum, { isNew }) => sum + isNew.filter(Boolean).length, 0),
    events: contents.rows,
    lostEvents,
  }
  if (!isNeeded || isDryRun) return { ...outcome, version: stateVersion, isDone: false }
  return { ...outcome, version: await rebuild(survey, ports), isDone: true }
}

async function surveyTable(ports: RecoverPorts): Promise<Survey> {
  const { state, intake, isExpected } = ports
  const table = tableBucket(ports)
  const named = await readNamedFiles(table)
  const { version } = state.pointer()
  const known = intake.allLanded()
  const present = new Set(await listKeys(table, 'data/'))
  // A first commit that was interrupted leaves files too, and is noted.
  const isBare = named.base === undefined && present.size > 0 && !state.hasOpen()
  const isDamaged = isBare || named.faults.length > 0 || (named.base?.version ?? 0) < version
  const listed = new Map(named.files.map((file) => [file.key, file]))
  const others = isDamaged ? state.files().filter(({ key }) => !listed.has(key)) : []
  const faults = [...named.faults]
  const contents = new Contents(known)
  const kept: ListedFile[] = []
  const rescues: Rescue[] = []
  for (const file of [...named.files, ...others]) {
    const isNew = await identify(table, file, { faults, present, contents })
    if (isNew === undefined || !isNew.includes(true)) continue
    if (isNew.includes(false)) rescues.push({ key: file.key, isNew })
    else kept.push(file)
  }
  // What shards have offered waits for a commit, or has landed with one that this database does not know.
  const offers = intake.offeredFiles({ throughSeq: Infinity })
  // A file that nothing names may hold what a lost manifest has listed.
  const seen = new Set([...listed.keys(), ...[...others, ...offers].map(({ key }) => key)])
  for (const key of isDamaged ? present : [])
    if (!seen.has(key) && !isExpected(key)) {
      const isNew = await identify(table, { key }, { faults: [], present, contents })
      if (isNew?.includes(true)) rescues.push({ key, isNew })
    }
  const lostEvents = countMissing(known, contents.landed)
  const disagreement = isBare
    ? 'the bucket has data files of the table and no metadata'
    : disagreementOf(named, version, { known, contents })
  const offered: WrittenFile[] = []
  for (const file of offers) {
    const isNew = await identify(table, file, { faults, present, contents })
    if (isNew === undefined || !isNew.includes(true)) continue
    if (isNew.includes(false)) rescues.push({ key: file.key, isNew })
    else offered.push(file)
  }
  return { named, faults, kept, offered, rescues, contents, lostEvents, disagreement }
}

/** Reads which events a file holds. @returns for each row whether it is new; nothing if it can't be read, which is a fault. */
export async function identify(
  table: TableBucket,
  { key, bytes, rows }: { key: string; bytes?: number; rows?: number },
  { faults, present, contents }: { faults: Fault[]; present: ReadonlySet<string>; contents: Contents },
): Promise<boolean[] | undefined> {
  const file = table.prefix + key
  const found = present.has(key) ? await table.bucket.read(file) : undefined
  if (found === undefined) {
    faults.push({ file, problem: 'is gone' })
    return undefined
  }
  try {
    if (bytes !== undefined && found.byteLength !== bytes)
      throw new Error(`it has ${found.byteLength} bytes, and the table gives ${bytes} for it`)
    // All columns, for damage may be in any of them.
    const read = await readParquet(found)
    if (rows !== undefined && read.length !== rows)
      throw new Error(`it has ${read.length} rows, and the table gives ${rows} for it`)
    if (read.some((row) => IDENTITY_COLUMNS.some((name) => row[name] === undefined)))
      throw new Error('it lacks a column')
    return contents.add(read)
  } catch (error) {
    faults.push({ file, problem: `is not valid: ${reasonOf(error)}` })
    return undefined
  }
}

function disagreementOf(
  { newestVersion }: NamedFiles,
  version: number,
  { known, contents }: { known: ReadonlyMap<LogKey, readonly LSNRange[]>; contents: Contents },
): string | undefined {
  if (version === 0 && newestVersion > 0)
    return `the lake knows nothing of the table, which is at version ${newestVersion}: its own database is new or lost, or the table is another lake's`
  if (newestVersion > version)
    return (
      `the lake's own database is at version ${version} and the table at ${newestVersion}: the database is from an older ` +
      'copy, or another lake writes to the table'
    )
  if (newestVersion < version)
    return (
      `the lake's own database is at version ${version} and the table at ${newestVersion}: the bucket is from an older ` +
      'copy, or has lost its newest metadata'
    )
  const lost = countMissing(known, contents.landed)
  const unknown = countMissing(contents.landed, known)
  if (lost + unknown === 0) return undefined
  return describeDifference(lost, unknown)
}

/** How what the lake takes for landed differs from what the table holds, in LSNs. */
export function describeDifference(lost: number, unknown: number): string {
  return `the lake takes ${lost} LSNs for landed that the table lacks, and does not know ${unknown} that it has`
}

/** LSNs of some logs that others don't have. */
export function countMissing(
  logs: ReadonlyMap<LogKey, readonly LSNRange[]>,
  others: ReadonlyMap<LogKey, readonly LSNRange[]>,
): number {
  let missing = 0
  for (const [log, ranges] of logs)
    for (const { first, last } of without(ranges, others.get(log) ?? [])) missing += last - first + 1
  return missing
}

/** Commits the table anew, and takes over what it holds. @returns its version. */
async function rebuild({ named, kept, offered, rescues, contents }: Survey, ports: RecoverPorts): Promise<number> {
  const { bucket, state, intake, location, now, sync, mayPartition } = ports
  const table = tableBucket(ports)
  const version = Math.max(named.newestVersion, state.pointer().version) + 1
  const metadata = metadataFrom(named, version, ports)
  const snapshotId = snapshotIdFrom(crypto.getRandomValues(new Uint8Array(8)))
  const nowMs = now()
  const watermarks = Array.from(contents.landed, ([log, ranges]) => ({
    ...logName(log),
    lsn: unite(ranges)[0]?.last ?? 0,
  }))
  // Written whole, since the snapshots that lead to it may be gone: one commit between the files at most.
  const { summary, file } = summarizeWatermarks({
    moved: [],
    all: () => watermarks,
    location: location.root,
    key: undefined,
    sequence: version,
    fileSequence: 0,
    maxCommits: 0,
    uuid: () => crypto.randomUUID(),
  })
  const options: CommitOptions = { summary, nowMs, uuid: () => crypto.randomUUID(), snapshotId, mayPartition }
  const listed = [...kept, ...offered.map((file) => listFile(file, metadata, options))]
  for (const { key, isNew } of rescues) {
    const bytes = await bucket.read(table.prefix + key)
    if (bytes === undefined)
      throw new CDCError('table-damaged', `recover: ${key} has just gone from the bucket`, { retryable: true })
    const rows = (await readParquet(bytes)).filter((_, index) => isNew[index] === true)
    const written = writeRows(metadata, rows, options)
    for (const { key: newKey, bytes } of written.files) await bucket.put(table.prefix + newKey, bytes)
    listed.push(...written.written.map((file) => listFile(file, metadata, options)))
  }
  const base = named.base === undefined ? {} : { metadataKey: metadataKey(named.base.version) }
  const prepared = prepareRebuild({ metadata, ...base }, listed, options)
  for (const { key, bytes } of [...prepared.files, ...(file ? [file] : [])]) await bucket.put(table.prefix + key, bytes)
  if (!(await bucket.putNew(table.prefix + metadataKey(version), JSON.stringify(prepared.metadata))))
    throw new CDCError(
      'lake-conflict',
      `recover: another lake has just committed version ${version} of the table at ${location.root}; stop that one, or ` +
        'give one of the two a LAKE_LOCATION of its own',
    )
  intake.transaction(() => {
    const watermarksKey = file?.key
    state.replace(
      { version, events: contents.rows, watermarksKey, watermarksVersion: version },
      prepared.manifests,
      nowMs,
    )
    intake.adopt(contents)
    intake.dropOffers(() => true)
  })
  await sync()
  await bucket.put(table.prefix + VERSION_HINT_KEY, String(version))
  return version
}

/** The metadata to continue from: that of the bucket, or a new one if none is valid. */
function metadataFrom({ base }: NamedFiles, version: number, { location, now }: RecoverPorts): TableMetadata {
  const found =
    base?.metadata ??
    createTableMetadata({
      location: location.root,
      columns: EVENTS_COLUMNS,
      partition: EVENTS_PARTITION,
      uuid: crypto.randomUUID(),
      nowMs: now(),
    })
  const { metadata } = withUnpartitionedSpec(evolveSchema(found, EVENTS_COLUMNS))
  // Snapshots of before may name files that are gone; a version's number is also that of its snapshot.
  const { 'current-snapshot-id': _current, ...rest } = metadata
  return { ...rest, refs: {}, snapshots: [], 'snapshot-log': [], 'last-sequence-number': version - 1 }
}

function tableBucket({ bucket, location }: RecoverPorts): TableBucket {
  return { bucket, root: location.root, prefix: location.prefix }
}
