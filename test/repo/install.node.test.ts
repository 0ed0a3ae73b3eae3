// What npm makes of package.json and its lock, on machines that are not this one and in projects that are not this one.

import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import shopJSON from '../../examples/shop/package.json' with { type: 'json' }
import packageJSON from '../../package.json' with { type: 'json' }

const run = promisify(execFile)

interface LockedPackage {
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

/** By the folder that each is installed into; '' is this package itself. */
const { packages } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package-lock.json'), 'utf8')) as {
  packages: Readonly<Record<string, LockedPackage>>
}

/** Where npm would find a package that the one at `path` asks for: in its own folder, or in one above. */
function isLocked(path: string, name: string): boolean {
  const above = path.replace(/(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/]+$/, '')
  if (`${path}/node_modules/${name}` in packages) return true
  return path === '' ? `node_modules/${name}` in packages : isLocked(above, name)
}

describe('the lock', () => {
  it('has the native packages of every platform, and not only those of the machine that wrote it', () => {
    const lacking = Object.entries(packages).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).filter((name) => !isLocked(path, name)),
    )
    expect(lacking).toEqual([])
  })

  it.each([
    ['workerd', '@cloudflare/workerd-', ['darwin-64', 'darwin-arm64', 'linux-64', 'linux-arm64', 'windows-64']],
    ['esbuild', '@esbuild/', ['darwin-arm64', 'darwin-x64', 'linux-arm64', 'linux-x64', 'win32-x64']],
    [
      '@duckdb/node-bindings',
      '@duckdb/node-bindings-',
      ['darwin-arm64', 'darwin-x64', 'linux-arm64', 'linux-x64', 'win32-x64'],
    ],
  ])('lets %s run on macOS, Windows and Linux, on Intel and ARM', (name, prefix, platforms) => {
    const users = Object.keys(packages).filter((path) => path === `node_modules/${name}`)
    expect(users).toHaveLength(1)
    expect(platforms.filter((platform) => !(`node_modules/${prefix}${platform}` in packages))).toEqual([])
  })

  it('is of this package.json', () => {
    const { dependencies, devDependencies, peerDependencies, peerDependenciesMeta } = packageJSON
    expect(packages['']).toMatchObject({
      dependencies,
      devDependencies,
      peerDependencies,
      peerDependenciesMeta,
    })
  })
})

describe('examples/shop', () => {
  it('has the packages in the versions that are tested here', () => {
    const { dependencies, devDependencies, version, name } = packageJSON
    const ours: Readonly<Record<string, string>> = { ...dependencies, ...devDependencies, [name]: version }
    const wanted = { ...shopJSON.dependencies, ...shopJSON.devDependencies }
    expect(wanted).toEqual(Object.fromEntries(Object.keys(wanted).map((each) => [each, ours[each]])))
  })
})

describe('a project of a user', () => {
  let root = ''

  afterEach(() => rm(root, { recursive: true, force: true }))

  /** Folders with a project, this package, and the packages that it can be used with, in the versions it is tested with. */
  async function folders(): Promise<void> {
    root = await mkdtemp(join(tmpdir(), 'durable-outbox-install-'))
    const { name, version, peerDependencies, peerDependenciesMeta, devDependencies } = packageJSON
    await write('project', { name: 'project', private: true })
    await write('durable-outbox', { name, version, peerDependencies, peerDependenciesMeta })
    await write('duckdb', { name: '@duckdb/node-api', version: devDependencies['@duckdb/node-api'] })
    await write('wrangler', { name: 'wrangler', version: devDependencies.wrangler })
    await write('another', { name: 'another', version: '1.0.0' })
  }

  async function write(folder: string, manifest: object): Promise<void> {
    await mkdir(join(root, folder))
    await writeFile(join(root, folder, 'package.json'), JSON.stringify(manifest))
  }

  async function install(...names: string[]): Promise<void> {
    // As npm installs from a registry, and not as links.
    const flags = ['--offline', '--install-links', '--no-audit', '--no-fund', '--silent']
    await run('npm', ['install', ...flags, ...names.map((name) => `../${name}`)], { cwd: join(root, 'project') })
  }

  it.each([
    [['durable-outbox'], ['duckdb', 'wrangler'], ['another']],
    [['duckdb'], ['durable-outbox'], ['another', 'wrangler']],
    [['another', 'duckdb', 'wrangler'], ['durable-outbox']],
    [['durable-outbox', 'wrangler', 'duckdb'], ['another']],
  ])('has all packages after installs in the order %j, %j', async (...orders) => {
    await folders()
    for (const names of orders) await install(...names)
    const installed = await readdir(join(root, 'project/node_modules'))
    expect(installed).toEqual(expect.arrayContaining(['@duckdb', 'another', 'durable-outbox', 'wrangler']))
  })
})
