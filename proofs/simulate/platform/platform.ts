// Everything around the code that is simulated: the time, chance, and whose code runs now. One turn after the other: what is
// due runs, and so does all that follows from it without waiting, before anything else.

import { choose, createRandom, type Random } from '../../harness/random.ts'
import { type Appointment, Schedule } from './schedule.ts'

/** Somebody whose code runs: an instance of an object, or a Worker. */
export interface Party {
  readonly name: string
  /** What is addressed to the dead reaches nobody. */
  readonly isAlive: boolean
  /** Runs something that comes from outside, once the party's input gate is open. */
  deliver(what: string, run: () => void): void
  /** Runs something that goes out, once the party's output gate is open. */
  whenDurable(run: () => void): void
  /** Ends it as a crash does. */
  kill(): void
}

/** A Worker: it keeps nothing, has no gates, and never dies. */
export class Worker implements Party {
  readonly isAlive = true
  readonly name: string
  readonly #platform: Platform

  constructor(platform: Platform, name: string) {
    this.#platform = platform
    this.name = name
  }

  deliver(_what: string, run: () => void): void {
    this.#platform.as(this, run)
  }

  whenDurable(run: () => void): void {
    run()
  }

  kill(): void {}
}

/** When every simulation begins: 2026-12-01T00:00:00Z. */
const BEGINNING_MS = 1_796_083_200_000

export class Platform {
  readonly schedule = new Schedule()
  readonly seed: number
  /** For ids, salts and jitter that the simulated code asks for. */
  readonly random: Random
  /** How long a call or a flush takes at most, as a rule: in some simulations no time, so that all happens in one millisecond. */
  readonly usualLatencyMs: number
  /** What answers requests over HTTP. */
  fetch: (url: string, init: RequestInit) => Promise<Response> = () => Promise.reject(new TypeError('fetch failed'))
  /** How far the wall clock is from what it would be if nobody had set it. */
  clockOffsetMs = 0
  steps = 0
  /** A hash of all that has happened: two runs of one script are the same if it is. */
  trace = 0x811c9dc5
  readonly #randoms = new Map<string, Random>()
  readonly #listener: ((line: string) => void) | undefined
  #party: Party | undefined

  constructor(seed: number, listener?: (line: string) => void) {
    this.seed = seed
    this.random = createRandom(seed, 'code')
    this.usualLatencyMs = Number(choose(createRandom(seed, 'latency'), { 0: 2, 0.5: 1, 4: 5 }))
    this.#listener = listener
  }

  /** What the wall clock says, in milliseconds since 1970. */
  wallMs(): number {
    return Math.floor(BEGINNING_MS + this.schedule.nowMs + this.clockOffsetMs)
  }

  /** Whose code runs now. */
  get party(): Party {
    if (this.#party === undefined) throw new Error('nobody’s code runs now')
    return this.#party
  }

  /** Runs code as a party's, with what follows from it until the turn ends. */
  as(party: Party, run: () => void): void {
    this.#party = party
    run()
  }

  /** A sequence of its own, so that what one does less does not change what another one meets. */
  randomOf(name: string): Random {
    const known = this.#randoms.get(name)
    if (known !== undefined) return known
    const random = createRandom(this.seed, name)
    this.#randoms.set(name, random)
    return random
  }

  after(delayMs: number, what: string, run: () => void): Appointment {
    return this.schedule.after(delayMs, what, run)
  }

  /** A timer of the party whose code runs now. */
  setTimer(delayMs: number, run: () => void): Appointment {
    const { party } = this
    return this.after(Math.max(1, delayMs), `${party.name}: timer`, () => {
      if (party.isAlive) party.deliver('timer', run)
    })
  }

  /** Lets the next thing happen. @returns whether there was any before that time. */
  step(untilMs: number): boolean {
    const nextMs = this.schedule.peekMs()
    if (nextMs === undefined || nextMs > untilMs) return false
    const appointment = this.schedule.next()
    if (appointment === undefined) return false
    this.steps += 1
    this.note(appointment.what)
    appointment.run()
    return true
  }

  /** Adds to the trace. */
  note(what: string): void {
    let hash = this.trace ^ Math.floor(this.schedule.nowMs * 1_000)
    for (let index = 0; index < what.length; index++) hash = Math.imul(hash ^ what.charCodeAt(index), 0x01000193)
    this.trace = hash
    this.#listener?.(`${this.schedule.nowMs.toFixed(3).padStart(12)} ${what}`)
  }
}
