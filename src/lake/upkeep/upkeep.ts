// Keeps a table fast that is committed to every other second: small files of a partition are compacted, manifests are merged,
// and files that nothing needs are found and deleted. One bounded step at a time; what changes the table is a commit like any
// other.

import { endOfWait } from '../../due.ts'
import { CDCError } from '../../error.ts'
import type { ListedFile, Rewrite, Table } from '../iceberg/commit.ts'
import type { ManifestFile } from '../iceberg/manifest.ts'
import { canWrite, keyOfPath } from '../iceberg/metadata.ts'
import { compareRows } from '../iceberg/order.ts'
import { readParquet } from '../iceberg/parquet.ts'
import type { Row } from '../iceberg/schema.ts'
import type { Bucket } from '../table/bucket.ts'
import type { OwnCatalog } from '../table/own-catalog.ts'
import type { TableState } from '../table/table-state.ts'
import type { TableWriter } from '../table/table-writer.ts'
import { readUpkeepState, type UpkeepOutcome, type UpkeepState, writeUpkeepState } from './upkeep-state.ts'

/** How much a step of upkeep does, and when there is something to do. Times are in milliseconds. */
export interface UpkeepLimits {
  /** Small files that a partition has before they are compacted, and how many of them at once. */
  readonly minCompactFiles: number
  readonly maxCompactFiles: number
  /** Events of a compacted file, at most. A file with less than half of that is small. */
  readonly maxCompactEvents: number
  /** Manifests that the table has before some are merged. */
  readonly maxManifests: number
  /** Time from one sweep of the bucket to the next, and how old a file must be to count as an orphan. */
  readonly sweepMs: number
  readonly orphanMs: number
  /** How long a file stays that no remembered snapshot reads, for readers that began with an older one. */
  readonly graceMs: number
}

export interface UpkeepPorts {
  readonly sql: SqlStorage
  readonly bucket: Bucket
  readonly writer: TableWriter
  readonly state: TableState
  readonly limits: UpkeepLimits
  readonly now: () => number
  /** Whether the lake compacts files and merges manifests. Otherwise the catalog does. */
  readonly isByLake: boolean
  /** Whether a file that nothing names is about to be offered by a shard. */
  readonly mayBeOffered: (key: string) => boolean
  /** The lake's own catalog, if the table is in that: only then is every file below its location the lake's. */
  readonly ownCatalog: OwnCatalog | undefined
}

/** Files that a merged manifest lists at most, unless a single one did before. */
const MANIFEST_FILES_MAX = 5_000
/** Manifests that must be merged at once to be worth a commit. */
const MERGED_MANIFESTS_MIN = 8
/** Keys that R2 lists, and deletes, in one request. */
const KEYS_PER_REQUEST = 1_000

export class Upkeep {
  readonly #ports: UpkeepPorts

  constructor(ports: UpkeepPorts) {
    this.#ports = ports
  }

  /** Does the next thing that there is to do. @returns whether there was any. */
  async step(): Promise<boolean> {
    return (await this.#rewriteSome()) || (await this.#sweep())
  }

  /** Removes data files from the table that are gone from the bucket, and with them their rows. */
  async removeFiles(keys: ReadonlySet<string>): Promise<void> {
    const { writer, state } = this.#ports
    const table = await writer.load()
    const manifestKeys = new Set(state.manifestsOf([...keys]))
    const manifests = table.manifests.filter((manifest) => manifestKeys.has(manifestKey(manifest, table)))
    // A commit has one partition spec.
    for (const group of Map.groupBy(manifests, (manifest) => manifest.partition_spec_id).values()) {
      const listed = state.filesOf(group.map((manifest) => manifestKey(manifest, table)))
      const lost = listed.filter(({ key }) => keys.has(key))
      await this.#replaceFiles('remove lost files', lost, [])
    }
  }

  /** Deletes files that no remembered snapshot reads, once readers of older ones have had their time. */
  async deleteGarbage(): Promise<void> {
    const { bucket, writer, state, limits, now } = this.#ports
    const keys = state.garbage.keys(writer.oldestVersion(), now() - limits.graceMs, KEYS_PER_REQUEST)
    if (keys.length === 0) return
    await bucket.delete(keys.map((key) => writer.keyOf(key)))
    state.garbage.forget(keys)
  }

  /** What the last step did. */
  last(): UpkeepOutcome | undefined {
    return this.#state.last
  }

  /** When the bucket is to be swept next, and when the next file may be deleted, in milliseconds since 1970. */
  dueMs(): number[] {
    const { writer, state, limits, ownCatalog } = this.#ports
    const oldestGarbageMs = state.garbage.oldestMs(writer.oldestVersion())
    return [
      ...(oldestGarbageMs === undefined ? [] : [oldestGarbageMs + limits.graceMs]),
      ...(ownCatalog !== undefined && state.pointer().version > 0 ? [this.#sweepDueMs()] : []),
    ]
  }

  /** By the clock and the limits of now. */
  #sweepDueMs(): number {
    const { limits, now } = this.#ports
    return endOfWait(this.#state.sweepDueMs, limits.sweepMs, now())
  }

  get #state(): UpkeepState {
    return readUpkeepState(this.#ports.sql)
  }

  async #rewriteSome(): Promise<boolean> {
    const { writer, state, isByLake, ownCatalog } = this.#ports
    if (!isByLake) return false
    if (ownCatalog === undefined) {
      // What others have compacted while the lake slept must not be compacted again.
      await writer.load()
      // Rows that another writer's delete files hide would come back in a new file.
      if (state.hasDeleteFiles()) return false
    }
    return (await this.#mergeManifests()) || (await this.#compact())
  }

  async #mergeManifests(): Promise<boolean> {
    const { writer, state, limits } = this.#ports
    if (state.countManifests() <= limits.maxManifests) return false
    const table = await writer.load()
    const chosen = chooseManifests(table)
    if (chosen.length < MERGED_MANIFESTS_MIN) return false
    const kept = state.filesOf(chosen.map((manifest) => manifestKey(manifest, table)))
    await this.#rewrite('merge manifests', table, { manifests: chosen, kept, removed: [], rows: [] })
    return true
  }

  async #compact(): Promise<boolean> {
    const { state, limits } = this.#ports
    const { minCompactFiles: minFiles, maxCompactFiles: maxFiles, maxCompactEvents } = limits
    const small = state.smallFiles({ minFiles, maxFiles, eventsBelow: maxCompactEvents / 2 })
    const removed = chooseFiles(small, maxCompactEvents)
    if (removed.length < 2) return false
    const rows: Row[] = []
    for (const { key } of removed) for (const row of await this.#readRows(key)) rows.push(row)
    rows.sort(compareRows(['ns', 'source', 'epoch', 'lsn', 'id']))
    await this.#replaceFiles('compact', removed, rows)
    return true
  }

  async #replaceFiles(did: UpkeepOutcome['did'], removed: readonly ListedFile[], rows: readonly Row[]): Promise<void> {
    const { writer, state } = this.#ports
    const table = await writer.load()
    const gone = new Set(removed.map(({ key }) => key))
    const manifestKeys = new Set(state.manifestsOf([...gone]))
    const manifests = table.manifests.filter((manifest) => manifestKeys.has(manifestKey(manifest, table)))
    const kept = state.filesOf([...manifestKeys]).filter(({ key }) => !gone.has(key))
    await this.#rewrite(did, table, { manifests, kept, removed, rows })
  }

  async #rewrite(did: UpkeepOutcome['did'], table: Table, rewrite: Rewrite): Promise<void> {
    const { writer, state } = this.#ports
    const before = state.count()
    let isDone = true
    if (did === 'remove lost files') await writer.remove(table, rewrite)
    else isDone = await writer.rewrite(table, rewrite)
    if (isDone) this.#note(did, before, 0)
  }

  /** Looks at a page of the bucket for orphans: files that were stored for a commit that was never noted. */
  async #sweep(): Promise<boolean> {
    const { sql, bucket, writer, state, limits, now, ownCatalog, mayBeOffered } = this.#ports
    const { sweepAfter, sweepDueMs, last } = this.#state
    if (ownCatalog === undefined || now() < this.#sweepDueMs()) return false
    await ownCatalog.checkCurrent()
    const root = writer.keyOf('')
    const { objects, truncated } = await bucket.list({
      prefix: root,
      limit: KEYS_PER_REQUEST,
      ...(sweepAfter !== undefined && { startAfter: root + sweepAfter }),
    })
    const old = objects.filter(({ uploaded }) => uploaded.getTime() <= now() - limits.orphanMs)
    const { metadata } = await writer.load()
    const isNamed = ownCatalog.namedFiles(metadata)
    const keys = old.map(({ key }) => key.slice(root.length))
    const known = state.known(keys)
    const orphans = keys.filter((key) => !known.has(key) && !isNamed(key) && !mayBeOffered(key))
    state.garbage.add(orphans, 0, now())
    const end = objects.at(-1)?.key.slice(root.length)
    writeUpkeepState(
      sql,
      truncated && end !== undefined
        ? { sweepAfter: end, sweepDueMs, last }
        : { sweepAfter: undefined, sweepDueMs: now() + limits.sweepMs, last },
    )
    if (orphans.length > 0) this.#note('sweep', state.count(), orphans.length)
    return true
  }

  #note(did: UpkeepOutcome['did'], before: { files: number; manifests: number }, orphans: number): void {
    const { sql, state, now } = this.#ports
    const after = state.count()
    writeUpkeepState(sql, {
      ...this.#state,
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
    const { bucket, writer } = this.#ports
    const bytes = await bucket.read(writer.keyOf(key))
    if (bytes === undefined)
      throw new CDCError(
        'table-damaged',
        `lake: ${writer.keyOf(key)} is gone from the bucket, and the table still reads it; \`durable-outbox recover\` takes it out`,
      )
    try {
      return await readParquet(bytes)
    } catch (cause) {
      throw new CDCError(
        'table-damaged',
        `lake: ${writer.keyOf(key)} is not valid Parquet; \`durable-outbox recover\` takes it out of the table`,
        { cause },
      )
    }
  }
}

function manifestKey({ manifest_path }: ManifestFile, { metadata }: Table): string {
  return keyOfPath(metadata.location, manifest_path)
}

/** The smallest manifests, as many as may become one: of the partition spec that has the most of them. */
function chooseManifests({ metadata, manifests }: Table): ManifestFile[] {
  const writable = manifests.filter((manifest) => canWrite(metadata, manifest.partition_spec_id))
  const groups = [...Map.groupBy(writable, (manifest) => manifest.partition_spec_id).values()]
  const [most = []] = groups.toSorted((a, b) => b.length - a.length)
  return chooseWithin(
    most.toSorted((a, b) => filesOf(a) - filesOf(b)),
    filesOf,
    MANIFEST_FILES_MAX,
  )
}

function filesOf(manifest: ManifestFile): number {
  return manifest.added_files_count + manifest.existing_files_count
}

/** The first files, as many as may become one. */
function chooseFiles(files: readonly ListedFile[], maxEvents: number): ListedFile[] {
  return chooseWithin(files, ({ rows }) => rows, maxEvents)
}

/** The first items whose sizes together stay within a limit. */
function chooseWithin<Item>(items: readonly Item[], sizeOf: (item: Item) => number, maxSize: number): Item[] {
  const chosen: Item[] = []
  let size = 0
  for (const item of items) {
    size += sizeOf(item)
    if (size > maxSize) break
    chosen.push(item)
  }
  return chosen
}
