// The lake's one writer: wires intake, table and upkeep together, and runs them by its alarm. Records that come are durable
// in SQLite when they are acknowledged; the alarm brings them into the Iceberg table, commit by commit. Keeps I5: the table
// and what counts as landed change together.

import { DurableObject } from 'cloudflare:workers'
import { endOfWait } from '../due.ts'
import { reasonOf } from '../error.ts'
import { hideFromRPC } from '../hide-from-rpc.ts'
import { migrate } from '../sqlite/migrate.ts'
import type { Slice } from './intake/buffer.ts'
import { type CatalogConfig, catalogConfig, type CatalogVariables } from './rest/config.ts'
import { RestCatalog } from './rest/rest-catalog.ts'
import { Intake } from './intake/intake.ts'
import { LakeAlarm } from './lake-alarm.ts'
import { checkLimits, type LakeLimits, limitsFrom } from './limits.ts'
import { migrations } from './migrations.ts'
import type { PartitionValue } from './iceberg/partition.ts'
import { dueMs, type Waiting } from './schedule.ts'
import { locationOf } from './table/location.ts'
import { OwnCatalog } from './table/own-catalog.ts'
import { toRows } from './table/stream.ts'
import { TableState } from './table/table-state.ts'
import { TableWriter } from './table/table-writer.ts'
import { parseMissing, repair, type RepairOutcome } from './upkeep/repair.ts'
import { Upkeep } from './upkeep/upkeep.ts'
import { adopt } from './recover/adopt.ts'
import { recover, type RecoverOutcome } from './recover/recover.ts'
import type { UpkeepOutcome } from './upkeep/upkeep-state.ts'

export interface LakeEnv extends CatalogVariables {
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
/** What is due beside the events. */
type UpkeepDue = Pick<Waiting, 'isInterrupted' | 'hasUpkeep' | 'upkeepDueMs'>
/** For a write, which changes nothing of it, and should not pay for asking. */
const NO_UPKEEP: UpkeepDue = { isInterrupted: false, hasUpkeep: false, upkeepDueMs: [] }

/** How often the log is told that the lake is behind. */
const TELL_EVERY_MS = 60_000
/** A clock that was ahead by more was wrong, and what comes later must not be. */
const CLOCK_STEP_MS_MAX = 86_400_000

export class LakeTable extends DurableObject<LakeEnv> {
  readonly #limits: LakeLimits
  readonly #state: TableState
  readonly #intake: Intake
  readonly #writer: TableWriter
  readonly #upkeep: Upkeep
  readonly #alarm: LakeAlarm
  /** The catalog that the table is in, if it is not the lake's own. */
  readonly #config: CatalogConfig | undefined
  readonly #catalog: OwnCatalog | RestCatalog
  #lastError: string | undefined
  /** The first question to the catalog, for all who wait for its answer. */
  #connecting: Promise<unknown> | undefined
  /** When what has landed last was taken in; undefined until something has landed since the object woke. */
  #latestTakenMs: number | undefined
  /** When the log was last told that the lake is behind. */
  #toldMs = 0
  /** The last of the tasks that need the table to stay as it is meanwhile. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(ctx: DurableObjectState, env: LakeEnv) {
    super(ctx, env)
    hideFromRPC(this, 'configure', 'now')
    const { storage } = ctx
    migrate(storage, 'lake_migrations', migrations)
    const limits = checkLimits(this.configure(), 'LakeTable.configure')
    const now = () => this.now()
    const bucket = env.LAKE_BUCKET
    const state = new TableState(storage.sql)
    const intake = new Intake({ storage, limits, now })
    const config = catalogConfig(env)
    const snapshotsKept = config?.isKeptByCatalog ? Infinity : limits.snapshotsKept
    const commitMs = limits.commitMs ?? (config === undefined ? 0 : REST_COMMIT_MS)
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
    this.#state = state
    this.#intake = intake
    this.#writer = writer
    this.#upkeep = new Upkeep({
      sql: storage.sql,
      bucket,
      writer,
      state,
      limits,
      now,
      isByLake: config?.isKeptByCatalog !== true,
      ownCatalog: catalog instanceof OwnCatalog ? catalog : undefined,
    })
    this.#alarm = new LakeAlarm(storage, Math.max(limits.rollMs, commitMs, RETRY_MS_MIN), now)
    this.#config = config
    this.#catalog = catalog
    this.#correctTimes()
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
   * @throws {CDCError} `record-invalid`: none was taken in, and trying again is of no use. `lake-full` or `lake-behind`: try
   *   again later.
   */
  async send(json: string): Promise<void> {
    this.#tellIfBehind()
    await this.#connect()
    try {
      this.#intake.take(json)
    } finally {
      // Also after a refusal: what waits must land before anything else is taken in.
      await this.#armBy(this.#dueMs(NO_UPKEEP))
    }
  }

  status(): LakeStatus {
    const { version, events } = this.#state.pointer()
    const { buffered, held } = this.#intake
    const upkeep = this.#upkeep.last()
    return {
      landedEvents: events,
      bufferedEvents: buffered.events,
      bufferedBytes: buffered.bytes,
      heldEvents: held.events,
      lagMs: this.#intake.lagMs(),
      freshnessMs: this.#limits.freshnessMs,
      isBehind: this.#intake.isBehind,
      ...(this.#lastError !== undefined && { lastError: this.#lastError }),
      logsWithHoles: this.#intake.countHoles(),
      ...(this.#config && { catalog: this.#config.uri }),
      version,
      ...this.#state.count(),
      ...(upkeep && { upkeep }),
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
      this.#lastError = undefined
    } catch (error) {
      this.#lastError = reasonOf(error)
      await this.#alarm.fail(this.#writer.commitFromMs())
      console.warn(`lake: commit failed: ${this.#lastError}`)
    }
    this.#tellIfBehind()
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
      bucket: this.env.LAKE_BUCKET,
      writer: this.#writer,
      state: this.#state,
      upkeep: this.#upkeep,
      intake: this.#intake,
    }
    return this.#inTurn(() => repair(parsed, ports))
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
      bucket: this.env.LAKE_BUCKET,
      location: locationOf(this.env),
      state: this.#state,
      intake: this.#intake,
      mayPartition: (partitions: readonly (readonly PartitionValue[])[]) => this.#writer.mayPartition(partitions),
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
    await this.#upkeep.deleteGarbage()
    // One step at a time, so that upkeep keeps no commit waiting. It does not wait for `commitMs` itself, or it never came to it.
    const hasUpkeep = this.#state.pointer().version > 0 && (await this.#upkeep.step())
    await this.#alarm.end(this.#dueMs(this.#upkeepDue(hasUpkeep)))
  }

  async #commit(slice: Slice): Promise<void> {
    // Times of arrival rise, although the clock may have stepped back: readers order the epochs of a log by them.
    let latestMs = this.#latestTakenMs ?? (await this.#writer.latestMs())
    const rows = [...this.#intake.records(slice)].flatMap(({ records, takenMs }) => {
      const hasSteppedBack = takenMs < latestMs && latestMs - takenMs < CLOCK_STEP_MS_MAX
      latestMs = hasSteppedBack ? latestMs + 1 : takenMs
      return toRows(records, latestMs)
    })
    const watermarks = this.#intake.watermarksAfter(slice)
    await this.#writer.append(rows, { throughSeq: slice.throughSeq, watermarks })
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
    return { isInterrupted: this.#state.hasOpen(), hasUpkeep, upkeepDueMs: this.#upkeep.dueMs() }
  }

  /** What was noted by a clock that was ahead would wait until that time comes. */
  #correctTimes(): void {
    this.#intake.correctTimes()
    this.#state.garbage.correctTimes(this.now())
  }

  /** Tells the log, once a minute, that the promise of `freshnessMs` is broken. */
  #tellIfBehind(): void {
    const nowMs = this.now()
    if (!this.#intake.isBehind || endOfWait(this.#toldMs + TELL_EVERY_MS, TELL_EVERY_MS, nowMs) > nowMs) return
    this.#toldMs = nowMs
    const { events } = this.#intake.buffered
    const reason = this.#lastError === undefined ? '' : `; the last commit failed: ${this.#lastError}`
    console.error(
      `lake: behind: the oldest of ${events} events has waited ${this.#intake.lagMs()} ms, the limit is ` +
        `${this.#limits.freshnessMs} (freshnessMs); send is refused until it has landed${reason}`,
    )
  }
}

/** What reaches a catalog: by its binding if it is not in the Internet. */
export function fetchBy(binding: Fetcher | undefined): typeof fetch {
  return (input, init) => (binding === undefined ? fetch(input, init) : binding.fetch(input, init))
}
