// What tests tell the fake pipeline to do to the sends of an object.

import { CDCError } from '../error.ts'

/** Every ns there is, where one ns is asked for otherwise. */
export const ALL_NS: unique symbol = Symbol('all ns')
/** The records of one ns, or of all. */
export type NsChoice = string | typeof ALL_NS

/** How a send fails: own properties of the `Error` that is thrown. RPC carries them, and not the class. */
export interface Failure {
  readonly message: string
  /** `CDCError` together with `retryable: false` is a refusal of the batch, as are the statuses 400, 413 and 422. */
  readonly name?: string
  readonly code?: string
  readonly retryable?: boolean
  /** A status as HTTP has it: 413, 429 … */
  readonly status?: number
  /** In seconds, as in HTTP. */
  readonly retryAfter?: number
}

/**
 * What becomes of one `send`.
 *
 * - `accept`: kept and answered.
 * - `reject`: refused, nothing kept; with `error`, refused in that way.
 * - `lose-answer`: kept, and then it throws; with `error`, it throws that.
 * - `hang`: nothing kept, and no answer; the sender must give up by itself.
 * - `deliver-twice`: kept twice, and answered once.
 * - `replay-older`: kept, and after it the first batch ever accepted of that ns arrives again.
 * - `full`: refused with `{ retryable: true, status: 429 }`, as a stream beyond its rate.
 * - `delay`: kept and answered after `ms`, even where the sender has given up meanwhile.
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

/** What the next sends of an object will meet, in order, in place of what was queued before. None takes all back. */
export function nextFates(ns: NsChoice, ...fates: Fate[]): void {
  fates.forEach(checkFate)
  queued.set(ns, fates)
}

/** What every send of an object meets until told otherwise, once its queue is empty. `accept` ends it. */
export function setFate(ns: NsChoice, fate: Fate): void {
  checkFate(fate)
  standing.set(ns, fate)
}

/** Takes what this send will meet: what was said about its own ns goes before what was said about all. */
export function takeFate(ns: string): DetailedFate {
  const next = queued.get(ns)?.shift() ?? queued.get(ALL_NS)?.shift()
  const fate = next ?? standing.get(ns) ?? standing.get(ALL_NS) ?? 'accept'
  return typeof fate === 'string' ? { do: fate } : fate
}

/** Everything will be accepted again. */
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
    throw new CDCError('invalid-argument', `fate: ${ms} is no time; give milliseconds from 0 on`)
}
