// A project of somebody else's: a folder outside of this repository, with packages of its own.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { run } from '../harness/process-group.ts'
import { wranglerEnvironment } from '../harness/wrangler.ts'

const COMMAND_MS_MAX = 240_000

/** How each package manager installs what package.json lists, and runs a program. */
const MANAGERS = {
  npm: { install: ['npm', 'install'], env: {} },
  // pnpm fails if a package has a script that nobody has allowed; esbuild and workerd do, and work without it.
  pnpm: { install: ['npx', '--yes', 'pnpm@12.21.0', 'install', '--config.strict-dep-builds=false'], env: {} },
  yarn: {
    install: ['npx', '--yes', '@yarnpkg/cli-dist@4.18.1', 'install'],
    // Where it believes to be in CI, it refuses a project without a lock.
    // And unlike npm, it does not trust the certificates that the machine trusts.
    env: {
      YARN_NODE_LINKER: 'node-modules',
      YARN_ENABLE_IMMUTABLE_INSTALLS: 'false',
      NODE_OPTIONS: '--use-system-ca',
    },
  },
} as const
export type Manager = keyof typeof MANAGERS
export const managers = Object.keys(MANAGERS) as Manager[]

/** As in a shell of the stranger's: npm tells the programs that it runs about this repository. */
const environment = Object.fromEntries(
  Object.entries(wranglerEnvironment).filter(
    ([name]) => !/^npm_(?:package|lifecycle|config_local)|^INIT_CWD$/.test(name),
  ),
)

/** Not what somebody has made in a project by hand. */
function isOfProject(path: string): boolean {
  return !/[/\\](?:node_modules|\.wrangler|\.dev\.vars)$/.test(path)
}

export class Project {
  readonly folder: string
  readonly #env: NodeJS.ProcessEnv

  constructor(folder: string, env: Readonly<Record<string, string>> = {}) {
    this.folder = folder
    this.#env = { ...environment, ...env }
    mkdirSync(folder, { recursive: true })
  }

  copy(from: string): void {
    cpSync(from, this.folder, { recursive: true, filter: isOfProject })
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.folder, path)), { recursive: true })
    writeFileSync(join(this.folder, path), text)
  }

  read(path: string): string {
    return readFileSync(join(this.folder, path), 'utf8')
  }

  async install(manager: Manager): Promise<void> {
    const { install, env } = MANAGERS[manager]
    await this.#run(install, env)
  }

  /** Runs a program of the project's packages, or a script. @returns its stdout. */
  program(...command: readonly string[]): Promise<string> {
    return this.#run(['npx', '--no-install', ...command])
  }

  /** Runs lines of a shell, and stops at the first that fails. */
  shell(lines: string): Promise<string> {
    return this.#run(['bash', '-euo', 'pipefail', '-c', lines])
  }

  async #run([command = '', ...args]: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<string> {
    return run({ command, args, cwd: this.folder, env: { ...this.#env, ...env }, maxMs: COMMAND_MS_MAX, isQuiet: true })
  }
}
