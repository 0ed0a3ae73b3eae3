// npm run bench -- [name prefix] [--full] [--json]: measures what we claim to be fast or cheap, and exits with 1 if a claim
// does not hold. --full adds the figures that take minutes. With --json the last line of stdout is an array of measurements.

import { parseArgs } from 'node:util'
import { Output } from '../harness/output.ts'
import { captureFigures } from './capture.ts'
import { commitFigures } from './commit.ts'
import { documentQueryFigures } from './document-query.ts'
import { type Figure, type Goal, holds, type Measurement } from './figure.ts'
import { freshnessFigures } from './freshness.ts'
import { graphFigures } from './graph.ts'
import { lakeFigures } from './lake.ts'
import { relayFigures } from './relay.ts'
import { requestFigures } from './request.ts'
import { rowsFigures } from './rows.ts'
import { soakFigures } from './soak.ts'
import { searchFigures } from './search.ts'
import { storesFigures } from './stores.ts'
import { tailFigures } from './tail.ts'
import { stopWorker } from './workerd.ts'

/** Every figure, in the order in which they are measured. */
const figures: readonly Figure[] = [
  ...commitFigures,
  ...requestFigures,
  ...rowsFigures,
  ...relayFigures,
  ...storesFigures,
  ...captureFigures,
  ...documentQueryFigures,
  ...graphFigures,
  ...searchFigures,
  ...lakeFigures,
  ...freshnessFigures,
  ...tailFigures,
  ...soakFigures,
]

const { values: flags, positionals } = parseArgs({
  options: { json: { type: 'boolean' }, full: { type: 'boolean' } },
  allowPositionals: true,
})
process.exitCode = await main(positionals[0] ?? '', flags)

async function main(prefix: string, { json = false, full = false }: typeof flags): Promise<number> {
  const chosen = figures.filter(
    ({ name, isLong = false }) => name.startsWith(prefix) && (!isLong || full || name === prefix),
  )
  if (chosen.length === 0) {
    console.error(
      `bench: no figure begins with ${prefix}; the figures are ${figures.map(({ name }) => name).join(', ')}`,
    )
    return 2
  }
  const measurements = await measureAll(chosen)
  const output = new Output(json)
  output.say(table(measurements))
  output.conclude(measurements)
  return measurements.every((measurement) => measurement.holds) ? 0 : 1
}

/** One after the other, because figures that run at once would share the machine. */
async function measureAll(chosen: readonly Figure[]): Promise<Measurement[]> {
  const measurements: Measurement[] = []
  try {
    for (const [index, figure] of chosen.entries()) {
      console.error(`[${index + 1} of ${chosen.length}] ${figure.name}`)
      measurements.push(await measure(figure))
    }
  } finally {
    await stopWorker()
  }
  return measurements
}

async function measure(figure: Figure): Promise<Measurement> {
  const { name, unit, goal } = figure
  const value = await figure.measure().catch((error: unknown) => {
    console.error(`${name}:`, error)
    return Number.NaN
  })
  return { name, value, unit, goal, holds: holds(value, goal) }
}

function table(measurements: readonly Measurement[]): string {
  const rows = measurements.map(({ name, value, unit, goal, holds }) => [
    name,
    `${Number(value.toPrecision(4))}`,
    unit,
    `goal ${describe(goal)}`,
    holds ? 'holds' : 'DOES NOT HOLD',
  ])
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')).join('\n')
}

function describe(goal: Goal): string {
  return 'atMost' in goal ? `<= ${goal.atMost}` : `>= ${goal.atLeast}`
}
