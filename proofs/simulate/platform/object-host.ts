// A Durable Object: its disk, the instance that runs if any does, and its one alarm.

import { Disk, type DiskImage } from './disk.ts'
import { Instance, type ObjectClass } from './instance.ts'
import { type Answer, type Callee, latencyMs, type Network } from './network.ts'
import type { Platform } from './platform.ts'
import type { Appointment } from './schedule.ts'

interface HostPorts {
  readonly platform: Platform
  readonly network: Network
  readonly name: string
  readonly create: ObjectClass
  /** Called each time that something has become durable. */
  readonly onDurable: () => void
}

/** Like the platform: six retries, after 2 s, 4 s, … 64 s; then the alarm is dropped. */
const RETRIES_MAX = 6
const RETRY_MS = 2_000
/** The platform ends an object whose alarm runs for longer. */
const ALARM_RUN_MS_MAX = 15 * 60_000
/** How soon the alarm of an object that died fires again. */
const RESTART_MS = 700

/** What the platform's scheduler of alarms knows. */
interface ScheduledAlarm {
  readonly scheduledTime: number
  readonly retryCount: number
  readonly appointment: Appointment
}

export class ObjectHost {
  readonly name: string
  readonly disk: Disk
  /** A flush takes so long while it is set. */
  diskDelayMs = 0
  readonly #ports: HostPorts
  #instance: Instance | undefined
  /** The alarm as the scheduler knows it, and the one that runs. */
  #alarm: ScheduledAlarm | undefined
  #confirmedMs: number | null = null
  #running: ScheduledAlarm | undefined
  #limit: Appointment | undefined
  #isAlarmWaiting = false

  constructor(ports: HostPorts) {
    const { platform, network, name } = ports
    this.#ports = ports
    this.name = name
    const random = platform.randomOf(`${name}: disk`)
    this.disk = new Disk({
      later: (flush) =>
        void platform.after(
          latencyMs(random, platform.usualLatencyMs, network.isCalm) / 2 + this.diskDelayMs,
          `${name}: flush`,
          flush,
        ),
      onDurable: () => this.#flushed(),
      onFailure: () => this.crash('the commit failed'),
    })
  }

  /** What calls a method of the object, once it runs. */
  method(method: string, args: readonly unknown[]): Callee {
    return {
      take: (reply) => {
        const instance = this.#wake()
        if (instance instanceof Instance) instance.call(method, args, reply)
        else reply(instance)
      },
    }
  }

  /** Starts the object without a call. */
  wake(): void {
    this.#wake()
  }

  /** The runtime ends: nothing of the instance is left, and nothing that was not durable. */
  crash(reason = 'crash'): void {
    this.#ports.platform.note(`${this.name}: ${reason}`)
    const instance = this.#instance
    this.#instance = undefined
    this.disk.lose()
    instance?.end()
    if (this.#running !== undefined) this.#endAlarm()
  }

  /** Ends an instance that has nothing to do. */
  evict(): void {
    const instance = this.#instance
    if (instance === undefined || instance.isBusy || this.disk.isDirty) return
    this.#ports.platform.note(`${this.name}: eviction`)
    this.#instance = undefined
    instance.end()
  }

  /** The platform drops the alarm, as it does after too many runs that failed. */
  loseAlarm(): void {
    this.#cancelAlarm()
    this.#confirmedMs = null
    this.disk.dropAlarm()
  }

  copy(): DiskImage {
    return this.disk.copy()
  }

  restore(image: DiskImage): void {
    this.crash('restored')
    this.disk.restore(image)
    this.#confirmedMs = null
    this.#flushed()
  }

  /** The wall clock was set: the scheduler's alarms go by it. */
  clockChanged(): void {
    const alarm = this.#alarm
    if (alarm !== undefined && alarm !== this.#running) this.#schedule(alarm.scheduledTime, alarm.retryCount)
  }

  /** When the platform will run the alarm; nothing if it never will. */
  get scheduledMs(): number | undefined {
    return this.#alarm?.scheduledTime
  }

  get isAlarmRunning(): boolean {
    return this.#running !== undefined
  }

  #wake(): Instance | Answer {
    if (this.#instance !== undefined) return this.#instance
    const { platform, name, create } = this.#ports
    const instance = new Instance({ platform, name, disk: this.disk, crash: () => this.crash() })
    this.#instance = instance
    const problem = instance.start(create)
    if (problem === undefined) return instance
    this.crash('it does not start')
    return problem
  }

  /** Tells the scheduler of the alarm, if it is another one than it knows. */
  #flushed(): void {
    const { durableAlarmMs } = this.disk
    if (durableAlarmMs !== this.#confirmedMs) {
      this.#confirmedMs = durableAlarmMs
      if (durableAlarmMs === null) this.#cancelAlarm()
      else this.#schedule(durableAlarmMs, 0)
    }
    this.#ports.onDurable()
  }

  #schedule(scheduledTime: number, retryCount: number, delayMs = 0): void {
    const { platform, name } = this.#ports
    this.#cancelAlarm()
    const waitMs = Math.max(delayMs, scheduledTime - platform.wallMs())
    const appointment = platform.after(waitMs, `${name}: alarm`, () => this.#fire())
    this.#alarm = { scheduledTime, retryCount, appointment }
  }

  #cancelAlarm(): void {
    if (this.#alarm !== undefined) this.#alarm.appointment.isCancelled = true
    this.#alarm = undefined
  }

  #fire(): void {
    const alarm = this.#alarm
    if (alarm === undefined) return
    // One that comes while another one runs waits for its end.
    if (this.#running !== undefined) {
      this.#isAlarmWaiting = true
      return
    }
    const instance = this.#wake()
    if (!(instance instanceof Instance)) return this.#retry(alarm)
    this.#running = alarm
    const { scheduledTime, retryCount } = alarm
    this.#limitRun(alarm)
    instance.runAlarm({ scheduledTime, retryCount, isRetry: retryCount > 0 }, (error) => {
      // The scheduler hears of it once what the run wrote is durable.
      instance.whenDurable(() => this.#ran(alarm, error))
    })
  }

  #limitRun(alarm: ScheduledAlarm): void {
    const { platform, name } = this.#ports
    const limit = platform.after(ALARM_RUN_MS_MAX, `${name}: the alarm has run for too long`, () => {
      if (this.#running === alarm) this.crash('its alarm has run for too long')
    })
    this.#limit = limit
  }

  #ran(alarm: ScheduledAlarm, error: unknown): void {
    const isCurrent = this.#alarm === alarm
    if (isCurrent && error !== undefined) this.#retry(alarm)
    else if (isCurrent) this.#alarm = undefined
    this.#endAlarm()
  }

  #endAlarm(): void {
    this.#running = undefined
    if (this.#limit !== undefined) this.#limit.isCancelled = true
    const alarm = this.#alarm
    const isWaiting = this.#isAlarmWaiting
    this.#isAlarmWaiting = false
    if (alarm === undefined) return
    // After a crash the platform has nothing but its own entry, which it tries again.
    const isInterrupted = this.#instance === undefined
    if (isInterrupted) this.#schedule(alarm.scheduledTime, alarm.retryCount + 1, RESTART_MS)
    else if (isWaiting) this.#schedule(alarm.scheduledTime, alarm.retryCount)
  }

  #retry({ scheduledTime, retryCount }: ScheduledAlarm): void {
    if (retryCount < RETRIES_MAX) return this.#schedule(scheduledTime, retryCount + 1, RETRY_MS * 2 ** retryCount)
    this.#cancelAlarm()
    this.disk.setAlarm(null)
  }
}
