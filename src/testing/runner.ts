// The test runner of the platform.

import { CDCError } from '../error.ts'

/**
 * Imported only here, and only when it is used: `cloudflare:test` exists in the test runner alone, but a Worker that exports
 * `FakePipeline` must also load elsewhere, for example under `wrangler dev`.
 *
 * @throws {CDCError} `invalid-config` outside Cloudflare's test runner.
 */
export async function importRunner(caller: string): Promise<typeof import('cloudflare:test')> {
  try {
    return await import('cloudflare:test')
  } catch (cause) {
    const problem = `${caller}: cloudflare:test is missing; ${caller} works inside @cloudflare/vitest-pool-workers`
    throw new CDCError('invalid-config', problem, { cause })
  }
}
