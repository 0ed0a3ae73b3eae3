// The age of an event when a query can first see it: from its commit in an object to the metadata file that names it, with the
// defaults of relay and lake, under a steady load.

import * as z from 'zod'
import type { Figure } from './figure.ts'
import type { SteadyLoad } from './freshness-object.ts'
import { quantile } from './quantile.ts'
import { callWorker } from './workerd.ts'

const LOAD: SteadyLoad = { seconds: 15, eventsPerSecond: 1_000, objects: 20 }

const timesSchema = z.array(z.object({ committedMs: z.number(), acceptedMs: z.number(), visibleMs: z.number() }))

let measured: Promise<z.infer<typeof timesSchema>> | undefined

export const freshnessFigures: readonly Figure[] = [
  {
    name: 'freshness.p50_ms',
    unit: 'ms from the commit in the object to the table, half of the events',
    goal: { atMost: 2_000 },
    measure: async () => quantile(await agesOf('visibleMs', 'committedMs'), 0.5),
  },
  {
    name: 'freshness.p99_ms',
    unit: 'the same, 99 of 100 events',
    goal: { atMost: 4_000 },
    measure: async () => quantile(await agesOf('visibleMs', 'committedMs'), 0.99),
  },
]

type Time = 'committedMs' | 'acceptedMs' | 'visibleMs'

async function agesOf(end: Time, begin: Time): Promise<number[]> {
  measured ??= measure()
  return (await measured).map((times) => times[end] - times[begin])
}

async function measure(): Promise<z.infer<typeof timesSchema>> {
  const times = timesSchema.parse(await callWorker('/freshness', LOAD))
  const stages = [
    ['in the object, until the lake has accepted it', 'acceptedMs', 'committedMs'],
    ['in the lake, until the table has it', 'visibleMs', 'acceptedMs'],
  ] as const
  for (const [stage, end, begin] of stages) {
    const ages = times.map((event) => event[end] - event[begin])
    console.error(`freshness: ${stage}: p50 ${quantile(ages, 0.5)} ms, p99 ${quantile(ages, 0.99)} ms`)
  }
  return times
}
