// Finds the wrangler configuration as wrangler does, so that both work with the same one.

import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { CDCError } from '../error.ts'
import { usage } from './command.ts'

/** In the order in which wrangler itself looks for its configuration. */
const CONFIG_NAMES = ['wrangler.json', 'wrangler.jsonc', 'wrangler.toml']

/** @param option the path that `--config` gives. @throws {CDCError} `invalid-argument` or `invalid-config` if there is none. */
export function findWranglerConfig(option: string | undefined, cwd: string): string {
  if (option !== undefined) {
    const path = resolve(cwd, option)
    if (existsSync(path)) return path
    throw usage(`--config ${option} does not exist`)
  }
  const found = CONFIG_NAMES.map((name) => findUpwards(name, cwd)).find((path) => path !== undefined)
  if (found !== undefined) return found
  throw new CDCError(
    'invalid-config',
    `no ${CONFIG_NAMES.slice(0, -1).join(', ')} or ${CONFIG_NAMES.at(-1)} in ${cwd} or above; name it with --config`,
  )
}

function findUpwards(name: string, folder: string): string | undefined {
  const path = join(folder, name)
  if (existsSync(path)) return path
  return folder === dirname(folder) ? undefined : findUpwards(name, dirname(folder))
}
