// An object with subscriptions of every kind, what may happen to it, and what must hold in the end.

import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import { type CommittedRecord, CDCError } from 'durable-outbox'
import { type Filter, subscribe, type Subscription, toObject, toQueue } from 'durable-outbox/subscriptions'
import { landed, nextFates } from 'durable-outbox/testing'
import * as fc from 'fast-check'
import { expect } from 'vitest'
import { inNotes } from '../notes.ts'
import { configurations } from '../worker.ts'

const AHEAD_MS = 365 * 24 * 3_600_000
const ALARMS_MAX = 200
const CRASH = 'the runtime ended'

type EventType = 'Order.placed' | 'Order.sent' | 'Other' | 'Bad'
type Fate = 'take' | 'fail' | 'lose the answer' | 'hang' | 'crash'
const NAMES = ['objects', 'queue', 'judge'] as const
type Name = (typeof NAMES)[number]

export type Step =
  | { readonly do: 'emit'; readonly types: readonly EventType[] }
  | { readonly do: 'alarm'; readonly fates: Readonly<Record<Name, readonly Fate[]>>; readonly pipelineFails: boolean }
  | { readonly do: 'evict' | 'flush' }
  | { readonly do: 'pause' | 'resume'; readonly name: Name }
  | { readonly do: 'clock'; readonly ms: number }

const types = fc.constantFrom<EventType>('Order.placed', 'Order.sent', 'Other', 'Other', 'Bad')
const fate = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Fate>('take') },
  { weight: 6, arbitrary: fc.constantFrom<Fate>('fail', 'lose the answer') },
  { weight: 1, arbitrary: fc.constantFrom<Fate>('hang', 'crash') },
)
const fates = fc.array(fate, { maxLength: 3 })
const name = fc.constantFrom(...NAMES)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('emit' as const), types: fc.array(types, { minLength: 1, maxLength: 12 }) }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('alarm' as const),
      fates: fc.record({ objects: fates, queue: fates, judge: fates }),
      pipelineFails: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('evict' as const, 'flush') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('pause' as const, 'resume'), name }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('clock' as const), ms: fc.constantFrom(200, 60_000, 3_600_000, -5_000) }),
  },
)
export const scripts = fc.array(step, { minLength: 1, maxLength: 14, size: 'max' })

const filters: Readonly<Record<Name, Filter>> = {
  objects: { types: ['Order.*'] },
  queue: {},
  judge: { types: ['Bad', 'Order.sent'] },
}

let trials = 0

/** One script, taken step by step by a real object. */
export class Trial {
  readonly name = `property-${++trials}`
  readonly #time = { nowMs: Date.now() + AHEAD_MS }
  readonly #fates: Record<Name, Fate[]> = { objects: [], queue: [], judge: [] }
  /** What each target has taken, as often as it came. */
  readonly #taken: Record<Name, CommittedRecord[]> = { objects: [], queue: [], judge: [] }
  readonly #committed: EventType[] = []
  /** The LSNs of a batch of the queue that was begun and is not known to be taken. */
  #begun: readonly number[] = []
  readonly #otherRetries: string[] = []
  #isCrashing = false

  constructor() {
    const subscriptions: Subscription[] = [
      {
        name: 'objects',
        filter: filters.objects,
        target: toObject(
          ({ type }) => `${this.name}-${type}`,
          (object, delivery) =>
            this.#meet('objects', delivery.records, () => env.NOTES.getByName(object).receive(delivery)),
        ),
      },
      {
        name: 'queue',
        filter: filters.queue,
        target: toQueue({
          sendBatch: (messages) =>
            this.#meet(
              'queue',
              Array.from(messages, ({ body }) => body),
              () => undefined,
            ),
        }),
      },
      {
        name: 'judge',
        filter: filters.judge,
        target: { maxEvents: 4, maxBytes: 1_000_000, deliver: ({ records }) => this.#judge(records) },
      },
    ]
    configurations.set(this.name, {
      subscriptions: subscribe(subscriptions),
      now: () => this.#time.nowMs,
      lingerMs: 100,
      minRetryDelayMs: 500,
      maxRetryDelayMs: 60_000,
      recoveryMs: 5_000,
      sendTimeoutMs: 100,
      maxBatchEvents: 5,
      retentionMs: 0,
    })
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case 'emit':
        this.#committed.push(...step.types)
        return inNotes(this.name, ({ ctx }) =>
          ctx.transactionSync((tx) => void tx.emitBatch(step.types.map((type) => ({ type })))),
        )
      case 'alarm':
        for (const each of NAMES) this.#fates[each] = [...step.fates[each]]
        nextFates(this.name, ...(step.pipelineFails ? ['reject' as const] : []))
        await this.#run(() => runDurableObjectAlarm(env.NOTES.getByName(this.name)))
        nextFates(this.name)
        return
      case 'flush':
        return this.#run(() => inNotes(this.name, ({ outbox }) => outbox.flush()))
      case 'evict':
        // One that does not run can't be evicted.
        await inNotes(this.name, () => undefined)
        return evictDurableObject(env.NOTES.getByName(this.name))
      case 'pause':
      case 'resume':
        return inNotes(this.name, ({ outbox }) => outbox[step.do]({ subscription: step.name }))
      case 'clock':
        this.#time.nowMs += step.ms
    }
  }

  /** Removes all faults, and lets alarms deliver what is pending. */
  async finish(): Promise<void> {
    for (const each of NAMES) this.#fates[each] = []
    for (const subscription of NAMES) await inNotes(this.name, ({ outbox }) => outbox.resume({ subscription }))
    for (let alarms = 0; await this.#isPending(); alarms += 1) {
      if (alarms > ALARMS_MAX) throw new Error(`I3: events are pending after ${ALARMS_MAX} alarms`)
      this.#time.nowMs += 3_600_000
      if (!(await runDurableObjectAlarm(env.NOTES.getByName(this.name))))
        throw new Error('I6: events are pending, and no alarm is set')
    }
  }

  async check(): Promise<void> {
    const all = this.#committed.map((type, index) => ({ type, lsn: index + 1 }))
    agree(
      'the pipeline',
      landed(this.name).map(({ lsn }) => lsn),
      all.map(({ lsn }) => lsn),
    )
    agree('I4: retries of another range', this.#otherRetries, [])
    for (const each of NAMES) {
      const buried = await this.#buried(each)
      const wanted = all.filter(({ type }) => fits(filters[each], type)).map(({ lsn }) => lsn)
      const firsts = [...new Set(this.#taken[each].map(({ lsn }) => lsn))]
      const sorted = firsts.toSorted((a, b) => a - b)
      const expected = wanted.filter((lsn) => firsts.includes(lsn) || !buried.includes(lsn))
      agree(`I3: what ${each} has taken`, sorted, expected)
      // Objects take their shares at the same time, so their order is that of each object.
      if (each !== 'objects') agree(`the order of ${each}`, firsts, sorted)
    }
    for (const type of ['Order.placed', 'Order.sent'] as const) {
      const processed = await inNotes(`${this.name}-${type}`, (notes) => notes.notes().map(Number))
      const taken = this.#taken.objects.filter((record) => record.type === type).map(({ lsn }) => lsn)
      agree(`once, by the object of ${type}`, processed, [...new Set(taken)])
    }
  }

  async #isPending(): Promise<boolean> {
    return inNotes(this.name, ({ outbox }) => {
      const { pendingEvents } = outbox.stats()
      return pendingEvents > 0 || outbox.subscriptions().some((each) => each.pendingEvents > 0)
    })
  }

  /** Only what is bad, or was in flight when the runtime ended again and again, may be a dead letter. */
  async #buried(subscription: Name): Promise<number[]> {
    const { items } = await inNotes(this.name, ({ outbox }) => outbox.deadLetters({ subscription, limit: 1_000 }))
    for (const { event, reason, lsn } of items)
      if (!reason.startsWith(CRASH) && (subscription !== 'judge' || event.type !== 'Bad'))
        throw new Error(`I3: LSN ${lsn} became a dead letter of ${subscription}: ${reason}`)
    return items.map(({ lsn }) => lsn)
  }

  async #judge(records: CommittedRecord[]): Promise<void> {
    const index = records.findIndex(({ type }) => type === 'Bad')
    await this.#meet('judge', index < 0 ? records : [], () => {
      if (index >= 0) throw new CDCError('event-invalid', 'bad', { index })
    })
  }

  async #meet(each: Name, records: readonly CommittedRecord[], take: () => unknown): Promise<void> {
    await scheduler.wait(0)
    const met = this.#fates[each].shift() ?? 'take'
    if (each === 'queue') this.#checkRetry(records, met)
    if (met === 'hang' || met === 'crash') {
      this.#isCrashing ||= met === 'crash'
      return new Promise<never>(() => undefined)
    }
    if (met === 'fail') throw new Error('down')
    await take()
    this.#taken[each].push(...records)
    if (met === 'lose the answer') throw new Error('the answer was lost')
  }

  /** A retry is the same batch; or the beginning of it, if the runtime ended so often that a bad event is looked for. */
  #checkRetry(records: readonly CommittedRecord[], met: Fate): void {
    const lsns = records.map(({ lsn }) => lsn)
    const begun = this.#begun
    if (begun.length > 0 && lsns.join() !== begun.slice(0, lsns.length).join())
      this.#otherRetries.push(`${begun.join()} and then ${lsns.join()}`)
    this.#begun = met === 'take' ? [] : lsns
  }

  /** Runs until it ends, or until a fate ends the runtime. */
  async #run(run: () => Promise<unknown>): Promise<void> {
    const state = { hasEnded: false }
    const running = run()
      .catch((error: unknown) => {
        if (!(error instanceof Error && error.message.includes(CRASH))) throw error
      })
      .finally(() => (state.hasEnded = true))
    while (!state.hasEnded && !this.#isCrashing) await scheduler.wait(1)
    if (this.#isCrashing) await inNotes(this.name, ({ ctx }) => ctx.abort(CRASH)).catch(() => undefined)
    this.#isCrashing = false
    await running
  }
}

function fits({ types: wanted }: Filter, type: string): boolean {
  return wanted?.some((each) => (each.endsWith('*') ? type.startsWith(each.slice(0, -1)) : type === each)) ?? true
}

function agree(what: string, actual: unknown, expected: unknown): void {
  expect({ [what]: actual }).toEqual({ [what]: expected })
}
