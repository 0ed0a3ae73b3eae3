// The loop that runs the machine: it reads where the relay stands, asks the machine, and does what it says. Keeps I3,
// I4 and I6 together with it.

import { messageOf } from '../error.ts'
import { DEAD_LETTER_TYPE } from '../outbox/limits.ts'
import type { Backlog, Batch, BatchLimits, Outbox, RetentionLimits } from '../outbox/outbox.ts'
import type { OutboxState } from '../outbox/state.ts'
import type { Pipeline } from '../pipeline/pipeline.ts'
import { sendWithin } from '../pipeline/send-within.ts'
import { type Failure, readFailure } from '../pipeline/failure.ts'
import { type RelayEffect, type RelayEvent, type RelayState, type RelayTimes, transition } from './machine.ts'

/** The relay's share of the object's options. Times are in milliseconds. */
export interface RelayLimits extends BatchLimits, RetentionLimits, RelayTimes {
  /** How long the pipeline may take to answer before the outcome counts as unknown. */
  readonly sendTimeoutMs: number
  /** A batch that has been on its way for so long is not what ends the runtime, should that end. */
  readonly crashWindowMs: number
  /** After so many batches, or so long, an alarm's run ends and the next one goes on. */
  readonly maxBatchesPerAlarm: number
  readonly maxAlarmMs: number
}

/** The relay's claim on the object's one alarm, which others may share. */
export interface RelayAlarm {
  /** Makes it due at a time, or earlier. Part of the transaction that is open, if there is one. */
  arm(atMs: number): void
  /** Makes it due as all who share it need it now. */
  rearm(): void
  /** When it is due, in milliseconds since 1970. */
  get(): Promise<number | null>
}

/** The object's one alarm. */
interface AlarmShares {
  /** @param dueMs when the relay needs the alarm, in milliseconds since 1970; undefined while it does not. */
  claim(dueMs: () => number | undefined): RelayAlarm
}

interface RelayPorts {
  readonly outbox: Outbox
  readonly pipeline: Pipeline
  readonly alarm: AlarmShares
  readonly limits: RelayLimits
  readonly now: () => number
  readonly random: () => number
}

export class Relay {
  readonly #ports: RelayPorts
  readonly #alarm: RelayAlarm
  /** The batch on its way. */
  #batch: Batch | undefined
  /** The run that is going on, and what is sent apart from it: one waits for the other. */
  #draining: Promise<void> | undefined
  #apart: Promise<void> | undefined

  constructor(ports: RelayPorts) {
    this.#ports = ports
    this.#alarm = ports.alarm.claim(() => this.dueMs())
  }

  /** Makes an alarm due for what a transaction is about to commit, as part of it (I6). */
  committed(before: Backlog, after: Backlog): void {
    const wasIdle = before.events === 0
    const becameFull = this.#isFull(after) && !this.#isFull(before)
    // The usual case, in which nothing follows and there is no need to look: its alarm is due already.
    if (wasIdle || becameFull) this.#dispatch({ name: 'committed', wasIdle, becameFull })
  }

  /** Makes an alarm due where events are pending and none is, whatever has happened before (I6). */
  async wake(): Promise<void> {
    this.#dispatch({ name: 'woke', alarmMs: await this.#alarm.get() })
  }

  pause(): void {
    this.#dispatch({ name: 'pause' })
  }

  resume(): void {
    this.#dispatch({ name: 'resume', isPending: this.#ports.outbox.backlog().events > 0 })
  }

  /**
   * When the relay needs the alarm next, in milliseconds since 1970; nothing while it does not. Told from what is stored,
   * so that asking does not put it off.
   */
  dueMs(): number | undefined {
    const { outbox, limits, now } = this.#ports
    const { name, nextAttemptMs } = this.#state()
    if (name === 'sending') return now() + limits.recoveryMs
    if (name !== 'waiting') return undefined
    if (nextAttemptMs > 0) return nextAttemptMs
    // Not later than after the linger from now, should the clock have stepped back since.
    const oldestMs = Math.min(outbox.oldestPendingMs() ?? now(), now())
    return this.#isFull(outbox.backlog()) ? now() : oldestMs + limits.lingerMs
  }

  /** Drains the outbox, as the alarm does, or at once for a flush. Never throws. One run goes on at a time. */
  run(options: { isForced: boolean }): Promise<void> {
    this.#draining ??= this.#drainAfter(this.#apart, options).finally(() => (this.#draining = undefined))
    return this.#draining
  }

  /** Sends records that are not the log's next, such as those of a replay, while no batch is on its way (I4). */
  async sendApart(batch: Batch): Promise<void> {
    while (this.#draining !== undefined || this.#apart !== undefined) await (this.#draining ?? this.#apart)
    const sending = this.#send(batch)
    const settled = sending.catch(() => undefined).finally(() => (this.#apart = undefined))
    this.#apart = settled
    await sending
  }

  async #drainAfter(apart: Promise<void> | undefined, options: { isForced: boolean }): Promise<void> {
    await apart
    await this.#drain(options)
  }

  async #drain({ isForced }: { isForced: boolean }): Promise<void> {
    const { limits, now } = this.#ports
    const endMs = now() + limits.maxAlarmMs
    try {
      let goesOn = this.#dispatch({ name: 'due', isForced })
      for (let batches = 1; goesOn && this.#batch !== undefined; batches++) {
        const hasTime = batches < limits.maxBatchesPerAlarm && now() < endMs
        const answer = await this.#attempt(this.#batch)
        goesOn = this.#dispatch(this.#meaningOf(answer, this.#batch, hasTime))
      }
    } catch (error) {
      // Nothing that is expected comes here. The relay comes back, and says so until it is mended.
      console.error(`relay: ${messageOf(error)}`)
      this.#alarm.arm(now() + limits.maxRetryDelayMs)
    } finally {
      this.#batch = undefined
    }
  }

  /** @returns how it failed, or nothing where the pipeline accepted it. */
  async #attempt(batch: Batch): Promise<Failure | undefined> {
    const survival = setTimeout(() => this.#ports.outbox.noteOutlived(batch), this.#ports.limits.crashWindowMs)
    try {
      await this.#send(batch)
      return undefined
    } catch (error) {
      const failure = readFailure(error)
      console.warn(`relay: ${batch.key} ${failure.name}: ${failure.reason}`)
      return failure
    } finally {
      clearTimeout(survival)
    }
  }

  /** Whether there is a batch that need not wait for more. */
  #isFull({ events, bytes }: Backlog): boolean {
    const { maxBatchEvents, maxBatchBytes } = this.#ports.limits
    return events >= maxBatchEvents || bytes >= maxBatchBytes
  }

  /** What an answer says to the relay: nothing where the storage was emptied meanwhile, and with it what was answered. */
  #meaningOf(failure: Failure | undefined, batch: Batch, hasTime: boolean): RelayEvent {
    const { outbox } = this.#ports
    if (!outbox.isInFlight(batch)) {
      this.#batch = undefined
      return { name: 'due', isForced: false }
    }
    return failure ?? { name: 'accepted', isLast: outbox.backlog().lastLSN === batch.lastLSN, hasTime }
  }

  /** @returns whether a batch is on its way now. */
  #dispatch(event: RelayEvent): boolean {
    const { limits, now, random } = this.#ports
    const { effects } = transition(this.#state(), event, { nowMs: now(), random: random(), times: limits })
    const batch = this.#batch
    if (event.name === 'accepted' || event.name === 'failed' || event.name === 'refused') this.#batch = undefined
    for (const effect of effects) this.#take(effect, batch)
    return effects.some((effect) => effect.do === 'send')
  }

  #take(effect: RelayEffect, batch: Batch | undefined): void {
    const { outbox, limits, now } = this.#ports
    switch (effect.do) {
      case 'arm':
        return this.#alarm.arm(effect.atMs)
      case 'disarm':
        return this.#alarm.rearm()
      case 'send':
        this.#batch = outbox.takeBatch(limits, now())
        return undefined
      case 'acknowledge':
        return batch && outbox.acknowledge(batch, limits, now())
      case 'note failure':
        return batch && outbox.noteFailure(batch, effect.reason, effect.nextAttemptMs)
      case 'suspect':
        return outbox.suspect(batch ?? batchInFlight(outbox.state()), effect.reason)
      case 'bury':
        return outbox.bury(batch ?? batchInFlight(outbox.state()), effect.reason, now())
      case 'pause':
      case 'resume':
        return outbox.setPaused(effect.do === 'pause')
    }
  }

  #state(): RelayState {
    const { outbox } = this.#ports
    const state = outbox.state()
    const isSending = this.#batch !== undefined
    const batchEvents = state !== undefined && state.batchLSN > state.ackedLSN ? state.batchLSN - state.ackedLSN : 0
    return {
      name: nameOf({ isSending, isPaused: state?.isPaused ?? false, isPending: outbox.backlog().events > 0 }),
      batchEvents,
      failures: state?.attemptsEnded ?? 0,
      cutOff: (state?.attemptsBegun ?? 0) - (state?.attemptsEnded ?? 0) - (isSending ? 1 : 0),
      isDeadLetter: batchEvents === 1 && outbox.typeAt(state?.batchLSN ?? 0) === DEAD_LETTER_TYPE,
      nextAttemptMs: state?.nextAttemptMs ?? 0,
    }
  }

  #send(batch: Batch): Promise<void> {
    const { pipeline, limits } = this.#ports
    return sendWithin(pipeline, batch.records, { timeoutMs: limits.sendTimeoutMs, batch: `relay: ${batch.key}` })
  }
}

function nameOf(facts: { isSending: boolean; isPaused: boolean; isPending: boolean }): RelayState['name'] {
  if (facts.isSending) return facts.isPaused ? 'stopping' : 'sending'
  if (facts.isPaused) return 'paused'
  return facts.isPending ? 'waiting' : 'idle'
}

/** The batch that was cut off with the runtime: what is known of it is in the state. */
function batchInFlight(state: OutboxState | undefined): Pick<Batch, 'epoch' | 'lastLSN'> {
  return { epoch: state?.epoch ?? '', lastLSN: state?.batchLSN ?? 0 }
}
