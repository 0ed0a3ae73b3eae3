// The lake's one writer. It takes records into its SQLite, where they are durable and acknowledged, and brings them
// into the Iceberg table commit by commit. Keeps I5: the table and what counts as landed change together.

import { DurableObject } from 'cloudflare:workers'
import { CDCError, messageOf } from '../error.ts'
import type { ParsedRecords } from '../event/plain-record.ts'
import { type CommittedRecord, isCommitted } from '../event/record.ts'
import { migrate } from '../sqlite/migrate.ts'
import { type Amount, Buffer, type Slice } from './intake/buffer.ts'
import { Commits, type UpkeepOutcome } from './table/commits.ts'
import { type CommitOptions, type NewFile, prepareAppend } from './iceberg/commit.ts'
import { snapshotIdFrom } from './iceberg/snapshot.ts'
import {
  groupByLog,
  logNamed,
  markFork,
  type MarkedRun,
  namesOf,
  parseRecords,
  type Part,
  partsOf,
  partsOfRuns,
  runsOf,
  settle,
  sortOut,
  verbatimPart,
} from './intake/intake.ts'
import { type LakeLimits, limitsFrom } from './limits.ts'
import { type Location, locationOf } from './table/location.ts'
import { Logs } from './intake/logs.ts'
import { common, unite, watermark } from './intake/ranges.ts'
import { findGoneFiles, findLost, parseSuspects, type RepairOutcome, type Suspect } from './upkeep/repair.ts'
import { migrations } from './schema.ts'
import { toRows } from './table/stream.ts'
import { TableWriter } from './table/table-writer.ts'
import { Upkeep } from './upkeep/upkeep.ts'
import { sayWatermarks, type Watermark } from './table/watermarks.ts'

export interface LakeEnv {
  LAKE_BUCKET: R2Bucket
  /** The table's root, `s3://<bucket>/<prefix>`. Default: `DEFAULT_LOCATION`. */
  LAKE_LOCATION?: string
  /** JSON of some `LakeLimits`, in place of their defaults: `{ "rollMs": 500 }`. */
  LAKE_LIMITS?: string
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
  /** What was done last to keep the table quick. */
  upkeep?: UpkeepOutcome
}

/** Keys that R2 deletes in one request. */
const DELETES_AT_ONCE = 1_000

export class LakeTable extends DurableObject<LakeEnv> {
  readonly #buffer: Buffer
  readonly #logs: Logs
  readonly #commits: Commits
  readonly #limits: LakeLimits
  readonly #location: Location
  readonly #writer: TableWriter
  readonly #upkeep: Upkeep
  /** The commits that were begun, and whatever else needs the table to stay as it is meanwhile. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(ctx: DurableObjectState, env: LakeEnv) {
    super(ctx, env)
    migrate(ctx.storage, 'lake_migrations', migrations)
    this.#buffer = new Buffer(ctx.storage.sql)
    this.#logs = new Logs(ctx.storage.sql)
    this.#commits = new Commits(ctx.storage.sql)
    this.#limits = this.configure()
    this.#location = locationOf(env)
    const { snapshotsKept } = this.#limits
    const parts = { bucket: env.LAKE_BUCKET, commits: this.#commits, snapshotsKept, now: () => this.now() }
    this.#writer = new TableWriter({
      ...parts,
      storage: ctx.storage,
      location: this.#location,
      landed: ({ throughSeq }) => this.#land(throughSeq),
    })
    this.#upkeep = new Upkeep({
      ...parts,
      writer: this.#writer,
      limits: this.#limits,
      sayWatermarks: () => this.#sayWatermarks([]),
      optionsOf: (summary) => this.#optionsOf(summary),
    })
    if (this.#buffer.amount.events + this.#buffer.heldAmount.events > 0 || this.#commits.hasOpen())
      void ctx.blockConcurrencyWhile(() => this.#heal())
  }

  /** Override to change limits in code. @throws {CDCError} `invalid-config` for a `LAKE_LIMITS` that makes no sense. */
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
    const parsed = parseRecords(json)
    const bytes = this.#buffer.amount.bytes + this.#buffer.heldAmount.bytes
    if (bytes >= this.#limits.maxBufferBytes)
      throw new CDCError(
        'lake-full',
        `send: ${bytes} bytes wait to be committed, the limit is ${this.#limits.maxBufferBytes}; try again`,
        { retryable: true },
      )
    const before = this.#buffer.amount
    this.#transaction(() => this.#takeIn(parsed, verbatimPart(parsed, json)))
    await this.#arm(before)
  }

  status(): LakeStatus {
    const { version, events } = this.#commits.pointer()
    const { last } = this.#commits.upkeep()
    return {
      landedEvents: events,
      bufferedEvents: this.#buffer.amount.events,
      bufferedBytes: this.#buffer.amount.bytes,
      heldEvents: this.#buffer.heldAmount.events,
      logsWithHoles: this.#logs.countHoles(),
      version,
      ...this.#commits.count(),
      ...(last && { upkeep: last }),
    }
  }

  /** Of the status what every request for the table needs, and what costs nothing to know. */
  version(): number {
    return this.#commits.pointer().version
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
   * Makes the table the truth again where rows went away from it that were there: files that are gone from the bucket leave
   * the table, and of the suspected LSNs those are forgotten that no data file holds. They land when they are sent again,
   * and until then they are missing. What the table does hold stays known, whatever is suspected.
   *
   * @throws {CDCError} `invalid-argument`.
   */
  async repair(suspects: unknown): Promise<RepairOutcome> {
    const parsed = parseSuspects(suspects)
    return this.#inTurn(async () => {
      await this.#writer.adoptOpen()
      const bucket = { objects: this.env.LAKE_BUCKET, keyOf: (key: string) => this.#writer.keyOf(key) }
      const gone = await findGoneFiles(bucket, this.#commits.fileKeys())
      if (gone.size > 0) await this.#upkeep.removeFiles(gone)
      const lost = await findLost(bucket, this.#commits.fileKeys(), parsed)
      return { goneFiles: gone.size, forgotten: this.#forget(lost) }
    })
  }

  /** Forgets of some LSNs that they have landed, where they have. */
  #forget(lost: readonly Suspect[]): Suspect[] {
    const landed = this.#logs.landed(lost.map(logNamed))
    const forgotten = lost
      .map((suspect) => ({ ...suspect, ranges: common(suspect.ranges, landed.get(logNamed(suspect)) ?? []) }))
      .filter(({ ranges }) => ranges.length > 0)
    this.#transaction(() => {
      for (const suspect of forgotten) this.#logs.forgetLanded(logNamed(suspect), suspect.ranges)
    })
    return forgotten
  }

  /** One after the other: a commit goes on from the table that the one before it left. */
  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work)
    // After a failure nobody knows how far it came.
    this.#last = turn.catch(() => this.#writer.forget())
    return turn
  }

  async #commitAndKeepUp(alarmMs: number): Promise<void> {
    await this.#writer.adoptOpen()
    this.#transaction(() => this.#releaseOverdue())
    await this.#commitAll()
    await this.#deleteGarbage()
    // One step at a time, so that whatever there is to do keeps no commit waiting.
    const hasMore = this.#commits.pointer().version > 0 && (await this.#upkeep.step())
    await this.#armNext(alarmMs, hasMore)
  }

  async #heal(): Promise<void> {
    const alarm = await this.ctx.storage.getAlarm()
    if (alarm === null || alarm <= this.now()) await this.ctx.storage.setAlarm(this.now())
  }

  /** Keeps what is new of the records: in the buffer what goes on from what is there, and apart what leaves a hole. */
  #takeIn({ records }: ParsedRecords, verbatim: Part | undefined): void {
    const nowMs = this.now()
    const groups = groupByLog(records.filter(isCommitted))
    const landed = this.#logs.landed([...groups.keys()])
    const freeRuns: ReturnType<typeof runsOf> = []
    const marked: MarkedRun[] = []
    const forked: CommittedRecord[] = []
    for (const [log, group] of groups) {
      const settled = unite([...(landed.get(log) ?? []), ...this.#buffer.waiting(log)])
      const heldBefore = this.#buffer.held(log)
      const taken = unite([...settled, ...heldBefore])
      const { fresh, forks } = sortOut(group, taken, (lsn) => this.#logs.marksOf(log, lsn))
      const runs = runsOf(log, fresh)
      marked.push(...runs, ...runsOf(log, forks))
      forked.push(...forks)
      const { free, held } = settle([...runs, ...heldBefore], settled)
      for (const run of free)
        if ('seq' in run) this.#buffer.release(run)
        else freeRuns.push(run)
      for (const run of held) if (!('seq' in run)) this.#hold(run, nowMs)
    }
    this.#logs.addIds(marked, nowMs)
    const isWhole = freeRuns.reduce((events, run) => events + run.records.length, 0) === records.length
    if (isWhole && verbatim !== undefined && records.length > 0) return this.#buffer.add(verbatim, freeRuns, nowMs)
    for (const part of partsOfRuns(freeRuns)) this.#buffer.add(part, part.runs, nowMs)
    const unseen = this.#logs.takeUnseen(
      records.filter((record) => !isCommitted(record)),
      nowMs,
    )
    for (const part of partsOf([...forked.map(markFork), ...unseen])) this.#buffer.add(part, [], nowMs)
  }

  #hold(run: ReturnType<typeof runsOf>[number], nowMs: number): void {
    for (const part of partsOfRuns([run])) for (const held of part.runs) this.#buffer.hold(part, held, nowMs)
  }

  /** Lets go what was held back for too long, or is too much: the table will have a hole, and says so. */
  #releaseOverdue(): void {
    const { holdMs, maxHoldBytes } = this.#limits
    for (
      let oldest = this.#buffer.oldestHeld();
      oldest !== undefined && (oldest.takenMs + holdMs <= this.now() || this.#buffer.heldAmount.bytes > maxHoldBytes);
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

  /** What the alarm is for once all is committed: upkeep, what is held back, and what is to be deleted. */
  async #armNext(afterMs: number, hasMore: boolean): Promise<void> {
    const { rollMs, holdMs, graceMs } = this.#limits
    const oldestHeld = this.#buffer.oldestHeld()
    const oldestGarbageMs = this.#commits.oldestGarbageMs(this.#writer.oldestVersion())
    const dueMs = [
      ...(hasMore || this.#buffer.amount.events > 0 ? [this.now() + rollMs] : []),
      ...(oldestHeld === undefined ? [] : [oldestHeld.takenMs + holdMs]),
      ...(oldestGarbageMs === undefined ? [] : [oldestGarbageMs + graceMs]),
      ...(this.#commits.pointer().version > 0 ? [this.#upkeep.sweepDueMs()] : []),
    ]
    if (dueMs.length === 0) await this.ctx.storage.deleteAlarm()
    else await this.ctx.storage.setAlarm(Math.max(Math.min(...dueMs), this.now(), afterMs + 1))
  }

  async #commitAll(): Promise<void> {
    for (
      let slice = this.#buffer.nextSlice(this.#limits);
      slice !== undefined;
      slice = this.#buffer.nextSlice(this.#limits)
    )
      await this.#commit(slice)
  }

  async #commit(slice: Slice): Promise<void> {
    const table = await this.#writer.load()
    const parts = [...this.#buffer.records(slice.throughSeq)]
    const rows = parts.flatMap(({ records, takenMs }) => toRows(records, takenMs))
    const watermarks = this.#sayWatermarks(this.#watermarksAfter(slice))
    const append = prepareAppend(table, rows, this.#optionsOf(watermarks.summary))
    await this.#writer.commit(append, { throughSeq: slice.throughSeq, watermarks: watermarks.file })
  }

  /** What a commit says of the logs that it moves, and how it refers to the others. */
  #sayWatermarks(changed: readonly Watermark[]): { summary: Record<string, string>; file?: NewFile } {
    const { version, watermarksKey, watermarksVersion } = this.#commits.pointer()
    return sayWatermarks({
      changed,
      all: () => this.#logs.watermarks(),
      location: this.#location.root,
      key: watermarksKey,
      sequence: version + 1,
      fileSequence: watermarksVersion,
      maxCommits: Math.ceil(this.#limits.snapshotsKept / 2),
      uuid: randomUUID,
    })
  }

  #optionsOf(summary: Record<string, string>): CommitOptions {
    return {
      summary,
      nowMs: this.now(),
      uuid: randomUUID,
      snapshotId: snapshotIdFrom(crypto.getRandomValues(new Uint8Array(8))),
    }
  }

  /** Empties the buffer of what has landed, and notes that it has. @returns how many events that are. */
  #land(throughSeq: number): number {
    this.#logs.land(this.#buffer.runs(throughSeq))
    this.#logs.forget(this.#limits, this.now())
    return this.#buffer.drop(throughSeq)
  }

  /** Deletes files that neither a snapshot names nor anybody can be reading who began before it was forgotten. */
  async #deleteGarbage(): Promise<void> {
    const sinceMs = this.now() - this.#limits.graceMs
    const keys = this.#commits.garbage(this.#writer.oldestVersion(), sinceMs, DELETES_AT_ONCE)
    if (keys.length === 0) return
    await this.env.LAKE_BUCKET.delete(keys.map((key) => this.#writer.keyOf(key)))
    this.#commits.forgetGarbage(keys)
  }

  /** Of each log that the slice moves, the last LSN up to which nothing will be missing from the table. */
  #watermarksAfter({ runs }: Slice): Watermark[] {
    const groups = Map.groupBy(runs, ({ log }) => log)
    const landed = this.#logs.landed([...groups.keys()])
    return Array.from(groups, ([log, group]) => ({
      ...namesOf(log),
      lsn: watermark([...(landed.get(log) ?? []), ...group]) ?? 0,
    }))
  }
}

function randomUUID(): string {
  return crypto.randomUUID()
}
