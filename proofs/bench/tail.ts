// The age of an event when a client of the tail gets it: from the beginning of its transaction in the object to the message in
// another process, over the durable commit, the notice, the read and the socket. One object commits at a steady rate.

import { setTimeout as pause } from 'node:timers/promises'
import * as z from 'zod'
import type { Figure } from './figure.ts'
import { quantile } from './quantile.ts'
import { callWorker, workerURL } from './workerd.ts'

const COMMITS = 500
const EVERY_MS = 10
const SETTLE_MS = 20_000
/** As the configuration has it. */
const ADMIN_TOKEN = 'the admin token of the benchmark'
const ticketShape = z.object({ ticket: z.string() })

const messageShape = z.object({
  cursor: z.string(),
  ack: z.boolean().optional(),
  event: z.object({ lsn: z.int(), data: z.object({ begunMs: z.number() }) }).optional(),
})

let few: Promise<number[]> | undefined

export const tailFigures: readonly Figure[] = [
  {
    name: 'tail.p50_ms',
    unit: 'ms from the commit in the object to the message at each of 10 clients, half of them',
    goal: { atMost: 10 },
    measure: async () => quantile(await (few ??= agesWith(10)), 0.5),
  },
  {
    name: 'tail.p99_ms',
    unit: 'the same, 99 of 100 messages',
    goal: { atMost: 20 },
    measure: async () => quantile(await (few ??= agesWith(10)), 0.99),
  },
  {
    name: 'tail.clients.p99_ms',
    unit: 'ms from the commit to the message at each of 1,000 clients, a fifth of whom is cut off and comes again',
    goal: { atMost: 1_000 },
    isLong: true,
    measure: async () => quantile(await agesWith(1_000, { commits: 100, everyMs: 200, isCut: true }), 0.99),
  },
]

interface Rhythm {
  readonly commits: number
  readonly everyMs: number
  /** Whether a fifth of the clients loses the connection half-way. */
  readonly isCut: boolean
}

/** The ages of all messages. @throws {Error} if a client does not get each LSN once, in order. */
async function agesWith(
  clients: number,
  { commits, everyMs, isCut }: Rhythm = { commits: COMMITS, everyMs: EVERY_MS, isCut: false },
): Promise<number[]> {
  const object = `tail-${clients}`
  const url = new URL(`/tail/objects/${object}`, await workerURL())
  const followers = Array.from({ length: clients }, () => new Follower(url))
  await Promise.all(followers.map((follower) => follower.connect()))
  const requests: number[] = []
  for (let commit = 0; commit < commits; commit++) {
    const next = pause(everyMs)
    const begunMs = performance.now()
    await callWorker(`/tail-commit/${object}`, {})
    requests.push(performance.now() - begunMs)
    if (isCut && commit === Math.floor(commits / 2))
      followers.filter((_, index) => index % 5 === 0).forEach((follower) => follower.cut())
    await next
  }
  await Promise.race([Promise.all(followers.map((follower) => follower.reaches(commits))), pause(SETTLE_MS)])
  const wrong = followers.filter(({ lsns }) => !lsns.every((lsn, index) => lsn === index + 1) || lsns.length < commits)
  followers.forEach((follower) => follower.leave())
  console.error(`tail: the requests that commit took p50 ${ms(requests, 0.5)} ms, p99 ${ms(requests, 0.99)} ms`)
  if (wrong.length > 0) throw new Error(`${wrong.length} of ${clients} clients did not get each LSN once`)
  return followers.flatMap(({ ages }) => ages)
}

function ms(times: readonly number[], share: number): string {
  return quantile(times, share).toFixed(1)
}

class Follower {
  readonly lsns: number[] = []
  readonly ages: number[] = []
  readonly #url: URL
  readonly #reached = Promise.withResolvers<void>()
  #until = Infinity
  #socket: WebSocket | undefined
  #cursor: string | undefined
  #hasLeft = false
  #isAgain = false

  constructor(url: URL) {
    this.#url = new URL(url)
    this.#url.protocol = 'ws:'
  }

  /** Resolves with the first message. */
  async connect(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    if (this.#cursor !== undefined) this.#url.searchParams.set('after', this.#cursor)
    const socket = new WebSocket(this.#url.href, ['durable-outbox', await this.#ticket()])
    this.#socket = socket
    socket.addEventListener('message', ({ data }) => {
      resolve()
      if (this.#socket === socket) this.#take(String(data))
    })
    socket.addEventListener('error', () => undefined)
    socket.addEventListener('close', () => {
      if (!this.#hasLeft) setTimeout(() => void this.connect(), 100)
    })
    return promise
  }

  async #ticket(): Promise<string> {
    const url = new URL(`${this.#url.pathname}/ticket`, this.#url.href.replace('ws:', 'http:'))
    const response = await fetch(url, { method: 'POST', headers: { authorization: `Bearer ${ADMIN_TOKEN}` } })
    return ticketShape.parse(await response.json()).ticket
  }

  #take(text: string): void {
    const { cursor, ack, event } = messageShape.parse(JSON.parse(text))
    this.#cursor = cursor
    if (ack) this.#socket?.send(cursor)
    if (event === undefined) return
    this.lsns.push(event.lsn)
    // What came while it was away is no measure of how fast it comes.
    if (!this.#isAgain) this.ages.push(Date.now() - event.data.begunMs)
    if (event.lsn >= this.#until) this.#reached.resolve()
  }

  reaches(lsn: number): Promise<void> {
    this.#until = lsn
    if ((this.lsns.at(-1) ?? 0) >= lsn) this.#reached.resolve()
    return this.#reached.promise
  }

  cut(): void {
    this.#isAgain = true
    this.#socket?.close()
  }

  leave(): void {
    this.#hasLeft = true
    this.#socket?.close()
  }
}
