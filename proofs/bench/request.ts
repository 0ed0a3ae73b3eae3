// A request with one mutation, while the relay runs: ours against the row alone, and against what people write by hand.

import * as z from 'zod'
import type { Figure } from './figure.ts'
import { median } from './quantile.ts'
import { callWorker } from './workerd.ts'

const ALTERNATIVES = ['ours', 'bare', 'raw', 'drizzle', 'key-value', 'dual-write'] as const
export type AlternativeName = (typeof ALTERNATIVES)[number]

/** Clients that ask one object, each its next request when the last is answered. */
export interface RequestLoad {
  readonly kind: AlternativeName
  readonly clients: number
  readonly requests: number
}

const ROUNDS = 7
const CLIENTS = 16
const REQUESTS = 800

type Times = Record<AlternativeName, number>

let measured: Promise<Times[]> | undefined

export const requestFigures: readonly Figure[] = [
  {
    name: 'request.ratio',
    unit: `× the time of a request that inserts a row alone, ${CLIENTS} clients, relay running`,
    goal: { atMost: 1.1 },
    measure: () => measureRatio('bare'),
  },
  {
    name: 'request.vs_raw',
    unit: '× the time of the same with an outbox of plain SQL',
    goal: { atMost: 0.95 },
    measure: () => measureRatio('raw'),
  },
]

async function measureRatio(other: AlternativeName): Promise<number> {
  const rounds = await (measured ??= measureTimes())
  return median(rounds.map((times) => times.ours / times[other]))
}

async function measureTimes(): Promise<Times[]> {
  const rounds: Times[] = []
  // The first round warms up and is left out.
  for (let round = 0; round <= ROUNDS; round += 1) {
    const times: Times = { ours: 0, bare: 0, raw: 0, drizzle: 0, 'key-value': 0, 'dual-write': 0 }
    for (const kind of round % 2 === 0 ? ALTERNATIVES : ALTERNATIVES.toReversed()) {
      const load: RequestLoad = { kind, clients: CLIENTS, requests: REQUESTS }
      times[kind] = z.number().parse(await callWorker('/request', load))
    }
    if (round > 0) rounds.push(times)
  }
  const each = ALTERNATIVES.map((kind) => {
    const microseconds = (median(rounds.map((times) => times[kind])) * 1_000) / REQUESTS
    return `${kind} ${microseconds.toFixed(0)} (${median(rounds.map((times) => times[kind] / times.bare)).toFixed(2)} × bare)`
  })
  console.error(`request: µs a request: ${each.join(', ')}`)
  return rounds
}
