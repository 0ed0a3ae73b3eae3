// The whole system of one script: objects with outboxes, the lake's binding, its object and its bucket, over one platform.

import { CDCEmitter, type Pipeline } from 'durable-outbox'
import { RETRY_AFTER_MS_MAX } from '../../src/pipeline/failure.ts'
import { between, choose } from '../harness/random.ts'
import { Ledger, type LedgerEnv } from './ledger.ts'
import { EMITTER_NS, Oracle, Violation } from './oracle.ts'
import type { BucketStore } from './platform/bucket.ts'
import type { DiskImage } from './platform/disk.ts'
import { Network } from './platform/network.ts'
import type { ObjectClass } from './platform/instance.ts'
import { ObjectHost } from './platform/object-host.ts'
import { Platform, Worker } from './platform/platform.ts'
import { Receivers } from './receivers.ts'
import { CLOCK_OFFSET_MS_MAX, EMITTER, LAKE, type Step } from './script.ts'

/** Short enough that a script of some seconds meets them. */
const OBJECT_LIMITS = {
  maxBatchEvents: 5,
  lingerMs: 50,
  minRetryDelayMs: 100,
  maxRetryDelayMs: 5_000,
  sendTimeoutMs: 2_000,
  crashWindowMs: 200,
  recoveryMs: 1_000,
  maxBatchesPerAlarm: 4,
  maxAlarmMs: 3_000,
} as const
/** Half of the objects keep nothing that is delivered. */
const RETENTION_MS = { 0: 1, 5_000: 1 }

/** Longer than any fault lasts that has not ended by then. */
const PAUSE_MS_MAX = 20

export class World {
  readonly platform: Platform
  readonly network: Network
  readonly oracle = new Oracle()
  /** In so long after the last fault everything has landed: the longest hold and the longest backoff, and some. */
  patienceMs = 70_000
  readonly #hosts = new Map<string, ObjectHost>()
  readonly #client: Worker
  readonly #emitter: Worker
  readonly #receivers: Receivers
  readonly #ledgers: string[] = []
  readonly #aheadMs = new Map<string, number>()
  readonly #images = new Map<string, DiskImage>()

  constructor(seed: number, objects: readonly string[], listener?: (line: string) => void) {
    this.platform = new Platform(seed, listener)
    this.network = new Network(this.platform)
    this.#client = new Worker(this.platform, 'client')
    this.#emitter = new Worker(this.platform, EMITTER)
    this.#receivers = new Receivers({
      platform: this.platform,
      network: this.network,
      objects,
      addHost: (name, create) => void this.#add(name, create),
      host: (name) => this.host(name),
      nowOf: (name) => this.#nowOf(name),
      taken: () => this.#check(() => this.oracle.checkFresh(this.host(LAKE).disk.database, this.platform.wallMs())),
    })
    for (const name of objects) this.#addLedger(name)
  }

  /** All objects with an outbox. */
  get ledgers(): readonly string[] {
    return this.#ledgers
  }

  get bucket(): BucketStore {
    return this.#receivers.bucket
  }

  host(name: string): ObjectHost {
    const host = this.#hosts.get(name)
    if (host === undefined) throw new Error(`the script names ${name}, which is no object of it`)
    return host
  }

  /** Lets a step of the script happen. */
  take(step: Step): void {
    this.platform.note(`script: ${step.do}`)
    switch (step.do) {
      case 'write':
        return this.#write(step)
      case 'crash':
        return this.host(step.who).crash()
      case 'crash all':
        return this.crashAll()
      case 'evict':
        return this.host(step.who).evict()
      case 'lose the alarm':
        this.oracle.excuseAlarm(step.who)
        return this.host(step.who).loseAlarm()
      case 'emit':
        return this.#emit(step.ns)
      case 'delete all':
        return this.#tell(step.who, 'deleteAll')
      case 'pause':
      case 'resume':
      case 'flush':
        return this.#tell(step.who, step.do)
      case 'replay':
        return this.#tell(step.who, 'replay', step.from, step.to)
      case 'set an alarm':
        return this.#tell(step.who, 'setAlarm', step.inMs)
      case 'meet':
        return this.network.meet(step.way, step.fate, step.callsBefore)
      case 'break':
        return this.network.breakFor(step.way, step.ms)
      case 'set the clock':
        return this.#setClock(step.byMs)
      case 'set its clock':
        return this.#setItsClock(step.who, step.aheadMs)
      case 'slow disk':
        this.host(step.who).diskDelayMs = step.ms
        return undefined
      case 'remember':
        return this.#remember(this.host(step.who))
      case 'restore':
        return this.#restore(step.who)
      case 'copy':
        return this.#copy(step.who, step.to)
    }
  }

  crashAll(): void {
    for (const host of this.#hosts.values()) host.crash()
  }

  /** Ends all faults. What waits for a fault that only a wake mends is woken. */
  calm(): void {
    this.network.calm()
    this.#aheadMs.clear()
    for (const [name, host] of this.#hosts) {
      host.diskDelayMs = 0
      if (this.#ledgers.includes(name)) this.#tell(name, 'resume')
      if (this.oracle.isExcused(name)) this.#wakeAnew(host)
    }
  }

  /** Whether everything that has been committed is in the table, as far as the objects know. */
  isSettled(): boolean {
    const lake = this.host(LAKE).disk.database
    const hasLake = lake.run("SELECT 1 FROM sqlite_master WHERE name = 'lake_buffer'", []).rows.length > 0
    const waiting = 'SELECT (SELECT count(*) FROM lake_buffer) + (SELECT count(*) FROM lake_held)'
    if (hasLake && Number(lake.run(waiting, []).rows[0]?.[0]) > 0) return false
    return this.ledgers.every((name) => {
      const log = this.oracle.currentLog(name)
      return log === undefined || log.ackedLSN === log.lastLSN
    })
  }

  /** What has not landed. */
  describeWaiting(): string {
    const logs = this.ledgers.flatMap((name) => {
      const log = this.oracle.currentLog(name)
      if (log === undefined || log.ackedLSN === log.lastLSN) return []
      return `${name} waits for LSN ${log.ackedLSN + 1} of ${log.lastLSN}`
    })
    return logs.join(', ') || 'the lake has some in its buffer'
  }

  close(): void {
    for (const host of this.#hosts.values()) host.disk.database.close()
  }

  #write({ who, work }: Step & { do: 'write' }): void {
    this.#ask(who, 'write', work).then(
      () => this.#check(() => this.oracle.checkAnswer(work)),
      () => undefined,
    )
  }

  /** Without an outbox: what was accepted lands once, and the rest lands at most once. */
  #emit(ns: readonly number[]): void {
    const { platform, oracle } = this
    const pipeline = this.#receivers.pipelineOf(EMITTER)
    const watched: Pipeline = {
      send: async (records) => {
        oracle.emitted(records)
        await pipeline.send(records)
        oracle.acceptedEmitted(records)
      },
    }
    platform.as(this.#emitter, () => {
      const emitter = new CDCEmitter(watched, { ns: EMITTER_NS, source: 'Worker/emitter', random: platform.random })
      emitter.emitBatch(ns.map((n) => ({ type: 'Emitted', data: { n } }))).catch(() => undefined)
    })
  }

  /** What is refused, the script has asked for at a wrong time. */
  #tell(who: string, method: string, ...args: readonly unknown[]): void {
    this.#ask(who, method, ...args).catch(() => undefined)
  }

  #ask(who: string, method: string, ...args: readonly unknown[]): Promise<unknown> {
    return this.network.call(this.#client, `client>${who}`, this.host(who).method(method, args))
  }

  #wakeAnew(host: ObjectHost): void {
    host.crash('woken anew')
    this.oracle.mustAlarm(host.name)
    host.wake()
  }

  #setClock(byMs: number): void {
    const { platform } = this
    if (Math.abs(platform.clockOffsetMs + byMs) > CLOCK_OFFSET_MS_MAX) return
    platform.clockOffsetMs += byMs
    this.#letWait(-byMs)
    for (const [name, host] of this.#hosts) {
      this.oracle.excuseAlarm(name)
      host.clockChanged()
    }
  }

  #setItsClock(who: string, aheadMs: number): void {
    this.oracle.excuseAlarm(who)
    this.#letWait(aheadMs)
    this.#aheadMs.set(who, aheadMs)
  }

  /** A retry that a clock put off which was ahead is waited for, but for no longer than a pipeline may ask for. */
  #letWait(aheadMs: number): void {
    this.oracle.isClockSet = true
    const waitMs = Math.min(Math.max(0, aheadMs), RETRY_AFTER_MS_MAX)
    this.oracle.alarmMsMax += waitMs
    this.patienceMs += waitMs
  }

  /** A copy is of what is durable. */
  #remember(host: ObjectHost): void {
    host.disk.whenDurable(() => this.#images.set(host.name, host.copy()))
  }

  #restore(name: string): void {
    const image = this.#images.get(name)
    if (image === undefined) return
    const host = this.host(name)
    this.oracle.rewind(name)
    host.restore(image)
    host.wake()
  }

  #copy(name: string, to: string): void {
    const original = this.host(name)
    original.disk.whenDurable(() => {
      this.#addLedger(to)
      this.oracle.copied(to)
      this.host(to).restore(original.copy())
      this.host(to).wake()
    })
  }

  #addLedger(name: string): void {
    const env: LedgerEnv = {
      options: {
        ...OBJECT_LIMITS,
        retentionMs: Number(choose(this.platform.randomOf(`${name}: retention`), RETENTION_MS)),
        pipeline: this.#pipelineOf(name),
        now: () => this.#nowOf(name),
        random: this.platform.randomOf(`${name}: jitter`),
      },
      pause: () => this.#pause(),
    }
    this.#ledgers.push(name)
    const host = this.#add(
      name,
      (ctx) => new Ledger(ctx, env),
      () => this.#check(() => this.oracle.checkDisk(host, this.platform.wallMs())),
    )
  }

  #add(name: string, create: ObjectClass, onDurable = (): void => undefined): ObjectHost {
    const { platform, network } = this
    const host = new ObjectHost({ platform, network, name, create, onDurable })
    this.#hosts.set(name, host)
    return host
  }

  #nowOf(name: string): number {
    return this.platform.wallMs() + (this.#aheadMs.get(name) ?? 0)
  }

  /** An object's pipeline, under the eyes of the oracle. */
  #pipelineOf(name: string): Pipeline {
    const pipeline = this.#receivers.pipelineOf(name)
    return {
      send: async (records) => {
        this.platform.party.whenDurable(() => this.#check(() => this.oracle.checkSent(name, records)))
        try {
          await pipeline.send(records)
          this.#check(() => this.oracle.accepted(records))
        } catch (error) {
          if (error instanceof Error && 'status' in error && error.status === 422) this.oracle.refused(records)
          throw error
        }
      },
    }
  }

  /** Inside a transaction: past the gate, which its own transaction keeps shut. */
  #pause(): Promise<void> {
    const { platform } = this
    const { party } = platform
    const random = platform.randomOf(`${party.name}: pauses`)
    return new Promise((resolve) => {
      platform.after(between(random, 0, PAUSE_MS_MAX), `${party.name}: pause`, () => {
        if (party.isAlive) platform.as(party, resolve)
      })
    })
  }

  /** The first violation, if there was one: it must not be taken for an error of the code that is simulated. */
  violation: Violation | undefined

  #check(run: () => void): void {
    try {
      run()
    } catch (error) {
      if (!(error instanceof Violation)) throw error
      this.violation ??= error
    }
  }
}
