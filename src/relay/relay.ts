// The loop that runs the machine: it reads the state, asks the machine, and applies the effects. The two together keep I3,
// I4 and I6. One relay sends the outbox to the pipeline, and one more each subscription to its target.

import { endOfWait } from '../due.ts'
import { reasonOf } from '../error.ts'
import { DEAD_LETTER_TYPE } from '../outbox/limits.ts'
import type { Backlog, Batch, BatchLimits } from '../outbox/outbox.ts'
import type { LagLimits, RetentionLimits } from '../outbox/segments.ts'
import { sendWithin } from '../pipeline/send-within.ts'
import { type Failure, readFailure, RETRY_AFTER_MS_MAX } from '../pipeline/failure.ts'
import { type RelayEffect, type RelayEvent, type RelayState, type RelayTimes, transition } from './machine.ts'

/** The options of the relay. Times are in milliseconds. */
export interface RelayLimits extends BatchLimits, RetentionLimits, LagLimits, RelayTimes {
  /** How long the relay waits for the pipeline's answer. After that the outcome counts as unknown. */
  readonly sendTimeoutMs: number
  /** If the runtime ends within this time after a send began, the batch counts as a possible cause. */
  readonly crashWindowMs: number
  /** Limits of one alarm run; the next alarm continues. */
  readonly maxBatchesPerAlarm: number
  readonly maxAlarmMs: number
}

/** The relay's claim on the object's one alarm, which others may share. */
export interface RelayAlarm {
  /** Whether it was set to just this time. */
  isSetTo(atMs: number): boolean
  /** Makes it due at a time, or earlier. Part of the open transaction, if there is one. */
  arm(atMs: number): void
  /** Makes it due when the first of all its users needs it. */
  rearm(): void
  /** When it is due, in milliseconds since 1970. */
  get(): Promise<number | null>
  /** Whether it is certainly due at a time or earlier, as far as it is known without asking the storage. */
  isDueBy(atMs: number, nowMs: number): boolean
}

/** The object's one alarm. */
export interface AlarmShares {
  /** @param dueMs when the relay needs the alarm, in milliseconds since 1970; undefined while it does not. */
  claim(dueMs: () => number | undefined): RelayAlarm
}

/** How far a relay has come, as it is stored. */
export interface RelayProgress {
  readonly epoch: string
  readonly ackedLSN: number
  readonly isPaused: boolean
  /** Last LSN of the batch in flight, which begins after `ackedLSN`; 0 if there is none. */
  readonly batchLSN: number
  /** Events in it, if there are fewer of them than LSNs. */
  readonly batchEvents?: number
  readonly attemptsBegun: number
  readonly attemptsEnded: number
  readonly nextAttemptMs: number
}

/** What a relay sends, and where it stores how far it has come: the outbox itself, or what a subscription has of it. */
export interface RelayLog {
  state(): RelayProgress | undefined
  backlog(): Backlog
  oldestPendingMs(): number | undefined
  takeBatch(limits: BatchLimits, nowMs: number): Batch | undefined
  isInFlight(batch: Batch): boolean
  acknowledge(batch: Batch, retention: RetentionLimits & LagLimits, nowMs: number): void
  recordFailure(batch: Batch, reason: string, nextAttemptMs: number): void
  recordCrashWindowEnd(batch: Batch): void
  bisect(batch: Pick<Batch, 'epoch' | 'lastLSN'>, reason: string): void
  moveToDeadLetters(batch: Pick<Batch, 'epoch' | 'lastLSN'>, reason: string, nowMs: number): void
  /** The type of an event that may be the record of a dead letter. */
  typeAt(lsn: number): string | undefined
  setPaused(isPaused: boolean): void
}

interface RelayPorts {
  readonly log: RelayLog
  readonly receiver: { send(batch: Batch): Promise<void> }
  readonly alarm: AlarmShares
  readonly limits: RelayLimits
  readonly now: () => number
  readonly random: () => number
}

export class Relay {
  readonly #ports: RelayPorts
  readonly #alarm: RelayAlarm
  /** The batch in flight. */
  #batch: Batch | undefined
  /** The current run and the current replay: each waits for the other. */
  #draining: Promise<void> | undefined
  #replaying: Promise<void> | undefined
  /** A batch whose attempt the runtime outlived, although the end of the attempt could not be stored. */
  #outlived: Batch | undefined

  constructor(ports: RelayPorts) {
    this.#ports = ports
    this.#alarm = ports.alarm.claim(() => this.dueMs())
  }

  /** Makes an alarm due for the events that a transaction is about to commit, as part of it (I6). */
  committed(before: Backlog, after: Backlog): void {
    const wasIdle = before.events === 0
    const becameFull = this.#isFull(after) && !this.#isFull(before)
    if (wasIdle || becameFull) this.#dispatch({ name: 'committed', wasIdle, becameFull })
    else this.#keepAlarm()
  }

  /** Makes an alarm due if events are pending and no alarm is due, or none that is soon enough, whatever the reason (I6). */
  async wake(): Promise<void> {
    const alarmMs = await this.#alarm.get()
    this.#dispatch({ name: 'woke', alarmMs, dueMs: this.dueMs() })
  }

  pause(): void {
    this.#dispatch({ name: 'pause' })
  }

  resume(): void {
    this.#dispatch({ name: 'resume', isPending: this.#ports.log.backlog().events > 0 })
  }

  /**
   * When the relay needs the alarm next, in milliseconds since 1970; undefined while it does not. Derived from storage, so
   * that asking does not postpone it.
   */
  dueMs(): number | undefined {
    const { log, limits, now } = this.#ports
    const { name, nextAttemptMs } = this.#state()
    if (name === 'sending') return now() + limits.recoveryMs
    if (name !== 'waiting') return undefined
    if (nextAttemptMs > 0) return nextAttemptMs
    if (this.#isFull(log.backlog())) return now()
    return endOfWait((log.oldestPendingMs() ?? now()) + limits.lingerMs, limits.lingerMs, now())
  }

  /**
   * An alarm is due for the events that are pending already. But the clock may have stepped back since it was set, so that it
   * is far ahead. As a rule it is soon enough for a first event, and there is no need to read the state.
   */
  #keepAlarm(): void {
    const { limits, now } = this.#ports
    // A run sets its own.
    if (this.#draining !== undefined || this.#alarm.isDueBy(now() + limits.lingerMs, now())) return
    const dueMs = this.dueMs()
    if (dueMs === undefined || this.#alarm.isDueBy(dueMs, now())) return
    const atMs = Math.max(dueMs, now())
    // Setting it is a billed row. The clock stands still within a turn, in which many commits may find the batch full.
    if (!this.#alarm.isSetTo(atMs)) this.#alarm.arm(atMs)
  }

  /** Sends what is pending: for the alarm, or at once for a flush. Never throws. A second call joins the current run. */
  run(options: { isForced: boolean }): Promise<void> {
    this.#draining ??= this.#drainAfter(this.#replaying, options).finally(() => (this.#draining = undefined))
    return this.#draining
  }

  /** Sends a delivered range of the log again, while no other batch is in flight (I4). @throws what the pipeline throws. */
  async replay(batch: Batch): Promise<void> {
    while (this.#draining !== undefined || this.#replaying !== undefined) await (this.#draining ?? this.#replaying)
    const sending = this.#send(batch)
    this.#replaying = sending.catch(() => undefined).finally(() => (this.#replaying = undefined))
    await sending
  }

  async #drainAfter(replaying: Promise<void> | undefined, options: { isForced: boolean }): Promise<void> {
    await replaying
    await this.#drain(options)
  }

  async #drain({ isForced }: { isForced: boolean }): Promise<void> {
    const { limits, now } = this.#ports
    const endMs = now() + limits.maxAlarmMs
    let attempted: Batch | undefined
    try {
      this.#noteOutlived()
      let isSending = this.#dispatch({ name: 'due', isForced })
      for (let batches = 1; isSending && this.#batch !== undefined; batches++) {
        const hasTime = batches < limits.maxBatchesPerAlarm && now() < endMs
        attempted = this.#batch
        const answer = await this.#attempt(attempted)
        isSending = this.#dispatch(this.#readAnswer(answer, attempted, hasTime))
      }
      // A subscription may find that none of what is left concerns it.
      if (isSending) this.#alarm.rearm()
    } catch (error) {
      // No expected error gets here. The relay tries again, and logs the error until its cause is removed.
      console.error(`relay: ${reasonOf(error)}`)
      this.#alarm.arm(now() + limits.maxRetryDelayMs)
      this.#outlived = attempted ?? this.#outlived
    } finally {
      this.#batch = undefined
    }
  }

  /** @returns how it failed; undefined if the pipeline accepted it. */
  async #attempt(batch: Batch): Promise<Failure | undefined> {
    const { limits } = this.#ports
    const crashWindow = setTimeout(() => this.#endCrashWindow(batch), limits.crashWindowMs)
    try {
      await this.#send(batch)
      return undefined
    } catch (error) {
      const failure = readFailure(error)
      console.warn(`relay: ${batch.key} ${failure.name}: ${failure.reason}`)
      return failure
    } finally {
      clearTimeout(crashWindow)
    }
  }

  #endCrashWindow(batch: Batch): void {
    try {
      this.#ports.log.recordCrashWindowEnd(batch)
    } catch (error) {
      // The end of the attempt is still to be stored, and says the same.
      console.error(`relay: ${reasonOf(error)}`)
    }
  }

  /** Stores that an attempt ended, where that failed before: otherwise it would look as if the runtime had ended. */
  #noteOutlived(): void {
    if (this.#outlived !== undefined) this.#ports.log.recordCrashWindowEnd(this.#outlived)
    this.#outlived = undefined
  }

  /** Whether a batch is full, so that it need not wait for more events. */
  #isFull({ events, bytes }: Backlog): boolean {
    const { maxBatchEvents, maxBatchBytes } = this.#ports.limits
    return events >= maxBatchEvents || bytes >= maxBatchBytes
  }

  /** The event that an answer is. If the storage was emptied meanwhile, the answer is to a batch that is gone. */
  #readAnswer(failure: Failure | undefined, batch: Batch, hasTime: boolean): RelayEvent {
    const { log } = this.#ports
    if (!log.isInFlight(batch)) {
      this.#batch = undefined
      return { name: 'due', isForced: false }
    }
    return failure ?? { name: 'accepted', isLast: log.backlog().lastLSN === batch.lastLSN, hasTime }
  }

  /** @returns whether a batch is to be sent now. */
  #dispatch(event: RelayEvent): boolean {
    const { limits, now, random } = this.#ports
    const { effects } = transition(this.#state(), event, { nowMs: now(), random: random(), times: limits })
    const batch = this.#batch
    if (event.name === 'accepted' || event.name === 'failed' || event.name === 'refused') this.#batch = undefined
    for (const effect of effects) this.#apply(effect, batch)
    return effects.some((effect) => effect.do === 'send')
  }

  #apply(effect: RelayEffect, batch: Batch | undefined): void {
    const { log, limits, now } = this.#ports
    switch (effect.do) {
      case 'arm':
        return this.#alarm.arm(effect.atMs)
      case 'disarm':
        return this.#alarm.rearm()
      case 'send':
        this.#batch = log.takeBatch(limits, now())
        return undefined
      case 'acknowledge':
        return batch && log.acknowledge(batch, limits, now())
      case 'record failure':
        return batch && log.recordFailure(batch, effect.reason, effect.nextAttemptMs)
      case 'bisect':
        return log.bisect(batch ?? interruptedBatch(log.state()), effect.reason)
      case 'dead-letter':
        return log.moveToDeadLetters(batch ?? interruptedBatch(log.state()), effect.reason, now())
      case 'pause':
      case 'resume':
        return log.setPaused(effect.do === 'pause')
    }
  }

  #state(): RelayState {
    const { log } = this.#ports
    const state = log.state()
    const isSending = this.#batch !== undefined
    const batchEvents =
      state !== undefined && state.batchLSN > state.ackedLSN
        ? (state.batchEvents ?? state.batchLSN - state.ackedLSN)
        : 0
    return {
      name: nameOf({ isSending, isPaused: state?.isPaused ?? false, isPending: log.backlog().events > 0 }),
      batchEvents,
      failures: state?.attemptsEnded ?? 0,
      interrupted: (state?.attemptsBegun ?? 0) - (state?.attemptsEnded ?? 0) - (isSending ? 1 : 0),
      isDeadLetter: batchEvents === 1 && log.typeAt(state?.batchLSN ?? 0) === DEAD_LETTER_TYPE,
      nextAttemptMs: this.#nextAttemptMs(state),
    }
  }

  /** By the clock and the limits of now. */
  #nextAttemptMs(state: RelayProgress | undefined): number {
    const { limits, now } = this.#ports
    return endOfWait(state?.nextAttemptMs ?? 0, Math.max(limits.maxRetryDelayMs, RETRY_AFTER_MS_MAX), now())
  }

  #send(batch: Batch): Promise<void> {
    const { receiver, limits } = this.#ports
    return sendWithin(receiver, batch, { timeoutMs: limits.sendTimeoutMs, batch: `relay: ${batch.key}` })
  }
}

function nameOf(facts: { isSending: boolean; isPaused: boolean; isPending: boolean }): RelayState['name'] {
  if (facts.isSending) return facts.isPaused ? 'stopping' : 'sending'
  if (facts.isPaused) return 'paused'
  return facts.isPending ? 'waiting' : 'idle'
}

/** The batch whose attempt the end of the runtime interrupted: what is known of it is in the state. */
function interruptedBatch(state: RelayProgress | undefined): Pick<Batch, 'epoch' | 'lastLSN'> {
  return { epoch: state?.epoch ?? '', lastLSN: state?.batchLSN ?? 0 }
}
