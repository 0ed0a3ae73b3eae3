// A project's own wrangler as a program, and this repository's as a library.

import { join } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')

/** Its script in a project, to be run by Node. */
export const WRANGLER = 'node_modules/wrangler/bin/wrangler.js'

/** Without this, each start asks the network for an example of `request.cf`. */
const quiet = { CLOUDFLARE_CF_FETCH_ENABLED: 'false' }

/** The environment in which wrangler runs as a program. */
export const wranglerEnvironment = { ...process.env, ...quiet, WRANGLER_SEND_METRICS: 'false', CI: '1' }

/** Loads wrangler as a library. */
export function loadWrangler(): Promise<typeof import('wrangler')> {
  Object.assign(process.env, quiet)
  return import('wrangler')
}
