// Stands between the objects and the lake, and treats their batches as networks do.

import { WorkerEntrypoint } from 'cloudflare:workers'
import type { EventRecord } from 'durable-outbox'
import { during, mercy, passThrough } from './activity.ts'
import type { ChaosEnv } from './env.ts'
import { between, choose, createRandom, type Random } from '../harness/random.ts'

/** What may happen to a batch, with weights. */
const FATES = {
  forwarded: 50,
  'answer lost': 8,
  rejected: 8,
  doubled: 6,
  slow: 10,
  'late, past the timeout': 2,
  'rejected, delivered later': 5,
  'first half only': 4,
  'halves swapped': 4,
  'older batch after it': 8,
} as const

type Fate = keyof typeof FATES

/** A batch that has failed so often is let through, so that the outboxes drain in a bounded time. */
const RETRIES_MAX = 6
/** Beyond the relay's `sendTimeoutMs` in warehouse.ts. */
const LATE_MS = 900

/** How often this life has seen an attempt. */
const timesTried = new Map<string, number>()

export class ChaosPipeline extends WorkerEntrypoint<ChaosEnv> {
  async send(records: EventRecord[]): Promise<void> {
    await during('attempts', () => this.#attempt(records))
  }

  async #attempt(records: EventRecord[]): Promise<void> {
    const random = this.#randomFor(records)
    const fate = mercy.isGranted || retriesOf(records) > RETRIES_MAX ? 'forwarded' : choose(random, FATES)
    await passThrough('relay-taken')
    if (fate !== 'forwarded') await this.#faults().count(fate)
    await this.#meet(fate, records, random)
    if (random() < 0.1) await this.#faults().remember(records, random())
    await passThrough('relay-accepted')
  }

  async #meet(fate: Fate, records: EventRecord[], random: Random): Promise<void> {
    const lake = this.env.LAKE
    const middle = Math.ceil(records.length / 2)
    switch (fate) {
      case 'forwarded':
        return lake.send(records)
      case 'answer lost':
        await lake.send(records)
        throw new Error('the answer was lost on purpose')
      case 'rejected':
        throw new Error('rejected on purpose')
      case 'doubled':
        await Promise.all([lake.send(records), lake.send(records)])
        return
      case 'slow':
        await scheduler.wait(between(random, 10, 250))
        await lake.send(records)
        return scheduler.wait(between(random, 10, 250))
      case 'late, past the timeout':
        await scheduler.wait(LATE_MS)
        return lake.send(records)
      case 'rejected, delivered later':
        this.ctx.waitUntil(this.#deliverLater(records, between(random, 50, 1_500)))
        throw new Error('rejected on purpose, and delivered later')
      case 'first half only':
        await lake.send(records.slice(0, middle))
        throw new Error('interrupted in the middle on purpose')
      case 'halves swapped':
        await lake.send(records.slice(middle))
        return lake.send(records.slice(0, middle))
      case 'older batch after it':
        await lake.send(records)
        return this.#deliverOlder(random)
    }
  }

  #deliverLater(records: EventRecord[], waitMs: number): Promise<void> {
    return during('ghosts', async () => {
      await scheduler.wait(waitMs)
      await this.env.LAKE.send(records)
    })
  }

  async #deliverOlder(random: Random): Promise<void> {
    const older = await this.#faults().recall(random())
    if (older !== undefined) await this.env.LAKE.send(older)
  }

  /**
   * The same batch at the same attempt meets the same fate in every run with this seed. A replay always counts as a first attempt,
   * so each one meets another fate.
   */
  #randomFor(records: readonly EventRecord[]): Random {
    const [first] = records
    const name = first === undefined ? 'empty' : `${first.ns}/${first.lsn}`
    const attempt = `${name} ${records.length} ${retriesOf(records)}`
    const times = timesTried.get(attempt) ?? 0
    timesTried.set(attempt, times + 1)
    return createRandom(this.env.SEED, attempt, times)
  }

  #faults() {
    return this.env.FAULT_LOG.getByName('faults')
  }
}

function retriesOf(records: readonly EventRecord[]): number {
  return records[0]?._meta.retries ?? 0
}
