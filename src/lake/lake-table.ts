// The lake's one writer. It takes records into its SQLite, where they are durable and acknowledged, and brings them
// into the Iceberg table commit by commit. Keeps I5: the table and what counts as landed change together.
//
// A commit: (1) data files, manifest and manifest list are stored; (2) the commit is noted as prepared; (3) the
// metadata file of the next version is put if absent: that is the commit; (4) one SQLite transaction moves the pointer
// and empties the buffer. Whatever is cut off between, the next run asks the metadata file what happened.

import { DurableObject } from 'cloudflare:workers'
import { CDCError } from '../error.ts'
import { type EventRecord, isCommitted } from '../event/record.ts'
import { migrate } from '../sqlite/migrate.ts'
import { type Amount, Buffer, type Slice, type SliceLimits, type StreamRow } from './buffer.ts'
import { Commits, type PreparedCommit, type TableChange } from './commits.ts'
import { type NewFile, type PreparedAppend, prepareAppend, type Table } from './iceberg/append.ts'
import { createTableMetadata, evolveSchema, keepSnapshots, type TableMetadata } from './iceberg/metadata.ts'
import type { Row } from './iceberg/schema.ts'
import { type Snapshot, snapshotIdFrom } from './iceberg/snapshot.ts'
import { groupByOrigin, markFork, type Origin, parseRecords, partsOf, runsOf, settle, sortOut } from './intake.ts'
import { byOrigin, Logs, type MemoryLimits } from './logs.ts'
import { unite, watermark } from './ranges.ts'
import { migrations } from './schema.ts'
import { DEFAULT_LOCATION, EVENTS_COLUMNS, EVENTS_PARTITION } from './table.ts'
import { sayWatermarks } from './watermarks.ts'

export interface LakeEnv {
  LAKE_BUCKET: R2Bucket
  /** The table's root, `s3://<bucket>/<prefix>`. Default: `DEFAULT_LOCATION`. */
  LAKE_LOCATION?: string
}

/** Limits of a lake. Times are in milliseconds. */
export interface LakeLimits extends SliceLimits, MemoryLimits {
  /** When what is buffered is committed: so long after the first of it came, or once it is so much. */
  readonly rollMs: number
  readonly rollEvents: number
  readonly rollBytes: number
  /** Bytes in the buffer beyond which `send` is refused until some are committed. */
  readonly bufferBytesMax: number
  /** How long events are held back, and how many bytes of them, because LSNs before them are missing. */
  readonly holdMs: number
  readonly holdBytesMax: number
  /** Snapshots that the table remembers, and as many metadata files before the current one. */
  readonly snapshotsKept: number
  /** How long a file stays that no snapshot reads any more, for those who read an older one. */
  readonly graceMs: number
}

/** What the lake holds and where its table stands. */
export interface LakeStatus {
  landedEvents: number
  bufferedEvents: number
  bufferedBytes: number
  /** Events that wait for LSNs before them. */
  heldEvents: number
  /** Logs of which LSNs are missing in the table. */
  logsWithHoles: number
  /** Commits so far; the current metadata file is `metadata/v<version>.metadata.json`. */
  version: number
  /** Data files and manifests of the current snapshot, and files that nothing reads and that are not deleted yet. */
  files: number
  manifests: number
  garbage: number
}

/** Requests that an object may have open at once, by the platform's rules. */
const PUTS_AT_ONCE = 6
/** Keys that R2 deletes in one request. */
const DELETES_AT_ONCE = 1_000

export class LakeTable extends DurableObject<LakeEnv> {
  readonly #buffer: Buffer
  readonly #logs: Logs
  readonly #commits: Commits
  readonly #limits: LakeLimits
  readonly #location: string
  #table: Table | undefined

  constructor(ctx: DurableObjectState, env: LakeEnv) {
    super(ctx, env)
    migrate(ctx.storage, 'lake_migrations', migrations)
    this.#buffer = new Buffer(ctx.storage.sql)
    this.#logs = new Logs(ctx.storage.sql)
    this.#commits = new Commits(ctx.storage.sql)
    this.#limits = this.configure()
    this.#location = env.LAKE_LOCATION ?? DEFAULT_LOCATION
    if (this.#buffer.amount.events + this.#buffer.heldAmount.events > 0)
      void ctx.blockConcurrencyWhile(() => this.#heal())
  }

  protected configure(): LakeLimits {
    return {
      rollMs: 2_000,
      rollEvents: 50_000,
      rollBytes: 16_000_000,
      commitEventsMax: 50_000,
      commitBytesMax: 16_000_000,
      bufferBytesMax: 64_000_000,
      holdMs: 60_000,
      holdBytesMax: 16_000_000,
      snapshotsKept: 100,
      graceMs: 3_600_000,
      seenMs: 24 * 3_600_000,
      seenEventsMax: 1_000_000,
      idsMs: 31 * 24 * 3_600_000,
    }
  }

  /** The time, for a test to choose. */
  protected now(): number {
    return Date.now()
  }

  /**
   * Takes records in, each (ns, source, epoch, lsn) once. They are durable when this resolves. A record without an LSN is
   * known by its (ns, id) for `seenMs`, and among the last `seenEventsMax` of them. A record whose LSN was taken by another
   * event is a fork: it lands beside that one, with `_meta.isFork`.
   *
   * @throws {CDCError} `record-invalid`: none was taken in, and trying again is of no use. `lake-full`: try again later.
   */
  async send(records: unknown): Promise<void> {
    const parsed = parseRecords(records)
    const bytes = this.#buffer.amount.bytes + this.#buffer.heldAmount.bytes
    if (bytes >= this.#limits.bufferBytesMax)
      throw new CDCError(
        'lake-full',
        `send: ${bytes} bytes wait to be committed, the limit is ${this.#limits.bufferBytesMax}; try again`,
        { retryable: true },
      )
    const before = this.#buffer.amount
    this.#transaction(() => this.#takeIn(parsed, this.now()))
    await this.#arm(before)
  }

  status(): LakeStatus {
    const { version, events } = this.#commits.pointer()
    return {
      landedEvents: events,
      bufferedEvents: this.#buffer.amount.events,
      bufferedBytes: this.#buffer.amount.bytes,
      heldEvents: this.#buffer.heldAmount.events,
      logsWithHoles: this.#logs.countHoles(),
      version,
      ...this.#commits.count(),
    }
  }

  /** Commits all that is buffered. Never throws: what fails is tried again. */
  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    // Armed before anything can fail, and never for the very millisecond of the running alarm, which would be lost.
    const retryAt = Math.max(this.now() + this.#limits.rollMs, (info?.scheduledTime ?? 0) + 1)
    await this.ctx.storage.setAlarm(retryAt)
    try {
      await this.#adoptPrepared()
      this.#transaction(() => this.#releaseOverdue())
      for (
        let slice = this.#buffer.nextSlice(this.#limits);
        slice !== undefined;
        slice = this.#buffer.nextSlice(this.#limits)
      )
        await this.#commit(slice)
      await this.#deleteGarbage()
    } catch (error) {
      this.#table = undefined
      console.warn(`lake: commit failed: ${error instanceof Error ? error.message : String(error)}`)
      return
    }
    await this.#armNext(info?.scheduledTime ?? 0)
  }

  async #heal(): Promise<void> {
    const alarm = await this.ctx.storage.getAlarm()
    if (alarm === null || alarm <= this.now()) await this.ctx.storage.setAlarm(this.now())
  }

  /** Keeps what is new of the records: in the buffer what goes on from what is there, and apart what leaves a hole. */
  #takeIn(records: readonly EventRecord[], nowMs: number): void {
    for (const { origin, records: group } of groupByOrigin(records.filter(isCommitted))) {
      const settled = unite([...this.#logs.landed(origin), ...this.#buffer.waiting(origin)])
      const heldBefore = this.#buffer.held(origin)
      const taken = unite([...settled, ...heldBefore])
      const { fresh, forks } = sortOut(group, taken, (lsn) => this.#logs.marksOf(origin, lsn))
      const runs = runsOf(origin, fresh)
      for (const run of [...runs, ...runsOf(origin, forks)]) this.#logs.addIds(run, nowMs)
      const { free, held } = settle([...runs, ...heldBefore], settled)
      for (const run of free)
        if ('seq' in run) this.#buffer.release(run)
        else this.#buffer.add(run, nowMs)
      for (const run of held) if (!('seq' in run)) this.#buffer.hold(run, nowMs)
      for (const part of partsOf(forks.map(markFork))) this.#buffer.add(part, nowMs)
    }
    const unlogged = records.filter((record) => !isCommitted(record))
    for (const part of partsOf(this.#logs.takeUnseen(unlogged, nowMs))) this.#buffer.add(part, nowMs)
  }

  /** Lets go what was held back for too long, or is too much: the table will have a hole, and says so. */
  #releaseOverdue(): void {
    const { holdMs, holdBytesMax } = this.#limits
    for (
      let oldest = this.#buffer.oldestHeld();
      oldest !== undefined && (oldest.takenMs + holdMs <= this.now() || this.#buffer.heldAmount.bytes > holdBytesMax);
      oldest = this.#buffer.oldestHeld()
    )
      this.#buffer.release(oldest)
  }

  /** In one SQLite transaction; where that is rolled back, what was counted is counted anew. */
  #transaction(change: () => void): void {
    try {
      this.ctx.storage.transactionSync(change)
    } catch (error) {
      this.#buffer.measure()
      throw error
    }
  }

  /** Makes an alarm due for what has just been taken in. */
  async #arm(before: Amount): Promise<void> {
    const { amount, heldAmount } = this.#buffer
    const { rollMs, rollEvents, rollBytes } = this.#limits
    const isFull = ({ events, bytes }: Amount): boolean => events >= rollEvents || bytes >= rollBytes
    if (isFull(amount) && !isFull(before)) await this.ctx.storage.setAlarm(this.now())
    else if (amount.events > 0 && before.events === 0) await this.#armBy(this.now() + rollMs)
    else if (heldAmount.events > 0 && amount.events === 0) await this.#armBy(this.now() + this.#limits.holdMs)
  }

  /** Makes the alarm due at a time, unless it is due before. */
  async #armBy(atMs: number): Promise<void> {
    const alarm = await this.ctx.storage.getAlarm()
    if (alarm === null || alarm > atMs) await this.ctx.storage.setAlarm(atMs)
  }

  /** What the alarm is for once all is committed: what is held back, and what is to be deleted. */
  async #armNext(afterMs: number): Promise<void> {
    const oldestHeld = this.#buffer.oldestHeld()
    const oldestGarbageMs = this.#commits.oldestGarbageMs(this.#oldestVersion())
    const dueMs = [
      ...(this.#buffer.amount.events > 0 ? [this.now() + this.#limits.rollMs] : []),
      ...(oldestHeld === undefined ? [] : [oldestHeld.takenMs + this.#limits.holdMs]),
      ...(oldestGarbageMs === undefined ? [] : [oldestGarbageMs + this.#limits.graceMs]),
    ]
    if (dueMs.length === 0) await this.ctx.storage.deleteAlarm()
    else await this.ctx.storage.setAlarm(Math.max(Math.min(...dueMs), afterMs + 1))
  }

  async #commit(slice: Slice): Promise<void> {
    const { version, watermarksKey, watermarksVersion } = this.#commits.pointer()
    const table = await this.#loadTable()
    const rows = this.#buffer.transform(slice.throughSeq).map(toRow)
    const watermarks = sayWatermarks({
      changed: this.#watermarksAfter(slice),
      all: () => this.#logs.watermarks(),
      location: this.#location,
      key: watermarksKey,
      sequence: version + 1,
      fileSequence: watermarksVersion,
      commitsMax: Math.ceil(this.#limits.snapshotsKept / 2),
      uuid: randomUUID,
    })
    const append = prepareAppend(table, rows, {
      summary: watermarks.summary,
      nowMs: this.now(),
      uuid: randomUUID,
      snapshotId: snapshotIdFrom(crypto.getRandomValues(new Uint8Array(8))),
    })
    const stored = watermarks.file === undefined ? append.files : [...append.files, watermarks.file]
    await this.#store(stored)
    const commit: PreparedCommit = {
      snapshotId: currentSnapshotId(append.metadata),
      version: version + 1,
      throughSeq: slice.throughSeq,
      ...(watermarks.file && { watermarksKey: watermarks.file.key }),
    }
    this.ctx.storage.transactionSync(() => this.#commits.prepare(commit, changesOf(append, stored)))
    await this.ctx.storage.sync()
    await this.#publish(keepSnapshots(append.metadata, this.#limits.snapshotsKept), commit.version)
  }

  /** Puts the metadata file if there is none, then does what the file that is there now says was committed. */
  async #publish(metadata: TableMetadata, version: number): Promise<void> {
    const put = await this.env.LAKE_BUCKET.put(this.#key(metadataKey(version)), JSON.stringify(metadata), {
      onlyIf: new Headers({ 'If-None-Match': '*' }),
    })
    if (put === null) await this.#adoptPrepared()
    else await this.#finish(metadata)
  }

  /** Finishes a commit that was cut off after its metadata file was put. */
  async #adoptPrepared(): Promise<void> {
    if (!this.#commits.hasPrepared()) return
    const metadata = await this.#readMetadata(this.#commits.pointer().version + 1)
    if (metadata !== undefined) await this.#finish(metadata)
  }

  async #finish(metadata: TableMetadata): Promise<void> {
    const commit = this.#commits.prepared(currentSnapshotId(metadata))
    if (commit === undefined) throw this.#conflict()
    const before = this.#table ?? (await this.#readTable(commit.version - 1))
    const nowMs = this.now()
    this.#transaction(() => {
      this.#logs.land(this.#buffer.runs(commit.throughSeq))
      this.#commits.finish(commit, this.#buffer.drop(commit.throughSeq), nowMs)
      // Their snapshots are forgotten already.
      this.#commits.discard(this.#keysOfExpired(before?.metadata.snapshots ?? [], metadata), 0, nowMs)
      this.#logs.forget(this.#limits, nowMs)
    })
    const key = metadataKey(commit.version)
    this.#table = { metadata, manifests: this.#commits.manifests(), metadataKey: key }
    // Only a hint, for readers without a catalog: what counts is the highest metadata file.
    await this.env.LAKE_BUCKET.put(this.#key('metadata/version-hint.text'), String(commit.version))
  }

  /** What no metadata file in reach names any more: each commit would else leave its whole history again. */
  #keysOfExpired(before: readonly Snapshot[], { snapshots, 'last-sequence-number': version }: TableMetadata): string[] {
    const kept = new Set(snapshots.map((snapshot) => snapshot['snapshot-id']))
    const lists = before
      .filter((snapshot) => !kept.has(snapshot['snapshot-id']))
      .map((snapshot) => snapshot['manifest-list'].slice(this.#location.length + 1))
    const oldest = version - this.#limits.snapshotsKept - 1
    return oldest > 0 ? [...lists, metadataKey(oldest)] : lists
  }

  /** The first version whose snapshot is remembered. */
  #oldestVersion(): number {
    return Math.max(0, this.#commits.pointer().version - this.#limits.snapshotsKept + 1)
  }

  /** Deletes files that neither a snapshot names nor anybody can be reading who began before it was forgotten. */
  async #deleteGarbage(): Promise<void> {
    const keys = this.#commits.garbage(this.#oldestVersion(), this.now() - this.#limits.graceMs, DELETES_AT_ONCE)
    if (keys.length === 0) return
    await this.env.LAKE_BUCKET.delete(keys.map((key) => this.#key(key)))
    this.#commits.forgetGarbage(keys)
  }

  async #loadTable(): Promise<Table> {
    const { version } = this.#commits.pointer()
    if (version === 0) return this.#createTable()
    this.#table ??= await this.#readTable(version)
    if (this.#table === undefined)
      throw new CDCError('not-found', `lake: ${this.#key(metadataKey(version))} is gone from the bucket; restore it`)
    return { ...this.#table, metadata: evolveSchema(this.#table.metadata, EVENTS_COLUMNS) }
  }

  async #createTable(): Promise<Table> {
    // Its first metadata file may be gone already, so a file of any version shows that there is a table.
    const { objects } = await this.env.LAKE_BUCKET.list({ prefix: this.#key('metadata/v'), limit: 1 })
    if (objects.length > 0) throw this.#conflict()
    const metadata = createTableMetadata({
      location: this.#location,
      columns: EVENTS_COLUMNS,
      partition: EVENTS_PARTITION,
      uuid: crypto.randomUUID(),
      nowMs: this.now(),
    })
    return { metadata, manifests: [] }
  }

  /** The table as one of its metadata files has it, with the manifests that are current now. */
  async #readTable(version: number): Promise<Table | undefined> {
    const metadata = version === 0 ? undefined : await this.#readMetadata(version)
    if (metadata === undefined) return undefined
    return { metadata, manifests: this.#commits.manifests(), metadataKey: metadataKey(version) }
  }

  async #readMetadata(version: number): Promise<TableMetadata | undefined> {
    const object = await this.env.LAKE_BUCKET.get(this.#key(metadataKey(version)))
    return object === null ? undefined : await object.json<TableMetadata>()
  }

  async #store(files: readonly NewFile[]): Promise<void> {
    for (let index = 0; index < files.length; index += PUTS_AT_ONCE)
      await Promise.all(
        files
          .slice(index, index + PUTS_AT_ONCE)
          .map(({ key, bytes }) => this.env.LAKE_BUCKET.put(this.#key(key), bytes)),
      )
  }

  /** Of each log that the slice moves, the last LSN up to which nothing will be missing from the table. */
  #watermarksAfter({ runs }: Slice): (Origin & { lsn: number })[] {
    return byOrigin(runs).map(({ origin, ranges }) => ({
      ...origin,
      lsn: watermark([...this.#logs.landed(origin), ...ranges]) ?? 0,
    }))
  }

  #conflict(): CDCError {
    return new CDCError(
      'lake-conflict',
      `lake: the table at ${this.#location} was written by somebody else, and a table has one lake; ` +
        'give this one a LAKE_LOCATION of its own',
    )
  }

  /** Where in the bucket a file of the table is: the bucket's name is the location's host, and no part of the key. */
  #key(key: string): string {
    return `${new URL(this.#location).pathname.slice(1)}/${key}`
  }
}

/** What an append does to the current snapshot, and what else it has stored. */
function changesOf(append: PreparedAppend, stored: readonly NewFile[]): TableChange[] {
  const { manifest, manifestKey } = append
  const files = append.dataFiles.map(({ key, partition, bytes, entry }): TableChange => ({
    kind: 'add file',
    key,
    file: { manifestKey, partition: JSON.stringify(partition), bytes, entry: JSON.stringify(entry, hexBytes) },
  }))
  const listed = new Set([manifestKey, ...files.map(({ key }) => key)])
  const others = stored.filter(({ key }) => !listed.has(key)).map(({ key }): TableChange => ({ kind: 'store', key }))
  return [{ kind: 'add manifest', key: manifestKey, manifest }, ...files, ...others]
}

/** JSON has no bytes. */
function hexBytes(_: string, value: unknown): unknown {
  return value instanceof Uint8Array ? { $hex: value.toHex() } : value
}

function randomUUID(): string {
  return crypto.randomUUID()
}

function metadataKey(version: number): string {
  return `metadata/v${version}.metadata.json`
}

function currentSnapshotId(metadata: TableMetadata): number {
  const id = metadata['current-snapshot-id']
  if (id === undefined) throw new Error('I5: a stored metadata file always has a snapshot')
  return id
}

/** Gives a row of the stream's SQL the types of the table's columns. */
function toRow(row: StreamRow): Row {
  return Object.fromEntries(
    EVENTS_COLUMNS.map(({ name, type }) => {
      const value = row[name] ?? null
      if (value === null) return [name, null]
      if (type === 'timestamptz') return [name, toMicros(String(value))]
      return [name, type === 'long' ? BigInt(value) : String(value)]
    }),
  )
}

/** Microseconds since 1970 of an ISO 8601 time with at most six digits after the second. */
function toMicros(timestamp: string): bigint {
  const [whole = '', fraction = ''] = timestamp.replace('Z', '').split('.')
  return BigInt(Date.parse(`${whole}Z`)) * 1_000n + BigInt(fraction.padEnd(6, '0'))
}
