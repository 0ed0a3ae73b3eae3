import { inFreshObject, logOf, snapshotOf } from './in-stores.ts'
import { TimeSeriesStore } from 'durable-outbox'
import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { failureOf } from '../notes.ts'
import type { Stores } from '../worker.ts'
import { type Content, contentOf, foldEvent, foldTimeSeries } from './time-series.ts'

const KEYS = ['a', 'ü "\' ?']
const BUCKETS = [5, 10, 40]

type Value = number | string | null | { deep: number[] }

/** What the store must hold, in plain JavaScript: every value that ever was at a time, and what became of it. */
class Model {
  readonly present = new Map<string, Map<number, Value>>(KEYS.map((key) => [key, new Map()]))
  /** Numbers that were pruned, and the lengths of the rollups that there were. */
  readonly pruned: { key: string; time: number; value: number; lengths: Set<number> }[] = []
  readonly rollups = new Map<string, { bucketMs: number; start: number; numbers: number[] }>()

  lengths(): Set<number> {
    return new Set([...this.rollups.values()].map(({ bucketMs }) => bucketMs))
  }

  rollup(bucketMs: number, beforeMs: number): void {
    for (const [key, points] of this.present)
      for (const [time, value] of points) {
        if (typeof value !== 'number' || time >= beforeMs) continue
        const start = Math.floor(time / bucketMs) * bucketMs
        const numbers = this.numbers(key, { start, end: start + bucketMs }, (lengths) => lengths.has(bucketMs))
        this.rollups.set(`${key} ${bucketMs} ${new Date(start).toISOString()}`, { bucketMs, start, numbers })
      }
  }

  prune(cutoffMs: number): void {
    for (const bucketMs of this.lengths()) this.rollup(bucketMs, Math.ceil(cutoffMs / bucketMs) * bucketMs)
    const lengths = this.lengths()
    for (const [key, points] of this.present)
      for (const [time, value] of points) {
        if (time >= cutoffMs) continue
        points.delete(time)
        if (typeof value === 'number') this.pruned.push({ key, time, value, lengths })
      }
  }

  /** The numbers of a series in a time: those that are there, and those that were pruned into certain rollups. */
  numbers(
    key: string,
    { start, end }: { start: number; end: number },
    counts: (lengths: Set<number>) => boolean,
  ): number[] {
    const present = [...(this.present.get(key) ?? [])].map(([time, value]) => ({ time, value }))
    const pruned = this.pruned.filter((point) => point.key === key && counts(point.lengths))
    return [...present, ...pruned]
      .filter(({ time }) => time >= start && time < end)
      .flatMap(({ value }) => (typeof value === 'number' ? [value] : []))
  }
}

function totals(numbers: readonly number[]) {
  const sum = numbers.reduce((a, b) => a + b, 0)
  return { count: numbers.length, min: Math.min(...numbers), max: Math.max(...numbers), sum, avg: sum / numbers.length }
}

const key = fc.constantFrom(...KEYS)
const time = fc.integer({ min: -20, max: 19 })
const value: fc.Arbitrary<Value> = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: -2, max: 3 }) },
  { weight: 1, arbitrary: fc.constantFrom('5', 'text', null, '', { deep: [1, 2] }) },
)
const point = fc.record({ key, value, timestamp: time })
const age = fc.integer({ min: 0, max: 30 })
const action = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('put' as const), point }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('batch' as const), points: fc.array(point, { maxLength: 36 }) }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('rollup' as const), age, bucket: fc.constantFrom(...BUCKETS) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('prune' as const), age }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fail' as const), point, age }) },
)

const NOW = 20

function apply(
  step: typeof action extends fc.Arbitrary<infer Step> ? Step : never,
  object: Stores,
  store: TimeSeriesStore<Value>,
  model: Model,
): unknown {
  switch (step.do) {
    case 'put':
      model.present.get(step.point.key)?.set(step.point.timestamp, step.point.value)
      return store.put(step.point.key, step.point.value, step.point.timestamp)
    case 'batch':
      for (const { key, value, timestamp } of step.points) model.present.get(key)?.set(timestamp, value)
      return store.putBatch(step.points)
    case 'rollup':
      model.rollup(step.bucket, Math.floor((NOW - step.age) / step.bucket) * step.bucket)
      return store.rollup({ olderThan: step.age, bucket: step.bucket })
    case 'prune':
      model.prune(NOW - step.age)
      return store.prune({ olderThan: step.age })
    case 'fail':
      return failureOf(() =>
        object.ctx.transactionSync(() => {
          store.put(step.point.key, step.point.value, step.point.timestamp)
          store.rollup({ olderThan: 0, bucket: 20 })
          store.prune({ olderThan: step.age })
          throw new Error('on purpose')
        }),
      )
  }
}

it('[I1] emits a log from which points and rollups can be rebuilt, and still counts what is pruned, whatever calls are made', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 25, size: 'max' }),
      fc.integer({ min: 1, max: 7 }),
      (steps, maxRows) =>
        inFreshObject(async (object) => {
          const store = new TimeSeriesStore<Value>(object.ctx, 'Reading', { now: () => NOW })
          const model = new Model()
          for (const step of steps) {
            await apply(step, object, store, model)
          }
          const content = contentOf(store, KEYS, BUCKETS)
          expect(content).toEqual({
            points: Object.fromEntries(
              [...model.present]
                .filter(([, points]) => points.size > 0)
                .map(([key, points]) => [key, Object.fromEntries(points)]),
            ),
            rollups: Object.fromEntries(
              [...model.rollups].map(([name, { bucketMs, start, numbers }]) => [
                name,
                { bucket: new Date(start).toISOString(), bucketMs, ...totals(numbers) },
              ]),
            ),
          })
          const folded: Content = { points: {}, rollups: {} }
          for (const event of logOf(object)) {
            const before = JSON.stringify(folded)
            foldEvent(folded, event)
            expect(JSON.stringify(folded), 'an event that changes nothing').not.toBe(before)
          }
          expect(folded).toEqual(content)
          expect(foldTimeSeries(snapshotOf(store, maxRows))).toEqual(content)
          for (const key of KEYS)
            for (const bucket of [5, 10, 20, 40]) {
              const found = store.aggregate(key, {
                start: -40,
                end: 40,
                bucket,
                metrics: ['count', 'min', 'max', 'sum', 'avg'],
              })
              const expected = []
              for (let start = -40; start < 40; start += bucket) {
                const numbers = model.numbers(key, { start, end: start + bucket }, (lengths) =>
                  [...lengths].some((length) => bucket % length === 0),
                )
                if (numbers.length > 0) expected.push({ bucket: new Date(start).toISOString(), ...totals(numbers) })
              }
              expect(found).toEqual(expected)
            }
        }),
    ),
    { numRuns: 100 },
  )
})
