// How a table reports, for each log, the LSN up to which nothing is missing in it. Each snapshot's summary has it for the logs
// that the snapshot moved. A file that every snapshot names has it for all logs, and is written anew now and then. So a reader
// takes the file, and then the summaries of the snapshots since, oldest first. Expiry keeps more snapshots than there are from
// one file to the next, and a commit of any kind names the file again.
//
// Where others commit too, their snapshots have no such summaries, and ours may expire at any time. There the properties of the
// table have it: the file, and the watermarks of the logs that moved since the file was written.

import { checked, mapOf, whole } from '../../event/kinds.ts'
import { parseJSON } from '../../event/json.ts'
import type { NewFile } from '../iceberg/commit.ts'
import type { TableMetadata } from '../iceberg/metadata.ts'

/** The LSN up to which nothing of a log is missing. `source` is global. */
export interface Watermark {
  readonly source: string
  readonly epoch: string
  readonly lsn: number
}

/** By global source and epoch. */
export type Watermarks = Record<string, Record<string, number>>
const watermarksKind = mapOf(mapOf(whole({ from: 0 })))

/** In a summary: watermarks of the logs that the snapshot has moved, as JSON. */
const WATERMARKS = 'cdc.watermarks'
/** In a summary: the location of the file with all watermarks, and the sequence number of the snapshot that stored it. */
const WATERMARKS_FILE = 'cdc.watermarks-file'
const WATERMARKS_SEQUENCE = 'cdc.watermarks-sequence'

/** Logs that a summary names at most: each metadata file repeats the summaries of all its snapshots. */
const SUMMARY_LOGS_MAX = 200

/** In a table's properties: the id of the lake's last snapshot. */
const OWN_SNAPSHOT = 'cdc.snapshot-id'

/** What the next snapshot reports. */
interface NextFacts {
  readonly moved: readonly Watermark[]
  /** All logs as they were before. Read only if a file is written. */
  readonly all: () => Iterable<Watermark>
  readonly location: string
  /** The sequence number of the next snapshot. */
  readonly sequence: number
  readonly uuid: () => string
}

/** The same, and where the last file is. */
export interface WatermarkFacts extends NextFacts {
  readonly key: string | undefined
  /** The sequence number of the snapshot that stored the last file. */
  readonly fileSequence: number
  /** Snapshots from one file to the next, at most. */
  readonly maxCommits: number
}

/** The same, with the properties of the table before. */
export interface CarriedFacts extends NextFacts {
  readonly snapshotId: number
  readonly properties: Readonly<Record<string, string>>
}

/** What a commit reports: properties of its summary, or of the table; and a file to be stored before it if one is due. */
export interface WatermarkReport {
  readonly summary?: Readonly<Record<string, string>>
  readonly properties?: Readonly<Record<string, string>>
  readonly file?: NewFile
}

/** The id of the lake's last snapshot, where others commit too. */
export function ownSnapshotOf({ properties }: Pick<TableMetadata, 'properties'>): string | undefined {
  return properties[OWN_SNAPSHOT]
}

/** Reports in the properties of the table, which others' commits leave as they are. */
export function carryWatermarks(facts: CarriedFacts): WatermarkReport {
  const { moved, location, properties, sequence, snapshotId } = facts
  const own = { [OWN_SNAPSHOT]: String(snapshotId) }
  const before = parseWatermarks(parseJSON(properties[WATERMARKS] ?? '{}'))
  const since = toMap([...watermarksIn(before), ...moved])
  if (watermarksIn(since).length <= SUMMARY_LOGS_MAX)
    return { properties: { ...own, [WATERMARKS]: JSON.stringify(since) } }
  const file = watermarksFile(facts)
  return { properties: { ...own, [WATERMARKS]: '{}', ...fileProperties(location, file.key, sequence) }, file }
}

/** The properties of the next snapshot's summary, and a file to be stored before it if one is due. */
export function summarizeWatermarks(
  facts: WatermarkFacts,
): Required<Pick<WatermarkReport, 'summary'>> & Pick<WatermarkReport, 'file'> {
  const { moved, location, key, sequence, fileSequence, maxCommits } = facts
  const isShort = moved.length <= SUMMARY_LOGS_MAX
  const summary = { [WATERMARKS]: JSON.stringify(isShort ? toMap(moved) : {}) }
  if (isShort && sequence - fileSequence < maxCommits)
    return { summary: key === undefined ? summary : { ...summary, ...fileProperties(location, key, fileSequence) } }
  const file = watermarksFile(facts)
  return { summary: { ...summary, ...fileProperties(location, file.key, sequence) }, file }
}

function watermarksFile({ moved, all, sequence, uuid }: NextFacts): NewFile {
  return {
    key: `metadata/watermarks-${sequence}-${uuid()}.json`,
    bytes: new TextEncoder().encode(JSON.stringify(toMap([...all(), ...moved]))),
  }
}

/** A snapshot's sequence number, and its summary. */
export interface SummarizedSnapshot {
  readonly sequence: number
  readonly summary: Readonly<Record<string, string>>
}

/**
 * All watermarks, as a reader finds them in the table alone.
 *
 * @param snapshots those that the table remembers, oldest first.
 * @param readFile gives the JSON at a location.
 * @throws {CDCError} `invalid-config` if the table holds something else than watermarks.
 */
export async function currentWatermarks(
  snapshots: readonly SummarizedSnapshot[],
  readFile: (location: string) => Promise<unknown>,
  properties: Readonly<Record<string, string>> = {},
): Promise<Watermarks> {
  const isCarried = properties[WATERMARKS] !== undefined
  const named = isCarried ? properties : (snapshots.at(-1)?.summary ?? {})
  const { [WATERMARKS_FILE]: file, [WATERMARKS_SEQUENCE]: sequence = '0' } = named
  const since = isCarried
    ? [properties]
    : snapshots.filter((snapshot) => snapshot.sequence > Number(sequence)).map(({ summary }) => summary)
  const all = parseWatermarks(file === undefined ? {} : await readFile(file))
  for (const { [WATERMARKS]: moved = '{}' } of since)
    for (const [source, epochs] of Object.entries(parseWatermarks(JSON.parse(moved))))
      all[source] = { ...all[source], ...epochs }
  return all
}

function parseWatermarks(value: unknown): Watermarks {
  return checked(watermarksKind, value, 'lake: watermarks', 'invalid-config')
}

function fileProperties(location: string, key: string, sequence: number): Record<string, string> {
  return { [WATERMARKS_FILE]: `${location}/${key}`, [WATERMARKS_SEQUENCE]: String(sequence) }
}

function watermarksIn(map: Watermarks): Watermark[] {
  return Object.entries(map).flatMap(([source, epochs]) =>
    Object.entries(epochs).map(([epoch, lsn]) => ({ source, epoch, lsn })),
  )
}

function toMap(watermarks: Iterable<Watermark>): Watermarks {
  const map: Watermarks = {}
  for (const { source, epoch, lsn } of watermarks) {
    const epochs = map[source] ?? {}
    epochs[epoch] = lsn
    map[source] = epochs
  }
  return map
}
