// One script, taken step by step by a real object and by the model.

import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import { failureOf, inNotes } from '../notes.ts'
import { configurations, type Notes } from '../worker.ts'
import { runBlock } from './block.ts'
import { checkObject, type Conditions } from './object-invariants.ts'
import { type Entry, MAX_BACKLOG_EVENTS, Model, type Outcome } from './model.ts'
import type { Block, Sending, Step, StepDuring } from './steps.ts'
import { type Hold, SEND_TIMEOUT_MS, Wire } from './wire.ts'
import { WireInvariants } from './wire-invariants.ts'

/** So far ahead that the platform runs no alarm by itself: alarms run only when a script runs them. */
const AHEAD_MS = 365 * 24 * 3_600_000
const LINGER_MS = 100
const RETRY_DELAY_MS_MAX = 60_000
const FLUSHES_MAX = 200

export class Trial {
  readonly name: string
  readonly model = new Model(Date.now() + AHEAD_MS)
  readonly wire: Wire
  readonly #wireInvariants: WireInvariants
  /** The object may have been interrupted while its alarm was armed for a batch: then it is armed although it is paused. */
  #wasInterrupted = false
  #isPlain = true
  #alarmsRunning = 0

  constructor(name: string) {
    this.name = name
    this.wire = new Wire(name)
    this.#wireInvariants = new WireInvariants(name, this.model, this.wire)
    this.#configure()
  }

  /** Takes a step, and checks everything after it. */
  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'alarm':
      case 'flush':
      case 'replay':
        await this.#send(step)
        break
      default:
        await this.#takeAlone(step)
    }
    await this.#check()
  }

  /** Removes all faults and lets alarms deliver what is pending, as the platform would. */
  async finish(): Promise<void> {
    this.wire.fates = []
    await this.take({ do: 'resume' })
    await this.take({ do: 'drop the named alarm' })
    for (let alarms = 0; this.model.pendingEvents > 0; alarms++) {
      if (alarms > FLUSHES_MAX) throw new Error(`I3: events are pending after ${FLUSHES_MAX} alarms`)
      await this.take({ do: 'alarm', fates: [], during: [] })
    }
    await this.take({ do: 'evict' })
  }

  /** Whether `assertLog` can read this log: it allows no replays, no copies, and no loss by deleteAll. */
  get isPlain(): boolean {
    return this.#isPlain && this.wire.replays.length === 0
  }

  #configure(): void {
    configurations.set(this.name, {
      pipeline: this.wire,
      now: () => this.model.nowMs,
      source: this.model.source,
      maxBatchEvents: 5,
      maxBatchesPerAlarm: 4,
      lingerMs: LINGER_MS,
      minRetryDelayMs: 500,
      maxRetryDelayMs: RETRY_DELAY_MS_MAX,
      recoveryMs: 5_000,
      sendTimeoutMs: SEND_TIMEOUT_MS,
      maxBacklogEvents: MAX_BACKLOG_EVENTS,
    })
  }

  async #check(isSending = false): Promise<void> {
    const conditions: Conditions = {
      isSending,
      isAlarmRunning: this.#alarmsRunning > 0,
      wasInterrupted: this.#wasInterrupted,
      alarmWithinMs: RETRY_DELAY_MS_MAX,
    }
    await this.#inside((notes) => checkObject(notes, this.model, conditions))
    this.#wireInvariants.check()
  }

  async #takeAlone(step: Exclude<Step, { do: 'alarm' | 'flush' | 'replay' }>): Promise<void> {
    const { model } = this
    switch (step.do) {
      case 'transact':
        return this.#transact(step.block)
      case 'delete all':
        return this.#deleteAll(step.next)
      case 'pause':
      case 'resume':
        return this.#setPaused(step.do === 'pause')
      case 'redrive':
      case 'discard':
        return this.#judge(step.do, step.choice)
      case 'evict':
        return this.#wake(() => undefined)
      case 'lose the alarm':
        return this.#wake((notes) => notes.ctx.storage.deleteAlarm())
      case 'rename':
        model.source = model.source === 'DO/Notes' ? 'DO/Renamed' : 'DO/Notes'
        this.#configure()
        return this.#wake(() => undefined)
      case 'copy':
        return this.#copy()
      case 'clock':
        return model.tick(step.ms)
      case 'set a named alarm':
        return this.#setNamedAlarm(step.ms)
      case 'drop the named alarm':
        model.namedAlarmMs = undefined
        return this.#inside((notes) => void notes.timers.delete('named'))
    }
  }

  async #takeDuring(step: StepDuring, running: Promise<void>[]): Promise<void> {
    switch (step.do) {
      case 'crash':
        return this.#crash()
      case 'flush too':
        return void running.push(this.#run('flush'))
      case 'alarm too':
        this.#alarmsRunning++
        return void running.push(this.#run('alarm').finally(() => this.#alarmsRunning--))
      case 'replay too':
        return void running.push(this.#run('replay', { from: 1, count: 3 }))
      case 'pause':
      case 'resume':
        return this.#setPaused(step.do === 'pause')
      default:
        return this.#takeAlone(step)
    }
  }

  /** Runs the relay; while its first send is held up, other things happen. */
  async #send(step: Extract<Step, Sending>): Promise<void> {
    this.wire.fates = [...step.fates]
    const hold = step.during.length > 0 ? this.wire.holdNext() : undefined
    const running = [this.#run(step.do, step.do === 'replay' ? step : undefined)]
    if (hold !== undefined && (await hasArrived(hold, running)))
      for (const each of step.during) {
        await this.#takeDuring(each, running)
        await this.#check(true)
      }
    if (hold !== undefined) Object.assign(hold, { hasArrived: true, isReleased: true })
    await Promise.all(running)
    this.wire.fates = []
  }

  /** A run of the relay. It ends silently if the object is interrupted meanwhile. */
  async #run(how: 'alarm' | 'flush' | 'replay', range?: { from: number; count: number }): Promise<void> {
    const ending = how === 'alarm' ? this.#runAlarm() : this.#runInside(how, range)
    await ending.catch((error: unknown) => {
      if (!isCrash(error)) throw error
    })
  }

  async #runAlarm(): Promise<void> {
    const { model } = this
    const isNamedDue = model.namedAlarmMs !== undefined && model.namedAlarmMs <= model.nowMs
    if (isNamedDue) model.namedAlarmMs = undefined
    const hasRun = await runDurableObjectAlarm(env.NOTES.getByName(this.name))
    if (!hasRun && isNamedDue) throw new Error('I6: a named alarm was due, and no alarm was set')
    this.#wasInterrupted = false
  }

  async #runInside(how: 'flush' | 'replay', range = { from: 1, count: 1 }): Promise<void> {
    await this.#inside(async (notes) => {
      if (how === 'flush') return void (await notes.outbox.flush())
      const { from, count } = range
      this.wire.replays.push(from)
      // Whether it is kept and accepted shows on the wire.
      await failureOf(async () => {
        await notes.outbox.replay({ fromLSN: from, toLSN: from + count - 1 })
        throw new Error('replayed')
      })
    })
  }

  async #transact(block: Block): Promise<void> {
    const numbered = this.model.number(block)
    const ids = new Map<number, string>()
    const outcome = await this.#inside((notes) => runBlock(notes, numbered, ids))
    agree(outcome, this.model.transact(numbered, ids))
  }

  /** In one request, so that nothing reads the outbox in between: reading opens it again. */
  async #deleteAll(block: Block): Promise<void> {
    const numbered = this.model.number(block)
    const ids = new Map<number, string>()
    const outcome = await this.#inside(async (notes) => {
      await notes.ctx.storage.deleteAll()
      notes.ctx.storage.sql.exec('CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT)')
      return runBlock(notes, numbered, ids)
    })
    this.model.deleteAll()
    this.#isPlain = false
    agree(outcome, this.model.transact(numbered, ids))
  }

  async #setPaused(isPaused: boolean): Promise<void> {
    await this.#inside((notes) => (isPaused ? notes.outbox.pause() : notes.outbox.resume()))
    this.model.isPaused = isPaused
    this.#wasInterrupted = false
  }

  async #judge(how: 'redrive' | 'discard', choice: number | 'all'): Promise<void> {
    const { model } = this
    const letters = [...model.letters.values()].toSorted((a, b) => a.lsn - b.lsn)
    const chosen = choice === 'all' ? letters : letters.slice(choice, choice + 1)
    const ids = chosen.map((letter) => letter.id ?? '')
    const outcome = await this.#inside((notes) => judgeInside(notes, how, ids))
    const draftOf = how === 'redrive' ? redriven : discarded
    agree(
      outcome,
      model.judge(
        chosen.map(({ lsn }) => lsn),
        draftOf,
      ),
    )
  }

  async #setNamedAlarm(ms: number): Promise<void> {
    const { model } = this
    const due = model.nowMs + ms
    const oldest = model.log.entries.find(({ lsn }) => lsn > model.log.ackedLSN)
    const isRelaysAlone = model.namedAlarmMs === undefined && !model.isPaused
    const [before, after] = await this.#inside(async (notes) => {
      const armedMs = await notes.ctx.storage.getAlarm()
      notes.timers.set('named', due)
      return [armedMs, await notes.ctx.storage.getAlarm()]
    })
    model.namedAlarmMs = due
    // Otherwise a user who sets alarms all the time would postpone it for ever.
    if (oldest === undefined || !isRelaysAlone) return
    const latestMs = Math.max(Number(before), oldest.timeMs + LINGER_MS)
    if (Number(after) > latestMs)
      throw new Error(`I6: a named alarm postponed the relay's by ${Number(after) - latestMs} ms`)
  }

  async #copy(): Promise<void> {
    await this.#inside((notes) => {
      notes.ctx.storage.sql.exec("UPDATE _cdc_state SET object = 'the original'")
    })
    await evictDurableObject(env.NOTES.getByName(this.name))
    this.model.copy()
    this.#isPlain = false
  }

  async #wake(before: (notes: Notes) => unknown): Promise<void> {
    await this.#inside(async (notes) => void (await before(notes)))
    await evictDurableObject(env.NOTES.getByName(this.name))
    this.model.wake()
  }

  /** The runtime ends in the middle of a send: what was committed stays, and the answer reaches nobody. */
  async #crash(): Promise<void> {
    this.wire.interrupt()
    this.#wasInterrupted = true
    await inNotes(this.name, (notes) => notes.ctx.abort(CRASH)).catch((error: unknown) => {
      if (!isCrash(error)) throw error
    })
    this.model.wake()
  }

  #inside<T>(run: (notes: Notes) => T | Promise<T>): Promise<T> {
    return inNotes(this.name, run)
  }
}

/** Waits for the send that is to be held up. @returns false if the run has ended without one. */
async function hasArrived(hold: Hold, [running]: readonly Promise<void>[]): Promise<boolean> {
  const run = { hasEnded: false }
  void running?.finally(() => (run.hasEnded = true))
  while (!hold.hasArrived && !run.hasEnded) await scheduler.wait(1)
  return hold.hasArrived
}

const CRASH = 'the runtime ended'

function isCrash(error: unknown): boolean {
  return error instanceof Error && error.message.includes(CRASH)
}

async function judgeInside(notes: Notes, how: 'redrive' | 'discard', ids: string[]): Promise<Outcome> {
  const { code, message } = await failureOf(() => {
    if (how === 'redrive') notes.outbox.redrive({ ids })
    else notes.outbox.discard({ ids, reason: 'of no use' })
    throw new Error('committed')
  })
  if (message === 'committed') return 'committed'
  if (code === 'outbox-full') return 'outbox-full'
  throw new Error(`${how} failed: ${message}`)
}

function redriven({
  lsn,
  id = '',
  type,
  data,
  timeMs,
  happenedMs = timeMs,
}: Entry): Pick<Entry, 'type' | 'data' | 'happenedMs' | 'redrivenFrom' | 'id'> {
  return { id, type, data, happenedMs, redrivenFrom: lsn }
}

function discarded({ lsn, id, type }: Entry): Pick<Entry, 'type' | 'data'> {
  return { type: 'cdc.dead_letter_discarded', data: { lsn, id, type, reason: 'of no use' } }
}

function agree(actual: Outcome, expected: Outcome): void {
  if (actual !== expected)
    throw new Error(`I1/I7: a transaction ended with ${actual}, and the model expects ${expected}`)
}
