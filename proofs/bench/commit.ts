// Time of a commit with events against the same commit without any: what the outbox adds to the user's own inserts.

import * as z from 'zod'
import type { CommitLoad, CommitTimes } from './commit-object.ts'
import type { Figure } from './figure.ts'
import { callWorker } from './workerd.ts'
import { quantile } from './quantile.ts'

const ROUNDS = 9
/** The clock inside the runtime counts whole milliseconds, so that a round is the sum of many turns. */
const TURNS_PER_ROUND = 10
const ROWS_PER_TURN = 500
const ROWS_PER_ROUND = TURNS_PER_ROUND * ROWS_PER_TURN

export const commitFigures: readonly Figure[] = [
  {
    name: 'commit.single.ratio',
    unit: '× the time of an insert alone, one insert and one event a transaction',
    goal: { atMost: 1.9 },
    measure: () => measureRatio('bare', 1),
  },
  {
    name: 'commit.single.vs_raw',
    unit: '× the time of the same in an outbox of plain SQL, one insert and one event a transaction',
    goal: { atMost: 0.9 },
    measure: () => measureRatio('raw', 1),
  },
  {
    name: 'commit.batch100.ratio',
    unit: '× the time of the inserts alone, 100 inserts and 100 events a transaction',
    goal: { atMost: 1.25 },
    measure: () => measureRatio('bare', 100),
  },
]

const positive = z.number().positive()
const timesSchema = z.array(z.object({ bare: positive, raw: positive, ours: positive }))
const measured = new Map<number, Promise<CommitTimes[]>>()

/** The median over the rounds of our time against another's, which both took turns in the same run. */
async function measureRatio(other: 'bare' | 'raw', rowsPerTransaction: number): Promise<number> {
  let measuring = measured.get(rowsPerTransaction)
  if (measuring === undefined) measured.set(rowsPerTransaction, (measuring = measureTimes(rowsPerTransaction)))
  return quantile(
    (await measuring).map((times) => times.ours / times[other]),
    0.5,
  )
}

async function measureTimes(rowsPerTransaction: number): Promise<CommitTimes[]> {
  const load: CommitLoad = {
    rounds: ROUNDS,
    turns: TURNS_PER_ROUND,
    transactions: ROWS_PER_TURN / rowsPerTransaction,
    rows: rowsPerTransaction,
  }
  const rounds = timesSchema.parse(await callWorker(`/commit/rows-${rowsPerTransaction}`, load))
  console.error(
    `commit: ${ROUNDS} rounds of ${ROWS_PER_ROUND} rows; µs per row: ours ${spread(perRow(rounds, 'ours'))}, plain SQL ` +
      `${spread(perRow(rounds, 'raw'))}, without events ${spread(perRow(rounds, 'bare'))}`,
  )
  return rounds
}

function perRow(rounds: readonly CommitTimes[], side: keyof CommitTimes): number[] {
  return rounds.map((times) => (times[side] * 1000) / ROWS_PER_ROUND)
}

function spread(values: readonly number[]): string {
  const [low, median, high] = [0.1, 0.5, 0.9].map((share) => quantile(values, share).toFixed(2))
  return `${median} (${low} to ${high})`
}
