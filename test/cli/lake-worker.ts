// A Worker with its lake under `wrangler dev`, and the command beside it, as a user has them: one for all tests of a file.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll } from 'vitest'
import { openBucket } from '../../proofs/harness/bucket.ts'
import { type Run, runCommand } from '../../proofs/harness/command.ts'
import { Runtime } from '../../proofs/harness/runtime.ts'

export const TOKEN = 'a-token-of-the-test'

/** @param vars variables beside those that every test has. */
export function useLakeWorker(vars: Readonly<Record<string, string>> = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'durable-outbox-lake-'))
  const state = join(directory, 'state')
  let worker: Runtime

  beforeAll(async () => {
    worker = await Runtime.start({ state, vars: { ADMIN_TOKEN: TOKEN, LAKE_LIMITS: '{"rollMs":200}', ...vars } })
  })

  afterAll(async () => {
    await worker.kill()
    rmSync(directory, { recursive: true, force: true })
  })

  function run(command: string, ...args: string[]): Promise<Run> {
    return runCommand([command, '--state', state, ...args], { env: { ADMIN_TOKEN: TOKEN } })
  }

  function withWorker(command: string, ...args: string[]): Promise<Run> {
    return run(command, '--url', worker.url, '--wait', '20', ...args)
  }

  async function onBucket<T>(work: (bucket: R2Bucket) => Promise<T>): Promise<T> {
    const { bucket, close } = await openBucket(state)
    try {
      return await work(bucket)
    } finally {
      await close()
    }
  }

  return { directory, state, runtime: () => worker, address: () => worker.url, run, withWorker, onBucket }
}
