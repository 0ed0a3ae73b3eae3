import { env } from 'cloudflare:workers'
import { evictDurableObject, runDurableObjectAlarm } from 'cloudflare:test'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { acceptedRecords, assertLog, type Fate, landed, nextFates } from 'durable-outbox/testing'
import { drain, failureOf, inNotes } from '../notes.ts'

/** What happens to an object: a transaction that commits or fails, an eviction, or an alarm. */
type Step =
  | { do: 'commit'; events: number; isAsync: boolean }
  | { do: 'roll back'; events: number; isAsync: boolean }
  | { do: 'roll back inside'; outer: number; inner: number }
  | { do: 'evict' }
  | { do: 'alarm'; fate: Fate }

const count = fc.integer({ min: 0, max: 7 })
const steps = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('commit' as const), events: count, isAsync: fc.boolean() }),
    fc.record({ do: fc.constant('roll back' as const), events: count, isAsync: fc.boolean() }),
    fc.record({ do: fc.constant('roll back inside' as const), outer: count, inner: count }),
    fc.record({ do: fc.constant('evict' as const) }),
    fc.record({ do: fc.constant('alarm' as const), fate: fc.constantFrom<Fate>('accept', 'reject', 'lose-answer') }),
  ),
  { minLength: 1, maxLength: 25 },
)

/** Takes a step. @returns the events that it committed. */
async function take(name: string, step: Step, nextEvent: () => number): Promise<number[]> {
  const numbers = (length: number): number[] => Array.from({ length }, nextEvent)
  switch (step.do) {
    case 'commit': {
      const committed = numbers(step.events)
      await commit(name, committed, step.isAsync, false)
      return committed
    }
    case 'roll back':
      await commit(name, numbers(step.events), step.isAsync, true)
      return []
    case 'roll back inside': {
      const committed = numbers(step.outer)
      await commitAround(name, committed, numbers(step.inner))
      return committed
    }
    case 'evict':
      await inNotes(name, () => undefined)
      await evictDurableObject(env.NOTES.getByName(name))
      return []
    case 'alarm':
      nextFates(name, step.fate)
      await runDurableObjectAlarm(env.NOTES.getByName(name))
      nextFates(name)
      return []
  }
}

async function commit(name: string, numbers: number[], isAsync: boolean, isFailing: boolean): Promise<void> {
  await inNotes(name, (notes) =>
    failureOf(async () => {
      if (isAsync)
        await notes.ctx.transaction(async (tx) => {
          for (const n of numbers) {
            tx.emit({ type: 'N', data: { n } })
            await Promise.resolve()
          }
          if (isFailing) throw new Error('on purpose')
        })
      else
        notes.ctx.transactionSync((tx) => {
          tx.emitBatch(numbers.map((n) => ({ type: 'N', data: { n } })))
          if (isFailing) throw new Error('on purpose')
        })
      throw new Error('committed')
    }),
  )
}

async function commitAround(name: string, outer: number[], inner: number[]): Promise<void> {
  await inNotes(name, (notes) =>
    notes.ctx.transaction(async (tx) => {
      for (const n of outer) tx.emit({ type: 'N', data: { n } })
      await failureOf(() =>
        notes.ctx.transactionSync((nested) => {
          for (const n of inner) nested.emit({ type: 'N', data: { n } })
          throw new Error('on purpose')
        }),
      )
    }),
  )
}

it('[I2] [I3] [I4] gives committed events the LSNs 1 to n in their order, whatever happens in between', async () => {
  let runs = 0
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      const name = `lsn-${runs++}`
      const committed: number[] = []
      let last = 0
      for (const step of script) committed.push(...(await take(name, step, () => ++last)))
      await drain(name)

      // After a lost answer a batch arrives twice; the first arrival of each LSN counts.
      const records = acceptedRecords(name)
      expect([...new Set(records.map((record) => record.lsn))]).toEqual(committed.map((_, index) => index + 1))
      expect(landed(name).map((record) => record.data)).toEqual(committed.map((n) => ({ n })))
      assertLog(name, { events: committed.length })
      expect(new Set(records.map((record) => record.epoch)).size).toBeLessThanOrEqual(1)
    }),
    { numRuns: 60 },
  )
})
