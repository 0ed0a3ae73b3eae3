// Calls between parties: a request and its answer, each of which may be lost, doubled or late. What happens to a call is decided
// by the name of its way, so that a script can say what the next call on a way meets.

import { between, type Random } from '../../harness/random.ts'
import type { Party, Platform } from './platform.ts'

/** What happens to one call. */
export type Fate =
  /** The request never arrives, and the caller hears of it, or not. */
  | { readonly do: 'lose the request' | 'hang' }
  /** The request is carried out, and the caller hears of a failure. */
  | { readonly do: 'lose the answer' }
  /** It is carried out twice; or once, and the caller dies before the answer comes. */
  | { readonly do: 'double' | 'kill the caller' }
  /** It arrives so much later. */
  | { readonly do: 'delay'; readonly ms: number }

/** Who is called. */
export interface Callee {
  /** Begins to carry a request out. The reply is to be called once, when the answer may go out. */
  take(reply: (answer: Answer) => void): void
}

export type Answer = { readonly value: unknown } | { readonly error: unknown }

const LATENCY_MS = { slow: 120, verySlow: 3_000 }

export class Network {
  /** Once it is calm, no call meets anything. */
  isCalm = false
  readonly #platform: Platform
  /** By way: what calls meet, and how many come before them. */
  readonly #fates = new Map<string, { fate: Fate; callsBefore: number }[]>()
  readonly #outages = new Map<string, number>()

  constructor(platform: Platform) {
    this.#platform = platform
  }

  /** Says what a call on a way meets, after some others. */
  meet(way: string, fate: Fate, callsBefore: number): void {
    const fates = this.#fates.get(way)
    if (fates === undefined) this.#fates.set(way, [{ fate, callsBefore }])
    else fates.push({ fate, callsBefore })
  }

  /** No request arrives on a way for so long. */
  breakFor(way: string, ms: number): void {
    this.#outages.set(way, this.#platform.schedule.nowMs + ms)
  }

  calm(): void {
    this.isCalm = true
    this.#fates.clear()
    this.#outages.clear()
  }

  /** Calls somebody. The promise is settled as code of the caller's, if that still lives. */
  call(from: Party, way: string, callee: Callee): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const settle = (answer: Answer): void =>
      from.deliver(`${way}: answer`, () => ('value' in answer ? resolve(answer.value) : reject(toError(answer.error))))
    from.whenDurable(() => this.#send(from, way, callee, settle))
    return promise
  }

  #send(from: Party, way: string, callee: Callee, settle: (answer: Answer) => void): void {
    const fate = this.#takeFate(way)
    let isAnswered = false
    const answer = (result: Answer): void => {
      if (isAnswered || fate?.do === 'hang') return
      isAnswered = true
      this.#platform.after(this.#latencyMs(way), `${way}: answer`, () => {
        if (from.isAlive) settle(fate?.do === 'lose the answer' ? lost(way) : result)
      })
    }
    if (fate?.do === 'lose the request' || fate?.do === 'hang') return answer(lost(way))
    const carryOut = (): void => {
      const delayMs = this.#latencyMs(way) + (fate?.do === 'delay' ? fate.ms : 0)
      this.#platform.after(delayMs, `${way}: request`, () => {
        callee.take(answer)
        if (fate?.do === 'kill the caller') from.kill()
      })
    }
    carryOut()
    if (fate?.do === 'double') carryOut()
  }

  #takeFate(way: string): Fate | undefined {
    if ((this.#outages.get(way) ?? 0) > this.#platform.schedule.nowMs) return { do: 'lose the request' }
    const fates = this.#fates.get(way) ?? []
    const index = fates.findIndex(({ callsBefore }) => callsBefore === 0)
    const [met] = index === -1 ? [] : fates.splice(index, 1)
    for (const each of fates) each.callsBefore = Math.max(0, each.callsBefore - 1)
    return met?.fate
  }

  #latencyMs(way: string): number {
    const random = this.#platform.randomOf(way)
    return latencyMs(random, this.#platform.usualLatencyMs, this.isCalm)
  }
}

/** How long something takes that usually is fast, and sometimes is not. */
export function latencyMs(random: Random, usualMs: number, isCalm: boolean): number {
  const dice = between(random, 1, 1_000)
  if (isCalm || dice <= 950) return random() * usualMs
  return random() * (dice <= 998 ? LATENCY_MS.slow : LATENCY_MS.verySlow)
}

function lost(way: string): Answer {
  return { error: new Error(`Network connection lost: ${way}`) }
}

/** An error of another party arrives as a plain one with its own properties. */
function toError(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error))
  return Object.assign(new Error(error.message), error, { name: error.name, remote: true })
}
