// The outboxes that the logs of the table come from, found by the logs' names.

import * as z from 'zod'
import { CDCError, messageOf } from '../../error.ts'
import { type AdminClient, readAnswer, RefusedError, type Target } from '../admin-client.ts'
import { printable } from '../output.ts'
import type { LogFacts } from './logs.ts'

const statsSchema = z.object({
  ns: z.string(),
  source: z.string(),
  epoch: z.string(),
  lastLSN: z.int(),
  ackedLSN: z.int(),
  pendingEvents: z.int(),
  lagMs: z.number(),
})
const keptSchema = z.object({ items: z.array(z.object({ lsn: z.int() })) })

/** What an outbox says of itself, or why it says nothing. */
export type OutboxAnswer =
  | { readonly refusal: string }
  | (z.infer<typeof statsSchema> & {
      /** `<class>/<object>`, as the command names it. */
      readonly place: string
      /** The first event that it still keeps of those that it delivered before the table's first, if there is one. */
      readonly keptLSN?: number
    })

/** By the class that a source names, such as `Customers` of `DO/Customers`: the class as the Worker's routes name it. */
export type Classes = Readonly<Record<string, string>>

/** Reads `--class Customers=customers`. @throws {CDCError} `invalid-argument`. */
export function parseClasses(command: string, options: readonly string[]): Classes {
  const pairs = options.map((option) => {
    const parts = /^([^=]+)=([^=/]+)$/.exec(option)
    if (parts === null)
      throw new CDCError('invalid-argument', `${command}: --class ${option} is not such as Customers=customers`)
    return [parts[1], parts[2]] as const
  })
  return Object.fromEntries(pairs)
}

/** The outbox of a log by the names that are the defaults: `acme/DO/Customers` comes from `customers/acme`. */
export function targetOf({ ns, source }: Pick<LogFacts, 'ns' | 'source'>, classes: Classes): Target | undefined {
  const local = source.startsWith(`${ns}/`) ? source.slice(ns.length + 1) : source
  const name = /^DO\/(.+)$/.exec(local)?.[1]
  const className = classes[name ?? local] ?? name?.toLowerCase()
  // A URL cannot hold a path segment of dots alone: it would mean the one above.
  return className === undefined || /^\.\.?$/.test(ns) ? undefined : { className, object: ns }
}

/** The ns of a global source of which the table has no row to say it. */
export function nsOf(source: string): string {
  const end = source.lastIndexOf('/DO/')
  return source.slice(0, end === -1 ? source.indexOf('/') : end)
}

export class Outboxes {
  readonly #client: AdminClient
  readonly #classes: Classes

  constructor(client: AdminClient, classes: Classes) {
    this.#client = client
    this.#classes = classes
  }

  /**
   * Asks the outbox of some logs of one (ns, source).
   *
   * @throws {Error} where there is no server, or it does not let us in: then no outbox can be asked.
   */
  async ask(logs: readonly LogFacts[], { ns, source }: Pick<LogFacts, 'ns' | 'source'>): Promise<OutboxAnswer> {
    const target = targetOf({ ns, source }, this.#classes)
    if (target === undefined) return { refusal: `no class is known for ${source}; give one with --class` }
    try {
      const stats = readAnswer(statsSchema, await this.#client.call(target, 'stats'))
      const place = `${target.className}/${target.object}`
      if (`${stats.ns}/${stats.source}` !== source)
        return { refusal: `${place} is that of ${printable(`${stats.ns}/${stats.source}`)}` }
      const firstLSN = logs.find(({ epoch }) => epoch === stats.epoch)?.firstLSN ?? 0
      const keptLSN = await this.#keptBefore(target, firstLSN === 0 ? stats.ackedLSN : firstLSN - 1)
      return { ...stats, place, ...(keptLSN !== undefined && { keptLSN }) }
    } catch (error) {
      if (!(error instanceof RefusedError) || ['unauthorized', 'forbidden'].includes(error.code)) throw error
      return { refusal: printable(messageOf(error)) }
    }
  }

  async #keptBefore(target: Target, to: number): Promise<number | undefined> {
    if (to < 1) return undefined
    const answer = await this.#client.call(target, 'list', { to, status: 'delivered', limit: 1 })
    return readAnswer(keptSchema, answer).items[0]?.lsn
  }
}
