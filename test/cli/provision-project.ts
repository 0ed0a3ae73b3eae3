// A user's project, in which the command runs with the real wrangler, against a stand-in for Cloudflare's REST API.

import { mkdirSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type Run, runCommand } from '../../proofs/harness/command.ts'
import { CATALOG_TOKEN, FakeAccount } from './provision-account.ts'

const repository = join(import.meta.dirname, '../..')

/** Of the test file that imports it, which removes it. */
export const workspace = mkdtempSync(join(tmpdir(), 'durable-outbox-provision-'))

/** The example's own configuration, whose production is what stands there for Basin Pipelines. */
export const STREAM_IN_PRODUCTION = readFileSync(join(repository, 'wrangler.toml'), 'utf8')
  .replaceAll('env.production', 'env.lake')
  .replaceAll('env.pipelines', 'env.production')

/** A user's project, and the account that its wrangler reaches. */
export async function createProject({
  wrangler = join(repository, 'node_modules/wrangler'),
  file = 'wrangler.toml',
  text = STREAM_IN_PRODUCTION,
} = {}) {
  const account = new FakeAccount()
  const root = mkdtempSync(join(workspace, 'project-'))
  mkdirSync(join(root, 'node_modules'))
  symlinkSync(wrangler, join(root, 'node_modules/wrangler'))
  writeFileSync(join(root, file), text)
  const env: Record<string, string> = {
    ...(await account.listen()),
    BASIN_CATALOG_TOKEN: CATALOG_TOKEN,
    LAKE_CATALOG_TOKEN: CATALOG_TOKEN,
    PATH: process.env['PATH'] ?? '',
    XDG_CONFIG_HOME: join(workspace, 'config'), // where wrangler keeps its log files
    NODE_COMPILE_CACHE: join(workspace, 'compile-cache'), // wrangler is large, and is started a hundred times here
    WRANGLER_SEND_METRICS: 'false',
  }
  async function provision(...args: readonly string[]): Promise<Run> {
    const run = await runCommand(['provision', ...args], { cwd: root, env })
    expect(run.stdout + run.stderr).not.toContain(CATALOG_TOKEN)
    return run
  }

  function close(): void {
    account.close()
    expect(account.unknown).toEqual([])
  }

  return {
    account,
    env,
    root,
    provision,
    close,
    configuration: () => readFileSync(join(root, file), 'utf8'),
  }
}

/** The action of each step of the plan, by its resource. */
export function actions({ stdout }: Run): Record<string, string> {
  return Object.fromEntries(
    [...stdout.matchAll(/^(\w+) +(\w+) +\S+$/gm)].map(([, action, resource]) => [resource, action]),
  )
}
