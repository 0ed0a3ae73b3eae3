// What keeps a table quick that is committed to every other second: small files of a partition are put together, and so
// are manifests; and what belongs to nothing is found. One bounded step at a time, each a commit like any other.

import type { Commits, TableChange, UpkeepOutcome } from '../table/commits.ts'
import {
  type CommitOptions,
  type ListedFile,
  type NewFile,
  prepareRemoval,
  prepareRewrite,
  type Rewrite,
  type Table,
} from '../iceberg/commit.ts'
import type { ManifestFile } from '../iceberg/manifest.ts'
import { compareRows } from '../iceberg/order.ts'
import { readParquet } from '../iceberg/parquet.ts'
import type { Row } from '../iceberg/schema.ts'
import { VERSION_HINT_KEY, versionOf } from '../table/location.ts'
import type { TableWriter } from '../table/table-writer.ts'

/** How much a step of upkeep does, and when there is something to do. Times are in milliseconds. */
export interface UpkeepLimits {
  /** Small files that a partition has before they are put together, and how many of them at once. */
  readonly minCompactFiles: number
  readonly maxCompactFiles: number
  /** Events of a file that was put together, at most. A file of less than half of that is small. */
  readonly maxCompactEvents: number
  /** Manifests that the table has before some are put together. */
  readonly maxManifests: number
  /** Time from one sweep of the bucket to the next, and how old a file must be that belongs to nothing. */
  readonly sweepMs: number
  readonly orphanMs: number
}

export interface UpkeepParts {
  readonly bucket: R2Bucket
  readonly writer: TableWriter
  readonly commits: Commits
  readonly limits: UpkeepLimits
  readonly snapshotsKept: number
  readonly now: () => number
  /** What a commit says that moves no log. */
  readonly sayWatermarks: () => { readonly summary: Record<string, string>; readonly file?: NewFile }
  readonly optionsOf: (summary: Record<string, string>) => CommitOptions
}

/** Files that a manifest lists at most which was put together, unless a single one did before. */
const MANIFEST_FILES_MAX = 5_000
/** Manifests that are worth a commit to be put together. */
const MERGED_MANIFESTS_MIN = 8
/** Keys that R2 lists in one request. */
const SWEPT_AT_ONCE = 1_000

export class Upkeep {
  readonly #parts: UpkeepParts

  constructor(parts: UpkeepParts) {
    this.#parts = parts
  }

  /** Does the next thing that there is to do. @returns whether there was any. */
  async step(): Promise<boolean> {
    return (await this.#mergeManifests()) || (await this.#compact()) || (await this.#sweep())
  }

  /** Takes data files out of the table that are gone from the bucket, and with them the rows that they held. */
  async removeFiles(keys: ReadonlySet<string>): Promise<void> {
    const { commits } = this.#parts
    const manifests = commits.manifestsOf([...keys])
    await this.#replaceFiles(
      'remove lost files',
      commits.filesOf(manifests).filter(({ key }) => keys.has(key)),
      [],
    )
  }

  /** When the bucket is to be swept next, in milliseconds since 1970. */
  sweepDueMs(): number {
    return this.#parts.commits.upkeep().sweepDueMs
  }

  async #mergeManifests(): Promise<boolean> {
    const { writer, commits, limits } = this.#parts
    if (commits.countManifests() <= limits.maxManifests) return false
    const table = await writer.load()
    const chosen = chooseManifests(table.manifests)
    if (chosen.length < MERGED_MANIFESTS_MIN) return false
    const kept = commits.filesOf(chosen.map((manifest) => this.#relative(manifest, table)))
    await this.#rewrite('merge manifests', table, { manifests: chosen, kept, removed: [], rows: [] })
    return true
  }

  async #compact(): Promise<boolean> {
    const { commits, limits } = this.#parts
    const { minCompactFiles: minFiles, maxCompactFiles: maxFiles, maxCompactEvents } = limits
    const small = commits.smallFiles({ minFiles, maxFiles, eventsBelow: maxCompactEvents / 2 })
    const removed = chooseFiles(small, maxCompactEvents)
    if (removed.length < 2) return false
    const rows: Row[] = []
    for (const { key } of removed) for (const row of await this.#readRows(key)) rows.push(row)
    rows.sort(compareRows(['ns', 'source', 'epoch', 'lsn', 'id']))
    await this.#replaceFiles('compact', removed, rows)
    return true
  }

  async #replaceFiles(did: UpkeepOutcome['did'], removed: readonly ListedFile[], rows: readonly Row[]): Promise<void> {
    const { writer, commits } = this.#parts
    const table = await writer.load()
    const gone = new Set(removed.map(({ key }) => key))
    const manifestKeys = new Set(commits.manifestsOf([...gone]))
    const manifests = table.manifests.filter((manifest) => manifestKeys.has(this.#relative(manifest, table)))
    const kept = commits.filesOf([...manifestKeys]).filter(({ key }) => !gone.has(key))
    await this.#rewrite(did, table, { manifests, kept, removed, rows })
  }

  async #rewrite(did: UpkeepOutcome['did'], table: Table, rewrite: Rewrite): Promise<void> {
    const { writer, commits, sayWatermarks, optionsOf } = this.#parts
    const before = commits.count()
    const watermarks = sayWatermarks()
    const prepare = did === 'remove lost files' ? prepareRemoval : prepareRewrite
    const prepared = prepare(table, rewrite, optionsOf(watermarks.summary))
    const { manifestKey } = prepared
    const changes: TableChange[] = [
      ...rewrite.manifests.map((manifest): TableChange => ({
        kind: 'remove manifest',
        key: this.#relative(manifest, table),
      })),
      ...rewrite.removed.map(({ key }): TableChange => ({ kind: 'remove file', key })),
      ...rewrite.kept.map((file): TableChange => ({ kind: 'move file', key: file.key, manifestKey, file })),
    ]
    await writer.commit(prepared, { throughSeq: 0, watermarks: watermarks.file, changes })
    this.#note(did, before, 0)
  }

  /** Looks at a page of the bucket for files that belong to nothing: what was stored for a commit that was never noted. */
  async #sweep(): Promise<boolean> {
    const { bucket, writer, commits, limits, now } = this.#parts
    const { sweepAfter, sweepDueMs, last } = commits.upkeep()
    if (now() < sweepDueMs) return false
    const root = writer.keyOf('')
    const { objects, truncated } = await bucket.list({
      prefix: root,
      limit: SWEPT_AT_ONCE,
      ...(sweepAfter !== undefined && { startAfter: root + sweepAfter }),
    })
    const old = objects.filter(({ uploaded }) => uploaded.getTime() <= now() - limits.orphanMs)
    const keys = old.map(({ key }) => key.slice(root.length))
    const named = await this.#named()
    const known = commits.known(keys)
    const orphans = keys.filter((key) => !known.has(key) && !named(key))
    commits.discard(orphans, 0, now())
    const end = objects.at(-1)?.key.slice(root.length)
    commits.setUpkeep(
      truncated && end !== undefined
        ? { sweepAfter: end, sweepDueMs, last }
        : { sweepAfter: undefined, sweepDueMs: now() + limits.sweepMs, last },
    )
    if (orphans.length > 0) this.#note('sweep', commits.count(), orphans.length)
    return true
  }

  /** Says which keys the table's metadata names, or might name once an open commit is found to have happened. */
  async #named(): Promise<(key: string) => boolean> {
    const { writer, commits, snapshotsKept } = this.#parts
    const { version } = commits.pointer()
    const { metadata } = await writer.load()
    const lists = new Set(
      metadata.snapshots.map((snapshot) => snapshot['manifest-list'].slice(metadata.location.length + 1)),
    )
    return (key) => key === VERSION_HINT_KEY || lists.has(key) || (versionOf(key) ?? -1) >= version - snapshotsKept
  }

  #note(did: UpkeepOutcome['did'], before: { files: number; manifests: number }, orphans: number): void {
    const { commits, now } = this.#parts
    const after = commits.count()
    commits.setUpkeep({
      ...commits.upkeep(),
      last: {
        did,
        at: new Date(now()).toISOString(),
        filesBefore: before.files,
        filesAfter: after.files,
        manifestsBefore: before.manifests,
        manifestsAfter: after.manifests,
        orphans,
      },
    })
  }

  async #readRows(key: string): Promise<Row[]> {
    const object = await this.#parts.bucket.get(this.#parts.writer.keyOf(key))
    if (object === null) throw new Error(`${key} is gone from the bucket, and the table reads it`)
    return readParquet(await object.arrayBuffer())
  }

  #relative({ manifest_path }: ManifestFile, { metadata }: Table): string {
    return manifest_path.slice(metadata.location.length + 1)
  }
}

/** The smallest manifests, as many as may become one. */
function chooseManifests(manifests: readonly ManifestFile[]): ManifestFile[] {
  const chosen: ManifestFile[] = []
  let files = 0
  for (const manifest of manifests.toSorted((a, b) => filesOf(a) - filesOf(b))) {
    files += filesOf(manifest)
    if (files > MANIFEST_FILES_MAX) break
    chosen.push(manifest)
  }
  return chosen
}

function filesOf(manifest: ManifestFile): number {
  return manifest.added_files_count + manifest.existing_files_count
}

/** The first files, as many as may become one. */
function chooseFiles(files: readonly ListedFile[], maxEvents: number): ListedFile[] {
  const chosen: ListedFile[] = []
  let events = 0
  for (const file of files) {
    events += file.rows
    if (events > maxEvents) break
    chosen.push(file)
  }
  return chosen
}
