// The Worker in real workerd: `wrangler dev` with its state on disk, killed and started again on the same state.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { closeSync, copyFileSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { freePort } from '../demo/worker-process.ts'

const START_TIMEOUT_MS = 40_000
const root = join(import.meta.dirname, '../..')

/** Runs a command and ends its whole process group when it ends, or when the end of stdin says that we have ended. */
const GUARD = '{ "$@"; kill -KILL 0; } </dev/null & read -r line; kill -KILL 0'

const groups = new Set<number>()
process.on('exit', () => groups.forEach(endGroup))
// Without a listener a signal would end this process past 'exit'.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(130))

const environment = { ...process.env, CLOUDFLARE_CF_FETCH_ENABLED: 'false', WRANGLER_SEND_METRICS: 'false', CI: '1' }

export class Runtime {
  readonly #directory: string
  readonly #port: number
  readonly #seed: number
  #child: ChildProcess | undefined
  #life = 0

  private constructor(directory: string, port: number, seed: number) {
    this.#directory = directory
    this.#port = port
    this.#seed = seed
  }

  /** Bundles the Worker once, so that every life of a run has the same code, whatever is edited meanwhile. */
  static async build(directory: string, seed: number): Promise<Runtime> {
    const config = join(import.meta.dirname, 'wrangler.toml')
    const args = ['deploy', '--dry-run', '--config', config, '--outdir', join(directory, 'bundle')]
    const { status, stdout, stderr } = spawnSync('wrangler', args, { cwd: root, env: environment, encoding: 'utf8' })
    if (status !== 0) throw new Error(`wrangler could not bundle the Worker:\n${stdout}${stderr}`)
    copyFileSync(config, join(directory, 'wrangler.toml'))
    return new Runtime(directory, await freePort(), seed)
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Where `wrangler dev` keeps the databases and the bucket. */
  get state(): string {
    return join(this.#directory, 'state')
  }

  /** Starts it on the same port and state as before, without waiting until it is there. */
  launch(): void {
    this.#life += 1
    const worker = ['dev', join(this.#directory, 'bundle', 'worker.js'), '--no-bundle']
    const config = ['--config', join(this.#directory, 'wrangler.toml'), '--persist-to', this.state]
    const server = ['--ip', '127.0.0.1', '--port', String(this.#port), '--inspector-port', '0']
    const variables = ['--var', `SEED:${this.#seed}`, '--var', `LIFE:${this.#life}`]
    const args = [
      ...worker,
      ...config,
      ...server,
      ...variables,
      '--show-interactive-dev-session=false',
      '--log-level',
      'warn',
    ]
    const log = openSync(this.#log, 'a')
    // A group of its own, so that workerd, which is wrangler's child, dies in the same moment.
    this.#child = spawn('/bin/sh', ['-c', GUARD, 'sh', 'wrangler', ...args], {
      cwd: this.#directory,
      detached: true,
      stdio: ['pipe', log, log],
      env: environment,
    })
    closeSync(log)
    if (this.#child.pid !== undefined) groups.add(this.#child.pid)
  }

  /** Starts it and waits until it answers. */
  async start(): Promise<void> {
    this.launch()
    await this.ready()
  }

  /** Waits until it answers. @throws where it has ended or takes too long, with its last words. */
  async ready(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS
    while (Date.now() < deadline && isRunning(this.#child)) {
      const response = await fetch(this.url, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined)
      if (response?.ok) return
      await new Promise((resolve) => setTimeout(resolve, 25))
    }
    await this.kill()
    throw new Error(`wrangler dev did not start; its last words:\n${readFileSync(this.#log, 'utf8').slice(-4_000)}`)
  }

  /** Ends wrangler and workerd at once, with SIGKILL: neither gets to write another byte. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child?.pid === undefined || !isRunning(child)) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    endGroup(child.pid)
    await ended
    groups.delete(child.pid)
  }

  get #log(): string {
    return join(this.#directory, 'wrangler.log')
  }
}

function isRunning(child: ChildProcess | undefined): boolean {
  return child !== undefined && child.exitCode === null && child.signalCode === null
}

function endGroup(group: number): void {
  try {
    process.kill(-group, 'SIGKILL')
  } catch {
    // It has ended already.
  }
}
