import { env } from 'cloudflare:workers'
import { evictDurableObject } from 'cloudflare:test'
import type { VectorDocument } from 'durable-outbox/stores'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../../notes.ts'
import type { Stores } from '../../worker.ts'
import { nearestOf, type Topic, type Vectors, withVectors } from './vectors.ts'

const query = [1, 2, 3]

function point(id: string, ...embedding: number[]): VectorDocument<Topic> {
  return { id, content: id, embedding }
}

function found(vectors: Vectors): string[] {
  return vectors.search({ embedding: query, metric: 'dot', limit: 1_000 }).map(({ id }) => id)
}

/** Rows that something writes, as the platform bills them. */
function rowsWritten(object: Stores, run: () => void): number {
  const { sql } = object.ctx.storage
  const exec = sql.exec.bind(sql)
  const results: { readonly rowsWritten: number }[] = []
  sql.exec = <T extends Record<string, SqlStorageValue>>(statement: string, ...bindings: unknown[]) => {
    const result = exec<T>(statement, ...bindings)
    results.push(result)
    return result
  }
  try {
    run()
  } finally {
    sql.exec = exec
  }
  return results.reduce((sum, result) => sum + result.rowsWritten, 0)
}

describe('what searches keep in memory', () => {
  it('[I1] never shows what was rolled back', async () => {
    await withVectors('rolled back', async (vectors, object) => {
      vectors.insert(point('kept', 1, 0, 0))
      expect(found(vectors)).toEqual(['kept'])
      await failureOf(() =>
        object.ctx.transactionSync(() => {
          vectors.insert(point('undone', 9, 0, 0))
          vectors.delete('kept')
          expect(found(vectors)).toEqual(['undone'])
          throw new Error('on purpose')
        }),
      )
      expect(found(vectors)).toEqual(['kept'])
    })
  })

  it('[I1] never shows what an inner transaction did that was rolled back, whatever is done afterwards', async () => {
    await withVectors('inner', async (vectors, object) => {
      vectors.insert(point('a', 1, 0, 0))
      await failureOf(() =>
        object.ctx.transactionSync(() => {
          vectors.insert(point('b', 2, 0, 0))
          try {
            object.ctx.storage.transactionSync(() => {
              vectors.insert(point('c', 3, 0, 0))
              expect(found(vectors)).toEqual(['c', 'b', 'a'])
              throw new Error('inner')
            })
          } catch {
            vectors.insert(point('d', 4, 0, 0))
          }
          expect(found(vectors)).toEqual(['d', 'b', 'a'])
          throw new Error('outer')
        }),
      )
      expect(found(vectors)).toEqual(['a'])
    })
  })

  it('[I1] shows nothing of an async transaction that fails, whenever one searches', async () => {
    await withVectors('async', async (vectors, object) => {
      vectors.insert(point('kept', 1, 0, 0))
      const failing = failureOf(() =>
        object.ctx.transaction(async () => {
          vectors.insert(point('undone', 9, 0, 0))
          found(vectors)
          await Promise.resolve()
          vectors.upsert(point('kept', -1, 0, 0))
          throw new Error('on purpose')
        }),
      )
      const progress = { hasEnded: false }
      void failing.finally(() => (progress.hasEnded = true))
      // In the same request, so that nothing keeps these searches out while the transaction is open or ends.
      while (!progress.hasEnded) {
        found(vectors)
        await Promise.resolve()
        found(vectors)
        await scheduler.wait(0)
      }
      expect((await failing).message).toBe('on purpose')
      expect(found(vectors)).toEqual(['kept'])
      expect(vectors.search({ embedding: query, metric: 'dot' })[0]?.similarity).toBe(1)
    })
  })

  it('shows the changes of another store on the same table', async () => {
    await withVectors('two stores', async (first, object) => {
      await withVectors('two stores', (second) => {
        first.insert(point('a', 1, 0, 0))
        expect(found(first)).toEqual(['a'])
        second.upsert(point('b', 2, 0, 0))
        expect(found(first)).toEqual(['b', 'a'])
        first.delete('a')
        expect(found(second)).toEqual(['b'])
      })
      expect(object.ctx.storage.sql.databaseSize).toBeGreaterThan(0)
    })
  })

  it('costs a written row in the first search after a change, and none in others', async () => {
    const name = 'billed rows'
    await withVectors(name, (vectors, object) => {
      const search = (): number => rowsWritten(object, () => void found(vectors))
      // A row of the log and its last LSN are the outbox's; a first event sets an alarm besides.
      vectors.insert(point('z', 0, 0, 1))
      const outboxRows = rowsWritten(object, () =>
        object.ctx.transactionSync((tx) => void tx.emit({ type: 'Something.happened' })),
      )
      expect(rowsWritten(object, () => vectors.insert(point('a', 1, 0, 0)))).toBe(1 + outboxRows)
      expect(search()).toBe(1)
      expect(search()).toBe(0)
      expect(rowsWritten(object, () => vectors.upsert(point('a', 2, 0, 0)))).toBe(1 + outboxRows)
      expect(rowsWritten(object, () => vectors.upsert(point('a', 2, 0, 0)))).toBe(0)
      expect(rowsWritten(object, () => vectors.insertBatch([point('b', 1, 1, 1), point('c', 1, 1, 1)]))).toBe(
        2 + outboxRows,
      )
      expect(search()).toBe(1)
      expect(rowsWritten(object, () => void vectors.delete('a'))).toBe(1 + outboxRows)
      expect(search()).toBe(1)
      expect(search()).toBe(0)
    })
    await evictDurableObject(env.STORES.getByName(name))
    await withVectors(name, (vectors, object) => {
      expect(rowsWritten(object, () => expect(found(vectors)).toEqual(['b', 'c', 'z']))).toBe(0)
    })
  })

  it('is dropped after many changes, and if there is no room for it', async () => {
    await withVectors(
      'many changes',
      (vectors) => {
        const points = Array.from({ length: 1_200 }, (_, index) => point(`p${index}`, index, 1, 1))
        vectors.insertBatch(points.slice(0, 500))
        for (const to of [500, 1_100, 1_101, 1_200]) {
          vectors.insertBatch(points.slice(500, to).filter(({ id }) => vectors.get(id) === undefined))
          expect(found(vectors)).toEqual(nearestOf(points.slice(0, to), query, 'dot').slice(0, 1_000))
        }
        for (const { id } of points.slice(0, 1_150)) vectors.delete(id)
        expect(found(vectors)).toEqual(nearestOf(points.slice(1_150), query, 'dot'))
      },
      // Room for about 700 of them.
      { maxMemoryBytes: 40_000 },
    )
  })
})

type Step =
  | { do: 'upsert'; ids: number[]; x: number }
  | { do: 'delete'; ids: number[] }
  | { do: 'search' }
  | { do: 'nest'; steps: Step[]; how: 'ours' | 'platform'; isUndone: boolean }

const { step } = fc.letrec<{ step: Step; steps: Step[] }>((tie) => ({
  steps: fc.array(tie('step'), { maxLength: 5 }),
  step: fc.oneof(
    { withCrossShrink: true, maxDepth: 4 },
    fc.constant<Step>({ do: 'search' }),
    fc.record({
      do: fc.constant('upsert' as const),
      ids: fc.array(fc.integer({ min: 0, max: 290 }), { minLength: 1, maxLength: 3 }),
      x: fc.integer({ min: -3, max: 3 }),
    }),
    fc.record({
      do: fc.constant('delete' as const),
      ids: fc.array(fc.integer({ min: 0, max: 290 }), { minLength: 1, maxLength: 6 }),
    }),
    fc.record({
      do: fc.constant('nest' as const),
      steps: tie('steps'),
      how: fc.constantFrom('ours' as const, 'platform' as const),
      isUndone: fc.boolean(),
    }),
  ),
}))

type Model = ReadonlyMap<string, readonly number[]>

/** Does a step, and gives what the store must hold then. */
function play(step: Step, model: Model, vectors: Vectors, object: Stores): Model {
  if (step.do === 'search') {
    const points = Array.from(model, ([id, embedding]) => ({ id, embedding }))
    expect(found(vectors)).toEqual(nearestOf(points, query, 'dot'))
    return model
  }
  if (step.do === 'nest') {
    let inner = model
    const run = (): void => {
      for (const each of step.steps) inner = play(each, inner, vectors, object)
      if (step.isUndone) throw new Undo()
    }
    try {
      if (step.how === 'ours') object.ctx.transactionSync(run)
      else object.ctx.storage.transactionSync(run)
    } catch (error) {
      if (!(error instanceof Undo)) throw error
      return model
    }
    return inner
  }
  const next = new Map(model)
  for (const number of step.ids) {
    const id = `p${number}`
    if (step.do === 'delete') {
      vectors.delete(id)
      next.delete(id)
    } else {
      vectors.upsert(point(id, step.x, number % 7, 1))
      next.set(id, [step.x, number % 7, 1])
    }
  }
  return next
}

class Undo extends Error {}

it.each<[string, number]>([
  ['all of it in memory', 1_000_000],
  ['half of the time in memory', 13_500],
  ['none of it in memory', 0],
])('[I1] finds what is there at every moment of nested transactions, with %s', async (kind, maxMemoryBytes) => {
  let runs = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
      await withVectors(
        `nested, ${kind}, ${runs++}`,
        (vectors, object) => {
          const points = Array.from({ length: 260 }, (_, index) => point(`p${index}`, 0, index % 7, 1))
          vectors.insertBatch(points)
          let model: Model = new Map(points.map(({ id, embedding }) => [id, embedding as number[]]))
          for (const each of steps) model = play(each, model, vectors, object)
          const held = Array.from(model, ([id, embedding]) => ({ id, embedding }))
          expect(found(vectors)).toEqual(nearestOf(held, query, 'dot'))
        },
        { maxMemoryBytes },
      )
    }),
    { numRuns: 60 },
  )
})
