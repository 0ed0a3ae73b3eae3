// One instance of an object in memory, from its constructor to its end, with its gates: what comes from outside waits while a
// critical section is open, and what goes out waits until what was written is durable.

import type { DurableObject } from 'cloudflare:workers'
import type { Disk } from './disk.ts'
import type { Answer } from './network.ts'
import type { Party, Platform } from './platform.ts'
import { createStorage, type StorageOwner } from './storage.ts'

/** Makes an object, as its constructor does. */
export type ObjectClass = (ctx: DurableObjectState) => DurableObject<unknown>

interface InstancePorts {
  readonly platform: Platform
  readonly name: string
  readonly disk: Disk
  /** Ends the object as a crash does. */
  readonly crash: () => void
}

export class Instance implements Party, StorageOwner {
  readonly name: string
  isAlive = true
  readonly #platform: Platform
  readonly #disk: Disk
  readonly #crash: () => void
  readonly #waiting: { what: string; run: () => void }[] = []
  /** Replies to the calls that are being carried out. */
  readonly #calls = new Set<(answer: Answer) => void>()
  #sections = 0
  #object: DurableObject<unknown> | undefined
  /** Whether the alarm that runs is still set: until it ends, or is set or deleted by its own run. */
  #isAlarmDeferred = false
  #isAlarmRunning = false

  constructor({ platform, name, disk, crash }: InstancePorts) {
    this.name = name
    this.#platform = platform
    this.#disk = disk
    this.#crash = crash
  }

  /** Whether it has anything to do that it was asked for. */
  get isBusy(): boolean {
    return this.#calls.size > 0 || this.#isAlarmRunning || this.#sections > 0 || this.#waiting.length > 0
  }

  /** Runs the constructor. @returns why it failed, if it did. */
  start(create: ObjectClass): Answer | undefined {
    let problem: Answer | undefined
    this.#platform.as(this, () => {
      try {
        this.#object = create(this.#state())
      } catch (error) {
        problem = { error }
      }
    })
    return problem
  }

  kill(): void {
    if (this.isAlive) this.#crash()
  }

  /** Whoever waits for an answer hears that there will be none. */
  end(): void {
    this.isAlive = false
    for (const reply of this.#calls) reply({ error: new Error('the object has ended') })
    this.#calls.clear()
  }

  deliver(what: string, run: () => void): void {
    if (this.#sections > 0) this.#waiting.push({ what, run })
    else this.#platform.as(this, run)
  }

  whenDurable(run: () => void): void {
    this.#disk.whenDurable(run)
  }

  call(method: string, args: readonly unknown[], reply: (answer: Answer) => void): void {
    this.#calls.add(reply)
    const answer = (result: Answer): void =>
      this.whenDurable(() => {
        if (this.#calls.delete(reply)) reply(result)
      })
    this.deliver(method, () => {
      this.#invoke(method, structuredClone(args)).then(
        (value) => answer({ value }),
        (error: unknown) => answer({ error }),
      )
    })
  }

  /** Runs the alarm. @param ended is told of the error, if it failed. */
  runAlarm(info: AlarmInvocationInfo, ended: (error: unknown) => void): void {
    this.#isAlarmRunning = true
    this.deliver('alarm', () => {
      this.#isAlarmDeferred = true
      this.#invoke('alarm', [info]).then(
        () => {
          if (this.#isAlarmDeferred) this.#disk.setAlarm(null)
          this.#endAlarm()
          ended(undefined)
        },
        (error: unknown) => {
          this.#endAlarm()
          ended(error)
        },
      )
    })
  }

  /** Opens a critical section. @returns what ends it. */
  enterSection(): () => void {
    this.#sections += 1
    return () => {
      this.#sections -= 1
      if (this.#sections === 0) this.#deliverNext()
    }
  }

  getAlarm(): number | null {
    return this.#isAlarmDeferred ? null : this.#disk.alarmMs
  }

  setAlarm(atMs: number | null): void {
    this.#isAlarmDeferred = false
    // The platform takes a time in the past for now.
    this.#disk.setAlarm(atMs === null ? null : Math.max(atMs, this.#platform.wallMs()))
  }

  #endAlarm(): void {
    this.#isAlarmDeferred = false
    this.#isAlarmRunning = false
  }

  async #invoke(method: string, args: readonly unknown[]): Promise<unknown> {
    const object = this.#object
    const implementation: unknown = object === undefined ? undefined : Reflect.get(object, method)
    if (object === undefined || typeof implementation !== 'function')
      throw new TypeError(`The RPC receiver does not implement the method "${method}".`)
    const result: unknown = await Reflect.apply(implementation, object, args)
    return result
  }

  /** Each in a turn of its own, in the order in which they came. */
  #deliverNext(): void {
    const next = this.#waiting.shift()
    if (next === undefined) return
    this.#platform.after(0, `${this.name}: ${next.what}, which waited`, () => {
      if (!this.isAlive) return
      if (this.#sections > 0) {
        this.#waiting.unshift(next)
        return
      }
      this.#platform.as(this, next.run)
      if (this.#sections === 0) this.#deliverNext()
    })
  }

  #state(): DurableObjectState {
    const { name } = this
    const id = { name, toString: () => name, equals: (other: { name?: string }) => other.name === name }
    const state = {
      id,
      props: {},
      exports: {},
      storage: createStorage(this.#disk, this),
      waitUntil: () => undefined,
      blockConcurrencyWhile: async (callback: () => Promise<unknown>) => {
        const leave = this.enterSection()
        try {
          return await callback()
        } finally {
          leave()
        }
      },
    }
    // What of the platform's interface is missing here, the library does not use.
    return state as unknown as DurableObjectState
  }
}
