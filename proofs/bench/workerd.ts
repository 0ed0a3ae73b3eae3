// Runs proofs/bench/worker.ts in the real runtime (workerd), with the objects' databases in files. It starts with the
// first call, once for all figures. `wrangler dev` always attaches an inspector, which slows down what is measured here,
// so wrangler is used as a library.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { postJSON } from '../harness/post.ts'
import { makeScratchDirectory } from '../harness/scratch.ts'
import { loadWrangler } from '../harness/wrangler.ts'

const CALL_MS_MAX = 120_000

let running: ReturnType<typeof startWorker> | undefined

/** Posts JSON to a route of the bench Worker and returns its answer. */
export async function callWorker(path: string, body: unknown): Promise<unknown> {
  running ??= startWorker()
  return postJSON(new URL(path, await (await running).url), body, CALL_MS_MAX)
}

/** Where it listens. */
export async function workerURL(): Promise<URL> {
  running ??= startWorker()
  return (await running).url
}

/** Ends the runtime, if it was ever started. */
export async function stopWorker(): Promise<void> {
  // A start that failed has been reported by the figure that asked for it.
  const worker = await running?.catch(() => undefined)
  await worker?.dispose()
  running = undefined
}

async function startWorker() {
  const state = makeScratchDirectory('bench')
  const { unstable_startWorker } = await loadWrangler()
  return unstable_startWorker({
    config: join(import.meta.dirname, 'wrangler.toml'),
    dev: {
      server: { hostname: '127.0.0.1', port: 0 },
      inspector: false,
      persist: state,
      watch: false,
      logLevel: 'warn',
    },
  })
}

/** Resident memory of the runtime in MB, or undefined on a system without /proc. */
export function readMemoryMB(): number | undefined {
  const sizes = readStatuses()
    .filter((status) => /^Name:\s+workerd/m.test(status) && status.includes(`\nPPid:\t${process.pid}\n`))
    .map((status) => Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1_024)
  return sizes.length === 0 ? undefined : Math.round(Math.max(...sizes))
}

/** The status of each process. Those that end meanwhile are left out. */
function readStatuses(): string[] {
  const pids = existsSync('/proc') ? readdirSync('/proc').filter((name) => /^\d+$/.test(name)) : []
  return pids.flatMap((pid) => {
    try {
      return [readFileSync(`/proc/${pid}/status`, 'utf8')]
    } catch {
      return []
    }
  })
}
