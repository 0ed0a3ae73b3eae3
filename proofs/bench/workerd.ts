// Runs proofs/bench/worker.ts in the real runtime (workerd), with the objects' databases in files. It starts with the
// first call, once for all figures.

import { join } from 'node:path'
import { Runtime } from '../harness/runtime.ts'
import { makeScratchDirectory } from '../harness/scratch.ts'

const CALL_MS_MAX = 120_000

let running: Promise<Runtime> | undefined

/** Posts JSON to a route of the bench Worker and returns its answer. */
export async function callWorker(path: string, body: unknown): Promise<unknown> {
  running ??= Runtime.start({
    state: makeScratchDirectory('bench'),
    config: join(import.meta.dirname, 'wrangler.toml'),
  })
  return (await running).post(path, body, CALL_MS_MAX)
}

/** Resident memory of the runtime in MB, if it runs and the system tells. */
export async function readMemoryMB(): Promise<number | undefined> {
  return (await running)?.memoryMB()
}

/** Ends the runtime, if it was ever started. */
export async function stopWorker(): Promise<void> {
  // A start that failed has been reported by the figure that asked for it.
  const worker = await running?.catch(() => undefined)
  await worker?.kill()
  running = undefined
}
