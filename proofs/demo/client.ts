// The client that loads the data. It continues when the runtime is killed: a command without an answer is sent again, and
// the objects recognise it.

import { setTimeout as pause } from 'node:timers/promises'
import * as z from 'zod'
import type { DatasetStore } from '../../examples/datasets.ts'

/** The part of the lake's status that the demo reads. */
const statusSchema = z.object({ landedEvents: z.number(), bufferedEvents: z.number() })

const ledgerSchema = z.array(z.object({ command: z.string(), op: z.enum(['c', 'u', 'd']), film: z.string() }))
const pageSchema = z.array(z.looseObject({ $id: z.string() }))
const changeSchema = z.looseObject({
  store: z.string(),
  table: z.string(),
  op: z.enum(['c', 'u', 'd', 'r']),
  key: z.string(),
  after: z.record(z.string(), z.unknown()).optional(),
})
const storePageSchema = z.object({ events: z.array(changeSchema), next: z.string().optional() })
const answerSchema = z.object({ failed: z.array(z.string()) })

export type Ledger = z.infer<typeof ledgerSchema>
export type StoredFilm = z.infer<typeof pageSchema>[number]

/** A change, from an event or from a row of the table. */
export type Change = z.infer<typeof changeSchema>

/** Commands for one object, in order, and the path that they are sent to. */
export interface Assignment {
  readonly path: string
  readonly commands: readonly object[]
}

const COMMANDS_PER_REQUEST = 20
const REQUESTS_AT_ONCE = 8
const FILMS_PER_PAGE = 1_000
/** The runtime is down for seconds; a server that is down longer than this will not return. */
const GIVE_UP_MS = 60_000

export class Client {
  readonly #url: string

  constructor(url: string) {
    this.#url = url
  }

  /** Sends all commands, those of one object in order. @returns the ids of the commands that failed. */
  async load(assignments: readonly Assignment[], onAnswer: (commands: number) => void): Promise<string[]> {
    const waiting = [...assignments]
    const failed: string[] = []
    const work = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
        failed.push(...(await this.#carryOut(next, onAnswer)))
    }
    await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, work))
    return failed
  }

  async signUp(object: string, name: string, email: string): Promise<void> {
    await this.#post(`/customers/${object}`, { name, email })
  }

  async lakeStatus(): Promise<z.infer<typeof statusSchema>> {
    return statusSchema.parse(await this.#request('/lake'))
  }

  async ledger(object: string): Promise<Ledger> {
    return ledgerSchema.parse(await this.#request(`/films/${object}/ledger`))
  }

  async films(object: string): Promise<StoredFilm[]> {
    const films: StoredFilm[] = []
    for (;;) {
      const page = pageSchema.parse(await this.#request(`/films/${object}?offset=${films.length}`))
      films.push(...page)
      if (page.length < FILMS_PER_PAGE) return films
    }
  }

  /** What a store of an object holds, as snapshot events. */
  async rows(object: string, store: DatasetStore): Promise<Change[]> {
    const rows: Change[] = []
    for (let after = ''; ;) {
      const query = after === '' ? '' : `?after=${encodeURIComponent(after)}`
      const { events, next } = storePageSchema.parse(await this.#request(`/datasets/${object}/${store}${query}`))
      rows.push(...events)
      if (next === undefined) return rows
      after = next
    }
  }

  async #carryOut({ path, commands }: Assignment, onAnswer: (commands: number) => void): Promise<string[]> {
    const failed: string[] = []
    for (let index = 0; index < commands.length; index += COMMANDS_PER_REQUEST) {
      const part = commands.slice(index, index + COMMANDS_PER_REQUEST)
      failed.push(...answerSchema.parse(await this.#post(path, part)).failed)
      onAnswer(part.length)
    }
    return failed
  }

  #post(path: string, body: unknown): Promise<unknown> {
    return this.#request(path, { method: 'POST', body: JSON.stringify(body) })
  }

  /** Asks until there is an answer: while the runtime is down, and while it answers with a 5xx status. */
  async #request(path: string, init?: RequestInit): Promise<unknown> {
    const deadline = Date.now() + GIVE_UP_MS
    for (;;) {
      const answer = await this.#attempt(path, init)
      if ('body' in answer) return answer.body
      if (Date.now() > deadline || !answer.isPassing) throw new Error(`${path}: ${answer.problem}`)
      await pause(100)
    }
  }

  async #attempt(path: string, init?: RequestInit): Promise<Answer> {
    try {
      const response = await fetch(`${this.#url}${path}`, { ...init, signal: AbortSignal.timeout(10_000) })
      if (response.ok) return { body: await response.json() }
      return { problem: `${response.status} ${await response.text()}`, isPassing: response.status >= 500 }
    } catch (error) {
      return { problem: String(error), isPassing: true }
    }
  }
}

type Answer = { body: unknown } | { problem: string; isPassing: boolean }
