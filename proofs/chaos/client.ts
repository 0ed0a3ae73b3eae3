// HTTP to a Worker that may be killed at any moment.

import { setTimeout as pause } from 'node:timers/promises'
import * as z from 'zod'
import { answerSchema, cellarReportSchema, ledgerEntrySchema, stockSchema } from './operation.ts'
import type { Answer, CellarReport, LedgerEntry, Operation, Stock } from './operation.ts'
import { type Activity, activitySchema, type Phase } from './phases.ts'

/** The outcome of a request: an answer, no answer, or no server. */
export type Reply<T> = { kind: 'answer'; body: T } | { kind: 'no-answer'; problem: string } | { kind: 'nobody' }

const lakeSchema = z.object({
  landedEvents: z.number(),
  bufferedEvents: z.number(),
  heldEvents: z.number(),
  version: z.number(),
})
export type LakeStatus = z.infer<typeof lakeSchema>

const REQUEST_TIMEOUT_MS = 15_000
/** The runtime is down for seconds; a server that is down longer than this will not return. */
const GIVE_UP_MS = 60_000

interface Request<T> {
  readonly path: string
  readonly shape: z.ZodType<T>
  readonly body?: unknown
  readonly timeoutMs?: number
}

export class Client {
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  /** Asks once. @param timeoutMs how long this client waits for the answer. */
  apply(
    object: string,
    operations: readonly Operation[],
    timeoutMs: number = REQUEST_TIMEOUT_MS,
  ): Promise<Reply<Answer[]>> {
    return this.#ask({ path: `/warehouses/${object}`, shape: z.array(answerSchema), body: operations, timeoutMs })
  }

  /** Asks once. */
  askCellar(
    object: string,
    what: 'fill' | 'take-stock' | 'empty',
    tokens: readonly string[] = [],
  ): Promise<Reply<'done'>> {
    return this.#ask({ path: `/cellars/${object}/${what}`, shape: z.literal('done'), body: tokens })
  }

  cellar(object: string): Promise<CellarReport> {
    return this.#insist({ path: `/cellars/${object}`, shape: cellarReportSchema })
  }

  activity(): Promise<Reply<Activity>> {
    return this.#ask({ path: '/activity', shape: activitySchema, timeoutMs: 1_500 })
  }

  setTrap(phase: Phase): Promise<Reply<unknown>> {
    return this.#ask({ path: `/trap/${phase}`, shape: z.literal('set'), body: {} })
  }

  /** Lets batches reach the lake unharmed, for the rest of this life. */
  grantMercy(): Promise<'done'> {
    return this.#insist({ path: '/mercy', shape: z.literal('done'), body: {} })
  }

  lakeOnce(): Promise<Reply<LakeStatus>> {
    return this.#ask({ path: '/landed', shape: lakeSchema, timeoutMs: 2_000 })
  }

  lake(): Promise<LakeStatus> {
    return this.#insist({ path: '/landed', shape: lakeSchema })
  }

  faults(): Promise<Record<string, number>> {
    return this.#insist({ path: '/faults', shape: z.record(z.string(), z.number()) })
  }

  stock(object: string): Promise<Stock> {
    return this.#insist({ path: `/warehouses/${object}/stock`, shape: stockSchema })
  }

  async ledger(object: string): Promise<LedgerEntry[]> {
    const entries: LedgerEntry[] = []
    for (;;) {
      const path = `/warehouses/${object}/ledger?after=${entries.at(-1)?.seq ?? 0}`
      const page = await this.#insist({ path, shape: z.array(ledgerEntrySchema) })
      if (page.length === 0) return entries
      entries.push(...page)
    }
  }

  async #insist<T>(request: Request<T>): Promise<T> {
    const deadline = Date.now() + GIVE_UP_MS
    for (;;) {
      const reply = await this.#ask(request)
      if (reply.kind === 'answer') return reply.body
      const problem = reply.kind === 'nobody' ? 'no server is there' : reply.problem
      if (Date.now() > deadline) throw new Error(`${request.path}: ${problem}`)
      await pause(100)
    }
  }

  async #ask<T>({ path, shape, body, timeoutMs = REQUEST_TIMEOUT_MS }: Request<T>): Promise<Reply<T>> {
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }
    try {
      const response = await fetch(`${this.#url}${path}`, { ...init, signal: AbortSignal.timeout(timeoutMs) })
      const text = await response.text()
      if (!response.ok) return { kind: 'no-answer', problem: `${response.status} ${text.slice(0, 300)}` }
      const isJSON = response.headers.get('content-type')?.includes('json') ?? false
      return { kind: 'answer', body: shape.parse(isJSON ? JSON.parse(text) : text) }
    } catch (error) {
      // Refused before it was sent, so it cannot have been carried out.
      if (codeOf(error) === 'ECONNREFUSED') return { kind: 'nobody' }
      return { kind: 'no-answer', problem: 'the connection broke, or the answer took too long' }
    }
  }
}

function codeOf(error: unknown): unknown {
  if (!(error instanceof Error) || !(error.cause instanceof Error)) return undefined
  return 'code' in error.cause ? error.cause.code : undefined
}
