// The outboxes that the logs of the table come from, found by the logs' names.

import * as z from 'zod'
import { messageOf } from '../../error.ts'
import { usage } from '../command.ts'
import { readAnswer, RefusedError, type Target, type WorkerClient } from '../worker.ts'
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

/** What an outbox reports about itself, or why it does not. */
export type OutboxAnswer =
  | { readonly refusal: string }
  | (z.infer<typeof statsSchema> & {
      /** `<class>/<object>`, as the command names it. */
      readonly place: string
      /** The first event that it still keeps of those that it delivered before the table's first, if there is one. */
      readonly keptLSN?: number
    })

type Source = Pick<LogFacts, 'ns' | 'source'>

/** By the class that a source names, such as `Customers` of `DO/Customers`: the class as the Worker's routes name it. */
export type Classes = Readonly<Record<string, string>>

/** Reads `--class Customers=customers`. @throws {CDCError} `invalid-argument`. */
export function parseClasses(options: readonly string[] = []): Classes {
  const pairs = options.map((option) => {
    const names = /^([^=]+)=([^=/]+)$/.exec(option)
    if (names === null) throw usage(`--class ${option} does not have the form Customers=customers`)
    return [names[1], names[2]] as const
  })
  return Object.fromEntries(pairs)
}

/** A source as its object names it: `DO/Customers`, of which the global name is `acme/DO/Customers`. */
export function sourceIn({ ns, source }: Source): string {
  return source.startsWith(`${ns}/`) ? source.slice(ns.length + 1) : source
}

/** A log by all its names: with the ns apart, no source of another ns can be taken for this one. */
export function logName({ ns, source, epoch }: Pick<LogFacts, 'ns' | 'source' | 'epoch'>): string {
  return `ns ${word(ns)}, source ${word(sourceIn({ ns, source }))}, epoch ${word(epoch)}`
}

/** A name in quotes, if it could otherwise pass for more than one word. */
function word(name: string): string {
  return /^[^\s,:"]+$/.test(name) ? name : JSON.stringify(name)
}

/** The outbox of a log by the default names: the log of `DO/Customers` in the ns `acme` comes from `customers/acme`. */
export function targetOf({ ns, source }: Source, classes: Classes): Target | undefined {
  const local = sourceIn({ ns, source })
  const name = /^DO\/(.+)$/.exec(local)?.[1]
  const className = classes[name ?? local] ?? name?.toLowerCase()
  // A path segment of dots alone would mean the folder or the one above.
  return className === undefined || /^\.\.?$/.test(ns) ? undefined : { className, object: ns }
}

/** The ns of a global source, for a log of which the table has no row. */
export function nsOf(source: string): string {
  const end = source.lastIndexOf('/DO/')
  return source.slice(0, end === -1 ? source.indexOf('/') : end)
}

export class Outboxes {
  readonly #client: WorkerClient
  readonly #classes: Classes

  constructor(client: WorkerClient, classes: Classes) {
    this.#client = client
    this.#classes = classes
  }

  /**
   * Asks the outbox of some logs of one (ns, source).
   *
   * @throws {Error} if there is no server or it does not accept the token: then no outbox can be asked.
   */
  async ask(logs: readonly LogFacts[], { ns, source }: Source): Promise<OutboxAnswer> {
    const target = targetOf({ ns, source }, this.#classes)
    if (target === undefined) return { refusal: `no class is known for ${source}; give one with --class` }
    try {
      const stats = readAnswer(statsSchema, await this.#client.call(target, 'stats'))
      const place = `${target.className}/${target.object}`
      if (stats.ns !== ns || stats.source !== sourceIn({ ns, source }))
        return { refusal: `${place} is that of ${stats.ns}/${stats.source}` }
      const firstLSN = logs.find(({ epoch }) => epoch === stats.epoch)?.firstLSN ?? 0
      const keptLSN = await this.#keptBefore(target, firstLSN === 0 ? stats.ackedLSN : firstLSN - 1)
      return { ...stats, place, ...(keptLSN !== undefined && { keptLSN }) }
    } catch (error) {
      if (!(error instanceof RefusedError) || ['unauthorized', 'forbidden'].includes(error.code)) throw error
      return { refusal: messageOf(error) }
    }
  }

  async #keptBefore(target: Target, to: number): Promise<number | undefined> {
    if (to < 1) return undefined
    const answer = await this.#client.call(target, 'list', { to, status: 'delivered', limit: 1 })
    return readAnswer(keptSchema, answer).items[0]?.lsn
  }
}
