// How a run of chaos ends: with an exit code that keeps the state for whoever wants to look at it.

import { makeScratchDirectory } from '../harness/scratch.ts'

/** The exit code after which somebody will want to look at the state. */
export const FAILED = 1

export function makeChaosDirectory(name: string): string {
  return makeScratchDirectory(name, (code) => code === FAILED)
}

/** Runs to the end of the process, and ends what still runs. */
export async function runToEnd(
  { seed, directory, stop }: { seed: number; directory: string; stop: () => void },
  main: () => Promise<number>,
): Promise<never> {
  try {
    process.exitCode = await main()
  } catch (error) {
    stop()
    console.error(error)
    console.error(`chaos: aborted; the seed is ${seed}, the state is kept in ${directory}`)
    process.exitCode = FAILED
  }
  process.exit()
}
