// What a test tells the fake pipeline to do with the sends of an object.

import { CDCError } from '../error.ts'

/** Stands for every ns. */
export const ALL_NS: unique symbol = Symbol('all ns')
/** The records of one ns, or of all. */
export type NsChoice = string | typeof ALL_NS

/** How a send fails: own properties of the `Error` that is thrown, because RPC carries these but not the class. */
export interface Failure {
  readonly message: string
  /**
   * What refuses a record for good: the statuses 413 and 422; 400 with an `index`; and without a status a `CDCError` with an
   * `index` and the code `record-invalid`, `event-invalid` or `event-too-large`.
   */
  readonly name?: string
  readonly code?: string
  /** The record that is to blame, counted from 0. */
  readonly index?: number
  readonly retryable?: boolean
  /** An HTTP status: 413, 429 … */
  readonly status?: number
  /** Seconds, as in HTTP. */
  readonly retryAfter?: number
}

/**
 * What happens to one `send`.
 *
 * - `accept`: kept and answered.
 * - `reject`: refused, nothing kept; with `error`, refused with that.
 * - `lose-answer`: kept, and then it throws; with `error`, it throws that.
 * - `hang`: nothing kept, and no answer; the sender must give up by itself.
 * - `deliver-twice`: kept twice, and answered once.
 * - `replay-older`: kept, and afterwards the first batch that was ever accepted of that ns arrives again.
 * - `full`: refused with `{ retryable: true, status: 429 }`, like a stream above its rate.
 * - `delay`: kept and answered after `ms`, even if the sender has given up meanwhile.
 * - `slow`: kept and answered after `msPerRecord` for each record.
 */
export type Fate = DetailedFate | Exclude<DetailedFate['do'], 'delay' | 'slow'>

export type DetailedFate =
  | { readonly do: 'accept' | 'hang' | 'deliver-twice' | 'replay-older' | 'full' }
  | { readonly do: 'reject' | 'lose-answer'; readonly error?: Partial<Failure> }
  | { readonly do: 'delay'; readonly ms: number }
  | { readonly do: 'slow'; readonly msPerRecord: number }

const queued = new Map<NsChoice, Fate[]>()
const standing = new Map<NsChoice, Fate>()

/** Queues the fates of an object's next sends, in order, in place of those queued before. Without any, the queue is empty. */
export function nextFates(ns: NsChoice, ...fates: Fate[]): void {
  fates.forEach(checkFate)
  queued.set(ns, fates)
}

/** Sets the fate of all sends of an object, once its queue is empty. `accept` ends it. */
export function setFate(ns: NsChoice, fate: Fate): void {
  checkFate(fate)
  standing.set(ns, fate)
}

/** Takes the fate of the next send: one for its own ns comes before one for all. */
export function takeFate(ns: string): DetailedFate {
  const next = queued.get(ns)?.shift() ?? queued.get(ALL_NS)?.shift()
  const fate = next ?? standing.get(ns) ?? standing.get(ALL_NS) ?? 'accept'
  return typeof fate === 'string' ? { do: fate } : fate
}

/** From now on everything is accepted again. */
export function forgetFates(ns: NsChoice): void {
  if (ns === ALL_NS) {
    queued.clear()
    standing.clear()
  }
  queued.delete(ns)
  standing.delete(ns)
}

function checkFate(fate: Fate): void {
  if (typeof fate === 'string') return
  const ms = fate.do === 'delay' ? fate.ms : fate.do === 'slow' ? fate.msPerRecord : 0
  if (!(ms >= 0 && ms < Infinity))
    throw new CDCError('invalid-argument', `fate: ${ms} is not a time; give milliseconds, 0 or more`)
}
