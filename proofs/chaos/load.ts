// The clients: what they ask for, and what each of them knows afterwards.

import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from './client.ts'
import type { Gate } from './gate.ts'
import type { Answer, Operation, Step } from './operation.ts'
import { between, choose, createRandom, type Random } from '../harness/random.ts'

const UNKNOWN = { outcome: 'unknown' } as const

/** An operation that was sent, and what its client was told. */
export interface Told {
  readonly object: string
  readonly operation: string
  /** Its transaction throws on purpose, so nothing of it may ever be visible. */
  readonly mustBeRefused: boolean
  readonly fate: Answer | typeof UNKNOWN
}

export interface LoadOptions {
  readonly seed: number
  readonly objects: readonly string[]
  readonly client: Client
  readonly gate: Gate
  readonly onAcknowledged: (operations: number) => void
}

const CLIENTS_PER_OBJECT = 2
/** `wrangler dev` takes ten milliseconds for a request, and an object one for a transaction. */
const OPERATIONS_PER_REQUEST = 10
const PARCELS = 20
const SHELVES = 4
/** How long a client without an answer continues to ask: longer than any restart takes. */
const RETRY_MS = 60_000

/** One request, and how its client behaves: drawn beforehand, so that it does not depend on what happens. */
interface Plan {
  readonly operations: readonly Operation[]
  readonly pauseMs: number
  /** Set if the client hangs up early. */
  readonly patienceMs: number | undefined
  /** Whether a request without an answer is sent again, with the same ids. */
  readonly asksAgain: boolean
}

export class Load {
  readonly told: Told[] = []
  /** Each error that clients received, with its count. */
  readonly complaints = new Map<string, number>()
  readonly #options: LoadOptions
  readonly #work: Promise<void>
  #isOver = false

  constructor(options: LoadOptions) {
    this.#options = options
    const clients = options.objects.flatMap((object) =>
      Array.from({ length: CLIENTS_PER_OBJECT }, (_, index) => this.#run(object, `${object}-${index}`)),
    )
    this.#work = Promise.all(clients).then(() => undefined)
  }

  /** Lets every client finish what it has started. */
  async stop(): Promise<void> {
    this.#isOver = true
    await this.#work
  }

  async #run(object: string, name: string): Promise<void> {
    const random = createRandom(this.#options.seed, 'client', name)
    for (let count = 1; !this.#isOver; count += 1) {
      const plan = createPlan(random, `${name}-${count}`)
      await pause(plan.pauseMs)
      await this.#options.gate.passed
      const reply = await this.#send(object, plan)
      if (reply !== 'not-sent') this.#note(object, plan.operations, reply)
    }
  }

  #note(object: string, operations: readonly Operation[], answers: readonly Answer[] | 'unknown'): void {
    const told = operations.map(({ id, refuseAfter }, index) => {
      const fate = answers === 'unknown' ? undefined : answers[index]
      return { object, operation: id, mustBeRefused: refuseAfter !== undefined, fate: fate ?? UNKNOWN }
    })
    this.told.push(...told)
    this.#options.onAcknowledged(told.filter(({ fate }) => fate.outcome === 'committed').length)
  }

  /** Sends a request, repeatedly if its client does that. */
  async #send(object: string, plan: Plan): Promise<readonly Answer[] | 'unknown' | 'not-sent'> {
    const deadline = Date.now() + RETRY_MS
    let patienceMs = plan.patienceMs
    for (let wasSent = false; ; await pause(50)) {
      const reply = await this.#options.client.apply(object, plan.operations, patienceMs)
      if (reply.kind === 'answer') return reply.body
      if (reply.kind === 'no-answer') {
        this.#complain(reply.problem)
        wasSent = true
        if (!plan.asksAgain) return 'unknown'
      }
      if (Date.now() > deadline || (this.#isOver && !wasSent)) return wasSent ? 'unknown' : 'not-sent'
      patienceMs = undefined
    }
  }

  #complain(problem: string): void {
    // Each internal error of the platform has a reference of its own.
    const kind = problem.replace(/; reference = \w+/, '')
    this.complaints.set(kind, (this.complaints.get(kind) ?? 0) + 1)
  }
}

function createPlan(random: Random, id: string): Plan {
  const operations = between(random, 1, OPERATIONS_PER_REQUEST)
  return {
    operations: Array.from({ length: operations }, (_, index) => createOperation(random, `${id}-${index + 1}`)),
    pauseMs: between(random, 5, 60),
    patienceMs: random() < 0.02 ? between(random, 5, 40) : undefined,
    asksAgain: random() < 0.5,
  }
}

function createOperation(random: Random, id: string): Operation {
  const drawn = Array.from({ length: between(random, 1, 4) }, () => createStep(random))
  // An operation removes a parcel at most once, because two removals would look the same in the log.
  const steps = drawn.filter((step, index) => step.do !== 'remove' || !isRemovedBefore(drawn, step.parcel, index))
  const isRefused = random() < 0.08
  return {
    id,
    isAsync: random() < 0.35,
    steps,
    ...(isRefused ? { refuseAfter: between(random, 0, steps.length) } : {}),
  }
}

function isRemovedBefore(steps: readonly Step[], parcel: string, index: number): boolean {
  return steps.slice(0, index).some((step) => step.do === 'remove' && step.parcel === parcel)
}

function createStep(random: Random): Step {
  const kind = choose(random, { store: 40, remove: 12, count: 25, announce: 15, flood: 0.05, attempt: 8 })
  const parcel = `parcel-${between(random, 1, PARCELS)}`
  const shelf = `shelf-${between(random, 1, SHELVES)}`
  switch (kind) {
    case 'store':
      return { do: 'store', parcel, bytes: random() < 0.03 ? between(random, 5_000, 40_000) : between(random, 0, 200) }
    case 'remove':
      return { do: 'remove', parcel }
    case 'count':
      return { do: 'count', shelf, by: between(random, 1, 9) }
    case 'announce':
      return { do: 'announce', times: between(random, 1, 5) }
    case 'flood':
      // More events than a row of the outbox or a batch holds.
      return { do: 'announce', times: between(random, 1_001, 1_300) }
    case 'attempt':
      return { do: 'attempt', parcel, shelf }
  }
}
