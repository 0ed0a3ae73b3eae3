// A shard of the lake's intake: one of several objects that take in beside each other, each the logs that a hash gives it. Records
// that come are durable in SQLite when they are acknowledged. The alarm makes files of them and offers these to the one object that
// commits, which owes the commit from then on. Keeps I5: an offer is taken once, or never.

import { DurableObject } from 'cloudflare:workers'
import { CDCError, propertyOf, reasonOf } from '../error.ts'
import { hideFromRPC } from '../hide-from-rpc.ts'
import { migrate } from '../sqlite/migrate.ts'
import { FreshnessWatch } from './freshness-watch.ts'
import { wantedPartitions, writeRows } from './iceberg/commit.ts'
import type { Slice } from './intake/buffer.ts'
import { type Answer, type Batch, Intake, type Question, type Recalled, readBatch } from './intake/intake.ts'
import type { Offer, OfferName, ShardName } from './intake/offer.ts'
import type { LSNRange } from './intake/ranges.ts'
import { rowsInOrder } from './intake/rows.ts'
import { LakeAlarm } from './lake-alarm.ts'
import { committerOf, shardAt, shardNamed } from './lake-objects.ts'
import type { LakeEnv } from './lake-table.ts'
import type { LogKey } from './log.ts'
import { checkLimits, type LakeLimits, limitsFrom } from './limits.ts'
import { migrations } from './migrations.ts'
import { dueMs } from './schedule.ts'
import { askElders } from './shards/elders.ts'
import type { Committer, FileTarget, Shard, ShardStatus } from './shards/ports.ts'
import { type OpenOffer, ShardState } from './shards/shard-state.ts'
import { fileName, resharding } from './shards/shards.ts'
import { Bucket } from './table/bucket.ts'
import { stringifyExact } from './table/exact-json.ts'
import { storeFiles } from './table/store-files.ts'

/** How soon a hand-over that failed is tried again, at least. */
const RETRY_MS_MIN = 1_000
/** Offers that are refused one after the other before the next run of the alarm tries again. */
const REFUSALS_MAX = 3

export class LakeIntake extends DurableObject<LakeEnv> implements Shard {
  readonly #limits: LakeLimits
  readonly #state: ShardState
  readonly #intake: Intake
  readonly #watch: FreshnessWatch
  readonly #alarm: LakeAlarm
  /** Why the object that commits takes no offers at present. */
  #refusal: { readonly code: 'lake-behind' | 'lake-full'; readonly reason: string } | undefined
  /** What files are written for; unknown until it was asked for. */
  #target: FileTarget | undefined
  /** How often what has landed was asked anew. */
  #refreshes = 0
  /** The last of the tasks that need what waits to stay as it is meanwhile. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(ctx: DurableObjectState, env: LakeEnv) {
    super(ctx, env)
    hideFromRPC(this, 'configure', 'now')
    const { storage } = ctx
    migrate(storage, 'lake_migrations', migrations)
    const limits = checkLimits(this.configure(), 'LakeIntake.configure')
    const now = () => this.now()
    this.#limits = limits
    this.#state = new ShardState(storage.sql)
    this.#intake = new Intake({ storage, limits, now })
    this.#watch = new FreshnessWatch({ intake: this.#intake, freshnessMs: limits.freshnessMs, now })
    this.#alarm = new LakeAlarm(storage, Math.max(limits.rollMs, RETRY_MS_MIN), now)
    this.#intake.correctTimes()
    void ctx.blockConcurrencyWhile(() => this.#arm())
  }

  /** Override to change limits in code. @throws {CDCError} `invalid-config` if `LAKE_LIMITS` is not valid. */
  protected configure(): LakeLimits {
    return limitsFrom(this.env.LAKE_LIMITS)
  }

  /** The time, for a test to choose. */
  protected now(): number {
    return Date.now()
  }

  /** Takes a JSON array of records in, like `LakeTable.send`. */
  async send(json: string): Promise<void> {
    this.#watch.tellIfBehind()
    await this.#enter()
    try {
      const batch = readBatch(json)
      for (let isTaken = false; !isTaken;) {
        const refreshes = this.#refreshes
        const recalled = await this.#recollect(batch)
        this.#checkTakesIn()
        // Otherwise the answer may be from before.
        if (refreshes !== this.#refreshes) continue
        this.#intake.take(batch, recalled)
        isTaken = true
      }
    } finally {
      // Also after a refusal: what waits must land before anything else is taken in.
      await this.#arm()
    }
  }

  async recall(question: Question): Promise<Answer> {
    return this.#intake.recall(question)
  }

  async status(): Promise<ShardStatus> {
    const { buffered, held } = this.#intake
    const { lastError } = this.#watch
    return {
      ...this.#name(),
      bufferedEvents: buffered.events,
      bufferedBytes: buffered.bytes,
      heldEvents: held.events,
      lagMs: this.#intake.lagMs(),
      isBehind: this.#intake.isBehind,
      ...(lastError !== undefined && { lastError }),
    }
  }

  async close(): Promise<boolean> {
    this.#state.close()
    this.#intake.releaseAll()
    const isEmpty = this.#isEmpty()
    if (!isEmpty) await this.#alarm.armBy(this.now())
    return isEmpty
  }

  async refresh(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#settleOffer()
      await this.#askAnew()
    })
  }

  async retire(): Promise<void> {
    if (this.#state.read()?.isClosed === false || !this.#isEmpty())
      throw new CDCError('invalid-argument', 'retire: it is in use')
    const { storage } = this.ctx
    await storage.deleteAll()
    migrate(storage, 'lake_migrations', migrations)
    this.#state.close()
  }

  /** Offers all that is buffered. Never throws: what fails is tried again. */
  override async alarm(info?: AlarmInvocationInfo): Promise<void> {
    await this.#alarm.begin(info?.scheduledTime ?? 0)
    try {
      await this.#inTurn(() => this.#handOver())
      this.#watch.lastError = undefined
      this.#refusal = undefined
      await this.#alarm.end(this.#dueMs())
    } catch (error) {
      const reason = reasonOf(error)
      const code = propertyOf(error, 'code')
      this.#watch.lastError = reason
      this.#refusal = code === 'lake-behind' || code === 'lake-full' ? { code, reason } : undefined
      // The table may have changed.
      this.#target = undefined
      await this.#alarm.fail(0)
      console.warn(`lake: hand-over failed: ${reason}`)
    }
    this.#watch.tellIfBehind()
  }

  // Taking in.

  /** Asks once whether it is one of those that take in. @throws {CDCError} `lake-resharding` if it is not. */
  async #enter(): Promise<void> {
    if (this.#state.read() === undefined) {
      const elders = await this.#committer().enter(this.#name())
      if (elders === undefined) throw resharding()
      this.#state.open(elders)
    }
    this.#checkTakesIn()
  }

  #checkTakesIn(): void {
    if (this.#state.read()?.isClosed !== false) throw resharding()
    if (this.#refusal === undefined) return
    throw new CDCError(this.#refusal.code, `send: the table takes no more at present: ${this.#refusal.reason}`, {
      retryable: true,
    })
  }

  /** What others know of a batch: what has landed of logs that come here first, and ids that came to others before. */
  async #recollect(batch: Batch): Promise<Recalled> {
    const logs = this.#intake.newLogs(batch)
    const landed = new Map(logs.length === 0 ? [] : await this.#committer().settled(logs))
    const { idsMs, seenMs } = this.#limits
    const sinceMs = this.now() - Math.max(idsMs, seenMs)
    const elders = (this.#state.read()?.elders ?? []).filter(({ closedMs }) => closedMs > sinceMs)
    if (elders.length === 0) return { landed, marks: [], seen: [] }
    // However often the object that commits has taken in itself, it is one.
    const own = elders.findLast(({ shards }) => shards === 0)
    const asked = elders.filter((elder) => elder.shards > 0 || elder === own)
    const answer = await askElders(this.#intake.questionAbout(batch, { landed }), asked, (shard, question) =>
      shard.layout === own?.layout ? this.#committer().recall(question) : shardAt(this.env, shard).recall(question),
    )
    return { landed, ...answer }
  }

  // Handing over.

  async #handOver(): Promise<void> {
    this.#intake.correctTimes()
    await this.#settleOffer()
    if (this.#state.read()?.isClosed === true) this.#intake.releaseAll()
    else this.#intake.releaseOverdue()
    let refusals = 0
    for (let slice = this.#intake.nextSlice(); slice !== undefined; slice = this.#intake.nextSlice()) {
      if (await this.#offer(slice)) continue
      refusals += 1
      if (refusals === REFUSALS_MAX)
        throw new CDCError('lake-conflict', 'lake: what a shard offers is refused each time; try again', {
          retryable: true,
        })
      await this.#settleOffer()
      await this.#askAnew()
    }
  }

  /** Makes files of a slice, and offers them. @returns whether they were taken. */
  async #offer(slice: Slice): Promise<boolean> {
    const { metadata, prefix } = await this.#findTarget()
    const { number: last, latestMs: afterMs } = this.#state.read() ?? { number: 0, latestMs: 0 }
    const { rows, latestMs } = rowsInOrder(this.#intake.records(slice), afterMs || metadata['last-updated-ms'])
    const name: OfferName = { ...this.#name(), number: last + 1, id: crypto.randomUUID() }
    const partitions = wantedPartitions(metadata, rows) ?? []
    const isFew = partitions.length <= this.#limits.maxCommitPartitions
    const mayPartition = (await this.#committer().admit(isFew ? partitions : [])) && isFew
    const { files, written } = writeRows(metadata, rows, {
      uuid: () => fileName(name),
      mayPartition: () => mayPartition,
    })
    const keys = files.map(({ key }) => key)
    const open: OpenOffer = { ...name, throughSeq: slice.throughSeq, latestMs, keys }
    this.#intake.transaction(() => this.#state.beginOffer(open))
    await this.ctx.storage.sync()
    await storeFiles(new Bucket(this.env.LAKE_BUCKET, this.#limits), prefix, files)
    const takenMs = this.#intake.oldestBufferedMs() ?? this.now()
    const offer: Offer = { ...name, takenMs, events: rows.length, runs: slice.runs, files: written }
    const { isTaken, isCurrent } = await this.#committer().offer(stringifyExact(offer))
    if (isTaken) this.#land(open)
    if (!isCurrent) await this.close()
    return isTaken
  }

  /** Finds out whether an offer was taken that was interrupted, or whose answer was lost. */
  async #settleOffer(): Promise<void> {
    const open = this.#state.openOffer()
    if (open === undefined) return
    const { number, id, keys } = open
    const answer = await this.#committer().renounce({ ...this.#name(), number, id }, keys)
    if (answer.isTaken) this.#land(open)
    else this.#intake.transaction(() => this.#state.endOffer(answer.number))
  }

  #land({ throughSeq, number, latestMs }: OpenOffer): void {
    this.#intake.transaction(() => {
      this.#intake.land(throughSeq)
      this.#state.endOffer(number, latestMs)
    })
  }

  /** Forgets what has landed, and asks for it anew where it is needed. What waits stays, except what has landed. No offer is open. */
  async #askAnew(): Promise<void> {
    const landed = new Map<LogKey, readonly LSNRange[]>()
    const asked = new Set<LogKey>()
    const findUnasked = () => this.#intake.waitingLogs().filter((log) => !asked.has(log))
    // More may come meanwhile.
    for (let logs = findUnasked(); logs.length > 0; logs = findUnasked()) {
      for (const [log, ranges] of await this.#committer().settled(logs)) landed.set(log, ranges)
      for (const log of logs) asked.add(log)
    }
    this.#refreshes += 1
    this.#intake.transaction(() => this.#intake.adopt({ landed, marked: [], forks: new Set(), unlogged: new Set() }))
  }

  async #findTarget(): Promise<FileTarget> {
    this.#target ??= JSON.parse(await this.#committer().fileTarget()) as FileTarget
    return this.#target
  }

  #isEmpty(): boolean {
    const { buffered, held } = this.#intake
    return buffered.events + held.events === 0 && this.#state.openOffer() === undefined
  }

  /** One after the other. */
  #inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(work)
    this.#last = turn.catch(() => undefined)
    return turn
  }

  async #arm(): Promise<void> {
    const atMs = this.#dueMs()
    if (atMs !== undefined) await this.#alarm.armBy(atMs)
  }

  #dueMs(): number | undefined {
    const isClosed = this.#state.read()?.isClosed === true
    const waiting = {
      buffered: this.#intake.buffered,
      oldestBufferedMs: this.#intake.oldestBufferedMs(),
      oldestHeldMs: this.#intake.oldestHeldMs(),
      isInterrupted: this.#state.openOffer() !== undefined || (isClosed && !this.#isEmpty()),
      hasUpkeep: false,
      upkeepDueMs: [],
      commitFromMs: 0,
    }
    return dueMs(waiting, this.#limits, this.now())
  }

  #name(): ShardName {
    const name = shardNamed(this.ctx.id.name)
    if (name !== undefined) return name
    throw new CDCError(
      'invalid-argument',
      'lake: a shard is named by its layout and its number; send to the entrypoint Lake',
    )
  }

  #committer(): Committer {
    return committerOf(this.env)
  }
}
