// Commits to the Iceberg table, one at a time, each once. A commit: (1) its files are stored; (2) it is noted as prepared, with
// the id of its snapshot; (3) the catalog makes its metadata the table's, if nobody was faster: that is the commit; (4) one
// SQLite transaction applies it here, with everything that must change together with the table. If it is interrupted, or its
// answer is lost, the table's metadata tells whether it happened.

import { endOfWait } from '../../due.ts'
import { CDCError } from '../../error.ts'
import { prepareAppend, prepareRemoval, prepareRewrite, withCountedTotals } from '../iceberg/commit.ts'
import type {
  CommitOptions,
  NewFile,
  PreparedCommit,
  PreparedManifest,
  Rewrite,
  Table,
  WrittenFile,
} from '../iceberg/commit.ts'
import {
  currentSnapshot,
  hasSnapshot,
  keepSnapshots,
  keyOfPath,
  oldestSequenceNumber,
  type TableMetadata,
} from '../iceberg/metadata.ts'
import type { PartitionValue } from '../iceberg/partition.ts'
import type { Row } from '../iceberg/schema.ts'
import { snapshotIdFrom } from '../iceberg/snapshot.ts'
import type { Bucket } from './bucket.ts'
import type { Catalog, CatalogTable } from './catalog.ts'
import { SnapshotFiles } from './snapshot-files.ts'
import { storeFiles } from './store-files.ts'
import { withEventsColumns } from './table.ts'
import type { OpenCommit, TableChange, TableState } from './table-state.ts'
import {
  carryWatermarks,
  ownSnapshotOf,
  summarizeWatermarks,
  type Watermark,
  type WatermarkReport,
} from './watermarks.ts'

export interface TableWriterPorts {
  /** Runs a change in one SQLite transaction. */
  readonly transaction: (change: () => void) => void
  /** Resolves once what was written is durable. */
  readonly sync: () => Promise<void>
  readonly bucket: Bucket
  readonly state: TableState
  readonly catalog: Catalog
  /** Snapshots that the table remembers; infinitely many if the lake lets none expire. */
  readonly snapshotsKept: number
  /** The shortest time from one commit to the next, in milliseconds. */
  readonly commitMs: number
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

export interface Additions {
  readonly rows: readonly Row[]
  readonly written: readonly WrittenFile[]
}

const NOTHING_LANDS: Landing = { throughSeq: 0, watermarks: [] }

/** How often an append begins anew because somebody else has committed, before the next run of the alarm tries again. */
const RACES_MAX = 3

export class TableWriter {
  readonly #ports: TableWriterPorts
  /** The table as the last commit left it; undefined if that is not known. */
  #table: Table | undefined
  /** Before this time the limits allow no commit, and how far away that was when it was set. */
  #commitFromMs = 0
  #commitWaitMs = 0

  constructor(ports: TableWriterPorts) {
    this.#ports = ports
  }

  /**
   * The table to commit to, with all the columns that this version of the lake writes. What others have committed since is
   * taken over.
   *
   * @throws {CDCError} like `Catalog`.
   */
  async load(): Promise<Table> {
    if (this.#table === undefined) {
      const { catalog } = this.#ports
      await this.#adopt((await catalog.load()) ?? (await catalog.create()))
    }
    if (this.#table === undefined) throw new Error('I5: a table that was loaded is known')
    return { ...this.#table, metadata: withEventsColumns(this.#table.metadata, this.#ports.catalog.isShared) }
  }

  /** When the table was changed last, in milliseconds since 1970; 0 if there is none yet. */
  async latestMs(): Promise<number> {
    return this.#ports.state.pointer().version === 0 ? 0 : (await this.load()).metadata['last-updated-ms']
  }

  /** Before this time nothing is to be committed, by the limits or by the catalog's word. In milliseconds since 1970. */
  commitFromMs(): number {
    const { catalog, now } = this.#ports
    return Math.max(endOfWait(this.#commitFromMs, this.#commitWaitMs, now()), catalog.busyUntilMs)
  }

  /**
   * Adds rows to the table, and those of files that are stored already. If an earlier attempt at a commit is found to have happened, it adds nothing: what was to land may
   * have landed with that.
   *
   * @throws {CDCError} like `load`, what R2 throws, and `lake-conflict` if others commit all the time.
   */
  async append({ rows, written }: Additions, landing: Landing): Promise<void> {
    for (let race = 1; race <= RACES_MAX; race += 1) {
      const table = await this.load()
      const isDone = await this.#commit(table, (options) => prepareAppend(table, rows, options, written), { landing })
      if (isDone || (await this.#loseRace())) return
    }
    throw this.#raceLost()
  }

  /**
   * Stores the same rows in other files, or lists the same files in fewer manifests. Throws like `append`.
   *
   * @returns whether it was done; false if somebody else has committed first.
   */
  rewrite(table: Table, rewrite: Rewrite): Promise<boolean> {
    return this.#replace(table, (options) => prepareRewrite(table, rewrite, options), rewrite)
  }

  /** Removes files from the table, and with them their rows. Throws like `append`. */
  async remove(table: Table, rewrite: Rewrite): Promise<void> {
    const isDone = await this.#replace(table, (options) => prepareRemoval(table, rewrite, options), rewrite)
    if (!isDone) throw this.#raceLost()
  }

  /** Finishes a commit that was interrupted after it happened. @returns whether there was one. */
  async adoptOpen(): Promise<boolean> {
    const { state, catalog } = this.#ports
    if (!state.hasOpen()) return false
    const found = await catalog.load()
    return found !== undefined && this.#adopt(found)
  }

  /** Takes over what others have committed until now. Throws like `load`. */
  async refresh(): Promise<void> {
    if (!this.#ports.catalog.isShared) return
    this.forget()
    await this.load()
  }

  /** Forgets what is remembered of the table, as after a failure. */
  forget(): void {
    this.#table = undefined
  }

  /** The first version whose snapshot is remembered. */
  oldestVersion(): number {
    const { state, catalog, snapshotsKept } = this.#ports
    if (!catalog.isShared) return Math.max(0, state.pointer().version - snapshotsKept + 1)
    // Unless that is known, whatever was replaced may be read.
    return this.#table === undefined ? 0 : oldestSequenceNumber(this.#table.metadata)
  }

  /** Where in the bucket a file of the table is. */
  keyOf(key: string): string {
    return this.#ports.catalog.location.prefix + key
  }

  async #replace(
    table: Table,
    prepare: (options: CommitOptions) => PreparedCommit,
    rewrite: Rewrite,
  ): Promise<boolean> {
    const isDone = await this.#commit(table, prepare, { rewrite })
    if (!isDone) await this.#loseRace()
    return isDone
  }

  /** @returns whether an earlier attempt is found to have happened. */
  #loseRace(): Promise<boolean> {
    this.forget()
    return this.adoptOpen()
  }

  /** @returns whether it happened; false if somebody else has committed first. */
  async #commit(
    table: Table,
    prepare: (options: CommitOptions) => PreparedCommit,
    { landing = NOTHING_LANDS, rewrite }: { landing?: Landing; rewrite?: Rewrite },
  ): Promise<boolean> {
    const { transaction, sync, bucket, state, catalog, snapshotsKept, commitMs, now } = this.#ports
    const base = this.#table ?? table
    const snapshotId = snapshotIdFrom(crypto.getRandomValues(new Uint8Array(8)))
    const report = this.#report(base.metadata, landing.watermarks, snapshotId)
    const prepared = prepare(this.#commitOptions(snapshotId, report.summary ?? {}))
    const stored = report.file === undefined ? prepared.files : [...prepared.files, report.file]
    await storeFiles(bucket, this.keyOf(''), stored)
    const properties = { ...prepared.metadata.properties, ...report.properties }
    const next = keepSnapshots({ ...prepared.metadata, properties }, snapshotsKept)
    const open: OpenCommit = {
      snapshotId,
      version: next['last-sequence-number'],
      throughSeq: landing.throughSeq,
      ...(report.file && { watermarksKey: report.file.key }),
      retired: [...listsOfExpired(prepared.metadata, next), ...catalog.retiredKeys(next)],
    }
    const changes = [...additionsOf(prepared, stored), ...(rewrite ? replacementsOf(prepared, rewrite) : [])]
    transaction(() => state.prepare(open, changes))
    await sync()
    this.#commitFromMs = Math.max(this.commitFromMs(), now()) + commitMs
    this.#commitWaitMs = this.#commitFromMs - now()
    const committed = await catalog.commit(base, next)
    if (committed === undefined) return false
    await this.#finish(open, committed)
    return true
  }

  /** What a commit reports about the logs that it moves, and how it refers to the others. */
  #report(metadata: TableMetadata, moved: readonly Watermark[], snapshotId: number): WatermarkReport {
    const { state, catalog, snapshotsKept, watermarks } = this.#ports
    const { version, watermarksKey, watermarksVersion } = state.pointer()
    const facts = { moved, all: watermarks, location: catalog.location.root, uuid: randomUUID }
    const sequence = metadata['last-sequence-number'] + 1
    if (catalog.isShared) return carryWatermarks({ ...facts, sequence, snapshotId, properties: metadata.properties })
    return summarizeWatermarks({
      ...facts,
      sequence: version + 1,
      key: watermarksKey,
      fileSequence: watermarksVersion,
      maxCommits: Math.ceil(snapshotsKept / 2),
    })
  }

  #commitOptions(snapshotId: number, summary: Readonly<Record<string, string>>): CommitOptions {
    return {
      summary,
      nowMs: this.#ports.now(),
      uuid: randomUUID,
      snapshotId,
      mayPartition: (partitions) => this.mayPartition(partitions),
    }
  }

  /** So that the types of one sender don't become more files than the lake can write and engines can read. */
  mayPartition(partitions: readonly (readonly PartitionValue[])[]): boolean {
    const { state, maxCommitPartitions, maxPartitions } = this.#ports
    return partitions.length <= maxCommitPartitions && state.hasRoomFor(partitions, maxPartitions)
  }

  /** Continues from the table that a catalog has. @returns whether an open commit is found to have happened. */
  async #adopt(found: CatalogTable): Promise<boolean> {
    const { state, catalog } = this.#ports
    const open = state.open().find(({ snapshotId }) => hasHappened(snapshotId, found.metadata))
    if (open !== undefined) await this.#finish(open, found)
    else {
      if (catalog.isShared) await this.#takeOver(found.metadata)
      this.#know(found)
    }
    return open !== undefined
  }

  async #finish(commit: OpenCommit, found: CatalogTable): Promise<void> {
    const { transaction, catalog, state, now, landed } = this.#ports
    const { metadata } = found
    transaction(() => state.finish(commit, landed(commit.throughSeq), now()))
    if (catalog.isShared) await this.#takeOver(metadata)
    this.#know(found)
    await catalog.announce(metadata)
  }

  #know(found: CatalogTable): void {
    const { state, catalog } = this.#ports
    const manifests = state.manifests()
    this.#table = catalog.isShared
      ? { manifests, metadata: withCountedTotals(found.metadata, manifests) }
      : { manifests, ...found }
  }

  /** Brings the state in line with a snapshot of another writer. */
  async #takeOver(metadata: TableMetadata): Promise<void> {
    const { transaction, bucket, state, catalog, now } = this.#ports
    const id = currentSnapshot(metadata)?.['snapshot-id']
    if (state.snapshots().current === (id === undefined ? undefined : String(id))) return
    const snapshotFiles = new SnapshotFiles(bucket, catalog.location)
    const manifests = await snapshotFiles.manifests(metadata)
    const known = new Set(state.manifestKeys())
    const added: PreparedManifest[] = []
    for (const manifest of manifests)
      if (!known.has(manifest.key)) added.push(await snapshotFiles.withFiles(manifest, metadata))
    const manifestKeys = manifests.map(({ key }) => key)
    const version = metadata['last-sequence-number']
    transaction(() => state.takeOver({ id, version, manifestKeys, added }, now()))
  }

  #raceLost(): CDCError {
    const { root } = this.#ports.catalog.location
    return new CDCError('lake-conflict', `lake: others commit to the table at ${root} all the time; try again`, {
      retryable: true,
    })
  }
}

/** Whether the table has had a snapshot, as far as it remembers. */
function hasHappened(id: number, metadata: TableMetadata): boolean {
  return ownSnapshotOf(metadata) === String(id) || hasSnapshot(metadata, id)
}

/** The manifest lists of the snapshots that are forgotten. */
function listsOfExpired(before: TableMetadata, after: TableMetadata): string[] {
  const kept = new Set(after.snapshots.map((snapshot) => snapshot['snapshot-id']))
  return before.snapshots
    .filter((snapshot) => !kept.has(snapshot['snapshot-id']))
    .map((snapshot) => keyOfPath(before.location, snapshot['manifest-list']))
}

/** What a commit adds to the current snapshot, and what else it has stored. */
function additionsOf({ manifests }: PreparedCommit, stored: readonly NewFile[]): TableChange[] {
  const additions = manifests.flatMap(({ key: manifestKey, manifest, added }): TableChange[] => [
    { kind: 'add manifest', key: manifestKey, manifest },
    ...added.map((file): TableChange => ({ kind: 'add file', key: file.key, manifestKey, file })),
  ])
  const listed = new Set(additions.map(({ key }) => key))
  const others = stored.filter(({ key }) => !listed.has(key)).map(({ key }): TableChange => ({ kind: 'store', key }))
  return [...additions, ...others]
}

/** What a rewrite takes out of the current snapshot, and which files it lists in its own manifest. */
function replacementsOf({ manifests: [own], metadata }: PreparedCommit, rewrite: Rewrite): TableChange[] {
  const { manifests, removed, kept } = rewrite
  return [
    ...manifests.map(({ manifest_path }): TableChange => ({
      kind: 'remove manifest',
      key: keyOfPath(metadata.location, manifest_path),
    })),
    ...removed.map(({ key }): TableChange => ({ kind: 'remove file', key })),
    ...kept.map((file): TableChange => ({ kind: 'move file', key: file.key, manifestKey: own?.key ?? '', file })),
  ]
}

function randomUUID(): string {
  return crypto.randomUUID()
}
