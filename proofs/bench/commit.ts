// Time of a commit with events against the same commit without any: what the outbox adds to the user's own inserts.

import * as z from 'zod'
import type { CommitLoad, CommitTimes } from './commit-object.ts'
import type { Figure } from './figure.ts'
import { callWorker } from './workerd.ts'
import { quantile } from './quantile.ts'

const ROUNDS = 11
/** The clock inside the runtime counts whole milliseconds, so that a round is the sum of many turns. */
const TURNS_PER_ROUND = 10
const ROWS_PER_TURN = 500
const ROWS_PER_ROUND = TURNS_PER_ROUND * ROWS_PER_TURN

export const commitFigures: readonly Figure[] = [
  {
    name: 'commit.single.ratio',
    unit: '× the time of an insert alone, one insert and one event a transaction',
    goal: { atMost: 2 },
    measure: () => measureRatio('commit.single.ratio', 1),
  },
  {
    name: 'commit.batch100.ratio',
    unit: '× the time of the inserts alone, 100 inserts and 100 events a transaction',
    goal: { atMost: 1.4 },
    measure: () => measureRatio('commit.batch100.ratio', 100),
  },
]

const timesSchema = z.array(z.object({ bare: z.number().positive(), captured: z.number().positive() }))

/** The median over the rounds of one side's time against the other's. */
async function measureRatio(name: string, rowsPerTransaction: number): Promise<number> {
  const load: CommitLoad = {
    rounds: ROUNDS,
    turns: TURNS_PER_ROUND,
    transactions: ROWS_PER_TURN / rowsPerTransaction,
    rows: rowsPerTransaction,
  }
  const rounds = timesSchema.parse(await callWorker(`/commit/${name}`, load))
  const ratios = rounds.map(({ bare, captured }) => captured / bare)
  console.error(
    `${name}: ${ROUNDS} rounds of ${ROWS_PER_ROUND} rows; ratios ${spread(ratios)}; ` +
      `µs per row ${spread(perRow(rounds, 'captured'))}, without events ${spread(perRow(rounds, 'bare'))}`,
  )
  return quantile(ratios, 0.5)
}

function perRow(rounds: readonly CommitTimes[], side: keyof CommitTimes): number[] {
  return rounds.map((times) => (times[side] * 1000) / ROWS_PER_ROUND)
}

function spread(values: readonly number[]): string {
  const [low, median, high] = [0.1, 0.5, 0.9].map((share) => quantile(values, share).toFixed(2))
  return `${median} (${low} to ${high})`
}
