// The lake's one writer: wires intake, table, shards and upkeep together, and runs them by its alarm. Records that come, and files
// that shards offer, are durable in SQLite when they are acknowledged; the alarm brings them into the Iceberg table, commit by
// commit. Keeps I5: the table and what counts as landed change together.

import { DurableObject } from 'cloudflare:workers'
import { reasonOf } from '../error.ts'
import { hideFromRPC } from '../hide-from-rpc.ts'
import { migrate } from '../sqlite/migrate.ts'
import type { Slice } from './intake/buffer.ts'
import { type CatalogConfig, catalogConfig, type CatalogVariables } from './rest/config.ts'
import { RestCatalog } from './rest/rest-catalog.ts'
import { type Answer, Intake, type Question, readBatch } from './intake/intake.ts'
import type { OfferName, ShardName } from './intake/offer.ts'
import type { LSNRange } from './intake/ranges.ts'
import { rowsInOrder } from './intake/rows.ts'
import { FreshnessWatch } from './freshness-watch.ts'
import { LakeAlarm } from './lake-alarm.ts'
import { checkLimits, type LakeLimits, limitsFrom } from './limits.ts'
import { type LakeObjects, shardAt, wantedShards } from './lake-objects.ts'
import type { LogKey } from './log.ts'
import { migrations } from './migrations.ts'
import type { PartitionValue } from './iceberg/partition.ts'
import { dueMs, type Waiting } from './schedule.ts'
import { Bucket } from './table/bucket.ts'
import { askElders } from './shards/elders.ts'
import { type ClosedLayout, type CurrentLayout, Layouts } from './shards/layouts.ts'
import type { Committer, FileTarget, OfferAnswer, Renounced, ShardStatus } from './shards/ports.ts'
import { Shards } from './shards/shards.ts'
import { locationOf } from './table/location.ts'
import { OwnCatalog } from './table/own-catalog.ts'
import { TableState } from './table/table-state.ts'
import { TableWriter } from './table/table-writer.ts'
import { parseMissing, repair, type RepairOutcome } from './upkeep/repair.ts'
import { Upkeep } from './upkeep/upkeep.ts'
import { adopt } from './recover/adopt.ts'
import { recover, type RecoverOutcome } from './recover/recover.ts'
import type { UpkeepOutcome } from './upkeep/upkeep-state.ts'

export interface LakeEnv extends CatalogVariables, LakeObjects {
  /** In it is the table, whichever catalog it is in. */
  LAKE_BUCKET: R2Bucket
  /**
   * The table's root, `s3://<bucket>/<prefix>`. Default: `s3://lake/cdc/events`, or where the catalog of `LAKE_CATALOG_URI`
   * creates it.
   */
  LAKE_LOCATION?: string
  /** A binding by which that catalog is reached if it is not in the Internet: a service, or a private network. */
  LAKE_CATALOG?: Fetcher
  /** JSON of some `LakeLimits`, in place of their defaults: `{ "rollMs": 500 }`. */
  LAKE_LIMITS?: string
}

/** What the lake holds, and the state of its table. */
export interface LakeStatus {
  landedEvents: number
  bufferedEvents: number
  bufferedBytes: number
  /** Events that wait for LSNs before them. */
  heldEvents: number
  /** Age of the oldest event that waits, buffered or held, and how old it may be; beyond that `send` is refused. In ms. */
  lagMs: number
  freshnessMs: number
  isBehind: boolean
  /** Why the last commit failed; missing after a success. */
  lastError?: string
  /** Logs with LSNs missing in the table. */
  logsWithHoles: number
  /** What waits in each shard, which counts above too; missing if the lake has none. */
  shards?: ShardStatus[]
  /** The address of the catalog that the table is in; missing if that is the lake's own. */
  catalog?: string
  /**
   * Commits so far, as far as the lake knows: others may have committed since. In the lake's own catalog the current metadata
   * file is `metadata/v<version>.metadata.json`.
   */
  version: number
  /** Data files and manifests of the current snapshot, and files that nothing reads and that are not deleted yet. */
  files: number
  manifests: number
  garbage: number
  /** What was done last to keep the table fast. */
  upkeep?: UpkeepOutcome
}

/** How soon a commit that failed is tried again, at least. */
const RETRY_MS_MIN = 1_000
/** `commitMs` for a table in another catalog than the lake's own: 20 commits a minute. */
const REST_COMMIT_MS = 3_000
/** What is due beside the events: of upkeep, and to change the number of shards. */
type UpkeepDue = Pick<Waiting, 'isInterrupted' | 'hasUpkeep' | 'upkeepDueMs'>
/** For a write, which changes nothing of it, and should not pay for asking. */
const NO_UPKEEP: UpkeepDue = { isInterrupted: false, hasUpkeep: false, upkeepDueMs: [] }

export class LakeTable extends DurableObject<LakeEnv> implements Committer {
  readonly #limits: LakeLimits
  readonly #bucket: Bucket
  readonly #state: TableState
  readonly #intake: Intake
  readonly #writer: TableWriter
  readonly #upkeep: Upkeep
  readonly #layouts: Layouts
  readonly #shards: Shards
  readonly #watch: FreshnessWatch
  readonly #alarm: LakeAlarm
  /** The catalog that the table is in, if it is not the lake's own. */
  readonly #config: CatalogConfig | undefined
  readonly #catalog: OwnCatalog | RestCatalog
  /** The first question to the catalog, for all who wait for its answer. */
  #connecting: Promise<unknown> | undefined
  /** When what has landed last was taken in; undefined until something has landed since the object woke. */
  #latestTakenMs: number | undefined
  /** The last of the tasks that need the table to stay as it is meanwhile. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(ctx: DurableObjectState, env: LakeEnv) {
    super(ctx, env)
    hideFromRPC(this, 'configure', 'now')
    const { storage } = ctx
    migrate(storage, 'lake_migrations', migrations)
    const limits = checkLimits(this.configure(), 'LakeTable.configure')
    const now = () => this.now()
    const bucket = new Bucket(env.LAKE_BUCKET, limits)
    const state = new TableState(storage.sql)
    const intake = new Intake({ storage, limits, now })
    const config = catalogConfig(env)
    const snapshotsKept = config?.isKeptByCatalog ? Infinity : limits.snapshotsKept
    const wanted = wantedShards(env)
    // So that a commit has what all shards have offered, and there are no more commits than without shards.
    const ownCommitMs = wanted > 0 ? limits.rollMs : 0
    const commitMs = limits.commitMs ?? (config === undefined ? ownCommitMs : REST_COMMIT_MS)
    const ports = { bucket, state, snapshotsKept, now }
    const catalog =
      config === undefined
        ? new OwnCatalog({ ...ports, location: locationOf(env) })
        : new RestCatalog({ ...ports, config, location: env.LAKE_LOCATION, fetch: fetchBy(env.LAKE_CATALOG) })
    const writer = new TableWriter({
      transaction: (change) => intake.transaction(change),
      sync: () => storage.sync(),
      bucket,
      state,
      catalog,
      snapshotsKept,
      commitMs,
      maxCommitPartitions: limits.maxCommitPartitions,
      maxPartitions: limits.maxPartitions,
      now,
      watermarks: () => intake.watermarks(),
      landed: (throughSeq) => intake.land(throughSeq),
    })
    this.#limits = limits
    this.#bucket = bucket
    this.#state = state
    this.#intake = intake
    this.#writer = writer
    this.#layouts = new Layouts(storage.sql)
    this.#shards = new Shards({
      layouts: this.#layouts,
      intake,
      state,
      writer,
      wanted,
      memoryMs: Math.max(limits.idsMs, limits.seenMs),
      shardAt: (name) => shardAt(env, name),
      now,
    })
    this.#upkeep = new Upkeep({
      sql: storage.sql,
      bucket,
      writer,
      state,
      limits,
      now,
      isByLake: config?.isKeptByCatalog !== true,
      mayBeOffered: (key) => this.#shards.mayBeOffered(key),
      ownCatalog: catalog instanceof OwnCatalog ? catalog : undefined,
    })
    this.#alarm = new LakeAlarm(storage, Math.max(limits.rollMs, commitMs, RETRY_MS_MIN), now)
    this.#watch = new FreshnessWatch({ intake, freshnessMs: limits.freshnessMs, now })
    this.#config = config
    this.#catalog = catalog
    this.#correctTimes()
    this.#shards.startChange()
    void ctx.blockConcurrencyWhile(() => this.#armBy(this.#dueMs(this.#upkeepDue(false))))
  }

  /** Override to change limits in code. @throws {CDCError} `invalid-config` if `LAKE_LIMITS` is not valid. */
  protected configure(): LakeLimits {
    return limitsFrom(this.env.LAKE_LIMITS)
  }

  /** The time, for a test to choose. */
  protected now(): number {
    return Date.now()
  }

  /**
   * Takes a JSON array of records in, each (ns, source, epoch, lsn) once. They are durable when this resolves. A record
   * without an LSN is known by its (ns, id) for `seenMs`, and among the last `maxSeenEvents` of them. A record whose LSN
   * was taken by another event is a fork: it lands beside that one, with `_meta.isFork`.
   *
   * @throws {CDCError} `record-invalid`: none was taken in, and trying again is of no use. `lake-full`, `lake-behind` or
   *   `lake-resharding`: try again later.
   */
  async send(json: string): Promise<void> {
    this.#watch.tellIfBehind()
    this.#shards.checkTakesIn()
    await this.#connect()
    try {
      const batch = readBatch(json)
      const elders = this.#shards.elders().filter(({ shards }) => shards > 0)
      if (elders.length === 0) this.#intake.take(batch)
      else {
        const landed = new Map<LogKey, LSNRange[]>()
        const question = this.#intake.questionAbout(batch, { landed })
        const answer = await askElders(question, elders, (shard, asked) => shardAt(this.env, shard).recall(asked))
        this.#shards.checkTakesIn()
        this.#intake.take(batch, { ...answer, landed })
      }
    } finally {
      // Also after a refusal: what waits must land before anything else is taken in.
      await this.#armBy(this.#dueMs(NO_UPKEEP))
    }
  }

  async status(): Promise<LakeStatus> {
    const shards = await this.#shards.status()
    const { version, events } = this.#state.pointer()
    const { buffered, held } = this.#intake
    const upkeep = this.#upkeep.last()
    const failed = shards.find(({ lastError }) => lastError !== undefined)
    const lastError = this.#watch.lastError ?? (failed && `shard ${failed.shard}: ${failed.lastError}`)
    const sum = (read: (shard: ShardStatus) => number) => shards.reduce((total, shard) => total + read(shard), 0)
    return {
      landedEvents: events,
      bufferedEvents: buffered.events + sum((shard) => shard.bufferedEvents),
      bufferedBytes: buffered.bytes + sum((shard) => shard.bufferedBytes),
      heldEvents: held.events + sum((shard) => shard.heldEvents),
      lagMs: Math.max(this.#intake.lagMs(), ...shards.map(({ lagMs }) => lagMs)),
      freshnessMs: this.#limits.freshnessMs,
      isBehind: this.#intake.isBehind || shards.some(({ isBehind }) => isBehind),
      ...(lastError !== undefined && { lastError }),
      logsWithHoles: this.#intake.countHoles(),
      ...(this.#config && { catalog: this.#config.uri }),
      version,
      ...this.#state.count(),
      ...(upkeep && { upkeep }),
      ...(shards.length > 0 && { shards }),
    }
  }

  /** The table's version; 0 before its first commit. Every request for the table asks for it, so nothing else is read. */
  version(): number {
    return this.#state.pointer().version
  }

  /** Commits all that is buffered, then does one step of upkeep. Never throws: what fails is tried again. */
  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    await this.#alarm.begin(info?.scheduledTime ?? 0)
    try {
      await this.#inTurn(() => this.#commitAndKeepUp())
      this.#watch.lastError = undefined
    } catch (error) {
      this.#watch.lastError = reasonOf(error)
      await this.#alarm.fail(this.#writer.commitFromMs())
      console.warn(`lake: commit failed: ${this.#watch.lastError}`)
    }
    this.#watch.tellIfBehind()
  }

  // What shards and the entrypoint ask.

  async layout(): Promise<CurrentLayout> {
    return this.#layouts.current
  }

  /** Throws like `send` if the table can't be found. */
  async enter(shard: ShardName): Promise<ClosedLayout[] | undefined> {
    await this.#connect()
    return this.#shards.isCurrent(shard) ? this.#layouts.closed() : undefined
  }

  async settled(logs: readonly LogKey[]): Promise<[LogKey, LSNRange[]][]> {
    return [...this.#intake.settled(logs)]
  }

  async recall(question: Question): Promise<Answer> {
    return this.#intake.recall(question)
  }

  async fileTarget(): Promise<string> {
    const { metadata } = await this.#inTurn(() => this.#writer.load())
    // Only what files are written by.
    const target: FileTarget = {
      metadata: { ...metadata, snapshots: [], 'snapshot-log': [], 'metadata-log': [] },
      prefix: this.#writer.keyOf(''),
    }
    return JSON.stringify(target)
  }

  async admit(partitions: readonly (readonly PartitionValue[])[]): Promise<boolean> {
    return this.#shards.admit(partitions)
  }

  async offer(json: string): Promise<OfferAnswer> {
    const answer = this.#shards.take(json)
    await this.#armBy(this.#dueMs(NO_UPKEEP))
    return answer
  }

  async renounce(offer: OfferName, keys: readonly string[]): Promise<Renounced> {
    return this.#shards.renounce(offer, keys)
  }

  /**
   * Corrects what the lake remembers if rows that had landed are no longer in the table: files that are gone from the bucket
   * leave the table, and those of the missing LSNs that no data file holds are forgotten. They land when they are sent again,
   * and are missing until then. What the table holds stays known, even if it is reported as missing.
   *
   * @param missing `LogRanges[]`: the LSNs that seem to be missing.
   * @throws {CDCError} `invalid-argument`.
   */
  async repair(missing: unknown): Promise<RepairOutcome> {
    const parsed = parseMissing(missing)
    const ports = {
      bucket: this.#bucket,
      writer: this.#writer,
      state: this.#state,
      upkeep: this.#upkeep,
      intake: this.#intake,
    }
    const outcome = await this.#inTurn(() => repair(parsed, ports))
    await this.#shards.refresh()
    return outcome
  }

  /**
   * Rebuilds the table and the lake's own state from what the bucket and the lake still hold, if they are damaged or don't agree.
   * A table in another catalog than the lake's own stays as it is, and the lake takes it over. What waits in the lake stays. What
   * no file holds any more is missing then, and lands when it is sent again.
   *
   * @param isDryRun whether to report only what would be done.
   * @throws {CDCError} `lake-conflict` if another lake commits to the table.
   */
  async recover(isDryRun: unknown): Promise<RecoverOutcome> {
    const { storage } = this.ctx
    const ports = {
      bucket: this.#bucket,
      location: locationOf(this.env),
      state: this.#state,
      intake: this.#intake,
      mayPartition: (partitions: readonly (readonly PartitionValue[])[]) => this.#writer.mayPartition(partitions),
      isExpected: (key: string) => this.#shards.isExpected(key),
      sync: () => storage.sync(),
      now: () => this.now(),
    }
    const outcome = await this.#inTurn(async () => {
      // What is damaged may be just what this needs.
      await this.#writer.adoptOpen().catch(() => undefined)
      this.#writer.forget()
      // A stub may pass anything; what changes the table must be asked for.
      const isDry = isDryRun !== false
      return this.#catalog instanceof RestCatalog
        ? adopt(isDry, { ...ports, catalog: this.#catalog })
        : recover(isDry, ports)
    })
    if (outcome.isDone) await this.#shards.refresh()
    await this.#armBy(this.#dueMs(this.#upkeepDue(true)))
    return outcome
  }

  /** One after the other: a commit continues from the table that the one before it left. */
  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work)
    // After a failure nobody knows how far it came.
    this.#last = turn.catch(() => this.#writer.forget())
    return turn
  }

  async #commitAndKeepUp(): Promise<void> {
    this.#correctTimes()
    await this.#writer.adoptOpen()
    this.#intake.releaseOverdue()
    const mayCommit = () => this.#writer.commitFromMs() <= this.now()
    for (let slice = this.#intake.nextSlice(); slice !== undefined && mayCommit(); slice = this.#intake.nextSlice())
      await this.#commit(slice)
    const { layout } = this.#layouts.current
    await this.#shards.continueChange()
    // The rows of other objects may have come later than the last one of this.
    if (layout !== this.#layouts.current.layout) this.#latestTakenMs = undefined
    await this.#upkeep.deleteGarbage()
    // One step at a time, so that upkeep keeps no commit waiting. It does not wait for `commitMs` itself, or it never came to it.
    const hasUpkeep = this.#state.pointer().version > 0 && (await this.#upkeep.step())
    await this.#alarm.end(this.#dueMs(this.#upkeepDue(hasUpkeep)))
  }

  async #commit(slice: Slice): Promise<void> {
    const afterMs = this.#latestTakenMs ?? (await this.#writer.latestMs())
    const { rows, latestMs } = rowsInOrder(this.#intake.records(slice), afterMs)
    const watermarks = this.#intake.watermarksAfter(slice)
    await this.#writer.append(
      { rows, written: this.#intake.offeredFiles(slice) },
      { throughSeq: slice.throughSeq, watermarks },
    )
    this.#latestTakenMs = latestMs
  }

  /** Takes nothing in for a table that was never found: a catalog that is configured wrongly must be told at once. */
  async #connect(): Promise<void> {
    if (this.#config === undefined || this.#state.pinned() !== undefined) return
    this.#connecting ??= this.#inTurn(() => this.#writer.load()).finally(() => (this.#connecting = undefined))
    await this.#connecting
  }

  /** Makes the alarm due for what there is to do (I6). */
  async #armBy(atMs: number | undefined): Promise<void> {
    if (atMs !== undefined) await this.#alarm.armBy(atMs)
  }

  #dueMs(upkeep: UpkeepDue): number | undefined {
    const waiting = {
      buffered: this.#intake.buffered,
      oldestBufferedMs: this.#intake.oldestBufferedMs(),
      oldestHeldMs: this.#intake.oldestHeldMs(),
      commitFromMs: this.#writer.commitFromMs(),
      ...upkeep,
    }
    return dueMs(waiting, this.#limits, this.now())
  }

  #upkeepDue(hasUpkeep: boolean): UpkeepDue {
    const upkeepDueMs = [...this.#upkeep.dueMs(), ...this.#shards.dueMs()]
    return { isInterrupted: this.#state.hasOpen(), hasUpkeep, upkeepDueMs }
  }

  /** What was noted by a clock that was ahead would wait until that time comes. */
  #correctTimes(): void {
    this.#intake.correctTimes()
    this.#state.garbage.correctTimes(this.now())
  }
}

/** What reaches a catalog: by its binding if it is not in the Internet. */
export function fetchBy(binding: Fetcher | undefined): typeof fetch {
  return (input, init) => (binding === undefined ? fetch(input, init) : binding.fetch(input, init))
}
