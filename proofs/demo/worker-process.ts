// The Worker in real workerd, as a process that can be killed: `wrangler dev` with its state on disk.

import { spawn, type ChildProcess } from 'node:child_process'
import { createServer } from 'node:net'
import { join } from 'node:path'

const START_TIMEOUT_MS = 30_000
const root = join(import.meta.dirname, '../..')

export class WorkerProcess {
  readonly #state: string
  readonly #port: number
  readonly #vars: Readonly<Record<string, string>>
  #child: ChildProcess | undefined
  #output = ''

  private constructor(state: string, port: number, vars: Readonly<Record<string, string>>) {
    this.#state = state
    this.#port = port
    this.#vars = vars
  }

  /** @param vars variables of the Worker's environment, beside those of wrangler.toml. */
  static async start(state: string, vars: Readonly<Record<string, string>> = {}): Promise<WorkerProcess> {
    const worker = new WorkerProcess(state, await freePort(), vars)
    await worker.start()
    return worker
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  /** Starts it on the same port and state as before, and waits until it answers. */
  async start(): Promise<void> {
    const args = ['dev', '--ip', '127.0.0.1', '--port', String(this.#port), '--inspector-port', '0']
    const vars = Object.entries(this.#vars).flatMap(([name, value]) => ['--var', `${name}:${value}`])
    const state = ['--persist-to', this.#state, '--show-interactive-dev-session=false']
    this.#output = ''
    this.#child = spawn('wrangler', [...args, ...state, ...vars], {
      cwd: root,
      // A group of its own, so that workerd, which is wrangler's child, dies in the same moment.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, CLOUDFLARE_CF_FETCH_ENABLED: 'false', WRANGLER_SEND_METRICS: 'false', CI: '1' },
    })
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (chunk) => (this.#output = `${this.#output}${chunk}`.slice(-10_000)))
    await this.#answers()
  }

  /** Ends wrangler and workerd at once, with SIGKILL: neither gets to write another byte. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    process.kill(-child.pid, 'SIGKILL')
    await ended
  }

  async #answers(): Promise<void> {
    const deadline = Date.now() + START_TIMEOUT_MS
    while (Date.now() < deadline && this.#child?.exitCode === null) {
      const response = await fetch(this.url, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined)
      if (response?.ok) return
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    await this.kill()
    throw new Error(`wrangler dev did not start; its last words:\n${this.#output}`)
  }
}

/** A port of this machine that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('there is no free port')
  return address.port
}
