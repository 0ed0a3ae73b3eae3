// The pipeline of the model test: the fake pipeline behind a wire that records every send, can hold one up, and refuses
// poison.

import { type CommittedRecord, type EventRecord, isCommitted, type Pipeline } from 'durable-outbox'
import { fakePipeline, nextFates } from 'durable-outbox/testing'
import type { SendFate } from './steps.ts'

export const SEND_TIMEOUT_MS = 500

/** What the sender knows of a send; `late` where it may have given up before the answer came, or not. */
type SendOutcome = 'in flight' | 'accepted' | 'unknown' | 'refused' | 'interrupted' | 'late'

export interface Sent {
  readonly records: readonly CommittedRecord[]
  readonly sentMs: number
  /** How many other sends of this object were unfinished. */
  readonly others: number
  outcome: SendOutcome
}

/** A send that is or will be held up. */
export interface Hold {
  hasArrived: boolean
  isReleased: boolean
}

export class Wire implements Pipeline {
  readonly sent: Sent[] = []
  /** First LSNs of the requested replays. */
  readonly replays: number[] = []
  /** What happens to the next sends; the rest are accepted. */
  fates: SendFate[] = []
  readonly #ns: string
  readonly #pipeline = fakePipeline()
  #hold: Hold | undefined

  constructor(ns: string) {
    this.#ns = ns
  }

  async send(records: EventRecord[]): Promise<void> {
    const others = this.sent.filter(({ outcome, sentMs }) => outcome === 'in flight' && !isLate(sentMs)).length
    const sent: Sent = {
      records: structuredClone(records.filter(isCommitted)),
      sentMs: Date.now(),
      others,
      outcome: 'in flight',
    }
    this.sent.push(sent)
    await this.#wait()
    // The object that sent it has died meanwhile.
    if (sent.outcome === 'interrupted' || sent.outcome === 'late') return
    await this.#deliver(sent, records)
  }

  /** Holds up the next send until it is released. */
  holdNext(): Hold {
    this.#hold = { hasArrived: false, isReleased: false }
    return this.#hold
  }

  /** Says that the object died: nothing that it sent will be answered. */
  interrupt(): void {
    for (const sent of this.sent)
      if (sent.outcome === 'in flight') sent.outcome = isLate(sent.sentMs) ? 'late' : 'interrupted'
  }

  /** Polls, because a promise that one request makes and another settles keeps the object from eviction. */
  async #wait(): Promise<void> {
    const hold = this.#hold
    if (hold === undefined || hold.hasArrived) return
    hold.hasArrived = true
    while (!hold.isReleased) await scheduler.wait(1)
  }

  async #deliver(sent: Sent, records: EventRecord[]): Promise<void> {
    if (records.some(({ type }) => type === 'Poison')) {
      sent.outcome = isLate(sent.sentMs) ? 'late' : 'refused'
      throw Object.assign(new Error('there is poison in it'), { status: 422 })
    }
    const fate = this.fates.shift() ?? 'accept'
    nextFates(this.#ns, fate)
    // Its end reaches nobody.
    if (fate === 'hang') sent.outcome = 'unknown'
    try {
      await this.#pipeline.send(records)
      if (sent.outcome === 'in flight') sent.outcome = isLate(sent.sentMs) ? 'late' : 'accepted'
    } catch (error) {
      if (sent.outcome === 'in flight') sent.outcome = 'unknown'
      throw error
    }
  }
}

/** Whether the relay may have given up on a send: its timer may be ahead of the answer on a slow machine. */
function isLate(sentMs: number): boolean {
  return Date.now() - sentMs > SEND_TIMEOUT_MS / 4
}
