// What must be true, whatever happens: the invariants of docs/guarantees.md. The oracle looks at the disks each time that
// something has become durable, at what is sent, and at the end at the table. It trusts no part of what it looks at.

import type { EventContent } from '../../src/event/create-event.ts'
import type { EventRecord } from '../../src/event/record.ts'
import { readContents } from '../../src/outbox/log.ts'
import type { Database } from './platform/database.ts'
import type { ObjectHost } from './platform/object-host.ts'
import type { Block, Work } from './work.ts'

/** A broken invariant. */
export class Violation extends Error {
  override readonly name = 'Violation'
}

/** An event that has become durable under an LSN. After an object was restored there may be several under one. */
export interface Variant {
  readonly id: string
  readonly n: number
  readonly isPoison: boolean
  /** The pipeline's acceptance has reached the object: it must land. */
  isAccepted: boolean
  /** What its dead letter was accepted under, if it became one. */
  deadLetterId?: string
}

/** The events of one outbox in one epoch, as they have become durable. */
export interface Log {
  readonly ns: string
  readonly epoch: string
  readonly firstLSN: number
  readonly variants: Map<number, Variant[]>
  lastLSN: number
  ackedLSN: number
  /** The batch that has left the object last, unless it was refused; and how often it has. */
  inFlight: { first: number; last: number; ids: string; times: number } | undefined
  /** How often the next batch may have been sent already: a copy of the database knows of more than what was seen since. */
  timesBefore: number
}

/** What the oracle remembers of an object's disk. */
interface Seen {
  log: Log | undefined
  place: number
}

interface State {
  readonly epoch: string
  readonly firstLSN: number
  readonly ackedLSN: number
  readonly batchLSN: number
  readonly isPaused: boolean
}

/** The reason of a dead letter whose sends were interrupted: an earlier one of them may have been accepted. */
const INTERRUPTED = /^the runtime ended/
const INTERRUPTIONS_MAX = 3

/** What the lake of the simulation promises, and how long its answer may be on its way. */
export const FRESHNESS_MS = 60_000
const ANSWER_MS_MAX = 10_000

/** The ns of events that go through no outbox. */
export const EMITTER_NS = 'emitter'

export class Oracle {
  /** Events without an outbox, by id: whether they were accepted. */
  readonly emittedIds = new Map<string, boolean>()
  /** By epoch, which belongs to one outbox. */
  readonly logs = new Map<string, Log>()
  /** Events that a client was told to be committed, by number; and those that were durable and then deleted or rewound. */
  readonly acknowledged = new Set<number>()
  readonly durable = new Set<number>()
  isClockSet = false
  /** The longest that an alarm is ahead: more than the longest backoff. */
  alarmMsMax = 10_000
  readonly #seen = new Map<string, Seen>()
  /** Objects whose alarm may be wrong until they wake, because the platform or the clock is. */
  readonly #excused = new Set<string>()
  readonly #rewinding = new Set<string>()
  /** Objects with a copied database that have not begun an epoch of their own yet; and whether that is due. */
  readonly #copies = new Map<string, { isDue: boolean }>()

  /** The log that an object continues. */
  currentLog(name: string): Log | undefined {
    return this.#seen.get(name)?.log
  }

  /** Nothing is said of an object's alarm until it has been woken. */
  excuseAlarm(name: string): void {
    this.#excused.add(name)
  }

  mustAlarm(name: string): void {
    this.#excused.delete(name)
  }

  isExcused(name: string): boolean {
    return this.#excused.has(name)
  }

  /** To be called after something of an object has become durable. */
  checkDisk(host: ObjectHost, wallMs: number): void {
    const { database } = host.disk
    const seen = this.#seenOf(host.name)
    if (this.#rewinding.delete(host.name)) this.#rewound(host, seen)
    const state = readState(database)
    if (state === undefined) {
      Object.assign(seen, { log: undefined, place: 0 })
      return
    }
    const copy = this.#copies.get(host.name)
    if (copy !== undefined && this.logs.has(state.epoch)) {
      // The copying itself comes first; what an object does as it wakes is one with its first write.
      if (copy.isDue)
        throw new Violation(`I9: ${host.name} continues the epoch of the database that it was copied from`)
      copy.isDue = true
      return
    }
    if (seen.log?.epoch !== state.epoch) this.#beginLog(host.name, seen, state)
    const appended = this.#readAppended(seen, database)
    const written = this.#readWritten(seen, database)
    // What was pending in the original, the copy delivers too.
    if (!this.#copies.delete(host.name)) checkSame(host.name, written, appended)
    this.#checkAcknowledged(seen, state)
    this.#checkAlarm(host, state, wallMs)
  }

  /** An object's disk will be replaced by an earlier copy of its own. */
  rewind(name: string): void {
    this.#rewinding.add(name)
  }

  /** An object begins with a copy of another one's disk. */
  copied(name: string): void {
    this.#copies.set(name, { isDue: false })
  }

  #rewound(host: ObjectHost, seen: Seen): void {
    const state = readState(host.disk.database)
    const log = state && this.logs.get(state.epoch)
    seen.log = log
    seen.place = state === undefined ? 0 : numberOf(host.disk.database, 'SELECT coalesce(max(place), 0) FROM ledger')
    if (log === undefined || state === undefined) return
    log.ackedLSN = state.ackedLSN
    log.lastLSN = Math.max(
      state.ackedLSN,
      numberOf(host.disk.database, 'SELECT coalesce(max(lsn), 0) FROM _cdc_outbox'),
    )
    log.inFlight = undefined
    log.timesBefore = INTERRUPTIONS_MAX
  }

  /** A batch is about to leave an object. What is sent is durable, follows what was accepted, and is the same as before. */
  checkSent(name: string, records: readonly EventRecord[]): void {
    const [first, last] = [records[0]?.lsn ?? 0, records.at(-1)?.lsn ?? 0]
    const log = this.logs.get(records[0]?.epoch ?? '')
    if (log === undefined) throw new Violation(`I9: ${name} sends under an epoch that was never durable`)
    for (const [index, record] of records.entries()) {
      if (record.lsn !== first + index)
        throw new Violation(`I4: ${name} sends ${record.lsn ?? 0} after ${first + index - 1}`)
      this.#variantOf(log, record)
    }
    // One of an epoch that has ended meanwhile, or of a replay.
    if (this.currentLog(name) !== log || last <= log.ackedLSN) return
    if (first !== log.ackedLSN + 1)
      throw new Violation(`I4: ${name} sends ${first} to ${last}, and ${log.ackedLSN} was the last that was accepted`)
    this.#checkSame(name, log, { first, last, ids: records.map(({ id }) => id).join() })
  }

  /** The acceptance of a batch has reached the object. */
  accepted(records: readonly EventRecord[]): void {
    const log = this.logs.get(records[0]?.epoch ?? '')
    if (log === undefined) return
    log.timesBefore = 0
    for (const record of records) {
      const variant = this.#variantOf(log, record)
      variant.isAccepted = true
      if (isDeadLetter(record)) variant.deadLetterId = record.id
    }
  }

  /** The refusal of a batch has reached the object: it sends another one. */
  refused(records: readonly EventRecord[]): void {
    const log = this.logs.get(records[0]?.epoch ?? '')
    if (log !== undefined) log.inFlight = undefined
  }

  /** I13: the lake takes nothing in while something has waited for too long. After a clock was set, nobody knows how long. */
  checkFresh(lake: Database, wallMs: number): void {
    if (this.isClockSet) return
    const oldest =
      'SELECT min(taken_ms) FROM (SELECT taken_ms FROM lake_buffer UNION ALL SELECT taken_ms FROM lake_held)'
    const takenMs = lake.run(oldest, []).rows[0]?.[0]
    if (typeof takenMs === 'number' && wallMs - takenMs > FRESHNESS_MS + ANSWER_MS_MAX)
      throw new Violation(`I13: the lake accepts, although an event has waited for ${wallMs - takenMs} ms`)
  }

  emitted(records: readonly EventRecord[]): void {
    for (const { id } of records) this.emittedIds.set(id, this.emittedIds.get(id) ?? false)
  }

  acceptedEmitted(records: readonly EventRecord[]): void {
    for (const { id } of records) this.emittedIds.set(id, true)
  }

  /** A client was told that its work is committed: it is durable by then. */
  checkAnswer(work: Work): void {
    for (const n of committedBy(work)) {
      if (!this.durable.has(n)) throw new Violation(`I1: event ${n} was acknowledged before it was durable`)
      this.acknowledged.add(n)
    }
  }

  #seenOf(name: string): Seen {
    const known = this.#seen.get(name)
    if (known !== undefined) return known
    const seen: Seen = { log: undefined, place: 0 }
    this.#seen.set(name, seen)
    return seen
  }

  #beginLog(ns: string, seen: Seen, { epoch, firstLSN }: State): void {
    if (this.logs.has(epoch)) throw new Violation(`I9: ${ns} continues the epoch ${epoch} of a log that had ended`)
    const isEmptied = seen.log !== undefined && firstLSN === 1
    if (isEmptied) seen.place = 0
    seen.log = {
      ns,
      epoch,
      firstLSN,
      variants: new Map(),
      lastLSN: firstLSN - 1,
      ackedLSN: firstLSN - 1,
      inFlight: undefined,
      timesBefore: 0,
    }
    this.logs.set(epoch, seen.log)
  }

  /** I2: no gap, no reuse. @returns the numbers of the events that have become durable. */
  #readAppended({ log }: Seen, database: Database): number[] {
    if (log === undefined) return []
    const appended: number[] = []
    const { rows } = database.run('SELECT lsn, count, events FROM _cdc_outbox WHERE lsn > ? ORDER BY lsn', [
      log.lastLSN,
    ])
    for (const row of rows) {
      const [lsn, count, events] = [Number(row[0]), Number(row[1]), textOf(row[2])]
      // An epoch may begin inside a row, the rest of which was delivered before.
      const delivered = log.lastLSN < log.firstLSN ? Math.max(0, log.firstLSN - (lsn - count + 1)) : 0
      if (lsn - count + delivered !== log.lastLSN)
        throw new Violation(`I2: in ${log.ns} LSNs ${lsn - count + 1} to ${lsn} follow ${log.lastLSN}`)
      for (const content of readContents({ lsn, count, bytes: 0, txid: '', time: 0, events }).slice(delivered)) {
        log.lastLSN += 1
        const variant = variantFrom(content)
        const variants = log.variants.get(log.lastLSN)
        if (variants === undefined) log.variants.set(log.lastLSN, [variant])
        else variants.push(variant)
        appended.push(variant.n)
        this.durable.add(variant.n)
      }
    }
    return appended
  }

  /** The numbers that the user has written. */
  #readWritten(seen: Seen, database: Database): number[] {
    const { rows } = database.run('SELECT place, n FROM ledger WHERE place > ? ORDER BY place', [seen.place])
    seen.place = Number(rows.at(-1)?.[0] ?? seen.place)
    return rows.map(([, n]) => Number(n))
  }

  /** I3: what counts as delivered was accepted. */
  #checkAcknowledged({ log }: Seen, { ackedLSN }: State): void {
    if (log === undefined) return
    if (ackedLSN < log.ackedLSN)
      throw new Violation(`I3: in ${log.ns} the acked LSN fell from ${log.ackedLSN} to ${ackedLSN}`)
    for (let lsn = log.ackedLSN + 1; lsn <= ackedLSN; lsn++)
      if (log.variants.get(lsn)?.at(-1)?.isAccepted !== true)
        throw new Violation(`I3: in ${log.ns} LSN ${lsn} counts as delivered, and was never accepted`)
    log.ackedLSN = ackedLSN
  }

  /** I6: while something is pending, an alarm is due that the platform knows of. */
  #checkAlarm(host: ObjectHost, { isPaused }: State, wallMs: number): void {
    const log = this.currentLog(host.name)
    if (log === undefined || isPaused || log.lastLSN === log.ackedLSN || this.#excused.has(host.name)) return
    const { durableAlarmMs } = host.disk
    const isKnown = host.scheduledMs !== undefined || host.isAlarmRunning
    if (durableAlarmMs === null || !isKnown)
      throw new Violation(
        `I6: ${host.name} has events pending, and no alarm that would run (${String(durableAlarmMs)})`,
      )
    if (durableAlarmMs > wallMs + this.alarmMsMax)
      throw new Violation(`I6: ${host.name} has events pending, and its alarm is ${durableAlarmMs - wallMs} ms ahead`)
  }

  /** I4: a batch that was sent before is sent again as it was. */
  #checkSame(name: string, log: Log, batch: { first: number; last: number; ids: string }): void {
    const before = log.inFlight
    const isSame = before?.ids === batch.ids
    log.inFlight = { ...batch, times: (isSame ? before.times : log.timesBefore) + 1 }
    // One that follows was accepted before; or its acceptance was lost with the object, and it is sent again.
    if (before?.first !== batch.first || isSame) return
    // A batch during which the runtime has ended again and again is taken for the cause, and cut, or becomes a dead letter.
    const isCut = before.times >= INTERRUPTIONS_MAX && batch.last <= Math.max(before.last, before.first)
    const isJudged = before.times >= INTERRUPTIONS_MAX && before.first === before.last
    if (!isCut && !isJudged)
      throw new Violation(
        `I4: ${name} sends ${batch.first} to ${batch.last}, and ${before.first} to ${before.last} was not answered`,
      )
  }

  /** The event that a record is of. */
  #variantOf(log: Log, record: EventRecord): Variant {
    const variants = log.variants.get(record.lsn ?? 0) ?? []
    const id = isDeadLetter(record) ? record.data?.['id'] : record.id
    const variant = variants.find((candidate) => candidate.id === id)
    if (variant === undefined)
      throw new Violation(
        `I1: in ${log.ns} LSN ${record.lsn ?? 0} is sent with the event ${String(id)}, which was never durable`,
      )
    if (isDeadLetter(record) && !variant.isPoison && !INTERRUPTED.test(String(record.data?.['reason'])))
      throw new Violation(
        `I3: in ${log.ns} LSN ${record.lsn ?? 0} became a dead letter: ${String(record.data?.['reason'])}`,
      )
    return variant
  }
}

/** I1: the events are those that the user has written something with. */
function checkSame(name: string, written: readonly number[], appended: readonly number[]): void {
  const [wrote, has] = [written.join(' '), appended.join(' ')]
  if (wrote !== has) throw new Violation(`I1: ${name} wrote ${wrote || 'nothing'}, its outbox has ${has || 'nothing'}`)
}

export function isDeadLetter({ type }: { readonly type: string }): boolean {
  return type === 'cdc.dead_letter'
}

function readState(database: Database): State | undefined {
  if (numberOf(database, "SELECT count(*) FROM sqlite_master WHERE name = '_cdc_state'") === 0) return undefined
  const { rows } = database.run('SELECT epoch, epoch_lsn, acked_lsn, batch_lsn, paused FROM _cdc_state', [])
  const [row] = rows
  if (row === undefined) return undefined
  const [epoch, firstLSN, ackedLSN, batchLSN, paused] = row
  return {
    epoch: textOf(epoch),
    firstLSN: Number(firstLSN),
    ackedLSN: Number(ackedLSN),
    batchLSN: Number(batchLSN),
    isPaused: paused === 1,
  }
}

function textOf(value: SqlStorageValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

function numberOf(database: Database, query: string): number {
  return Number(database.run(query, []).rows[0]?.[0])
}

function variantFrom({ id, type, data, after }: EventContent): Variant {
  // In the log of a copy, an event may have become a dead letter before.
  if (isDeadLetter({ type })) return { id: String(data?.['id']), n: Number.NaN, isPoison: true, isAccepted: false }
  return { id, n: Number(data?.['n'] ?? after?.['n']), isPoison: type === 'Poison', isAccepted: false }
}

/** The numbers of the events that work commits, if it succeeds. */
function committedBy(work: Work): readonly number[] {
  if (work.kind === 'captured') return work.ns
  return work.does.flatMap((each) => {
    if ('by' in each) return [each.n]
    return each.fails ? [] : committedBy(each satisfies Block)
  })
}
