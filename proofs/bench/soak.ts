// Whether memory is flat: 600 objects, ten requests a second, the relay and the lake with their defaults, for ten minutes.

import type { Figure } from './figure.ts'
import { callWorker, readMemoryMB } from './workerd.ts'

const OBJECTS = 600
const REQUESTS_PER_SECOND = 10
const WARM_MINUTES = 3
const MINUTES = 10

export const soakFigures: readonly Figure[] = [
  {
    name: 'memory.soak.ratio',
    unit: `resident memory of the runtime, minute ${MINUTES} over minute ${WARM_MINUTES}`,
    goal: { atMost: 1.15 },
    isLong: true,
    measure: soak,
  },
]

/** @returns memory at the end, as a multiple of what it was once every object had been used. */
async function soak(): Promise<number> {
  const beginMs = Date.now()
  const minutes: number[] = []
  for (let request = 0; request < MINUTES * 60 * REQUESTS_PER_SECOND; request += 1) {
    await callWorker(`/soak/soak-${request % OBJECTS}`, {})
    await new Promise((resolve) =>
      setTimeout(resolve, Math.max(0, beginMs + (request * 1_000) / REQUESTS_PER_SECOND - Date.now())),
    )
    if (Math.floor((Date.now() - beginMs) / 60_000) <= minutes.length - 1) continue
    minutes.push(readMemoryMB() ?? Number.NaN)
    console.error(`memory.soak: minute ${minutes.length - 1}: ${minutes.at(-1)} MB`)
  }
  const endMB = readMemoryMB() ?? Number.NaN
  console.error(`memory.soak: minute ${MINUTES}: ${endMB} MB`)
  return endMB / (minutes[WARM_MINUTES] ?? Number.NaN)
}
