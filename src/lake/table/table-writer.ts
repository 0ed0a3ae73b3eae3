// Commits to the Iceberg table, one at a time, each once. A commit: (1) its files are stored; (2) it is noted as prepared;
// (3) the metadata file of the next version is put if absent: that is the commit; (4) one SQLite transaction applies it here,
// with everything that must change together with the table. If it is interrupted, the next run asks the metadata file whether
// it happened.

import { CDCError } from '../../error.ts'
import { parseJSON } from '../../event/json.ts'
import { isObject } from '../../event/kinds.ts'
import { prepareAppend, prepareRemoval, prepareRewrite } from '../iceberg/commit.ts'
import type { CommitOptions, NewFile, PreparedCommit, Rewrite, Table } from '../iceberg/commit.ts'
import { createTableMetadata, evolveSchema, keepSnapshots, keyBelow, type TableMetadata } from '../iceberg/metadata.ts'
import type { PartitionValue } from '../iceberg/partition.ts'
import type { Row } from '../iceberg/schema.ts'
import { type Snapshot, snapshotIdFrom } from '../iceberg/snapshot.ts'
import { type Location, metadataKey, VERSION_HINT_KEY, versionOf } from './location.ts'
import { EVENTS_COLUMNS, EVENTS_PARTITION } from './table.ts'
import type { OpenCommit, TableChange, TableState } from './table-state.ts'
import { summarizeWatermarks, type Watermark } from './watermarks.ts'

export interface TableWriterPorts {
  /** Runs a change in one SQLite transaction. */
  readonly transaction: (change: () => void) => void
  /** Resolves once what was written is durable. */
  readonly sync: () => Promise<void>
  readonly bucket: R2Bucket
  readonly state: TableState
  readonly location: Location
  /** Snapshots that the table remembers, and as many metadata files before the current one. */
  readonly snapshotsKept: number
  readonly maxCommitPartitions: number
  readonly maxPartitions: number
  readonly now: () => number
  /** The watermarks of all logs. */
  readonly watermarks: () => Iterable<Watermark>
  /** Called in the transaction that applies a commit, with the buffer's last row in it. @returns how many events landed. */
  readonly landed: (throughSeq: number) => number
}

/** What a commit brings out of the buffer. */
export interface Landing {
  readonly throughSeq: number
  readonly watermarks: readonly Watermark[]
}

/** What heals a table or a database that is damaged. */
const RECOVER = '`durable-outbox recover` rebuilds it'

const NOTHING_LANDS: Landing = { throughSeq: 0, watermarks: [] }

/** Requests that an object may have open at once, by the platform's rules. */
const PUTS_AT_ONCE = 6

export class TableWriter {
  readonly #ports: TableWriterPorts
  /** The table as the last commit left it; undefined if that is not known. */
  #table: Table | undefined

  constructor(ports: TableWriterPorts) {
    this.#ports = ports
  }

  /**
   * The table to commit to, with all the columns that this version of the lake writes.
   *
   * @throws {CDCError} `lake-conflict` if another lake's table is there; `not-found` if the metadata file is gone.
   */
  async load(): Promise<Table> {
    const { version } = this.#ports.state.pointer()
    if (version === 0) return this.#createTable()
    this.#table ??= await this.#readTable(version)
    if (this.#table === undefined) throw this.#gone(version)
    return { ...this.#table, metadata: evolveSchema(this.#table.metadata, EVENTS_COLUMNS) }
  }

  /** When the table was changed last, in milliseconds since 1970; 0 if there is none yet. */
  async latestMs(): Promise<number> {
    return this.#ports.state.pointer().version === 0 ? 0 : (await this.load()).metadata['last-updated-ms']
  }

  /** Adds rows to the table. @throws {CDCError} like `load`, or what R2 throws. */
  async append(rows: readonly Row[], landing: Landing): Promise<void> {
    const table = await this.load()
    await this.#commit((options) => prepareAppend(table, rows, options), { landing })
  }

  /** Stores the same rows in other files, or lists the same files in fewer manifests. Throws like `append`. */
  async rewrite(table: Table, rewrite: Rewrite): Promise<void> {
    await this.#commit((options) => prepareRewrite(table, rewrite, options), { rewrite })
  }

  /** Removes files from the table, and with them their rows. Throws like `append`. */
  async remove(table: Table, rewrite: Rewrite): Promise<void> {
    await this.#commit((options) => prepareRemoval(table, rewrite, options), { rewrite })
  }

  /** Finishes a commit that was interrupted after its metadata file was put. */
  async adoptOpen(): Promise<void> {
    const { state } = this.#ports
    if (!state.hasOpen()) return
    const metadata = await this.#readMetadata(state.pointer().version + 1)
    if (metadata !== undefined) await this.#finish(metadata)
  }

  /**
   * Checks that the state here is that of the table: an older one would take the files of later commits for orphans.
   *
   * @throws {CDCError} like `load`.
   */
  async checkCurrent(): Promise<void> {
    const { state, bucket } = this.#ports
    const { version } = state.pointer()
    const has = async (other: number) => (await bucket.head(this.keyOf(metadataKey(other)))) !== null
    if (version > 0 && !(await has(version))) throw this.#gone(version)
    if (await has(version + 1)) throw this.#conflict()
  }

  /** Forgets what is remembered of the table, as after a failure. */
  forget(): void {
    this.#table = undefined
  }

  /** The first version whose snapshot is remembered. */
  oldestVersion(): number {
    return Math.max(0, this.#ports.state.pointer().version - this.#ports.snapshotsKept + 1)
  }

  /** Where in the bucket a file of the table is. */
  keyOf(key: string): string {
    return this.#ports.location.prefix + key
  }

  /** Tells which files the metadata names, or may name once an open commit is found to have happened. */
  async namedFiles(): Promise<(key: string) => boolean> {
    const { state, snapshotsKept } = this.#ports
    const { version } = state.pointer()
    const { metadata } = await this.load()
    const lists = new Set(metadata.snapshots.map((snapshot) => manifestListKey(snapshot, metadata)))
    return (key) => key === VERSION_HINT_KEY || lists.has(key) || (versionOf(key) ?? -1) >= version - snapshotsKept
  }

  async #commit(
    prepare: (options: CommitOptions) => PreparedCommit,
    { landing = NOTHING_LANDS, rewrite }: { landing?: Landing; rewrite?: Rewrite },
  ): Promise<void> {
    const { transaction, sync, state, snapshotsKept } = this.#ports
    const version = state.pointer().version + 1
    const watermarks = this.#watermarksWith(landing.watermarks)
    const prepared = prepare(this.#commitOptions(watermarks.summary))
    const stored = watermarks.file === undefined ? prepared.files : [...prepared.files, watermarks.file]
    await this.#store(stored)
    const open: OpenCommit = {
      snapshotId: currentSnapshotId(prepared.metadata),
      version,
      throughSeq: landing.throughSeq,
      ...(watermarks.file && { watermarksKey: watermarks.file.key }),
    }
    const changes = [...additionsOf(prepared, stored), ...(rewrite ? replacementsOf(prepared, rewrite) : [])]
    transaction(() => state.prepare(open, changes))
    await sync()
    await this.#publish(keepSnapshots(prepared.metadata, snapshotsKept), version)
  }

  /** What a commit reports about the logs that it moves, and how it refers to the others. */
  #watermarksWith(moved: readonly Watermark[]): ReturnType<typeof summarizeWatermarks> {
    const { state, location, snapshotsKept, watermarks } = this.#ports
    const { version, watermarksKey, watermarksVersion } = state.pointer()
    return summarizeWatermarks({
      moved,
      all: watermarks,
      location: location.root,
      key: watermarksKey,
      sequence: version + 1,
      fileSequence: watermarksVersion,
      maxCommits: Math.ceil(snapshotsKept / 2),
      uuid: randomUUID,
    })
  }

  #commitOptions(summary: Record<string, string>): CommitOptions {
    return {
      summary,
      nowMs: this.#ports.now(),
      uuid: randomUUID,
      snapshotId: snapshotIdFrom(crypto.getRandomValues(new Uint8Array(8))),
      mayPartition: (partitions) => this.mayPartition(partitions),
    }
  }

  /** So that the types of one sender don't become more files than the lake can write and engines can read. */
  mayPartition(partitions: readonly (readonly PartitionValue[])[]): boolean {
    const { state, maxCommitPartitions, maxPartitions } = this.#ports
    return partitions.length <= maxCommitPartitions && state.hasRoomFor(partitions, maxPartitions)
  }

  /** Puts the metadata file if there is none, and then applies the commit that the file which is there now belongs to. */
  async #publish(metadata: TableMetadata, version: number): Promise<void> {
    const put = await this.#ports.bucket.put(this.keyOf(metadataKey(version)), JSON.stringify(metadata), {
      onlyIf: new Headers({ 'If-None-Match': '*' }),
    })
    if (put === null) await this.adoptOpen()
    else await this.#finish(metadata)
  }

  async #finish(metadata: TableMetadata): Promise<void> {
    const { transaction, bucket, state, now, landed } = this.#ports
    const commit = state.open(currentSnapshotId(metadata))
    if (commit === undefined) throw this.#conflict()
    const before = this.#table ?? (await this.#readTable(commit.version - 1))
    const nowMs = now()
    transaction(() => {
      state.finish(commit, landed(commit.throughSeq), nowMs)
      // The snapshots that these files are of are forgotten already.
      state.garbage.add(this.#keysOfExpired(before?.metadata.snapshots ?? [], metadata), 0, nowMs)
    })
    this.#table = { metadata, manifests: state.manifests(), metadataKey: metadataKey(commit.version) }
    await bucket.put(this.keyOf(VERSION_HINT_KEY), String(commit.version))
  }

  /** Files that no metadata file within reach names: otherwise every commit leaves another copy of the history. */
  #keysOfExpired(before: readonly Snapshot[], metadata: TableMetadata): string[] {
    const kept = new Set(metadata.snapshots.map((snapshot) => snapshot['snapshot-id']))
    const lists = before
      .filter((snapshot) => !kept.has(snapshot['snapshot-id']))
      .map((snapshot) => manifestListKey(snapshot, metadata))
    const oldest = metadata['last-sequence-number'] - this.#ports.snapshotsKept - 1
    return oldest > 0 ? [...lists, metadataKey(oldest)] : lists
  }

  async #createTable(): Promise<Table> {
    const { bucket, location, now } = this.#ports
    // Its first metadata file may be gone already, so a file of any version shows that there is a table.
    const { objects } = await bucket.list({ prefix: this.keyOf('metadata/v'), limit: 1 })
    if (objects.length > 0) throw this.#conflict()
    const metadata = createTableMetadata({
      location: location.root,
      columns: EVENTS_COLUMNS,
      partition: EVENTS_PARTITION,
      uuid: randomUUID(),
      nowMs: now(),
    })
    return { metadata, manifests: [] }
  }

  /** The table as one of its metadata files has it, with the manifests that are current now. */
  async #readTable(version: number): Promise<Table | undefined> {
    const metadata = version === 0 ? undefined : await this.#readMetadata(version)
    if (metadata === undefined) return undefined
    return { metadata, manifests: this.#ports.state.manifests(), metadataKey: metadataKey(version) }
  }

  async #readMetadata(version: number): Promise<TableMetadata | undefined> {
    const object = await this.#ports.bucket.get(this.keyOf(metadataKey(version)))
    if (object === null) return undefined
    const metadata = parseJSON(await object.text())
    if (isObject(metadata)) return metadata as unknown as TableMetadata
    throw new CDCError('table-damaged', `lake: ${this.keyOf(metadataKey(version))} is not valid JSON; ${RECOVER}`)
  }

  async #store(files: readonly NewFile[]): Promise<void> {
    for (let index = 0; index < files.length; index += PUTS_AT_ONCE)
      await Promise.all(
        files
          .slice(index, index + PUTS_AT_ONCE)
          .map(({ key, bytes }) => this.#ports.bucket.put(this.keyOf(key), bytes)),
      )
  }

  #gone(version: number): CDCError {
    return new CDCError(
      'table-damaged',
      `lake: ${this.keyOf(metadataKey(version))} is gone from the bucket; ${RECOVER}`,
    )
  }

  #conflict(): CDCError {
    return new CDCError(
      'lake-conflict',
      `lake: the table at ${this.#ports.location.root} has commits that this lake does not know. If another lake writes to ` +
        `it, give one of the two a LAKE_LOCATION of its own; if this lake's own database is new or from an older copy, ${RECOVER}`,
    )
  }
}

/** What a commit adds to the current snapshot, and what else it has stored. */
function additionsOf({ manifest, manifestKey, added }: PreparedCommit, stored: readonly NewFile[]): TableChange[] {
  const files = added.map((file): TableChange => ({ kind: 'add file', key: file.key, manifestKey, file }))
  const listed = new Set([manifestKey, ...files.map(({ key }) => key)])
  const others = stored.filter(({ key }) => !listed.has(key)).map(({ key }): TableChange => ({ kind: 'store', key }))
  return [{ kind: 'add manifest', key: manifestKey, manifest }, ...files, ...others]
}

/** What a rewrite takes out of the current snapshot, and which files it lists in its own manifest. */
function replacementsOf({ manifestKey, metadata }: PreparedCommit, rewrite: Rewrite): TableChange[] {
  const { manifests, removed, kept } = rewrite
  return [
    ...manifests.map(({ manifest_path }): TableChange => ({
      kind: 'remove manifest',
      key: keyBelow(metadata.location, manifest_path),
    })),
    ...removed.map(({ key }): TableChange => ({ kind: 'remove file', key })),
    ...kept.map((file): TableChange => ({ kind: 'move file', key: file.key, manifestKey, file })),
  ]
}

function manifestListKey(snapshot: Snapshot, { location }: TableMetadata): string {
  return keyBelow(location, snapshot['manifest-list'])
}

function currentSnapshotId(metadata: TableMetadata): number {
  const id = metadata['current-snapshot-id']
  if (id === undefined) throw new Error('I5: a stored metadata file always has a snapshot')
  return id
}

function randomUUID(): string {
  return crypto.randomUUID()
}
