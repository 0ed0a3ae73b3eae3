// The lake's one writer. It takes records into its SQLite, where they are durable and acknowledged, and brings them
// into the Iceberg table commit by commit. Keeps I5: the table and what counts as landed change together.
//
// A commit: (1) data files, manifest and manifest list are stored; (2) the commit is noted as prepared; (3) the
// metadata file of the next version is put if absent: that is the commit; (4) one SQLite transaction moves the pointer
// and empties the buffer. Whatever is cut off between, the next run asks the metadata file what happened.

import { DurableObject } from 'cloudflare:workers'
import { CDCError } from '../error.ts'
import { type NewFile, prepareAppend, type Table } from './iceberg/append.ts'
import { createTableMetadata, keepSnapshots, type TableMetadata } from './iceberg/metadata.ts'
import type { Row } from './iceberg/schema.ts'
import { type Snapshot, snapshotIdFrom } from './iceberg/snapshot.ts'
import { isCommitted } from '../event/record.ts'
import { groupByOrigin, newRuns, parseRecords, partsOf } from './intake.ts'
import { watermark } from './ranges.ts'
import {
  LakeState,
  type PreparedCommit,
  type SeenLimits,
  type Slice,
  type SliceLimits,
  type StreamRow,
} from './state.ts'
import { DEFAULT_LOCATION, EVENTS_COLUMNS, EVENTS_PARTITION } from './table.ts'

export interface LakeEnv {
  LAKE_BUCKET: R2Bucket
  /** The table's root, `s3://<bucket>/<prefix>`. Default: `DEFAULT_LOCATION`. */
  LAKE_LOCATION?: string
}

export interface LakeLimits extends SliceLimits, SeenLimits {
  /** How long a first record waits in the buffer before it is committed, in milliseconds. */
  readonly rollMs: number
  /** Bytes in the buffer beyond which `send` is refused until some are committed. */
  readonly bufferBytesMax: number
  /** Snapshots that the table remembers, and as many metadata files before the current one. */
  readonly snapshotsKept: number
}

/** What the lake holds and where its table stands. */
export interface LakeStatus {
  landedEvents: number
  bufferedEvents: number
  bufferedBytes: number
  /** Commits so far; the current metadata file is `metadata/v<version>.metadata.json`. */
  version: number
}

/** Requests that an object may have open at once, by the platform's rules. */
const PUTS_AT_ONCE = 6

export class LakeTable extends DurableObject<LakeEnv> {
  readonly #state: LakeState
  readonly #limits: LakeLimits
  readonly #location: string
  readonly #buffered: { events: number; bytes: number }
  #table: Table | undefined

  constructor(ctx: DurableObjectState, env: LakeEnv) {
    super(ctx, env)
    this.#state = new LakeState(ctx.storage)
    this.#limits = this.configure()
    this.#location = env.LAKE_LOCATION ?? DEFAULT_LOCATION
    this.#buffered = this.#state.measureBuffer()
    if (this.#buffered.events > 0) void ctx.blockConcurrencyWhile(() => this.#heal())
  }

  protected configure(): LakeLimits {
    return {
      rollMs: 2_000,
      commitEventsMax: 50_000,
      commitBytesMax: 16_000_000,
      bufferBytesMax: 64_000_000,
      snapshotsKept: 100,
      seenMs: 24 * 3_600_000,
      seenEventsMax: 1_000_000,
    }
  }

  /**
   * Takes records in, each (ns, source, epoch, lsn) once. They are durable when this resolves. A record without an LSN is
   * known by its (ns, id) for `seenMs`, and among the last `seenEventsMax` of them.
   *
   * @throws {CDCError} `record-invalid`: none was taken in, and trying again is of no use. `lake-full`: try again later.
   */
  async send(records: unknown): Promise<void> {
    const parsed = parseRecords(records)
    if (this.#buffered.bytes >= this.#limits.bufferBytesMax)
      throw new CDCError(
        'lake-full',
        `send: ${this.#buffered.bytes} bytes wait to be committed, the limit is ${this.#limits.bufferBytesMax}; try again`,
        { retryable: true },
      )
    const wasEmpty = this.#buffered.events === 0
    const nowMs = Date.now()
    const parts = this.ctx.storage.transactionSync(() => {
      const runs = groupByOrigin(parsed.filter(isCommitted)).flatMap(({ origin, records }) =>
        newRuns(origin, records, this.#state.taken(origin)),
      )
      const unseen = this.#state.takeUnseen(
        parsed.filter((record) => !isCommitted(record)),
        nowMs,
      )
      const added = [...runs, ...partsOf(unseen)]
      for (const part of added) this.#state.addPart(part, nowMs)
      return added
    })
    for (const { events, bytes } of parts) {
      this.#buffered.events += events
      this.#buffered.bytes += bytes
    }
    if (wasEmpty && parts.length > 0) await this.ctx.storage.setAlarm(nowMs + this.#limits.rollMs)
  }

  status(): LakeStatus {
    const { events, bytes } = this.#buffered
    return {
      landedEvents: this.#state.countLanded(),
      bufferedEvents: events,
      bufferedBytes: bytes,
      version: this.#state.version(),
    }
  }

  /** Commits all that is buffered. Never throws: what fails is tried again. */
  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    // Armed before anything can fail, and never for the very millisecond of the running alarm, which would be lost.
    const retryAt = Math.max(Date.now() + this.#limits.rollMs, (info?.scheduledTime ?? 0) + 1)
    await this.ctx.storage.setAlarm(retryAt)
    try {
      await this.#adoptPrepared()
      for (let slice = this.#nextSlice(); slice !== undefined; slice = this.#nextSlice()) await this.#commit(slice)
    } catch (error) {
      this.#table = undefined
      console.warn(`lake: commit failed: ${error instanceof Error ? error.message : String(error)}`)
      return
    }
    if (this.#buffered.events === 0) await this.ctx.storage.deleteAlarm()
  }

  async #heal(): Promise<void> {
    const alarm = await this.ctx.storage.getAlarm()
    if (alarm === null || alarm <= Date.now()) await this.ctx.storage.setAlarm(Date.now())
  }

  #nextSlice(): Slice | undefined {
    return this.#state.nextSlice(this.#limits)
  }

  async #commit(slice: Slice): Promise<void> {
    const version = this.#state.version() + 1
    const snapshotId = snapshotIdFrom(crypto.getRandomValues(new Uint8Array(8)))
    const rows = this.#state.transform(slice.throughSeq).map(toRow)
    const { files, manifest, metadata } = prepareAppend(await this.#loadTable(), rows, {
      summary: { 'cdc.watermarks': JSON.stringify(this.#watermarksAfter(slice)) },
      nowMs: Date.now(),
      uuid: () => crypto.randomUUID(),
      snapshotId,
    })
    await this.#store(files)
    this.#state.prepare({ snapshotId, version, throughSeq: slice.throughSeq, manifest })
    await this.ctx.storage.sync()
    await this.#publish(keepSnapshots(metadata, this.#limits.snapshotsKept), version)
  }

  /** Puts the metadata file if there is none, then does what the file that is there now says was committed. */
  async #publish(metadata: TableMetadata, version: number): Promise<void> {
    const put = await this.env.LAKE_BUCKET.put(this.#key(metadataKey(version)), JSON.stringify(metadata), {
      onlyIf: new Headers({ 'If-None-Match': '*' }),
    })
    if (put === null) await this.#adoptPrepared()
    else await this.#finish(metadata, this.#state.prepared(currentSnapshotId(metadata)))
  }

  /** Finishes a commit that was cut off after its metadata file was put. */
  async #adoptPrepared(): Promise<void> {
    const version = this.#state.version() + 1
    if (!this.#state.hasPrepared()) return
    const metadata = await this.#readMetadata(version)
    if (metadata !== undefined) await this.#finish(metadata, this.#state.prepared(currentSnapshotId(metadata)))
  }

  async #finish(metadata: TableMetadata, commit: PreparedCommit | undefined): Promise<void> {
    if (commit === undefined) throw this.#conflict()
    const before = this.#table
    this.#state.finish(commit)
    this.#state.pruneSeen(this.#limits, Date.now())
    Object.assign(this.#buffered, this.#state.measureBuffer())
    this.#table = undefined
    if (before !== undefined)
      this.#table = {
        metadata,
        manifests: [commit.manifest, ...before.manifests],
        metadataKey: metadataKey(commit.version),
      }
    // Only a hint, for readers without a catalog: what counts is the highest metadata file.
    await this.env.LAKE_BUCKET.put(this.#key('metadata/version-hint.text'), String(commit.version))
    await this.#dropOldMetadata(commit.version, before?.metadata.snapshots ?? [], metadata)
  }

  /** Deletes what no metadata file in reach names any more: each commit would else leave its whole history again. */
  async #dropOldMetadata(version: number, before: readonly Snapshot[], { snapshots }: TableMetadata): Promise<void> {
    const kept = new Set(snapshots.map((snapshot) => snapshot['snapshot-id']))
    const lists = before
      .filter((snapshot) => !kept.has(snapshot['snapshot-id']))
      .map((snapshot) => snapshot['manifest-list'].slice(this.#location.length + 1))
    const oldest = version - this.#limits.snapshotsKept - 1
    const keys = oldest > 0 ? [...lists, metadataKey(oldest)] : lists
    if (keys.length > 0) await this.env.LAKE_BUCKET.delete(keys.map((key) => this.#key(key)))
  }

  async #loadTable(): Promise<Table> {
    const version = this.#state.version()
    this.#table ??= await (version === 0 ? this.#createTable() : this.#readTable(version))
    return this.#table
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
      nowMs: Date.now(),
    })
    return { metadata, manifests: [] }
  }

  async #readTable(version: number): Promise<Table> {
    const metadata = await this.#readMetadata(version)
    if (metadata === undefined)
      throw new CDCError('not-found', `lake: ${this.#key(metadataKey(version))} is gone from the bucket; restore it`)
    return { metadata, manifests: this.#state.manifests(), metadataKey: metadataKey(version) }
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

  /** Per (source, epoch) that the slice touches, the last LSN up to which nothing will be missing from the table. */
  #watermarksAfter(slice: Slice): Record<string, Record<string, number>> {
    const watermarks: Record<string, Record<string, number>> = {}
    const origins = Map.groupBy(slice.runs, ({ ns, source, epoch }) => JSON.stringify([ns, source, epoch]))
    for (const runs of origins.values()) {
      const [origin] = runs
      if (origin === undefined) continue
      const lsn = watermark([...this.#state.landed(origin), ...runs])
      if (lsn !== undefined) watermarks[origin.source] = { ...watermarks[origin.source], [origin.epoch]: lsn }
    }
    return watermarks
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
