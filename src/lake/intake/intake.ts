// What the lake takes in, until a commit brings it into the table. Keeps I5: each (source, epoch, lsn) is taken in once,
// even if it was retried, duplicated or reordered on its way.

import { CDCError } from '../../error.ts'
import { type ParsedRecords, parseRecordsJSON } from '../../event/parse-records.ts'
import { type CommittedRecord, type EventRecord, isCommitted } from '../../event/record.ts'
import type { WrittenFile } from '../iceberg/commit.ts'
import { type LogKey, logName } from '../log.ts'
import type { Watermark } from '../table/watermarks.ts'
import { type Amount, Buffer, type Slice, type SliceLimits } from './buffer.ts'
import { chunksOf, chunksOfRuns, verbatimChunk } from './chunks.ts'
import { KnownEvents, type MemoryLimits } from './known-events.ts'
import type { Offer } from './offer.ts'
import { common, contains, type LSNRange, overlaps, unite, watermark } from './ranges.ts'
import { classify, connectRuns, groupByLog, markFork, markOf, type MarkedRun, type RecordRun, runsOf } from './runs.ts'

export interface IntakeLimits extends SliceLimits, MemoryLimits {
  /** Bytes that wait, beyond which `send` is refused until some are committed. */
  readonly maxBufferBytes: number
  /** The promise: how old the oldest event may be that waits. Beyond it `send` is refused until it has landed. */
  readonly freshnessMs: number
  /** How long events are held back, and how many bytes of them, because LSNs before them are missing. */
  readonly holdMs: number
  readonly maxHoldBytes: number
}

/** Records that came together, by log. */
export interface Batch extends ParsedRecords {
  readonly json: string
  readonly logs: ReadonlyMap<LogKey, readonly CommittedRecord[]>
}

/** Events of which an object asks others whether they have taken them in: by their LSNs, and by their ids if they have none. */
export interface Question {
  readonly places: readonly (readonly [log: LogKey, lsn: number])[]
  readonly events: readonly { readonly ns: string; readonly id: string }[]
}

/** The marks of the ids that came under LSNs, and those of the events without a log that have come. */
export interface Answer {
  readonly marks: readonly (readonly [log: LogKey, lsn: number, marks: readonly string[]])[]
  readonly seen: Question['events']
}

/** What others know about a batch. */
export interface Recalled extends Answer {
  /** The LSNs that have landed, of the logs of which this object knows nothing. */
  readonly landed: ReadonlyMap<LogKey, readonly LSNRange[]>
}

const NOTHING_RECALLED: Recalled = { landed: new Map(), marks: [], seen: [] }

export interface IntakePorts {
  readonly storage: DurableObjectStorage
  readonly limits: IntakeLimits
  readonly now: () => number
}

/** What a request brings that is new. */
interface Taken {
  readonly runs: RecordRun[]
  readonly forks: CommittedRecord[]
  /** Both of them, with the marks of their ids. */
  readonly marked: MarkedRun[]
}

export class Intake {
  readonly #ports: IntakePorts
  readonly #buffer: Buffer
  readonly #known: KnownEvents

  constructor(ports: IntakePorts) {
    this.#ports = ports
    this.#buffer = new Buffer(ports.storage.sql)
    this.#known = new KnownEvents(ports.storage.sql)
  }

  /** What waits to be committed. */
  get buffered(): Amount {
    return this.#buffer.amount
  }

  /** What is held back because LSNs before it are missing. */
  get held(): Amount {
    return this.#buffer.heldAmount
  }

  /** When the oldest event came that waits to be committed. */
  oldestBufferedMs(): number | undefined {
    return this.#buffer.oldestMs
  }

  /** When the oldest run came that is held back. */
  oldestHeldMs(): number | undefined {
    return this.#buffer.oldestHeld()?.takenMs
  }

  /** How old the oldest event is that waits, buffered or held back; 0 if none does. In milliseconds. */
  lagMs(): number {
    const nowMs = this.#ports.now()
    return Math.max(0, nowMs - Math.min(this.oldestBufferedMs() ?? nowMs, this.oldestHeldMs() ?? nowMs))
  }

  get isBehind(): boolean {
    return this.lagMs() > this.#ports.limits.freshnessMs
  }

  /** Lets what came in the future, by a clock that was ahead, have come now. */
  correctTimes(): void {
    this.#buffer.correctTimes(this.#ports.now())
  }

  /** How many logs have LSNs missing in the table. */
  countHoles(): number {
    return this.#known.countHoles()
  }

  /**
   * Keeps what is new in a batch.
   *
   * @throws {CDCError} like `checkRoom`: then nothing is kept.
   */
  take(batch: Batch, recalled: Recalled = NOTHING_RECALLED): void {
    this.checkRoom()
    this.transaction(() => this.#takeBatch(batch, { recalled, nowMs: this.#ports.now() }))
  }

  /** @throws {CDCError} `lake-full` or `lake-behind`: try again later. */
  checkRoom(): void {
    this.#checkSpace()
    this.#checkFreshness()
  }

  /** Those logs of a batch of which nothing is known here. */
  newLogs({ logs }: Batch): LogKey[] {
    const landed = this.#known.landed([...logs.keys()])
    return [...logs.keys()].filter(
      (log) => !landed.has(log) && this.#buffer.waiting(log).length + this.#buffer.held(log).length === 0,
    )
  }

  /** What of a batch may have come to another object: records whose LSN is taken, and ids that are not known here. */
  questionAbout({ logs, records }: Batch, { landed }: Pick<Recalled, 'landed'>): Question {
    const here = this.settled([...logs.keys()])
    const places = [...logs].flatMap(([log, group]) => {
      const taken = unite([...(here.get(log) ?? []), ...(landed.get(log) ?? [])])
      const unknown = group.filter(
        ({ lsn, id }) => contains(taken, lsn) && !this.#known.marksOf(log, lsn).has(markOf(id)),
      )
      return unknown.map(({ lsn }) => [log, lsn] as const)
    })
    const events = records.filter((record) => !isCommitted(record) && !this.#known.hasSeen(record))
    return { places, events: events.map(({ ns, id }) => ({ ns, id })) }
  }

  recall({ places, events }: Question): Answer {
    const marks = places.map(([log, lsn]) => [log, lsn, [...this.#known.marksOf(log, lsn)]] as const)
    return {
      marks: marks.filter(([, , ids]) => ids.length > 0),
      seen: events.filter((event) => this.#known.hasSeen(event)),
    }
  }

  /** The LSNs of some logs that are in the table, or on their way to it. A log without any is missing. */
  settled(logs: readonly LogKey[]): Map<LogKey, LSNRange[]> {
    const landed = this.#known.landed(logs)
    const settled = logs.map((log) => [log, unite([...(landed.get(log) ?? []), ...this.#buffer.waiting(log)])] as const)
    return new Map(settled.filter(([, ranges]) => ranges.length > 0))
  }

  /** The logs of which something waits or is held back. */
  waitingLogs(): LogKey[] {
    return this.#buffer.logs()
  }

  /**
   * Keeps what a shard offers, in a transaction of the caller's.
   *
   * @returns whether it did; false if some of it has come by another way.
   */
  takeOffer(offer: Offer): boolean {
    const settled = this.settled([...new Set(offer.runs.map(({ log }) => log))])
    if (offer.runs.some((run) => overlaps(settled.get(run.log) ?? [], run))) return false
    this.#buffer.addOffer(offer)
    return true
  }

  /** The files in a slice that shards have stored. */
  offeredFiles({ throughSeq }: Pick<Slice, 'throughSeq'>): WrittenFile[] {
    return this.#buffer.offeredFiles(throughSeq)
  }

  /** Forgets those offers that have landed, in a transaction of the caller's. */
  dropOffers(hasLanded: (offer: Pick<Offer, 'runs' | 'files'>) => boolean): void {
    this.#buffer.dropOffers(hasLanded)
  }

  /** Releases all that is held back. */
  releaseAll(): void {
    this.transaction(() => {
      for (let run = this.#buffer.oldestHeld(); run !== undefined; run = this.#buffer.oldestHeld())
        this.#buffer.release(run)
    })
  }

  /** Releases runs that were held back for too long, or are too much: the table will have a hole, and reports it. */
  releaseOverdue(): void {
    const { limits, now } = this.#ports
    this.transaction(() => {
      for (
        let oldest = this.#buffer.oldestHeld();
        oldest !== undefined && (oldest.takenMs + limits.holdMs <= now() || this.held.bytes > limits.maxHoldBytes);
        oldest = this.#buffer.oldestHeld()
      )
        this.#buffer.release(oldest)
    })
  }

  /** The oldest events that one commit may bring into the table; nothing if the buffer is empty. */
  nextSlice(): Slice | undefined {
    return this.#buffer.nextSlice(this.#ports.limits)
  }

  /** The records of a slice, chunk by chunk, with the time at which they came. */
  records({ throughSeq }: Slice): Iterable<{ readonly takenMs: number; readonly records: readonly EventRecord[] }> {
    return this.#buffer.records(throughSeq)
  }

  /** For each log in a slice, the LSN up to which nothing will be missing in the table once the slice has landed. */
  watermarksAfter({ runs }: Slice): Watermark[] {
    const groups = Map.groupBy(runs, ({ log }) => log)
    const landed = this.#known.landed([...groups.keys()])
    return Array.from(groups, ([log, group]) => ({
      ...logName(log),
      lsn: watermark([...(landed.get(log) ?? []), ...group]) ?? 0,
    }))
  }

  /** For each log, the LSN up to which nothing is missing in the table. */
  watermarks(): Iterable<Watermark> {
    return this.#known.watermarks()
  }

  /** Notes, in the transaction of a commit, that the buffer has landed up to a row of it. @returns how many events. */
  land(throughSeq: number): number {
    this.#known.land(this.#buffer.runs(throughSeq))
    this.#known.forget(this.#ports.limits, this.#ports.now())
    return this.#buffer.drop(throughSeq)
  }

  /** Notes which LSNs are no longer in the table, so that they land if they come again. @returns those that had landed. */
  forgetLanded(lost: ReadonlyMap<LogKey, readonly LSNRange[]>): Map<LogKey, LSNRange[]> {
    const landed = this.#known.landed([...lost.keys()])
    const forgotten = new Map(
      Array.from(lost, ([log, ranges]) => [log, common(ranges, landed.get(log) ?? [])] as const).filter(
        ([, ranges]) => ranges.length > 0,
      ),
    )
    this.transaction(() => {
      for (const [log, ranges] of forgotten) this.#known.forgetLanded(log, ranges)
    })
    return forgotten
  }

  /** All LSNs that the lake takes for landed. */
  allLanded(): Map<LogKey, LSNRange[]> {
    return this.#known.allLanded()
  }

  /**
   * Takes over what a table holds, in a transaction of the caller's. What waits stays, except what is in the table.
   *
   * @param contents what the table holds.
   */
  adopt({ landed, marked, forks, unlogged }: TableContents): void {
    const { now } = this.#ports
    this.#known.replaceAllLanded(landed)
    this.#known.addIds(marked, now())
    for (const { takenMs, records } of this.#buffer.takeAll()) {
      const [forked, others] = partition(records, isForked)
      const lost = forked.filter((record) => !forks.has(forkKey(record)))
      for (const chunk of chunksOf(lost)) this.#buffer.add(chunk, [], takenMs)
      const waiting = others.filter((record) => isCommitted(record) || !unlogged.has(unloggedKey(record)))
      this.#known.forgetSeen(waiting.filter((record) => !isCommitted(record)))
      const batch = batchOf({ records: waiting, isVerbatim: false }, '')
      this.#takeBatch(batch, { recalled: NOTHING_RECALLED, nowMs: takenMs })
    }
  }

  /** Runs a change in one SQLite transaction. If it is rolled back, what waits is counted again. */
  transaction(change: () => void): void {
    try {
      this.#ports.storage.transactionSync(change)
    } catch (error) {
      this.#buffer.recount()
      throw error
    }
  }

  #checkSpace(): void {
    const { maxBufferBytes } = this.#ports.limits
    const bytes = this.buffered.bytes + this.held.bytes
    if (bytes >= maxBufferBytes)
      throw new CDCError(
        'lake-full',
        `send: ${bytes} bytes wait to be committed, the limit is ${maxBufferBytes}; try again`,
        { retryable: true },
      )
  }

  /** What waits for too long may never land: then it is better that senders know it, and keep what they have. */
  #checkFreshness(): void {
    if (!this.isBehind) return
    throw new CDCError(
      'lake-behind',
      `send: the oldest event has waited ${this.lagMs()} ms to be committed, the limit is ` +
        `${this.#ports.limits.freshnessMs} (freshnessMs); try again when it has landed`,
      { retryable: true },
    )
  }

  /** Keeps what is new: runs that connect to their log are buffered, runs that would leave a hole are held back. */
  #takeBatch(batch: Batch, circumstances: Circumstances): void {
    const { records, json } = batch
    const { recalled, nowMs } = circumstances
    const { runs, forks, marked } = this.#takeLogs(batch, circumstances)
    this.#known.addIds(marked, nowMs)
    const isWhole = runs.reduce((events, run) => events + run.records.length, 0) === records.length
    const verbatim = isWhole && records.length > 0 ? verbatimChunk(batch, json) : undefined
    if (verbatim !== undefined) return this.#buffer.add(verbatim, runs, nowMs)
    for (const chunk of chunksOfRuns(runs)) this.#buffer.add(chunk, chunk.runs, nowMs)
    const seen = new Set(recalled.seen.map(unloggedKey))
    const unlogged = records.filter((record) => !isCommitted(record) && !seen.has(unloggedKey(record)))
    const unseen = this.#known.takeUnseen(unlogged, nowMs)
    for (const chunk of chunksOf([...forks.map(markFork), ...unseen])) this.#buffer.add(chunk, [], nowMs)
  }

  /** Holds back what would leave a hole, and releases what was held until now. @returns what is to be buffered. */
  #takeLogs({ logs }: Batch, { recalled, nowMs }: Circumstances): Taken {
    for (const [log, ranges] of recalled.landed) this.#known.meet(log, ranges)
    const recalledMarks = Map.groupBy(recalled.marks, ([log, lsn]) => placeKey(log, lsn))
    const landed = this.#known.landed([...logs.keys()])
    const taken: Taken = { runs: [], forks: [], marked: [] }
    for (const [log, records] of logs) {
      const settled = unite([...(landed.get(log) ?? []), ...this.#buffer.waiting(log)])
      const heldBefore = this.#buffer.held(log)
      const { fresh, forks } = classify(records, unite([...settled, ...heldBefore]), (lsn) => {
        const others = recalledMarks.get(placeKey(log, lsn)) ?? []
        return new Set([...this.#known.marksOf(log, lsn), ...others.flatMap(([, , marks]) => marks)])
      })
      const runs = runsOf(log, fresh)
      taken.forks.push(...forks)
      taken.marked.push(...runs, ...runsOf(log, forks))
      const { connected, held } = connectRuns([...runs, ...heldBefore], settled)
      for (const run of connected)
        if ('seq' in run) this.#buffer.release(run)
        else taken.runs.push(run)
      for (const run of held) if (!('seq' in run)) this.#hold(run, nowMs)
    }
    return taken
  }

  #hold(run: RecordRun, nowMs: number): void {
    for (const chunk of chunksOfRuns([run])) for (const held of chunk.runs) this.#buffer.hold(chunk, held, nowMs)
  }
}

/** What is known beside the batch, and when it came. */
interface Circumstances {
  readonly recalled: Recalled
  readonly nowMs: number
}

function placeKey(log: LogKey, lsn: number): string {
  return `${lsn} ${log}`
}

/** What the rows of a table are, for the lake that writes it. */
export interface TableContents {
  /** Its LSNs by log, without forks. */
  readonly landed: ReadonlyMap<LogKey, readonly LSNRange[]>
  /** Runs of it whose ids the lake may not know. */
  readonly marked: readonly MarkedRun[]
  /** The keys of its forks, and of its events without a log. */
  readonly forks: ReadonlySet<string>
  readonly unlogged: ReadonlySet<string>
}

export function forkKey({ ns, source, epoch, lsn, id }: CommittedRecord): string {
  return JSON.stringify([ns, source, epoch, lsn, id])
}

export function unloggedKey({ ns, id }: { readonly ns: string; readonly id: string }): string {
  return JSON.stringify([ns, id])
}

function isForked(record: EventRecord): record is CommittedRecord {
  return isCommitted(record) && Reflect.get(Object(record._meta), 'isFork') === true
}

function partition<Item, Special extends Item>(
  items: readonly Item[],
  isSpecial: (item: Item) => item is Special,
): [Special[], Item[]] {
  return [items.filter((item) => isSpecial(item)), items.filter((item) => !isSpecial(item))]
}

/** @throws {CDCError} `record-invalid`, with the record's index. */
export function readBatch(json: string): Batch {
  return batchOf(
    parseRecordsJSON(json, (index, problem) => {
      const where = index < 0 ? 'send' : `send: record ${index}`
      return new CDCError('record-invalid', `${where}: ${problem}`, index < 0 ? {} : { index })
    }),
    json,
  )
}

function batchOf(parsed: ParsedRecords, json: string): Batch {
  return { ...parsed, json, logs: groupByLog(parsed.records.filter(isCommitted)) }
}
