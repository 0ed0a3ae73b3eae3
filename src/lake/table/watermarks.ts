// How a table says up to which LSN nothing is missing in it, log by log. Each snapshot's summary says it of the logs that
// it has moved. All of them together are in a file that every snapshot names, written anew now and then; so a reader takes
// the file, and then the summaries of the snapshots since, oldest first. Expiry keeps more snapshots than lie between two
// files, and a commit of any kind hands the file's name on.

import * as z from 'zod'
import type { NewFile } from '../iceberg/commit.ts'

/** Up to which LSN nothing is missing of a log. `source` is global. */
export interface Watermark {
  readonly source: string
  readonly epoch: string
  readonly lsn: number
}

const watermarksSchema = z.record(z.string(), z.record(z.string(), z.int()))
/** By global source and epoch: the last LSN up to which nothing is missing. */
export type Watermarks = z.infer<typeof watermarksSchema>

/** In a summary: watermarks of the logs that the snapshot has moved, as JSON. */
const WATERMARKS = 'cdc.watermarks'
/** In a summary: the location of the file with all watermarks, as of the sequence number that the other property says. */
const WATERMARKS_FILE = 'cdc.watermarks-file'
const WATERMARKS_SEQUENCE = 'cdc.watermarks-sequence'

/** Logs that a summary names at most: each metadata file repeats the summaries of all its snapshots. */
const SUMMARY_LOGS_MAX = 200

/** What there is to say, and where the last file is. */
export interface WatermarksToSay {
  readonly changed: readonly Watermark[]
  /** All logs but those that changed. Read only where a file is written. */
  readonly all: () => Iterable<Watermark>
  readonly location: string
  readonly key: string | undefined
  /** The sequence number of the snapshot that is made, and of the one that the last file belongs to. */
  readonly sequence: number
  readonly fileSequence: number
  /** Snapshots between two files at most. */
  readonly maxCommits: number
  readonly uuid: () => string
}

/** The properties of a summary, and a file to be stored before it where one is due. */
export function sayWatermarks(facts: WatermarksToSay): { summary: Record<string, string>; file?: NewFile } {
  const { changed, location, key, sequence, fileSequence, maxCommits } = facts
  const isShort = changed.length <= SUMMARY_LOGS_MAX
  const summary = { [WATERMARKS]: JSON.stringify(isShort ? toMap(changed) : {}) }
  if (isShort && sequence - fileSequence < maxCommits)
    return { summary: key === undefined ? summary : { ...summary, ...nameFile(location, key, fileSequence) } }
  const file = {
    key: `metadata/watermarks-${sequence}-${facts.uuid()}.json`,
    bytes: new TextEncoder().encode(JSON.stringify(toMap([...facts.all(), ...changed]))),
  }
  return { summary: { ...summary, ...nameFile(location, file.key, sequence) }, file }
}

/** A snapshot's sequence number, and its summary. */
export interface SnapshotSaying {
  readonly sequence: number
  readonly summary: Readonly<Record<string, string>>
}

/**
 * All watermarks, as a reader finds them in the table alone.
 *
 * @param snapshots those that the table remembers, oldest first.
 * @param readFile gives the JSON at a location.
 * @throws {z.ZodError} where what is said is no map of watermarks.
 */
export async function currentWatermarks(
  snapshots: readonly SnapshotSaying[],
  readFile: (location: string) => Promise<unknown>,
): Promise<Watermarks> {
  const { [WATERMARKS_FILE]: file, [WATERMARKS_SEQUENCE]: sequence = '0' } = snapshots.at(-1)?.summary ?? {}
  const all = watermarksSchema.parse(file === undefined ? {} : await readFile(file))
  for (const { summary } of snapshots.filter((snapshot) => snapshot.sequence > Number(sequence)))
    for (const [source, epochs] of Object.entries(watermarksSchema.parse(JSON.parse(summary[WATERMARKS] ?? '{}'))))
      all[source] = { ...all[source], ...epochs }
  return all
}

function nameFile(location: string, key: string, sequence: number): Record<string, string> {
  return { [WATERMARKS_FILE]: `${location}/${key}`, [WATERMARKS_SEQUENCE]: String(sequence) }
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
