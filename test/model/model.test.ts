import * as fc from 'fast-check'
import { assertLog, forget, landed } from 'durable-outbox/testing'
import { expect, it } from 'vitest'
import { configurations } from '../worker.ts'
import { scripts, showScript, type Step } from './steps.ts'
import { Trial } from './trial.ts'

/** How many scripts, and from which seed: VITE_FAST_CHECK_RUNS and VITE_FAST_CHECK_SEED, if they are set. */
const { VITE_FAST_CHECK_RUNS: runs = '100', VITE_FAST_CHECK_SEED: seed } = import.meta.env
/** Scripts, and the shrinking of a failed one, end after this; what was found by then is reported. */
const TIME_LIMIT_MS = Math.max(240_000, Number(runs) * 2_000)
let trials = 0

/** Runs a script to its end. @throws {Error} that names the step at which something went wrong. */
async function runScript(script: readonly Step[]): Promise<void> {
  const name = `model-${++trials}`
  const trial = new Trial(name)
  let at = 0
  try {
    for (const step of script) {
      at++
      await trial.take(step)
    }
    at++
    await trial.finish()
    checkLanded(trial)
  } catch (error) {
    const where = at > script.length ? 'after the end' : `in step ${at}`
    throw new Error(`${where}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })
  } finally {
    configurations.delete(name)
    forget(name)
  }
}

/** A receiver that lands each LSN once holds what was committed. */
function checkLanded({ name, model, isPlain }: Trial): void {
  const records = landed(name)
  expect(records.filter(({ epoch }) => epoch === model.log.epoch).map(({ lsn }) => lsn)).toEqual(
    model.log.entries.map(({ lsn }) => lsn),
  )
  if (isPlain) assertLog(name, { events: records.length })
}

function parameters(): fc.Parameters<[readonly Step[]]> {
  return {
    numRuns: Number(runs),
    interruptAfterTimeLimit: TIME_LIMIT_MS,
    ...(seed !== undefined && { seed: Number(seed) }),
  }
}

async function describeFailure({
  failed,
  seed: used,
  counterexamplePath: path,
  counterexample,
}: Details): Promise<void> {
  if (!failed) return
  const { script, failure } = await withoutIdleSteps(counterexample?.[0] ?? [])
  const text = failure?.message ?? 'it did not fail again'
  throw new Error(`${text}\n\n${showScript(script)}\n\nseed ${used}, path ${path}`, { cause: failure })
}

/** Removes each step without which the script still fails: fast-check keeps some while it shrinks others. */
async function withoutIdleSteps(script: readonly Step[]): Promise<{ script: readonly Step[]; failure?: Error }> {
  let [shortest, failure] = [script, await failureOfScript(script)]
  for (let at = script.length - 1; at >= 0; at--) {
    const shorter = shortest.toSpliced(at, 1)
    const shorterFails = await failureOfScript(shorter)
    if (shorterFails !== undefined) [shortest, failure] = [shorter, shorterFails]
  }
  return { script: shortest, ...(failure && { failure }) }
}

async function failureOfScript(script: readonly Step[]): Promise<Error | undefined> {
  try {
    await runScript(script)
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}

type Details = fc.RunDetails<[readonly Step[]]>

it(
  '[I1] [I2] [I3] [I4] [I6] [I7] [I9] does as a model of plain arrays does, whatever happens and in whatever order',
  async () => {
    const details = await fc.check(fc.asyncProperty(scripts, runScript), parameters())
    await describeFailure(details)
    expect(details.interrupted).toBe(false)
    expect(details.numRuns).toBe(Number(runs))
  },
  TIME_LIMIT_MS * 2,
)
