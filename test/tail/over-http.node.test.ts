// Fifty clients of one object and the command, in wrangler's own runtime, which is killed while they follow.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CommittedEvent } from 'durable-outbox'
import type { TailMessage } from 'durable-outbox/tail'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { runCommand } from '../../proofs/harness/command.ts'
import { Runtime } from '../../proofs/harness/runtime.ts'

const SOCKETS = 50
const SOON = { timeout: 30_000, interval: 20 }
const ADMIN_TOKEN = 'an admin token of more than 32 characters'
const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }

const state = mkdtempSync(join(tmpdir(), 'durable-outbox-tail-'))
let worker: Runtime

beforeAll(async () => {
  worker = await Runtime.start({ state, vars: { ADMIN_TOKEN, LAKE_LIMITS: '{"rollMs":200}' } })
})

afterAll(async () => {
  await worker.kill()
  rmSync(state, { recursive: true, force: true })
})

/** Each sign-up is two events. */
async function signUp(object: string, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    const body = JSON.stringify({ name: `Alice \u001b[31m${n}`, email: 'alice@example.com' })
    expect((await fetch(`${worker.url}/customers/${object}`, { method: 'POST', body })).status).toBe(201)
  }
}

/** A client as a browser has it: with a ticket, and the cursor of the last message. It comes again when it was cut off. */
class Browser {
  readonly lsns: number[] = []
  readonly #object: string
  #cursor: string | undefined
  #socket: WebSocket | undefined
  #hasLeft = false

  constructor(object: string) {
    this.#object = object
  }

  async connect(): Promise<void> {
    const path = `/tail/customers/${this.#object}`
    const answer = await fetch(`${worker.url}${path}/ticket`, { method: 'POST', headers }).catch(() => undefined)
    if (answer?.status !== 200) return this.#connectLater()
    const { ticket } = await answer.json<{ ticket: string }>()
    const query = this.#cursor === undefined ? 'from=1' : `after=${encodeURIComponent(this.#cursor)}`
    const socket = new WebSocket(`${worker.url.replace('http', 'ws')}${path}?${query}`, ['durable-outbox', ticket])
    this.#socket = socket
    socket.addEventListener('message', ({ data }) => {
      const { cursor, event, ack } = JSON.parse(String(data)) as TailMessage<CommittedEvent>
      if (event !== undefined) this.lsns.push(event.lsn)
      this.#cursor = cursor
      if (ack) socket.send(cursor)
    })
    socket.addEventListener('close', () => this.#connectLater())
  }

  /** Loses the connection, as on a train. */
  cut(): void {
    this.#socket?.close()
  }

  leave(): void {
    this.#hasLeft = true
    this.#socket?.close()
  }

  #connectLater(): void {
    if (!this.#hasLeft) setTimeout(() => void this.connect(), 50)
  }
}

function lsnsTo(last: number): number[] {
  return Array.from({ length: last }, (_, index) => index + 1)
}

/** Of lines of JSON. */
function lsnsIn(printed: string): number[] {
  const lines = printed.trim().split('\n')
  return lines.map((line) => (JSON.parse(line) as CommittedEvent).lsn)
}

describe('a tail over HTTP', () => {
  it('[I2] gives each of fifty clients and the command each LSN once, although they are cut off and the runtime is killed', async () => {
    const browsers = Array.from({ length: SOCKETS }, () => new Browser('acme'))
    const interruption = new AbortController()
    let printed = ''
    const words = ['tail', 'customers/acme', '--from', '1', '--filter', 'type=Customer.created', '--json']
    const run = runCommand([...words, '--url', worker.url], {
      env: { ADMIN_TOKEN },
      signal: interruption.signal,
      onOutput: (text) => (printed += text),
    })
    await Promise.all(browsers.map((browser) => browser.connect()))
    await signUp('acme', 10)
    browsers.filter((_, index) => index % 3 === 0).forEach((browser) => browser.cut())
    await signUp('acme', 10)
    await vi.waitFor(() => expect(printed).not.toBe(''), SOON)
    await worker.kill()
    await worker.start()
    await signUp('acme', 10)
    for (const browser of browsers) await vi.waitFor(() => expect(browser.lsns).toEqual(lsnsTo(60)), SOON)
    browsers.forEach((browser) => browser.leave())
    await vi.waitFor(() => expect(printed.split('\n')).toHaveLength(31), SOON)
    interruption.abort()
    const { code, stderr } = await run
    expect(code).toBe(0)
    expect(stderr).toMatch(/to continue: --after \w{26}\/60\n$/)
    expect(lsnsIn(printed)).toEqual(lsnsTo(60).filter((lsn) => lsn % 2 === 0))
  })

  it('shows control characters of data on a terminal, and never sends them', async () => {
    await signUp('initech', 1)
    const interruption = new AbortController()
    const run = runCommand(['tail', 'customers/initech', '--from', '1', '--url', worker.url], {
      env: { ADMIN_TOKEN },
      signal: interruption.signal,
      onOutput: (text) => text.startsWith('2 ') && interruption.abort(),
    })
    const { stdout } = await run
    expect(stdout).toContain('Alice \\u001b[31m0')
    expect(stdout).not.toContain('\u001b')
  })

  it('of all objects is what lands in the lake', async () => {
    const interruption = new AbortController()
    let printed = ''
    const run = runCommand(
      ['tail', '--after', '2020-01-01T00:00:00Z', '--filter', 'ns=umbrella', '--json', '--state', state],
      { signal: interruption.signal, onOutput: (text) => (printed += text) },
    )
    await signUp('umbrella', 2)
    await vi.waitFor(() => expect(printed.split('\n')).toHaveLength(5), SOON)
    await signUp('umbrella', 1)
    await vi.waitFor(() => expect(printed.split('\n')).toHaveLength(7), SOON)
    interruption.abort()
    expect((await run).code).toBe(0)
    expect(lsnsIn(printed)).toEqual(lsnsTo(6))
  })

  it.each([
    [['tail', 'customers'], 2, 'is not <class>/<object>'],
    [['tail', '--from', '1'], 2, '--from needs an object'],
    [['tail', 'customers/acme', '--filter', 'x'], 2, '--filter is <name>=<value>'],
    [['tail', 'others/acme'], 1, 'there is no outbox of others/acme'],
    [
      ['tail', 'customers/acme', '--after', '01ARZ3NDEKTSV4RRFFQ69G5FAV/9', '--token', 'wrong'],
      1,
      'is not the value of ADMIN_TOKEN',
    ],
  ])('ends %j with %i', async (args, code, message) => {
    const run = await runCommand([...args, ...(code === 1 ? ['--url', worker.url] : [])], { env: { ADMIN_TOKEN } })
    expect(run).toMatchObject({ code, stderr: expect.stringContaining(message) })
  })
})
