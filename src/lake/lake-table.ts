// The lake's one writer: wires intake, table and upkeep together, and runs them by its alarm. Records that come are durable
// in SQLite when they are acknowledged; the alarm brings them into the Iceberg table, commit by commit. Keeps I5: the table
// and what counts as landed change together.

import { DurableObject } from 'cloudflare:workers'
import { messageOf } from '../error.ts'
import { migrate } from '../sqlite/migrate.ts'
import type { Slice } from './intake/buffer.ts'
import { Intake } from './intake/intake.ts'
import { type LakeLimits, limitsFrom } from './limits.ts'
import { migrations } from './migrations.ts'
import { dueAfterCommit, dueAfterIntake } from './schedule.ts'
import { locationOf } from './table/location.ts'
import { toRows } from './table/stream.ts'
import { TableState } from './table/table-state.ts'
import { TableWriter } from './table/table-writer.ts'
import { parseMissing, repair, type RepairOutcome } from './upkeep/repair.ts'
import { Upkeep } from './upkeep/upkeep.ts'
import type { UpkeepOutcome } from './upkeep/upkeep-state.ts'

export interface LakeEnv {
  LAKE_BUCKET: R2Bucket
  /** The table's root, `s3://<bucket>/<prefix>`. Default: `s3://lake/cdc/events`. */
  LAKE_LOCATION?: string
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
  /** Logs with LSNs missing in the table. */
  logsWithHoles: number
  /** Commits so far; the current metadata file is `metadata/v<version>.metadata.json`. */
  version: number
  /** Data files and manifests of the current snapshot, and files that nothing reads and that are not deleted yet. */
  files: number
  manifests: number
  garbage: number
  /** What was done last to keep the table fast. */
  upkeep?: UpkeepOutcome
}

export class LakeTable extends DurableObject<LakeEnv> {
  readonly #limits: LakeLimits
  readonly #state: TableState
  readonly #intake: Intake
  readonly #writer: TableWriter
  readonly #upkeep: Upkeep
  /** The last of the tasks that need the table to stay as it is meanwhile. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(ctx: DurableObjectState, env: LakeEnv) {
    super(ctx, env)
    const { storage } = ctx
    migrate(storage, 'lake_migrations', migrations)
    const limits = this.configure()
    const now = () => this.now()
    const bucket = env.LAKE_BUCKET
    const state = new TableState(storage.sql)
    const intake = new Intake({ storage, limits, now })
    const writer = new TableWriter({
      transaction: (change) => intake.transaction(change),
      sync: () => storage.sync(),
      bucket,
      state,
      location: locationOf(env),
      snapshotsKept: limits.snapshotsKept,
      now,
      watermarks: () => intake.watermarks(),
      landed: (throughSeq) => intake.land(throughSeq),
    })
    this.#limits = limits
    this.#state = state
    this.#intake = intake
    this.#writer = writer
    this.#upkeep = new Upkeep({ sql: storage.sql, bucket, writer, state, limits, now })
    if (intake.buffered.events + intake.held.events > 0 || state.hasOpen())
      void ctx.blockConcurrencyWhile(() => this.#ensureAlarm())
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
   * @throws {CDCError} `record-invalid`: none was taken in, and trying again is of no use. `lake-full`: try again later.
   */
  async send(json: string): Promise<void> {
    const before = this.#intake.buffered
    this.#intake.take(json)
    const dueMs = dueAfterIntake(before, this.#intake, this.#limits, this.now())
    if (dueMs !== undefined) await this.#armBy(dueMs)
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
      logsWithHoles: this.#intake.countHoles(),
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
    // Armed before anything can fail, and never for the very millisecond of the running alarm, which would be lost.
    const retryAt = Math.max(this.now() + this.#limits.rollMs, (info?.scheduledTime ?? 0) + 1)
    await this.ctx.storage.setAlarm(retryAt)
    try {
      await this.#inTurn(() => this.#commitAndKeepUp(info?.scheduledTime ?? 0))
    } catch (error) {
      console.warn(`lake: commit failed: ${messageOf(error)}`)
    }
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

  /** One after the other: a commit continues from the table that the one before it left. */
  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work)
    // After a failure nobody knows how far it came.
    this.#last = turn.catch(() => this.#writer.forget())
    return turn
  }

  async #commitAndKeepUp(alarmMs: number): Promise<void> {
    await this.#writer.adoptOpen()
    this.#intake.releaseOverdue()
    for (let slice = this.#intake.nextSlice(); slice !== undefined; slice = this.#intake.nextSlice())
      await this.#commit(slice)
    await this.#upkeep.deleteGarbage()
    // One step at a time, so that upkeep keeps no commit waiting.
    const hasUpkeep = this.#state.pointer().version > 0 && (await this.#upkeep.step())
    await this.#armNext(alarmMs, hasUpkeep)
  }

  async #commit(slice: Slice): Promise<void> {
    const rows = [...this.#intake.records(slice)].flatMap(({ records, takenMs }) => toRows(records, takenMs))
    const watermarks = this.#intake.watermarksAfter(slice)
    await this.#writer.append(rows, { throughSeq: slice.throughSeq, watermarks })
  }

  /** Makes an alarm due if none is, or if it should have run already. */
  async #ensureAlarm(): Promise<void> {
    const alarm = await this.ctx.storage.getAlarm()
    if (alarm === null || alarm <= this.now()) await this.ctx.storage.setAlarm(this.now())
  }

  /** Makes the alarm due at a time, unless it is due before. */
  async #armBy(atMs: number): Promise<void> {
    const alarm = atMs <= this.now() ? null : await this.ctx.storage.getAlarm()
    if (alarm === null || alarm > atMs) await this.ctx.storage.setAlarm(atMs)
  }

  async #armNext(alarmMs: number, hasUpkeep: boolean): Promise<void> {
    const remaining = {
      hasMore: hasUpkeep || this.#intake.buffered.events > 0,
      oldestHeldMs: this.#intake.oldestHeldMs(),
      upkeepDueMs: this.#upkeep.dueMs(),
    }
    const dueMs = dueAfterCommit(remaining, this.#limits, this.now())
    if (dueMs === undefined) await this.ctx.storage.deleteAlarm()
    else await this.ctx.storage.setAlarm(Math.max(dueMs, alarmMs + 1))
  }
}
