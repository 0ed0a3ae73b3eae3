// One script from its beginning to its end: its faults, then a calm in which everything must land, then the table.

import { enter } from './platform/globals.ts'
import { Violation } from './oracle.ts'
import type { Script } from './script.ts'
import { checkTable } from './table-check.ts'
import { World } from './world.ts'

export interface Verdict {
  readonly steps: number
  readonly virtualMs: number
  readonly rows: number
  readonly trace: number
  /** What was broken, and when; nothing if all was well. */
  readonly failure?: { readonly message: string; readonly atMs: number }
}

/** For a reply that a script's last step still waits for. */
const SETTLE_MS = 200

/** More steps than any script has. */
const STEPS_AT_ONCE_MAX = 10_000
const STEPS_PER_MS_MAX = 20

interface RunOptions {
  /** Is told of everything that happens. */
  readonly listener?: (line: string) => void
  /** What happens after this time is of no interest. */
  readonly stopMs?: number
  /** After these steps of the platform, counted from 1, the whole runtime ends. */
  readonly crashAfter?: ReadonlySet<number>
}

export async function runScript(script: Script, options: RunOptions = {}): Promise<Verdict> {
  const { stopMs = Infinity, crashAfter = new Set() } = options
  const world = new World(script.seed, script.objects, options.listener)
  const { platform } = world
  enter(platform)
  let rows = 0
  let failure: Verdict['failure']
  try {
    for (const step of script.steps) {
      await runUntil(world, Math.min(step.atMs, stopMs), crashAfter)
      if (step.atMs > stopMs) break
      world.take(step)
      await turnEnd()
    }
    if (platform.schedule.nowMs < stopMs) {
      if (crashAfter.size === 0) world.calm()
      await turnEnd()
      await settle(world, crashAfter)
      enter(undefined)
      rows = await checkTable(world.bucket.direct(), world.oracle, world.ledgers)
    }
  } catch (error) {
    failure = { message: error instanceof Violation ? error.message : describe(error), atMs: platform.schedule.nowMs }
  } finally {
    enter(undefined)
    world.close()
  }
  const { steps, trace } = platform
  return { steps, virtualMs: platform.schedule.nowMs, rows, trace, ...(failure && { failure }) }
}

async function runUntil(world: World, untilMs: number, crashAfter: ReadonlySet<number>): Promise<void> {
  const { platform } = world
  const limit = platform.steps + STEPS_AT_ONCE_MAX + STEPS_PER_MS_MAX * Math.max(0, untilMs - platform.schedule.nowMs)
  while (platform.step(untilMs)) {
    await turnEnd()
    if (crashAfter.has(platform.steps)) world.crashAll()
    if (world.violation !== undefined) throw world.violation
    if (platform.steps > limit) throw new Violation('I6: something is tried again and again, without an end')
  }
  platform.schedule.nowMs = Math.max(platform.schedule.nowMs, untilMs)
}

async function settle(world: World, crashAfter: ReadonlySet<number>): Promise<void> {
  const { platform } = world
  const endMs = platform.schedule.nowMs + world.patienceMs
  const goOn = (): Promise<void> => runUntil(world, platform.schedule.nowMs + SETTLE_MS, crashAfter)
  await goOn()
  for (; !world.isSettled(); await goOn())
    if (platform.schedule.nowMs > endMs)
      throw new Violation(
        `I6: ${world.patienceMs} ms after the last fault not everything has landed: ${world.describeWaiting()}`,
      )
}

/** The end of a turn: everything has run that follows without waiting. */
function turnEnd(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
