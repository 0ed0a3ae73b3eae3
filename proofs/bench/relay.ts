// How fast the relay drains: as a ratio to the work that no relay can avoid, and over growing backlogs.

import * as z from 'zod'
import type { Figure } from './figure.ts'
import type { BacklogLoad, DrainLoad } from './relay-object.ts'
import { callWorker, readMemoryMB } from './workerd.ts'
import { median } from './quantile.ts'

const ROUNDS = 9
/** Few enough for all rounds to stay within the default retention, as a relay's first day does. */
const DRAINED_EVENTS = 10_000
/** The whole drain, in which segments are sealed and dropped too. */
const WHOLE_DRAIN_EVENTS = 20_000

/** The sizes over which the curve is drawn. The last against the first shows whether it is flat. */
const BACKLOGS = [10_000, 100_000, 1_000_000]
const BACKLOG_EVENTS_PER_TRANSACTION = 10

const drainTimesSchema = z.array(z.object({ relayMs: z.number(), bareMs: z.number(), rawMs: z.number() }))
type DrainTimes = z.infer<typeof drainTimesSchema>
const backlogTimesSchema = z.object({ ms: z.number(), rowsRead: z.number() })

/** What draining a backlog took. */
interface Drained {
  readonly events: number
  readonly eventsPerSecond: number
  readonly rowsReadPerEvent: number
  /** Resident memory of the runtime at the end, if the system tells. */
  readonly memoryMB: number | undefined
}

let curve: Promise<Drained[]> | undefined

export const relayFigures: readonly Figure[] = [
  {
    name: 'relay.drain.ratio',
    unit: 'events/s of the relay to those of read + parse + send, one event a transaction',
    goal: { atLeast: 0.9 },
    measure: async () => compareDrain(await measureDrain('relay.drain', DRAINED_EVENTS, 1), 'bareMs'),
  },
  {
    name: 'relay.drain.vs_raw',
    unit: 'events/s of the relay to those out of an outbox of plain SQL, one event a transaction',
    goal: { atLeast: 1.1 },
    measure: async () => compareDrain(await measureDrain('relay.drain.whole', WHOLE_DRAIN_EVENTS, 1), 'rawMs'),
  },
  {
    name: 'relay.drain.batch10.ratio',
    unit: 'the same, ten events a transaction',
    goal: { atLeast: 0.9 },
    measure: async () => compareDrain(await measureDrain('relay.drain.batch10', DRAINED_EVENTS, 10), 'bareMs'),
  },
  {
    name: 'relay.backlog.rate.ratio',
    unit: 'events/s out of a backlog of 1,000,000 events to those out of 10,000',
    goal: { atLeast: 0.7 },
    isLong: true,
    measure: () => compareEnds((drained) => drained.eventsPerSecond),
  },
  {
    name: 'relay.backlog.rows_read.ratio',
    unit: 'rows read per event out of a backlog of 1,000,000 events to those out of 10,000',
    goal: { atMost: 1.2 },
    isLong: true,
    measure: () => compareEnds((drained) => drained.rowsReadPerEvent),
  },
  {
    name: 'relay.backlog.memory.ratio',
    unit: 'memory of the runtime after a backlog of 1,000,000 events to that after 100,000',
    goal: { atMost: 2 },
    isLong: true,
    measure: async () => {
      const [, middle, last] = await (curve ??= drawCurve())
      return (last?.memoryMB ?? Number.NaN) / (middle?.memoryMB ?? Number.NaN)
    },
  },
]

async function measureDrain(name: string, events: number, eventsPerTransaction: number): Promise<DrainTimes> {
  const load: DrainLoad = { events, eventsPerTransaction, rounds: ROUNDS }
  const times = drainTimesSchema.parse(await callWorker(`/drain/${name}`, load))
  const microseconds = (side: keyof DrainTimes[number]): string =>
    ((median(times.map((round) => round[side])) * 1_000) / events).toFixed(2)
  console.error(
    `${name}: µs an event: ours ${microseconds('relayMs')}, bare ${microseconds('bareMs')}, plain SQL ${microseconds('rawMs')}`,
  )
  return times
}

function compareDrain(times: DrainTimes, other: 'bareMs' | 'rawMs'): number {
  return median(times.map(({ relayMs, [other]: otherMs }) => otherMs / relayMs))
}

async function compareEnds(value: (drained: Drained) => number): Promise<number> {
  const drained = await (curve ??= drawCurve())
  const [first, last] = [drained[0], drained.at(-1)]
  return first === undefined || last === undefined ? Number.NaN : value(last) / value(first)
}

async function drawCurve(): Promise<Drained[]> {
  const drained: Drained[] = []
  for (const events of BACKLOGS) {
    const load: BacklogLoad = { events, eventsPerTransaction: BACKLOG_EVENTS_PER_TRANSACTION }
    console.error(`relay.backlog: ${events} events`)
    await callWorker(`/backlog/fill/${events}`, load)
    const { ms, rowsRead } = backlogTimesSchema.parse(await callWorker(`/backlog/drain/${events}`, {}))
    drained.push({
      events,
      eventsPerSecond: (events / ms) * 1_000,
      rowsReadPerEvent: rowsRead / events,
      memoryMB: readMemoryMB(),
    })
  }
  for (const { events, eventsPerSecond, rowsReadPerEvent, memoryMB } of drained)
    console.error(
      `relay.backlog: ${events} events: ${Math.round(eventsPerSecond)} events/s, ${rowsReadPerEvent.toFixed(3)} rows read an event, ${memoryMB ?? '?'} MB`,
    )
  return drained
}
