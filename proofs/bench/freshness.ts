// The age of an event when a query can first see it: from its commit in an object to the metadata file that names it, with the
// defaults of relay and lake, under a steady load.

import * as z from 'zod'
import type { Figure } from './figure.ts'
import type { SteadyLoad } from './freshness-object.ts'
import { quantile } from './quantile.ts'
import { callWorker } from './workerd.ts'

const LOAD = { seconds: 15, eventsPerSecond: 1_000, objects: 20 }

const timesSchema = z.array(z.object({ committedMs: z.number(), acceptedMs: z.number(), visibleMs: z.number() }))
type Times = z.infer<typeof timesSchema>
type Time = keyof Times[number]

export const freshnessFigures: readonly Figure[] = [
  ...figuresOf({ name: 'freshness', isInCatalog: false, where: 'table', goals: [2_000, 4_000] }),
  // At 20 commits a minute.
  ...figuresOf({ name: 'freshness.rest', isInCatalog: true, where: 'REST catalog', goals: [4_000, 7_000] }),
]

interface Subject {
  readonly name: string
  readonly isInCatalog: boolean
  readonly where: string
  readonly goals: readonly [p50: number, p99: number]
}

function figuresOf({ name, isInCatalog, where, goals }: Subject): Figure[] {
  let measured: Promise<Times> | undefined
  const agesAt = async (share: number): Promise<number> =>
    quantile(agesIn(await (measured ??= measure(name, { ...LOAD, isInCatalog })), 'visibleMs', 'committedMs'), share)
  return [
    {
      name: `${name}.p50_ms`,
      unit: `ms from the commit in the object to the ${where}, half of the events`,
      goal: { atMost: goals[0] },
      measure: () => agesAt(0.5),
    },
    {
      name: `${name}.p99_ms`,
      unit: 'the same, 99 of 100 events',
      goal: { atMost: goals[1] },
      measure: () => agesAt(0.99),
    },
  ]
}

function agesIn(times: Times, end: Time, begin: Time): number[] {
  return times.map((event) => event[end] - event[begin])
}

async function measure(name: string, load: SteadyLoad): Promise<Times> {
  const times = timesSchema.parse(await callWorker('/freshness', load))
  const stages = [
    ['in the object, until the lake has accepted it', 'acceptedMs', 'committedMs'],
    ['in the lake, until the table has it', 'visibleMs', 'acceptedMs'],
  ] as const
  for (const [stage, end, begin] of stages) {
    const ages = agesIn(times, end, begin)
    console.error(`${name}: ${stage}: p50 ${quantile(ages, 0.5)} ms, p99 ${quantile(ages, 0.99)} ms`)
  }
  return times
}
