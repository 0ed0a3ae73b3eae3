// npm run simulate -- [--seed N] [--steps 1e6 | --seconds N] [--processes N] [--json]: runs the whole system in virtual time, with
// faults that come from a seed, and checks the invariants. Without --seed it takes a new seed, and then always the same ones.
// --crash-points ends the runtime after each step of small scripts instead, and after each two of them.
// --seed N --replay runs one seed and prints all that happens; --script FILE does so with a script that was shrunk.

import { type ChildProcess, fork } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import * as z from 'zod'
import { Output } from '../harness/output.ts'
import { makeScratchDirectory } from '../harness/scratch.ts'
import { crashEverywhere } from './crash-points.ts'
import { runScript, type Verdict } from './episode.ts'
import { createScript, type Script, showScript } from './script.ts'
import { scriptSchema } from './script-file.ts'
import { shrink } from './shrink.ts'

const SHRINK_MS_MAX = 120_000
/** The exit code after which somebody will want the script. */
const FAILED = 1

const count = z.coerce.number().int().min(1)
const optionsSchema = z.object({
  seed: count.optional(),
  steps: count.default(1_000_000),
  seconds: count.optional(),
  processes: count.default(2),
  replay: z.boolean().default(false),
  'crash-points': z.boolean().default(false),
  script: z.string().optional(),
  json: z.boolean().default(false),
})
const { values: flags } = parseArgs({
  options: {
    seed: { type: 'string' },
    steps: { type: 'string' },
    seconds: { type: 'string' },
    processes: { type: 'string' },
    replay: { type: 'boolean' },
    'crash-points': { type: 'boolean' },
    script: { type: 'string' },
    json: { type: 'boolean' },
  },
})
const options = optionsSchema.parse(flags)
const output = new Output(options.json)
process.exitCode = await main()

function main(): Promise<number> {
  if (options.script !== undefined) return replay(scriptSchema.parse(JSON.parse(readFileSync(options.script, 'utf8'))))
  if (options['crash-points']) return searchCrashPoints()
  return options.replay ? replay(createScript(options.seed ?? 1)) : search()
}

async function replay(script: Script): Promise<number> {
  const verdict = await runScript(script, { listener: (line) => output.say(line) })
  output.say(showScript(script))
  output.say(verdict.failure?.message ?? 'all was well')
  output.conclude(verdict)
  return verdict.failure === undefined ? 0 : FAILED
}

interface Total {
  seeds: number
  steps: number
  virtualMs: number
  rows: number
  failed?: { seed: number; failure: NonNullable<Verdict['failure']> }
}

async function search(): Promise<number> {
  const startedMs = Date.now()
  const total = await runSeeds(startedMs)
  const seconds = (Date.now() - startedMs) / 1_000
  const { failed, ...sums } = total
  const outcome = { ...sums, seconds, steps_per_minute: Math.round((total.steps / seconds) * 60) }
  output.say(
    `simulate: ${total.seeds} scripts, ${total.steps} steps, ${Math.round(total.virtualMs / 60_000)} minutes of virtual time, ` +
      `${total.rows} rows landed; ${Math.round(seconds)} s, ${outcome.steps_per_minute} steps a minute`,
  )
  const script = failed && (await report(failed))
  output.conclude({ ...outcome, ...(failed && { failed: { ...failed, script } }) })
  return failed === undefined ? 0 : FAILED
}

/** Small scripts, one after the other, until there were enough steps or the time is over. */
async function searchCrashPoints(): Promise<number> {
  const startedMs = Date.now()
  const total = { scripts: 0, runs: 0, steps: 0 }
  const isEnough = (): boolean =>
    options.seconds === undefined ? total.steps >= options.steps : Date.now() - startedMs >= options.seconds * 1_000
  for (let seed = options.seed ?? 1; !isEnough(); seed++) {
    const { script, runs, steps, failed } = await crashEverywhere(seed)
    total.scripts += 1
    total.runs += runs
    total.steps += steps
    if (failed === undefined) continue
    output.say(`simulate: FAILED, as the runtime ended after the steps ${failed.after.join(' and ')}`)
    output.say(`${showScript(script)}\n\n${failed.failure.message}`)
    output.conclude({ ...total, failed: { script, ...failed } })
    return FAILED
  }
  output.say(`simulate: ${total.scripts} small scripts, ended in ${total.runs} ways; ${total.steps} steps`)
  output.conclude(total)
  return 0
}

/** Gives seeds to processes until there were enough steps, or the time is over, or one has failed. */
async function runSeeds(startedMs: number): Promise<Total> {
  const total: Total = { seeds: 0, steps: 0, virtualMs: 0, rows: 0 }
  const seeds = chooseSeeds()
  const isEnough = (): boolean =>
    total.failed !== undefined ||
    (options.seconds === undefined ? total.steps >= options.steps : Date.now() - startedMs >= options.seconds * 1_000)
  await Promise.all(
    Array.from({ length: options.processes }, async () => {
      const child = fork(join(import.meta.dirname, 'child.ts'), { serialization: 'advanced' })
      while (!isEnough()) {
        const seed = seeds.next().value
        const { steps, virtualMs, rows, failure } = await runIn(child, seed)
        total.seeds += 1
        total.steps += steps
        total.virtualMs += virtualMs
        total.rows += rows
        if (failure !== undefined) total.failed ??= { seed, failure }
      }
      child.disconnect()
    }),
  )
  return total
}

function* chooseSeeds(): Generator<number, never> {
  if (options.seed === undefined) {
    const seed = 1_000_000 + Math.floor(Math.random() * 1_000_000_000)
    output.say(`simulate: the new seed is ${seed}`)
    yield seed
  }
  for (let seed = options.seed ?? 1; ; seed++) yield seed
}

/** What the child sends back is the verdict of our own code. */
function runIn(child: ChildProcess, seed: number): Promise<Verdict> {
  const { promise, resolve, reject } = Promise.withResolvers<Verdict>()
  const fail = (): void => reject(new Error(`simulate: the process that ran seed ${seed} has ended`))
  child.once('exit', fail)
  child.once('message', (verdict) => {
    child.off('exit', fail)
    resolve(verdict as Verdict)
  })
  child.send(seed)
  return promise
}

/** Says what failed, and how to see it again. @returns where the shrunk script is. */
async function report({ seed, failure }: NonNullable<Total['failed']>): Promise<string> {
  output.say(`simulate: FAILED with seed ${seed}, after ${Math.round(failure.atMs)} ms: ${failure.message}`)
  output.say('simulate: shrinking the script')
  const script = await shrink(createScript(seed), failure, Date.now() + SHRINK_MS_MAX)
  const { failure: last = failure } = await runScript(script)
  const file = join(
    makeScratchDirectory('simulate', () => true),
    `seed-${seed}.json`,
  )
  writeFileSync(file, JSON.stringify(script, undefined, 1))
  output.say(`\n${showScript(script)}\n\n${last.message}\n`)
  output.say(`simulate: to see it again: npm run simulate -- --script ${file}`)
  return file
}
