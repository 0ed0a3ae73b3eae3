import { DocumentStore } from 'durable-outbox'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../../notes.ts'
import type { Stores } from '../../worker.ts'
import { inFreshObject, logOf, rowsWrittenBy, statementsOf } from '../in-stores.ts'

const { batchCharacters, batchDocuments } = DocumentStore.limits

interface Film {
  title: string
  year: number
  director?: { name: string }
}

function filmsOf({ ctx }: Stores): DocumentStore<Film> {
  return new DocumentStore(ctx, 'Film')
}

function films(count: number, first = 0): (Film & { $id: string })[] {
  return Array.from({ length: count }, (_, index) => ({
    $id: `film-${String(first + index).padStart(6, '0')}`,
    title: `Film ${first + index}`,
    year: 1990 + (index % 10),
  }))
}

describe('a batch', () => {
  it('[I1] is one transaction, with an event for each document that it changes', async () => {
    await inFreshObject((object) => {
      const store = filmsOf(object)
      const created = store.createBatch(films(100))
      expect(store.updateBatch({ year: { $gte: 1995 } }, { year: 1995, 'director.name': 'D' })).toBe(50)
      expect(store.updateBatch({}, { year: 1995 })).toBe(50)
      expect(store.deleteBatch({ 'director.name': 'D' })).toBe(50)

      const log = logOf(object)
      expect(created).toHaveLength(100)
      expect(log.slice(0, 100)).toMatchObject(created.map((after) => ({ op: 'c', key: after.$id, after })))
      expect(log.map(({ op }) => op).join('')).toBe('c'.repeat(100) + 'u'.repeat(100) + 'd'.repeat(50))
      expect(log.map(({ lsn }) => lsn)).toEqual(log.map((_, index) => index + 1))
      const transactions = Map.groupBy(log, ({ txid }) => txid)
      expect(Array.from(transactions.values(), (events) => events.length)).toEqual([100, 50, 50, 50])
      for (const { op, key, before, after } of log.slice(100, 150)) {
        expect({ op, after }).toMatchObject({
          op: 'u',
          after: { ...before, year: 1995, director: { name: 'D' }, $version: 2, $updatedAt: expect.any(String) },
        })
        expect(before).toEqual(created.find(({ $id }) => $id === key))
      }
      expect(store.count()).toBe(50)
      expect(store.count({ year: 1995, $version: 2 })).toBe(50)
    })
  })

  it('costs one row for each document and one for the events, and writes by one statement', async () => {
    await inFreshObject((object) => {
      const store = filmsOf(object)
      const steps: [string[], () => unknown][] = [
        [['INSERT'], () => store.createBatch(films(200))],
        [['SELECT', 'UPDATE'], () => store.updateBatch({}, { year: 1 })],
        [['SELECT', 'DELETE'], () => store.deleteBatch({})],
      ]
      for (const [verbs, step] of steps) {
        let rowsWritten = 0
        const statements = statementsOf(object, () => {
          rowsWritten = rowsWrittenBy(object, step)
        })
        expect(statements.map(({ query }) => query.split(' ')[0])).toEqual(verbs)
        expect(rowsWritten).toBe(201)
      }
    })
  })

  it('is part of the open transaction', async () => {
    const txids = await inFreshObject((object) => {
      const store = filmsOf(object)
      object.ctx.transactionSync((tx) => {
        store.createBatch(films(3))
        store.deleteBatch({ title: 'Film 1' })
        tx.emit({ type: 'Films.loaded' })
      })
      return logOf(object).map(({ txid }) => txid)
    })
    expect(txids).toHaveLength(5)
    expect(new Set(txids).size).toBe(1)
  })

  it('gives all its documents the same time', async () => {
    const created = await inFreshObject((object) => filmsOf(object).createBatch(films(100)))
    expect(new Set(created.flatMap(({ $createdAt, $updatedAt }) => [$createdAt, $updatedAt])).size).toBe(1)
  })

  it.each<[string, (store: DocumentStore<Film>) => unknown, string]>([
    ['an id that is taken', (store) => store.createBatch([...films(2, 1), ...films(1)]), 'film-000000'],
    ['one id twice', (store) => store.createBatch([...films(2, 1), ...films(1, 2)]), 'film-000002'],
    ['an id of an earlier statement', (store) => store.createBatch([...large(3), ...films(1, 1)]), 'film-000001'],
  ])('creates all or none: %s', async (_, create, taken) => {
    await inFreshObject(async (object) => {
      const store = filmsOf(object)
      store.createBatch(films(1))
      const failure = await failureOf(() => create(store))
      expect(failure).toMatchObject({ code: 'already-exists', message: expect.stringContaining(taken) })
      expect(store.count()).toBe(1)
      expect(logOf(object)).toHaveLength(1)
    })
  })

  it('updates all or none', async () => {
    await inFreshObject(async (object) => {
      const store = new DocumentStore<Record<string, unknown>>(object.ctx, 'Film')
      store.createBatch([
        { $id: 'a', director: { name: 'A' } },
        { $id: 'b', director: 'B' },
      ])
      const failure = await failureOf(() => store.updateBatch({}, { 'director.name': 'C' }))
      expect(failure).toMatchObject({
        code: 'invalid-argument',
        message: expect.stringContaining('director is a string'),
      })
      expect(store.list().map(({ $version }) => $version)).toEqual([1, 1])
      expect(logOf(object)).toHaveLength(2)
    })
  })

  it('takes as few statements as its size needs', async () => {
    await inFreshObject((object) => {
      const store = filmsOf(object)
      const writes = (step: () => unknown): number =>
        statementsOf(object, step).filter(({ query }) => !query.startsWith('SELECT')).length
      // Five of these fill a parameter.
      const input = films(12).map((film) => ({ ...film, title: 'x'.repeat(110_000) }))
      expect(writes(() => store.createBatch(input))).toBe(3)
      expect(writes(() => store.updateBatch({}, { year: 1 }))).toBe(3)
      for (const { year, title } of store.list()) expect([year, title.length]).toEqual([1, 110_000])
      expect(writes(() => store.deleteBatch({}))).toBe(1)
      expect(store.count()).toBe(0)
      expect(logOf(object)).toHaveLength(36)
    })
  })

  it('[I7] has a limit of documents', async () => {
    await inFreshObject(async (object) => {
      const store = filmsOf(object)
      const failure = await failureOf(() => store.createBatch(films(batchDocuments + 1)))
      expect(failure).toMatchObject({
        code: 'invalid-argument',
        message: expect.stringContaining(`${batchDocuments}`),
      })
      expect(store.count()).toBe(0)
      store.createBatch(films(batchDocuments))
      store.createBatch(films(1, batchDocuments))
      for (const attempt of [() => store.updateBatch({}, { year: 1 }), () => store.deleteBatch({})])
        expect((await failureOf(attempt)).code).toBe('invalid-argument')
      expect(store.count({ $version: 1 })).toBe(batchDocuments + 1)
      expect(store.updateBatch({ $id: { $gt: 'film-000000' } }, { year: 1 })).toBe(batchDocuments)
      const page = store.list({ limit: 1_000 }).map(({ $id }) => $id)
      expect(store.deleteBatch({ $id: { $in: page } })).toBe(1_000)
    })
  })

  it('[I7] has a limit of characters, before and after', async () => {
    const tooMany = Math.ceil(batchCharacters / 400_000)
    await inFreshObject(async (object) => {
      const store = filmsOf(object)
      expect((await failureOf(() => store.createBatch(large(tooMany)))).message).toContain(`${batchCharacters}`)
      store.createBatch(large(tooMany - 10))
      store.createBatch(large(10, tooMany))
      for (const attempt of [
        () => store.deleteBatch({}),
        // Half of the limit, which is reached by what they are before and after together.
        () => store.updateBatch({ $id: { $lte: `film-${String(tooMany / 2 + 1).padStart(6, '0')}` } }, { year: 1 }),
      ])
        expect(await failureOf(attempt)).toMatchObject({
          code: 'invalid-argument',
          message: expect.stringContaining(`${batchCharacters}`),
        })
      expect(store.count({ $version: 1 })).toBe(tooMany)
      expect(logOf(object)).toHaveLength(tooMany)
    })
  })
})

/** Films of which a few fill a statement. */
function large(count: number, first = 1): (Film & { $id: string })[] {
  return films(count, first).map((film) => ({ ...film, title: 'x'.repeat(400_000) }))
}
