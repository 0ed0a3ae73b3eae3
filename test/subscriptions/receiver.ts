// A target that a test can make fail, and what it was given.

import { type CommittedRecord, CDCError } from 'durable-outbox'
import type { Delivery, Target } from 'durable-outbox/subscriptions'

export class Receiver implements Target {
  maxEvents: number
  readonly maxBytes = 1_000_000
  /** Each attempt, and what was taken, as often as it came. */
  readonly attempts: Delivery[] = []
  readonly taken: Delivery[] = []
  /** What happens to the next attempts: an error is thrown before anything is taken, or after it. */
  fates: ('take' | 'lose the answer' | 'hang' | Error)[] = []
  /** What happens to all others. */
  fate: 'take' | Error = 'take'
  /** Events of this type are refused, whoever they come with. */
  refusedType: string | undefined

  constructor({ maxEvents = 100 }: { maxEvents?: number } = {}) {
    this.maxEvents = maxEvents
  }

  async deliver(delivery: Delivery): Promise<void> {
    await scheduler.wait(0)
    this.attempts.push(structuredClone(delivery))
    const fate = this.fates.shift() ?? this.fate
    if (fate === 'hang') return new Promise<never>(() => undefined)
    if (fate instanceof Error) throw fate
    const index = delivery.records.findIndex(({ type }) => type === this.refusedType)
    if (index >= 0) throw new CDCError('event-invalid', 'of the wrong type', { index })
    this.taken.push(structuredClone(delivery))
    if (fate === 'lose the answer') throw new Error('the answer was lost')
  }

  get records(): CommittedRecord[] {
    return this.taken.flatMap(({ records }) => records)
  }

  get lsns(): number[] {
    return this.records.map(({ lsn }) => lsn)
  }

  get types(): string[] {
    return this.records.map(({ type }) => type)
  }
}

export function down(status = 503): Error {
  return Object.assign(new Error(`${status} on purpose`), { status })
}
