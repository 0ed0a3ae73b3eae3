// A Worker in real workerd: `wrangler dev` with its state on disk, killed and started again on the same state.

import type { ChildProcess } from 'node:child_process'
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { basename, join, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { killGroup, run, signalGroup, spawnGroup } from './process-group.ts'
import { ROOT, WRANGLER, wranglerEnvironment } from './wrangler.ts'

const START_MS_MAX = 40_000
const BUNDLE_MS_MAX = 60_000
const POLL_MS = 25
const LOG_CHARS_SHOWN = 4_000

/** Runs a command and ends its process group when it ends, or when the end of stdin shows that this process is gone. */
const GUARD = '{ "$@"; kill -KILL 0; } </dev/null & read -r line; kill -KILL 0'

const DEV_OPTIONS = '--ip 127.0.0.1 --inspector-port 0 --log-level warn --show-interactive-dev-session=false'.split(' ')

export interface RuntimeOptions {
  /** The directory of the databases and the bucket, and of wrangler's log. */
  readonly state: string
  /** The project whose wrangler runs it; by default this repository. */
  readonly project?: string
  /** An environment of the configuration. */
  readonly environment?: string
  /** The Worker's configuration; by default the project's own. */
  readonly config?: string
  /** A bundle to run in place of what the configuration names; `bundleWorker` makes one. */
  readonly script?: string
  /** Variables of the Worker's environment beside those of the configuration. */
  readonly vars?: Readonly<Record<string, string>>
  /** A variable that counts the starts of the Worker on this state, from 1. */
  readonly startsVar?: string
}

export class Runtime {
  readonly #options: RuntimeOptions
  readonly #port: number
  #child: ChildProcess | undefined
  #starts = 0

  private constructor(options: RuntimeOptions, port: number) {
    this.#options = options
    this.#port = port
  }

  /** Finds a port for it and does not start it yet. */
  static async create(options: RuntimeOptions): Promise<Runtime> {
    mkdirSync(options.state, { recursive: true })
    return new Runtime(options, await findFreePort())
  }

  static async start(options: RuntimeOptions): Promise<Runtime> {
    const runtime = await Runtime.create(options)
    await runtime.start()
    return runtime
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Starts it on the same port and state as before, and does not wait. */
  launch(): void {
    this.#starts += 1
    const log = openSync(this.#log, 'a')
    const { project = ROOT } = this.#options
    const command = ['-c', GUARD, 'sh', process.execPath, join(project, WRANGLER), ...this.#args()]
    const program = { command: '/bin/sh', args: command, cwd: project, env: wranglerEnvironment }
    this.#child = spawnGroup(program, ['pipe', log, log])
    closeSync(log)
  }

  /** Starts it and waits until it answers. */
  async start(): Promise<void> {
    this.launch()
    await this.ready()
  }

  /** Waits until it answers. @throws {Error} with the end of its log if it has ended or takes too long. */
  async ready(): Promise<void> {
    const deadline = Date.now() + START_MS_MAX
    while (Date.now() < deadline && isRunning(this.#child)) {
      const response = await fetch(this.url, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined)
      await response?.body?.cancel()
      if (response !== undefined && response.status < 500) return
      await pause(POLL_MS)
    }
    await this.kill()
    throw new Error(`wrangler dev did not start:\n${readFileSync(this.#log, 'utf8').slice(-LOG_CHARS_SHOWN)}`)
  }

  /** Ends wrangler and workerd with SIGKILL, in the same moment. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child?.pid === undefined || !isRunning(child)) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    killGroup(child.pid)
    await ended
  }

  /** Stops all of it for a while, as a machine does that is suspended, and lets it go on. */
  async suspend(ms: number): Promise<void> {
    const { pid } = this.#child ?? {}
    if (pid === undefined) return
    signalGroup(pid, 'SIGSTOP')
    await pause(ms)
    signalGroup(pid, 'SIGCONT')
  }

  #args(): string[] {
    const { state, config, environment, script, vars, startsVar } = this.#options
    const all = { ...vars, ...(startsVar !== undefined && { [startsVar]: this.#starts }) }
    const worker = script === undefined ? ['dev'] : ['dev', script, '--no-bundle']
    const place = ['--persist-to', resolve(state), '--port', String(this.#port)]
    return [
      ...worker,
      ...DEV_OPTIONS,
      ...place,
      ...(config === undefined ? [] : ['--config', resolve(config)]),
      ...(environment === undefined ? [] : ['--env', environment]),
      ...Object.entries(all).flatMap(([name, value]) => ['--var', `${name}:${value}`]),
    ]
  }

  get #log(): string {
    return join(this.#options.state, 'wrangler.log')
  }
}

/** Bundles a Worker into a directory, so that every life of a run has the same code, whatever is edited meanwhile. */
export async function bundleWorker(
  config: string,
  directory: string,
): Promise<Required<Pick<RuntimeOptions, 'config' | 'script'>>> {
  const args = [join(ROOT, WRANGLER), 'deploy', '--dry-run', '--config', config, '--outdir', directory]
  await run({ command: process.execPath, args, cwd: ROOT, env: wranglerEnvironment, maxMs: BUNDLE_MS_MAX })
  const copy = join(directory, basename(config))
  copyFileSync(config, copy)
  return { config: copy, script: join(directory, 'worker.js') }
}

/** A port of this machine that nobody listens on. */
export async function findFreePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port is free')
  return address.port
}

function isRunning(child: ChildProcess | undefined): boolean {
  return child !== undefined && child.exitCode === null && child.signalCode === null
}
