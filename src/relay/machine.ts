// What the relay does in each case, as a pure function: what state it is in and what happened give the next state and
// the effects that bring it there. The table is total: a reader finds each fault's row, and the compiler each gap.
//
//   idle      nothing is pending, and no alarm is due
//   waiting   events are pending, and an alarm is due: after the linger, or after the backoff of a failed attempt
//   sending   a batch is on its way
//   stopping  a batch is on its way, and the relay was paused meanwhile
//   paused    nothing is sent and nothing armed, whatever is pending

import { type BackoffLimits, retryDelayMs } from '../pipeline/backoff.ts'

export type RelayStateName = 'idle' | 'waiting' | 'sending' | 'stopping' | 'paused'

/** Where the relay stands. All of it is read from storage, but for whether a batch is on its way. */
export interface RelayState {
  readonly name: RelayStateName
  /** Events in the batch that was begun and not accepted yet; 0 where there is none. */
  readonly batchEvents: number
  /** Attempts to send it that ended without acceptance, and attempts whose end nobody saw. */
  readonly failures: number
  readonly cutOff: number
  /** Whether that batch is the record of a dead letter, which cannot become a dead letter itself. */
  readonly isDeadLetter: boolean
  /** When the next attempt is due after a failed one, in milliseconds since 1970; 0 without one. */
  readonly nextAttemptMs: number
}

/** What happens to a relay. */
interface RelayEvents {
  /** A transaction with events is about to commit. */
  committed: { wasIdle: boolean; becameFull: boolean }
  /** The object came to life, and its alarm is due at that time, or none is. */
  woke: { alarmMs: number | null }
  /** The alarm fired, or somebody asked for a flush. Forced, it does not wait for the end of a backoff. */
  due: { isForced: boolean }
  accepted: { isLast: boolean; hasTime: boolean }
  /** The pipeline refused, broke off or did not answer: whether it accepted is unknown. */
  failed: { reason: string; retryAfterMs: number }
  /** The pipeline said that the batch itself is bad: it accepted nothing of it, and never will. */
  refused: { reason: string }
  pause: object
  resume: { isPending: boolean }
}

type RelayEventName = keyof RelayEvents
export type RelayEvent = { [Name in RelayEventName]: { name: Name } & RelayEvents[Name] }[RelayEventName]

export type RelayEffect =
  | { do: 'arm'; atMs: number }
  | { do: 'disarm' }
  | { do: 'send' }
  | { do: 'acknowledge' }
  | { do: 'note failure'; reason: string; nextAttemptMs: number }
  /** The next batch is half of this one, to find the event that is bad. */
  | { do: 'suspect'; reason: string }
  /** The event stands alone and becomes a dead letter. */
  | { do: 'bury'; reason: string }
  | { do: 'pause' }
  | { do: 'resume' }

export interface RelayTimes extends BackoffLimits {
  /** How long a first event waits for others to travel with it. */
  readonly lingerMs: number
  /** How soon an alarm comes back whose run was cut off by the end of the runtime. */
  readonly recoveryMs: number
}

export interface Surroundings {
  readonly nowMs: number
  /** In [0, 1). */
  readonly random: number
  readonly times: RelayTimes
}

/** Attempts cut off by the end of the runtime after which the batch is taken for what ended it. */
export const CUT_OFF_MAX = 3

type Outcome = readonly [RelayStateName, ...RelayEffect[]]
type Transition<Name extends RelayEventName> = (
  state: RelayState,
  event: RelayEvents[Name],
  surroundings: Surroundings,
) => Outcome
type Row = { readonly [Name in RelayEventName]: Transition<Name> }

const table: { readonly [Name in RelayStateName]: Row } = {
  idle: {
    committed: linger,
    woke: stay,
    due: () => ['idle', { do: 'disarm' }],
    accepted: stay,
    failed: stay,
    refused: stay,
    pause: () => ['paused', { do: 'pause' }, { do: 'disarm' }],
    resume: stay,
  },
  waiting: {
    committed: (state, event, surroundings) =>
      event.wasIdle || (event.becameFull && state.failures === 0) ? linger(state, event, surroundings) : ['waiting'],
    woke: (state, { alarmMs }, { nowMs }) =>
      // An alarm in the past counts as missing: the platform has one case in which such an alarm never fires.
      alarmMs === null || alarmMs <= nowMs ? ['waiting', arm(Math.max(nowMs, state.nextAttemptMs))] : ['waiting'],
    due: begin,
    accepted: stay,
    failed: stay,
    refused: stay,
    pause: () => ['paused', { do: 'pause' }, { do: 'disarm' }],
    resume: stay,
  },
  sending: {
    // Nothing was pending although a batch is on its way: the storage was emptied, its alarm with it, and a new life began.
    committed: (state, event, surroundings) =>
      event.wasIdle ? ['sending', arm(surroundings.nowMs + surroundings.times.lingerMs)] : stay(state),
    woke: stay,
    due: stay,
    accepted: (_, { isLast, hasTime }, { nowMs }) => {
      if (isLast) return ['idle', { do: 'acknowledge' }, { do: 'disarm' }]
      return hasTime
        ? ['sending', { do: 'acknowledge' }, { do: 'send' }]
        : ['waiting', { do: 'acknowledge' }, arm(nowMs)]
    },
    failed: retry,
    refused: (state, event, surroundings) => {
      const isolation = isolate(state, event.reason)
      return isolation === undefined
        ? retry(state, { ...event, retryAfterMs: 0 }, surroundings)
        : ['sending', isolation, { do: 'send' }]
    },
    pause: () => ['stopping', { do: 'pause' }],
    resume: stay,
  },
  stopping: {
    committed: stay,
    woke: stay,
    due: stay,
    accepted: () => ['paused', { do: 'acknowledge' }, { do: 'disarm' }],
    failed: (_, { reason }) => ['paused', { do: 'note failure', reason, nextAttemptMs: 0 }, { do: 'disarm' }],
    refused: (state, { reason }) => [
      'paused',
      isolate(state, reason) ?? { do: 'note failure', reason, nextAttemptMs: 0 },
      { do: 'disarm' },
    ],
    pause: stay,
    resume: () => ['sending', { do: 'resume' }],
  },
  paused: {
    committed: stay,
    woke: stay,
    due: () => ['paused', { do: 'disarm' }],
    accepted: stay,
    failed: stay,
    refused: stay,
    pause: stay,
    resume: (_, { isPending }, { nowMs }) =>
      isPending ? ['waiting', { do: 'resume' }, arm(nowMs)] : ['idle', { do: 'resume' }],
  },
}

/** Says what follows from an event in a state: the state after the effects, and the effects in their order. */
export function transition(
  state: RelayState,
  event: RelayEvent,
  surroundings: Surroundings,
): { state: RelayStateName; effects: readonly RelayEffect[] } {
  // TypeScript does not follow that the row's entry of the event's name takes this very event.
  const step = table[state.name][event.name] as Transition<RelayEventName>
  const [next, ...effects] = step(state, event, surroundings)
  return { state: next, effects }
}

function stay(state: RelayState): Outcome {
  return [state.name]
}

function linger(_: RelayState, { becameFull }: RelayEvents['committed'], { nowMs, times }: Surroundings): Outcome {
  return ['waiting', arm(becameFull ? nowMs : nowMs + times.lingerMs)]
}

/** Starts to send, with the alarm armed before anything can fail. */
function begin(state: RelayState, { isForced }: RelayEvents['due'], { nowMs, times }: Surroundings): Outcome {
  if (state.nextAttemptMs > nowMs && !isForced) return ['waiting', arm(state.nextAttemptMs)]
  const recovery = arm(nowMs + times.recoveryMs)
  const isolation =
    state.cutOff < CUT_OFF_MAX ? undefined : isolate(state, `the runtime ended ${state.cutOff} times while it was sent`)
  return isolation === undefined
    ? ['sending', recovery, { do: 'send' }]
    : ['sending', recovery, isolation, { do: 'send' }]
}

function retry(
  state: RelayState,
  { reason, retryAfterMs }: RelayEvents['failed'],
  { nowMs, random, times }: Surroundings,
): Outcome {
  const nextAttemptMs = nowMs + Math.max(retryAfterMs, retryDelayMs(state.failures + 1, random, times))
  return ['waiting', { do: 'note failure', reason, nextAttemptMs }, arm(nextAttemptMs)]
}

/** How the bad event of a batch is singled out. Nothing where it is the record of a dead letter: that one must land. */
function isolate({ batchEvents, isDeadLetter }: RelayState, reason: string): RelayEffect | undefined {
  if (batchEvents > 1) return { do: 'suspect', reason }
  return isDeadLetter ? undefined : { do: 'bury', reason }
}

function arm(atMs: number): RelayEffect {
  return { do: 'arm', atMs }
}
