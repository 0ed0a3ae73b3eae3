// Runs proofs/bench/worker.ts in the real runtime (workerd), with the objects' databases in files, as `wrangler dev` does.
// It starts with the first call, once for all figures.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { unstable_startWorker } from 'wrangler'

const CALL_MS_MAX = 120_000

interface RunningWorker {
  call(path: string, body: unknown): Promise<unknown>
  stop(): Promise<void>
}

let running: Promise<RunningWorker> | undefined

/** Posts JSON to a route of the bench Worker and returns what it answered. */
export async function callWorker(path: string, body: unknown): Promise<unknown> {
  running ??= startWorker()
  return (await running).call(path, body)
}

/** Ends the runtime, if it was ever started. Its files go with this process. */
export async function stopWorker(): Promise<void> {
  // A start that failed has been reported by the figure that asked for it.
  const worker = await running?.catch(() => undefined)
  await worker?.stop()
  running = undefined
}

async function startWorker(): Promise<RunningWorker> {
  const state = mkdtempSync(join(tmpdir(), 'durable-outbox-bench-'))
  process.once('exit', () => rmSync(state, { recursive: true, force: true, maxRetries: 3 }))
  // Without this, the start asks the network for an example of `request.cf`.
  process.env['CLOUDFLARE_CF_FETCH_ENABLED'] ??= 'false'
  const worker = await unstable_startWorker({
    config: join(import.meta.dirname, 'wrangler.toml'),
    dev: {
      server: { hostname: '127.0.0.1', port: 0 },
      inspector: false,
      persist: state,
      watch: false,
      logLevel: 'warn',
    },
  })
  const url = await worker.url
  return {
    call: (path, body) => post(new URL(path, url), body),
    stop: () => worker.dispose(),
  }
}

async function post(url: URL, body: unknown): Promise<unknown> {
  const response = await fetch(url, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(CALL_MS_MAX),
  })
  if (!response.ok) throw new Error(`bench: ${url.pathname} answered ${response.status}: ${await response.text()}`)
  return response.json()
}
