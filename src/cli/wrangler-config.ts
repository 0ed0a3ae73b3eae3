import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { CDCError } from '../error.ts'

/** The order in which wrangler itself looks for its configuration. */
const CONFIG_NAMES = ['wrangler.json', 'wrangler.jsonc', 'wrangler.toml']

/**
 * Finds the wrangler configuration as wrangler does, so that both work with the same one.
 *
 * @param option the path that `--config` says. @throws {CDCError} `invalid-argument` or `invalid-config` where there is none.
 */
export function findWranglerConfig(command: string, option: string | undefined, cwd: string): string {
  if (option !== undefined) {
    const path = resolve(cwd, option)
    if (existsSync(path)) return path
    throw new CDCError('invalid-argument', `${command}: --config ${option} does not exist`)
  }
  const found = CONFIG_NAMES.map((name) => findUpwards(name, cwd)).find((path) => path !== undefined)
  if (found !== undefined) return found
  throw new CDCError('invalid-config', `${command}: no wrangler.toml in ${cwd} or above; name it with --config`)
}

function findUpwards(name: string, folder: string): string | undefined {
  const path = join(folder, name)
  if (existsSync(path)) return path
  return folder === dirname(folder) ? undefined : findUpwards(name, dirname(folder))
}
