// What must hold of everything that was sent, and of everything that the pipeline accepted.

import { type CommittedRecord, isCommitted } from 'durable-outbox'
import { acceptedRecords, droppedRecords } from 'durable-outbox/testing'
import { expect } from 'vitest'
import { checkDelivered, checkEvent } from './match.ts'
import type { Entry, EpochLog, Model } from './model.ts'
import type { Sent, Wire } from './wire.ts'

/** Interrupted attempts after which a batch counts as the cause of the runtime's end. */
const INTERRUPTIONS_MAX = 3
const BATCH_EVENTS_MAX = 5

/** How far the log of an epoch has come on the wire. */
interface Progress {
  before?: Sent
  /** Interrupted attempts in a row. */
  interruptions: number
  acceptedLSN: number
}

export class WireInvariants {
  readonly #name: string
  readonly #model: Model
  readonly #wire: Wire
  readonly #progress = new Map<string, Progress>()
  readonly #accepted = new Map<string, Set<number>>()
  #sentChecked = 0
  #acceptedChecked = 0

  constructor(name: string, model: Model, wire: Wire) {
    this.#name = name
    this.#model = model
    this.#wire = wire
  }

  /** Checks what is new since the last time, and that nothing is acknowledged that was not accepted. */
  check(): void {
    for (const sent of this.#wire.sent.slice(this.#sentChecked)) this.#checkSent(sent)
    this.#sentChecked = this.#wire.sent.length
    const records = acceptedRecords(this.#name).filter(isCommitted)
    for (const record of records.slice(this.#acceptedChecked)) this.#checkAccepted(record)
    this.#acceptedChecked = records.length
    for (const log of this.#model.logs) this.#checkAcknowledged(log)
    const [drop] = droppedRecords(this.#name)
    if (drop !== undefined) throw new Error(`I3: the pipeline dropped a record: ${drop.reason}`)
  }

  /** Checks that one batch is in flight at a time, and that it follows from the one before it (I4). */
  #checkSent(sent: Sent): void {
    if (sent.others > 0) throw new Error(`I4: ${showSent(sent)} was sent while ${sent.others} others were in flight`)
    for (const record of sent.records) {
      const { log, entry } = this.#find(record)
      checkEvent(record, entry, log)
    }
    const { lsns, epoch } = rangeOf(sent)
    const first = lsns[0] ?? 0
    if (lsns.some((lsn, index) => lsn !== first + index))
      throw new Error(`I2: a batch holds the LSNs ${lsns.join(', ')}`)
    const progress = this.#progressOf(epoch)
    // If an answer was late, only the outbox knows whether it counted.
    const mayBeReplay = progress.before?.outcome === 'late' && this.#wire.replays.includes(first)
    if (first <= progress.acceptedLSN || mayBeReplay) return this.#checkReplay(sent)
    this.#checkSize(sent)
    progress.interruptions = countInterruptions(progress)
    checkFollows(sent, progress)
    progress.before = sent
  }

  /** Takes in the outcome of the batch before. */
  #progressOf(epoch: string): Progress {
    const { firstLSN } = this.#logOf(epoch)
    const progress = this.#progress.get(epoch) ?? { interruptions: 0, acceptedLSN: firstLSN - 1 }
    this.#progress.set(epoch, progress)
    const { before } = progress
    if (before?.outcome === 'accepted') progress.acceptedLSN = rangeOf(before).last
    return progress
  }

  #checkReplay(sent: Sent): void {
    if (!this.#wire.replays.includes(rangeOf(sent).lsns[0] ?? 0))
      throw new Error(`I4: ${showSent(sent)} was accepted before, without a replay`)
  }

  /** Only one transaction may exceed the limit of a batch. */
  #checkSize(sent: Sent): void {
    if (sent.records.length > BATCH_EVENTS_MAX && new Set(sent.records.map(({ txid }) => txid)).size > 1)
      throw new Error(`I7: ${showSent(sent)} is larger than the limit of a batch`)
  }

  #checkAccepted(record: CommittedRecord): void {
    const { log, entry } = this.#find(record)
    checkEvent(record, entry, log)
    checkDelivered(record, entry)
    const lsns = this.#accepted.get(record.epoch) ?? new Set()
    this.#accepted.set(record.epoch, lsns.add(record.lsn))
  }

  #checkAcknowledged({ epoch = '', firstLSN, ackedLSN }: EpochLog): void {
    const accepted = this.#accepted.get(epoch)
    for (let lsn = firstLSN; lsn <= ackedLSN; lsn++)
      if (accepted?.has(lsn) !== true) throw new Error(`I3: LSN ${lsn} is acknowledged, and was never accepted`)
  }

  #find({ epoch, lsn }: CommittedRecord): { log: EpochLog; entry: Entry } {
    const log = this.#logOf(epoch)
    const entry = log.entries[lsn - log.firstLSN]
    if (entry === undefined) throw new Error(`I1: LSN ${lsn} was sent, and never committed`)
    return { log, entry }
  }

  #logOf(epoch: string): EpochLog {
    const log = this.#model.logs.find((each) => each.epoch === epoch)
    if (log === undefined) throw new Error(`I9: something was sent under an unknown epoch ${epoch}`)
    return log
  }
}

/** Nobody knows the number any more after an answer that came late: until it begins anew, it is NaN. */
function countInterruptions({ before, interruptions }: Progress): number {
  if (before?.outcome === 'late') return Number.NaN
  return before?.outcome === 'interrupted' ? interruptions + 1 : 0
}

/** The same batch again, its first half where it is bad, or what comes after it. */
function checkFollows(sent: Sent, { before, interruptions, acceptedLSN }: Progress): void {
  const range = rangeOf(sent)
  const { retries } = range
  if (before === undefined) return expectBatch(sent, { first: acceptedLSN + 1, retries: 0 })
  const { first, last, count, retries: retriesBefore } = rangeOf(before)
  // The record of a dead letter must land, whatever it does.
  const isBad = before.outcome === 'refused' || (interruptions >= INTERRUPTIONS_MAX && !isDeadLetterAlone(before))
  if (Number.isNaN(interruptions)) return expect([first, last + 1], 'I4: what follows').toContain(range.first)
  if (before.outcome === 'accepted') return expectBatch(sent, { first: last + 1, retries: 0 })
  // An event that was refused alone is a dead letter by now, whose record travels with what comes after it.
  if (isBad) return expectBatch(sent, { first, retries: 0, ...(count > 1 && { count: Math.ceil(count / 2) }) })
  expectBatch(sent, { first, retries: retriesBefore + 1, count })
  expect(retries, 'I4: the retries of a batch').toBe(retriesBefore + 1)
  expect(idsOf(sent), `I4: the ids of ${showSent(sent)}, which was sent before`).toEqual(idsOf(before))
}

function expectBatch(sent: Sent, expected: { first: number; retries: number; count?: number }): void {
  expect(rangeOf(sent), `I4: ${showSent(sent)}, by what was sent before`).toMatchObject(expected)
}

function rangeOf({ records }: Sent) {
  const lsns = records.map(({ lsn }) => lsn)
  return {
    lsns,
    first: lsns[0] ?? 0,
    last: lsns.at(-1) ?? 0,
    count: lsns.length,
    epoch: records[0]?.epoch ?? '',
    retries: records[0]?._meta.retries ?? 0,
  }
}

function isDeadLetterAlone({ records }: Sent): boolean {
  return records.length === 1 && records[0]?.type === 'cdc.dead_letter'
}

function idsOf({ records }: Sent): string[] {
  return records.map(({ id }) => id)
}

function showSent(sent: Sent): string {
  const { first, last } = rangeOf(sent)
  return `the batch ${first} to ${last}`
}
