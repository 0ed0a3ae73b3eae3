// Commits to the Iceberg table, one at a time, each once. A commit: (1) its files are stored; (2) it is noted as prepared;
// (3) the metadata file of the next version is put if absent: that is the commit; (4) one SQLite transaction moves the
// pointer and whatever else goes with it. Whatever is cut off between, the next run asks the metadata file what happened.

import { CDCError } from '../../error.ts'
import type { Commits, OpenCommit, TableChange } from './commits.ts'
import type { NewFile, PreparedCommit, Table } from '../iceberg/commit.ts'
import { createTableMetadata, evolveSchema, keepSnapshots, type TableMetadata } from '../iceberg/metadata.ts'
import type { Snapshot } from '../iceberg/snapshot.ts'
import { type Location, metadataKey, VERSION_HINT_KEY } from './location.ts'
import { EVENTS_COLUMNS, EVENTS_PARTITION } from './table.ts'

/** What a writer needs of its object. */
export interface TableWriterParts {
  readonly storage: DurableObjectStorage
  readonly bucket: R2Bucket
  readonly commits: Commits
  readonly location: Location
  /** Snapshots that the table remembers, and as many metadata files before the current one. */
  readonly snapshotsKept: number
  readonly now: () => number
  /** What goes with a commit, in its transaction. @returns how many events it has landed. */
  readonly landed: (commit: OpenCommit) => number
}

/** What is known of a commit beside its files. */
export interface CommitFacts {
  readonly throughSeq: number
  /** The map of all watermarks, where it stores one. */
  readonly watermarks?: NewFile | undefined
  /** What it takes out of the current snapshot, and what it lists under another manifest. */
  readonly changes?: readonly TableChange[]
}

/** Requests that an object may have open at once, by the platform's rules. */
const PUTS_AT_ONCE = 6

export class TableWriter {
  readonly #parts: TableWriterParts
  /** The table as the last commit left it; nothing where that is not known. */
  #table: Table | undefined

  constructor(parts: TableWriterParts) {
    this.#parts = parts
  }

  /** The table to commit to, with all the columns that this version of the lake writes. */
  async load(): Promise<Table> {
    const { version } = this.#parts.commits.pointer()
    if (version === 0) return this.#createTable()
    this.#table ??= await this.#readTable(version)
    if (this.#table === undefined)
      throw new CDCError('not-found', `lake: ${this.keyOf(metadataKey(version))} is gone from the bucket; restore it`)
    return { ...this.#table, metadata: evolveSchema(this.#table.metadata, EVENTS_COLUMNS) }
  }

  /** Commits what was prepared on the table that was loaded. @throws {CDCError} `lake-conflict`, or whatever R2 throws. */
  async commit(prepared: PreparedCommit, { throughSeq, watermarks, changes = [] }: CommitFacts): Promise<void> {
    const { storage, commits, snapshotsKept } = this.#parts
    const version = commits.pointer().version + 1
    const stored = watermarks === undefined ? prepared.files : [...prepared.files, watermarks]
    await this.#store(stored)
    const open: OpenCommit = {
      snapshotId: currentSnapshotId(prepared.metadata),
      version,
      throughSeq,
      ...(watermarks && { watermarksKey: watermarks.key }),
    }
    storage.transactionSync(() => commits.prepare(open, [...changesOf(prepared, stored), ...changes]))
    await storage.sync()
    await this.#publish(keepSnapshots(prepared.metadata, snapshotsKept), version)
  }

  /** Finishes a commit that was cut off after its metadata file was put. */
  async adoptOpen(): Promise<void> {
    const { commits } = this.#parts
    if (!commits.hasOpen()) return
    const metadata = await this.#readMetadata(commits.pointer().version + 1)
    if (metadata !== undefined) await this.#finish(metadata)
  }

  /** Forgets what is remembered of the table, as after a failure. */
  forget(): void {
    this.#table = undefined
  }

  /** The first version whose snapshot is remembered. */
  oldestVersion(): number {
    return Math.max(0, this.#parts.commits.pointer().version - this.#parts.snapshotsKept + 1)
  }

  /** Where in the bucket a file of the table is. */
  keyOf(key: string): string {
    return this.#parts.location.prefix + key
  }

  /** Puts the metadata file if there is none, then does what the file that is there now says was committed. */
  async #publish(metadata: TableMetadata, version: number): Promise<void> {
    const put = await this.#parts.bucket.put(this.keyOf(metadataKey(version)), JSON.stringify(metadata), {
      onlyIf: new Headers({ 'If-None-Match': '*' }),
    })
    if (put === null) await this.adoptOpen()
    else await this.#finish(metadata)
  }

  async #finish(metadata: TableMetadata): Promise<void> {
    const { storage, bucket, commits, now, landed } = this.#parts
    const commit = commits.open(currentSnapshotId(metadata))
    if (commit === undefined) throw this.#conflict()
    const before = this.#table ?? (await this.#readTable(commit.version - 1))
    const nowMs = now()
    storage.transactionSync(() => {
      commits.finish(commit, landed(commit), nowMs)
      // Their snapshots are forgotten already.
      commits.discard(this.#keysOfExpired(before?.metadata.snapshots ?? [], metadata), 0, nowMs)
    })
    this.#table = { metadata, manifests: commits.manifests(), metadataKey: metadataKey(commit.version) }
    // Only a hint, for readers without a catalog: what counts is the highest metadata file.
    await bucket.put(this.keyOf(VERSION_HINT_KEY), String(commit.version))
  }

  /** What no metadata file in reach names any more: each commit would else leave its whole history again. */
  #keysOfExpired(before: readonly Snapshot[], { snapshots, 'last-sequence-number': version }: TableMetadata): string[] {
    const { location, snapshotsKept } = this.#parts
    const kept = new Set(snapshots.map((snapshot) => snapshot['snapshot-id']))
    const lists = before
      .filter((snapshot) => !kept.has(snapshot['snapshot-id']))
      .map((snapshot) => snapshot['manifest-list'].slice(location.root.length + 1))
    const oldest = version - snapshotsKept - 1
    return oldest > 0 ? [...lists, metadataKey(oldest)] : lists
  }

  async #createTable(): Promise<Table> {
    const { bucket, location, now } = this.#parts
    // Its first metadata file may be gone already, so a file of any version shows that there is a table.
    const { objects } = await bucket.list({ prefix: this.keyOf('metadata/v'), limit: 1 })
    if (objects.length > 0) throw this.#conflict()
    const metadata = createTableMetadata({
      location: location.root,
      columns: EVENTS_COLUMNS,
      partition: EVENTS_PARTITION,
      uuid: crypto.randomUUID(),
      nowMs: now(),
    })
    return { metadata, manifests: [] }
  }

  /** The table as one of its metadata files has it, with the manifests that are current now. */
  async #readTable(version: number): Promise<Table | undefined> {
    const metadata = version === 0 ? undefined : await this.#readMetadata(version)
    if (metadata === undefined) return undefined
    return { metadata, manifests: this.#parts.commits.manifests(), metadataKey: metadataKey(version) }
  }

  async #readMetadata(version: number): Promise<TableMetadata | undefined> {
    const object = await this.#parts.bucket.get(this.keyOf(metadataKey(version)))
    return object === null ? undefined : await object.json<TableMetadata>()
  }

  async #store(files: readonly NewFile[]): Promise<void> {
    for (let index = 0; index < files.length; index += PUTS_AT_ONCE)
      await Promise.all(
        files
          .slice(index, index + PUTS_AT_ONCE)
          .map(({ key, bytes }) => this.#parts.bucket.put(this.keyOf(key), bytes)),
      )
  }

  #conflict(): CDCError {
    return new CDCError(
      'lake-conflict',
      `lake: the table at ${this.#parts.location.root} was written by somebody else, and a table has one lake; ` +
        'give this one a LAKE_LOCATION of its own',
    )
  }
}

/** What a commit adds to the current snapshot, and what else it has stored. */
function changesOf({ manifest, manifestKey, added }: PreparedCommit, stored: readonly NewFile[]): TableChange[] {
  const files = added.map((file): TableChange => ({ kind: 'add file', key: file.key, manifestKey, file }))
  const listed = new Set([manifestKey, ...files.map(({ key }) => key)])
  const others = stored.filter(({ key }) => !listed.has(key)).map(({ key }): TableChange => ({ kind: 'store', key }))
  return [{ kind: 'add manifest', key: manifestKey, manifest }, ...files, ...others]
}

function currentSnapshotId(metadata: TableMetadata): number {
  const id = metadata['current-snapshot-id']
  if (id === undefined) throw new Error('I5: a stored metadata file always has a snapshot')
  return id
}
