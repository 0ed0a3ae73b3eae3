// The globals that the library uses, in simulated time and by simulated chance while a simulation runs in this thread. Loaded
// before any of the library's modules, some of which keep what they find.

import { createHash, timingSafeEqual } from 'node:crypto'
import type { Platform } from './platform.ts'
import type { Appointment } from './schedule.ts'

let current: Platform | undefined

/** Sets the platform whose time and chance count from now on; none for the real ones. */
export function enter(platform: Platform | undefined): void {
  current = platform
}

const real = {
  now: Date.now,
  random: Math.random,
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  randomUUID: crypto.randomUUID.bind(crypto),
  getRandomValues: crypto.getRandomValues.bind(crypto),
  fetch: globalThis.fetch,
  timeout: AbortSignal.timeout.bind(AbortSignal),
  warn: console.warn,
  error: console.error,
}

class SimulatedDate extends Date {
  /** As of the real one: without arguments it is now. */
  constructor(...args: [] | [number | string | Date]) {
    super(args.length === 0 ? SimulatedDate.now() : args[0])
  }

  static override now(): number {
    return current === undefined ? real.now() : current.wallMs()
  }
}

const timers = new WeakMap<object, Appointment>()

function setSimulatedTimeout(run: (...args: unknown[]) => void, delayMs = 0, ...args: unknown[]): object {
  if (current === undefined) return real.setTimeout(run, delayMs, ...args)
  const timer = {}
  timers.set(
    timer,
    current.setTimer(delayMs, () => run(...args)),
  )
  return timer
}

function clearSimulatedTimeout(timer: unknown): void {
  const appointment = typeof timer === 'object' && timer !== null ? timers.get(timer) : undefined
  if (appointment !== undefined) appointment.isCancelled = true
  else if (current === undefined) real.clearTimeout(timer instanceof Object ? Number(timer) : undefined)
}

function fillRandomly<Values extends ArrayBufferView>(values: Values): Values {
  if (current === undefined) throw new Error('no simulation runs')
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  for (let index = 0; index < bytes.length; index++) bytes[index] = current.random() * 256
  return values
}

function simulatedUUID(): string {
  const hex = Array.from(fillRandomly(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('')
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20)}`
}

/** The real one answers from another thread, at a time of its own. */
async function digest(_algorithm: unknown, data: ArrayBuffer | ArrayBufferView): Promise<ArrayBuffer> {
  const bytes =
    data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return Uint8Array.from(createHash('sha256').update(bytes).digest()).buffer
}

function simulatedTimeout(delayMs: number): AbortSignal {
  if (current === undefined) return real.timeout(delayMs)
  const controller = new AbortController()
  const reason = new DOMException('The operation was aborted due to timeout', 'TimeoutError')
  current.setTimer(delayMs, () => controller.abort(reason))
  return controller.signal
}

/** What the library logs belongs to the simulation. */
function logTo(write: (...args: unknown[]) => void) {
  return (...args: unknown[]): void => {
    if (current === undefined) write(...args)
    else current.note(`log: ${args.map(String).join(' ')}`)
  }
}

Object.assign(globalThis, {
  Date: SimulatedDate,
  setTimeout: setSimulatedTimeout,
  clearTimeout: clearSimulatedTimeout,
  fetch: (url: string, init: RequestInit = {}) =>
    current === undefined ? real.fetch(url, init) : current.fetch(url, init),
})
AbortSignal.timeout = simulatedTimeout
Math.random = () => (current === undefined ? real.random() : current.random())
console.warn = logTo(real.warn)
console.error = logTo(real.error)
Object.defineProperties(crypto, {
  randomUUID: { value: () => (current === undefined ? real.randomUUID() : simulatedUUID()) },
  getRandomValues: {
    value: (values: Uint8Array<ArrayBuffer>) =>
      current === undefined ? real.getRandomValues(values) : fillRandomly(values),
  },
})
Object.defineProperties(crypto.subtle, { digest: { value: digest }, timingSafeEqual: { value: timingSafeEqual } })
