import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { retryDelayMs } from '../../src/pipeline/backoff.ts'
import { readFailure } from '../../src/pipeline/failure.ts'
import {
  INTERRUPTIONS_MAX,
  type RelayEffect,
  type RelayEvent,
  type RelayState,
  type RelayStateName,
  transition,
} from '../../src/relay/machine.ts'
import { CDCError, reasonOf } from '../../src/error.ts'

const NOW = 1_000_000
const times = { lingerMs: 100, recoveryMs: 5_000, minRetryDelayMs: 500, maxRetryDelayMs: 60_000 }
const conditions = { nowMs: NOW, random: 0.5, times }

function state(name: RelayStateName, fields: Partial<RelayState> = {}): RelayState {
  return { name, batchEvents: 0, failures: 0, interrupted: 0, isDeadLetter: false, nextAttemptMs: 0, ...fields }
}

function after(from: RelayState, event: RelayEvent): [RelayStateName, ...RelayEffect[]] {
  const { state: next, effects } = transition(from, event, conditions)
  return [next, ...effects]
}

const refused: RelayEvent = { name: 'refused', reason: 'bad' }
const failed: RelayEvent = { name: 'failed', reason: 'away', retryAfterMs: 0 }
const due: RelayEvent = { name: 'due', isForced: false }

describe('the relay', () => {
  it('lingers after a first event, except if the batch is full', () => {
    expect(after(state('waiting'), { name: 'committed', wasIdle: true, becameFull: false })).toEqual([
      'waiting',
      { do: 'arm', atMs: NOW + 100 },
    ])
    const becameFull: RelayEvent = { name: 'committed', wasIdle: false, becameFull: true }
    const slow = { ...conditions, times: { ...times, lingerMs: 10_000 } }
    expect(transition(state('waiting'), becameFull, slow).effects).toEqual([{ do: 'arm', atMs: NOW }])
  })

  it('pays for no other alarm if a full batch goes soon anyway', () => {
    expect(after(state('waiting'), { name: 'committed', wasIdle: false, becameFull: true })).toEqual(['waiting'])
  })

  it('does not shorten a backoff because a batch became full', () => {
    const event: RelayEvent = { name: 'committed', wasIdle: false, becameFull: true }
    const slow = { ...conditions, times: { ...times, lingerMs: 10_000 } }
    const backingOff = state('waiting', { failures: 2, nextAttemptMs: NOW + 9_000 })
    expect(transition(backingOff, event, slow).effects).toEqual([])
  })

  it('[I6] arms the alarm before it sends', () => {
    expect(after(state('waiting'), due)).toEqual(['sending', { do: 'arm', atMs: NOW + 5_000 }, { do: 'send' }])
  })

  it('waits for the end of a backoff if its alarm fires early, unless it is forced', () => {
    const backingOff = state('waiting', { failures: 1, batchEvents: 3, nextAttemptMs: NOW + 9_000 })
    expect(after(backingOff, due)).toEqual(['waiting', { do: 'arm', atMs: NOW + 9_000 }])
    expect(after(backingOff, { name: 'due', isForced: true })[0]).toBe('sending')
  })

  it('[I4] does not send while a batch is in flight', () => {
    for (const name of ['sending', 'stopping'] as const)
      for (const isForced of [true, false]) expect(after(state(name), { name: 'due', isForced })).toEqual([name])
  })

  it('continues with the next batch until its time is over', () => {
    const event = { name: 'accepted', isLast: false } as const
    expect(after(state('sending'), { ...event, hasTime: true })).toEqual([
      'sending',
      { do: 'acknowledge' },
      { do: 'send' },
    ])
    expect(after(state('sending'), { ...event, hasTime: false })).toEqual([
      'waiting',
      { do: 'acknowledge' },
      { do: 'arm', atMs: NOW },
    ])
  })

  it('waits as long as the pipeline asks for', () => {
    const [, effect] = after(state('sending', { batchEvents: 3 }), { ...failed, retryAfterMs: 120_000 })
    expect(effect).toMatchObject({ do: 'record failure', nextAttemptMs: NOW + 120_000 })
  })

  it('halves a refused batch, and makes a dead letter of an event that is refused alone', () => {
    expect(after(state('sending', { batchEvents: 2 }), refused)).toEqual([
      'sending',
      { do: 'bisect', reason: 'bad' },
      { do: 'send' },
    ])
    expect(after(state('sending', { batchEvents: 1 }), refused)).toEqual([
      'sending',
      { do: 'dead-letter', reason: 'bad' },
      { do: 'send' },
    ])
  })

  it('[I3] never gives up the record of a dead letter', () => {
    const [next, effect] = after(state('sending', { batchEvents: 1, isDeadLetter: true }), refused)
    expect([next, effect?.do]).toEqual(['waiting', 'record failure'])
  })

  it('treats a batch like a refused one if the runtime ended three times while it was sent', () => {
    const effectsOf = (batchEvents: number, interrupted: number): string[] =>
      after(state('waiting', { batchEvents, interrupted }), due)
        .slice(1)
        .map((effect) => (effect as RelayEffect).do)
    expect(effectsOf(2, INTERRUPTIONS_MAX - 1)).toEqual(['arm', 'send'])
    expect(effectsOf(2, INTERRUPTIONS_MAX)).toEqual(['arm', 'bisect', 'send'])
    expect(effectsOf(1, INTERRUPTIONS_MAX)).toEqual(['arm', 'dead-letter', 'send'])
  })

  it('finishes the batch in flight when it is paused, and arms no alarm', () => {
    expect(after(state('sending'), { name: 'pause' })).toEqual(['stopping', { do: 'pause' }])
    for (const event of [{ name: 'accepted', isLast: false, hasTime: true }, failed, refused] as const) {
      const [next, ...effects] = after(state('stopping', { batchEvents: 2 }), event)
      expect(next).toBe('paused')
      expect(effects.map((effect) => effect.do)).not.toContain('arm')
      expect(effects.at(-1)).toEqual({ do: 'disarm' })
    }
  })

  it('arms the alarm when it is resumed with events pending', () => {
    expect(after(state('paused'), { name: 'resume', isPending: true })).toEqual([
      'waiting',
      { do: 'resume' },
      { do: 'arm', atMs: NOW },
    ])
  })

  it('[I6] heals an alarm that is missing, stuck in the past, or later than what is due', () => {
    const woke = (alarmMs: number | null) => after(state('waiting'), { name: 'woke', alarmMs, dueMs: NOW + 100 })
    expect(woke(NOW + 101)).toEqual(['waiting', { do: 'arm', atMs: NOW + 100 }])
    expect(woke(null)).toEqual(['waiting', { do: 'arm', atMs: NOW }])
    expect(woke(NOW - 1)).toEqual(['waiting', { do: 'arm', atMs: NOW }])
    expect(woke(NOW + 1)).toEqual(['waiting'])
  })

  it('[I3] [I6] keeps its promises in every state, whatever happens', () => {
    const names = fc.constantFrom<RelayStateName>('idle', 'waiting', 'sending', 'stopping', 'paused')
    const states = fc.record({
      name: names,
      batchEvents: fc.integer({ min: 0, max: 5 }),
      failures: fc.integer({ min: 0, max: 50 }),
      interrupted: fc.integer({ min: 0, max: 4 }),
      isDeadLetter: fc.boolean(),
      nextAttemptMs: fc.constantFrom(0, NOW - 5, NOW + 5_000),
    })
    const events = fc.oneof(
      fc.record({ name: fc.constant('committed' as const), wasIdle: fc.boolean(), becameFull: fc.boolean() }),
      fc.record({
        name: fc.constant('woke' as const),
        alarmMs: fc.constantFrom(null, NOW - 1, NOW + 1, NOW + 1e12),
        dueMs: fc.constantFrom(NOW - 1, NOW + 100),
      }),
      fc.record({ name: fc.constant('due' as const), isForced: fc.boolean() }),
      fc.record({ name: fc.constant('accepted' as const), isLast: fc.boolean(), hasTime: fc.boolean() }),
      fc.record({ name: fc.constant('failed' as const), reason: fc.constant('x'), retryAfterMs: fc.nat() }),
      fc.record({ name: fc.constant('refused' as const), reason: fc.constant('x') }),
      fc.record({ name: fc.constant('pause' as const) }),
      fc.record({ name: fc.constant('resume' as const), isPending: fc.boolean() }),
    )
    fc.assert(
      fc.property(states, events, fc.double({ min: 0, max: 0.999, noNaN: true }), (from, event, random) => {
        const { state: next, effects } = transition(from, event, { ...conditions, random })
        const kinds = effects.map((effect) => effect.do)
        // Only acceptance takes events out of the outbox, and only while a batch is in flight.
        expect(kinds.includes('acknowledge')).toBe(
          event.name === 'accepted' && (from.name === 'sending' || from.name === 'stopping'),
        )
        if (from.isDeadLetter && from.batchEvents === 1) expect(kinds).not.toContain('dead-letter')
        // Every way into waiting or sending arms an alarm.
        if (next === 'waiting' && from.name !== 'waiting') expect(kinds).toContain('arm')
        if (next === 'sending' && from.name === 'waiting') expect(kinds[0]).toBe('arm')
        if (next === 'paused') expect(kinds).not.toContain('arm')
        for (const effect of effects) if (effect.do === 'arm') expect(effect.atMs).toBeGreaterThanOrEqual(NOW - 5)
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('the table of the relay', () => {
  const ARM = (atMs: number): RelayEffect => ({ do: 'arm', atMs })
  const [SEND, ACKNOWLEDGE, DISARM] = [{ do: 'send' }, { do: 'acknowledge' }, { do: 'disarm' }] as const
  const PAUSE: RelayEvent = { name: 'pause' }
  const ACCEPTED: RelayEvent = { name: 'accepted', isLast: true, hasTime: true }
  const woke = (alarmMs: number | null, dueMs?: number): RelayEvent => ({ name: 'woke', alarmMs, dueMs })
  const committed = (wasIdle: boolean, becameFull = false): RelayEvent => ({ name: 'committed', wasIdle, becameFull })
  const resume = (isPending: boolean): RelayEvent => ({ name: 'resume', isPending })
  const noted = (nextAttemptMs: number, reason = 'away'): RelayEffect => ({
    do: 'record failure',
    reason,
    nextAttemptMs,
  })

  it.each<[RelayStateName, Partial<RelayState>, RelayEvent, [RelayStateName, ...RelayEffect[]]]>([
    ['idle', {}, committed(true), ['waiting', ARM(NOW + 100)]],
    ['idle', {}, committed(true, true), ['waiting', ARM(NOW)]],
    ['idle', {}, woke(null), ['idle']],
    ['idle', {}, due, ['idle', DISARM]],
    ['idle', {}, PAUSE, ['paused', { do: 'pause' }, DISARM]],
    ['idle', {}, resume(true), ['idle']],

    ['waiting', {}, committed(true, true), ['waiting', ARM(NOW)]],
    ['waiting', { failures: 1 }, committed(true), ['waiting', ARM(NOW + 100)]],
    ['waiting', {}, committed(false), ['waiting']],
    // It needs no alarm that is known of, so none is set, whenever there is one.
    ['waiting', {}, woke(NOW + 1), ['waiting']],
    ['waiting', { nextAttemptMs: NOW + 9_000 }, woke(null, NOW + 100), ['waiting', ARM(NOW + 9_000)]],
    ['waiting', { nextAttemptMs: NOW + 9_000 }, woke(NOW, NOW + 100), ['waiting', ARM(NOW + 9_000)]],
    ['waiting', { nextAttemptMs: NOW + 9_000 }, woke(NOW + 200, NOW + 100), ['waiting', ARM(NOW + 100)]],
    ['waiting', {}, woke(NOW + 100, NOW - 100), ['waiting', ARM(NOW)]],
    ['waiting', { nextAttemptMs: NOW }, due, ['sending', ARM(NOW + 5_000), SEND]],
    [
      'waiting',
      { batchEvents: 1, interrupted: 4 },
      due,
      ['sending', ARM(NOW + 5_000), { do: 'dead-letter', reason: 'the runtime ended 4 times while it was sent' }, SEND],
    ],
    ['waiting', { batchEvents: 1, interrupted: 4, isDeadLetter: true }, due, ['sending', ARM(NOW + 5_000), SEND]],
    ['waiting', {}, PAUSE, ['paused', { do: 'pause' }, DISARM]],
    ['waiting', {}, resume(true), ['waiting']],

    ['sending', {}, committed(true), ['sending', ARM(NOW + 100)]],
    ['sending', {}, committed(false, true), ['sending']],
    ['sending', {}, woke(null, NOW), ['sending']],
    ['sending', {}, ACCEPTED, ['idle', ACKNOWLEDGE, DISARM]],
    ['sending', { batchEvents: 2 }, failed, ['waiting', noted(NOW + 500), ARM(NOW + 500)]],
    ['sending', { failures: 3 }, failed, ['waiting', noted(NOW + 4_000), ARM(NOW + 4_000)]],
    [
      'sending',
      { failures: 3, batchEvents: 1, isDeadLetter: true },
      refused,
      ['waiting', noted(NOW + 4_000, 'bad'), ARM(NOW + 4_000)],
    ],
    ['sending', { batchEvents: 2, isDeadLetter: true }, refused, ['sending', { do: 'bisect', reason: 'bad' }, SEND]],
    ['sending', {}, resume(true), ['sending']],

    ['stopping', {}, ACCEPTED, ['paused', ACKNOWLEDGE, DISARM]],
    ['stopping', {}, failed, ['paused', noted(0), DISARM]],
    ['stopping', { batchEvents: 2 }, refused, ['paused', { do: 'bisect', reason: 'bad' }, DISARM]],
    ['stopping', { batchEvents: 1 }, refused, ['paused', { do: 'dead-letter', reason: 'bad' }, DISARM]],
    ['stopping', { batchEvents: 1, isDeadLetter: true }, refused, ['paused', noted(0, 'bad'), DISARM]],
    ['stopping', {}, resume(true), ['sending', { do: 'resume' }]],

    ['paused', {}, due, ['paused', DISARM]],
    ['paused', {}, resume(false), ['idle', { do: 'resume' }]],
  ])('%s %o, on %o: %o', (name, fields, event, outcome) => {
    expect(after(state(name, fields), event)).toEqual(outcome)
  })

  it.each<[RelayStateName, RelayEvent[]]>([
    ['idle', [ACCEPTED, failed, refused]],
    ['waiting', [ACCEPTED, failed, refused]],
    ['stopping', [committed(true), woke(null, NOW), due, PAUSE]],
    ['paused', [committed(true), woke(null, NOW), ACCEPTED, failed, refused, PAUSE]],
  ])('%s, on what changes nothing', (name, events) => {
    for (const event of events) expect(after(state(name, { batchEvents: 1 }), event)).toEqual([name])
  })

  it('moves the alarm of a full batch from a linger of 250 ms on', () => {
    const effectsOf = (lingerMs: number) =>
      transition(state('waiting'), committed(false, true), { ...conditions, times: { ...times, lingerMs } }).effects
    expect(effectsOf(249)).toEqual([])
    expect(effectsOf(250)).toEqual([ARM(NOW)])
  })
})

describe('retryDelayMs', () => {
  it('[I7] doubles its ceiling with each failure, up to the limit, with full jitter above the minimum', () => {
    const delays = (random: number) => [1, 2, 3, 10, 1_000].map((failures) => retryDelayMs(failures, random, times))
    expect(delays(0.999999)).toEqual([1_000, 2_000, 4_000, 60_000, 60_000])
    expect(delays(0.5)).toEqual([500, 1_000, 2_000, 30_000, 30_000])
    expect(delays(0)).toEqual([500, 500, 500, 500, 500])
  })
})

describe('reasonOf', () => {
  const cyclic = new Error('outer')
  cyclic.cause = new Error('inner', { cause: cyclic })
  it.each<[string, unknown, string]>([
    ['an object without a prototype', Object.create(null), 'a thrown object without a text'],
    ['a text that cannot be made', { toString: () => fail() }, 'a thrown object without a text'],
    ['a symbol', Symbol('why'), 'Symbol(why)'],
    ['undefined', undefined, 'undefined'],
    [
      'a message that cannot be read',
      Object.defineProperty(new Error(), 'message', { get: fail }),
      'a thrown object without a text',
    ],
    [
      'a message that is no text',
      Object.assign(new Error(), { message: Object.create(null) }),
      'a thrown object without a text',
    ],
    ['a proxy that refuses everything', refusingProxy(), 'a thrown object without a text'],
    ['a cycle of causes', cyclic, 'outer'],
    ['10 MB', new Error('x'.repeat(10_000_000)), `${'x'.repeat(500)}… (10000000 characters)`],
    ['a cut through a surrogate pair', `${'x'.repeat(499)}😀`, `${'x'.repeat(499)}\uFFFD… (501 characters)`],
    ['a NUL', 'a\0b', 'a\uFFFDb'],
  ])('is a short text, whatever was thrown: %s', (_, thrown, reason) => {
    expect(reasonOf(thrown)).toBe(reason)
    expect(readFailure(thrown)).toEqual({ name: 'failed', reason, retryAfterMs: 0 })
  })
})

function fail(): never {
  throw new Error('on purpose')
}

function refusingProxy(): unknown {
  return new Proxy({}, { get: fail, getPrototypeOf: fail, has: fail, ownKeys: fail })
}

describe('readFailure', () => {
  it.each<[string, unknown]>([
    ['a CDCError about a record that it names', new CDCError('record-invalid', 'bad', { index: 0 })],
    [
      'such an error after an RPC call',
      Object.assign(new Error('bad'), { name: 'CDCError', code: 'event-too-large', index: 7, retryable: false }),
    ],
    ['HTTP 400 that names a record', Object.assign(new Error('bad'), { status: 400, index: 2 })],
    ['HTTP 413', Object.assign(new Error('bad'), { status: 413 })],
    ['HTTP 422', Object.assign(new Error('bad'), { status: 422 })],
  ])('takes %s as a refusal', (_, error) => {
    expect(readFailure(error)).toEqual({ name: 'refused', reason: 'bad' })
  })

  it.each<[string, unknown, number]>([
    ['any other error', new Error('bad'), 0],
    ['an error that is not ours and not retryable', Object.assign(new Error('bad'), { retryable: false }), 0],
    ['HTTP 401, which can be fixed', Object.assign(new Error('bad'), { status: 401 }), 0],
    ['HTTP 429 with a time', Object.assign(new Error('bad'), { status: 429, retryAfter: 7 }), 7_000],
    ['a time beyond an hour', Object.assign(new Error('bad'), { retryAfter: 1e9 }), 3_600_000],
    ['a time that is a text', Object.assign(new Error('bad'), { retryAfter: '7' }), 0],
    ['a time in the past', Object.assign(new Error('bad'), { retryAfter: -7 }), 0],
    ['HTTP 400 whose index is below 0', Object.assign(new Error('bad'), { status: 400, index: -1 }), 0],
    ['HTTP 400 whose index is not whole', Object.assign(new Error('bad'), { status: 400, index: 0.5 }), 0],
    ['HTTP 400 whose index is a text', Object.assign(new Error('bad'), { status: 400, index: '1' }), 0],
    [
      "an error that has only the code of the library's",
      Object.assign(new Error('bad'), { code: 'record-invalid', index: 0 }),
      0,
    ],
    ['a time that is not a number', Object.assign(new Error('bad'), { retryAfter: 'soon' }), 0],
    ['a lake that is full', new CDCError('lake-full', 'bad', { retryable: true }), 0],
    ['a lake that is behind', new CDCError('lake-behind', 'bad', { retryable: true }), 0],
    ['a text', 'bad', 0],
    ['a lake whose configuration is not valid', new CDCError('invalid-config', 'bad'), 0],
    ["a lake that has another lake's table", new CDCError('lake-conflict', 'bad', { index: 0 }), 0],
    ['records of which none is named', new CDCError('record-invalid', 'bad'), 0],
    ['HTTP 400 of a proxy', Object.assign(new Error('bad'), { status: 400, retryable: false }), 0],
    ['HTTP 404', Object.assign(new Error('bad'), { name: 'CDCError', status: 404, index: 0 }), 0],
  ])('takes %s as an unknown outcome', (_, error, retryAfterMs) => {
    expect(readFailure(error)).toEqual({ name: 'failed', reason: 'bad', retryAfterMs })
  })
})
