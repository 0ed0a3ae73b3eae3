// What the relay does in each case, as a pure function: its state and an event give the next state and the effects that
// lead there. The table is total: a reader finds the row of each fault, and the compiler finds each gap.
//
//   idle      nothing is pending, and no alarm is due
//   waiting   events are pending, and an alarm is due: after the linger, or after the backoff of a failed attempt
//   sending   a batch is in flight
//   stopping  a batch is in flight, and the relay was paused meanwhile
//   paused    nothing is sent and no alarm is armed, even if events are pending

import { needsAlarm } from '../due.ts'
import { type BackoffLimits, retryDelayMs } from '../pipeline/backoff.ts'

export type RelayStateName = 'idle' | 'waiting' | 'sending' | 'stopping' | 'paused'

/** The state of the relay. All of it is read from storage, except whether a send is running. */
export interface RelayState {
  readonly name: RelayStateName
  /** Events in the batch that was begun and is not accepted yet; 0 if there is none. */
  readonly batchEvents: number
  /** Attempts to send it that failed, and attempts that the end of the runtime interrupted. */
  readonly failures: number
  readonly interrupted: number
  /** Whether that batch is the record of a dead letter, which can't become a dead letter itself. */
  readonly isDeadLetter: boolean
  /** When the next attempt is due after a failed one, in milliseconds since 1970; 0 if none failed. */
  readonly nextAttemptMs: number
}

/** What happens to a relay. */
interface RelayEvents {
  /** A transaction with events is about to commit. */
  committed: { wasIdle: boolean; becameFull: boolean }
  /** The object woke: when its alarm is due, null if none is set, and when the relay needs it. */
  woke: { alarmMs: number | null; dueMs: number | undefined }
  /** The alarm fired, or a flush was asked for. A forced one does not wait for the end of a backoff. */
  due: { isForced: boolean }
  accepted: { isLast: boolean; hasTime: boolean }
  /** The pipeline failed or did not answer: whether it accepted is unknown. */
  failed: { reason: string; retryAfterMs: number }
  /** The pipeline refused the batch itself: it accepted nothing of it, and never will. */
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
  | { do: 'record failure'; reason: string; nextAttemptMs: number }
  /** The next batch is half of this one, to find the bad event. */
  | { do: 'bisect'; reason: string }
  /** The event is alone in its batch, and becomes a dead letter. */
  | { do: 'dead-letter'; reason: string }
  | { do: 'pause' }
  | { do: 'resume' }

export interface RelayTimes extends BackoffLimits {
  /** How long a first event waits for others, so that they share a batch. */
  readonly lingerMs: number
  /** How soon the alarm is due again if the end of the runtime interrupts its run. */
  readonly recoveryMs: number
}

/** What a decision depends on beside the state. */
export interface Conditions {
  readonly nowMs: number
  /** In [0, 1). */
  readonly random: number
  readonly times: RelayTimes
}

/** Setting the alarm is a billed row. An alarm that is due sooner than this stays as it is. */
const MOVE_WORTH_MS = 250

/** Attempts that the end of the runtime interrupted, after which the batch counts as its cause. */
export const INTERRUPTIONS_MAX = 3

type Outcome = readonly [RelayStateName, ...RelayEffect[]]
type Transition<Name extends RelayEventName> = (
  state: RelayState,
  event: RelayEvents[Name],
  conditions: Conditions,
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
    committed: (state, event, conditions) =>
      event.wasIdle || (isWorthMoving(event, conditions) && state.failures === 0)
        ? linger(state, event, conditions)
        : ['waiting'],
    woke: (state, { alarmMs, dueMs = Infinity }, { nowMs }) => {
      if (!needsAlarm(alarmMs, dueMs, nowMs)) return ['waiting']
      // If the alarm was lost, the events have waited for long enough.
      const isLost = alarmMs === null || alarmMs <= nowMs
      return ['waiting', arm(Math.max(nowMs, isLost ? state.nextAttemptMs : dueMs))]
    },
    due: begin,
    accepted: stay,
    failed: stay,
    refused: stay,
    pause: () => ['paused', { do: 'pause' }, { do: 'disarm' }],
    resume: stay,
  },
  sending: {
    // Nothing was pending although a batch is in flight: the storage was emptied, with its alarm, and a new epoch began.
    committed: (state, event, { nowMs, times }) =>
      event.wasIdle ? ['sending', arm(nowMs + times.lingerMs)] : stay(state),
    woke: stay,
    due: stay,
    accepted: (_, { isLast, hasTime }, { nowMs }) => {
      if (isLast) return ['idle', { do: 'acknowledge' }, { do: 'disarm' }]
      return hasTime
        ? ['sending', { do: 'acknowledge' }, { do: 'send' }]
        : ['waiting', { do: 'acknowledge' }, arm(nowMs)]
    },
    failed: retry,
    refused: (state, event, conditions) => {
      const isolation = isolate(state, event.reason)
      return isolation === undefined
        ? retry(state, { ...event, retryAfterMs: 0 }, conditions)
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
    failed: (_, { reason }) => ['paused', { do: 'record failure', reason, nextAttemptMs: 0 }, { do: 'disarm' }],
    refused: (state, { reason }) => [
      'paused',
      isolate(state, reason) ?? { do: 'record failure', reason, nextAttemptMs: 0 },
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

/** What follows from an event in a state: the state after the effects, and the effects in their order. */
export function transition(
  state: RelayState,
  event: RelayEvent,
  conditions: Conditions,
): { state: RelayStateName; effects: readonly RelayEffect[] } {
  // TypeScript can't infer that the entry under the event's name takes this very event.
  const step = table[state.name][event.name] as Transition<RelayEventName>
  const [next, ...effects] = step(state, event, conditions)
  return { state: next, effects }
}

function stay(state: RelayState): Outcome {
  return [state.name]
}

/** Whether a full batch goes at once, and not at the end of the linger. */
function isWorthMoving({ becameFull }: RelayEvents['committed'], { times }: Conditions): boolean {
  return becameFull && times.lingerMs >= MOVE_WORTH_MS
}

function linger(_: RelayState, { becameFull }: RelayEvents['committed'], { nowMs, times }: Conditions): Outcome {
  return ['waiting', arm(becameFull ? nowMs : nowMs + times.lingerMs)]
}

/** Starts to send. The alarm is armed before anything can fail. */
function begin(state: RelayState, { isForced }: RelayEvents['due'], { nowMs, times }: Conditions): Outcome {
  if (state.nextAttemptMs > nowMs && !isForced) return ['waiting', arm(state.nextAttemptMs)]
  const recovery = arm(nowMs + times.recoveryMs)
  const isolation =
    state.interrupted < INTERRUPTIONS_MAX
      ? undefined
      : isolate(state, `the runtime ended ${state.interrupted} times while it was sent`)
  return isolation === undefined
    ? ['sending', recovery, { do: 'send' }]
    : ['sending', recovery, isolation, { do: 'send' }]
}

function retry(
  state: RelayState,
  { reason, retryAfterMs }: RelayEvents['failed'],
  { nowMs, random, times }: Conditions,
): Outcome {
  const nextAttemptMs = nowMs + Math.max(retryAfterMs, retryDelayMs(state.failures + 1, random, times))
  return ['waiting', { do: 'record failure', reason, nextAttemptMs }, arm(nextAttemptMs)]
}

/** How to find the bad event of a batch. Nothing if it is the record of a dead letter alone: that one must land. */
function isolate({ batchEvents, isDeadLetter }: RelayState, reason: string): RelayEffect | undefined {
  if (batchEvents > 1) return { do: 'bisect', reason }
  return isDeadLetter ? undefined : { do: 'dead-letter', reason }
}

function arm(atMs: number): RelayEffect {
  return { do: 'arm', atMs }
}
