import { DocumentStore } from 'durable-outbox'
import type { DocumentStoreOptions, DocumentQuery } from 'durable-outbox/stores'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../../notes.ts'
import type { Stores } from '../../worker.ts'
import { freshName, inFreshObject, inObject, rowsReadBy, rowsWrittenBy, statementsOf } from '../in-stores.ts'

interface Film {
  title: string
  year?: number
  Year?: number
  genre?: string
  director?: { name: string }
}

const INDEXES = ['year', 'genre', 'director.name'] as const

function filmsOf({ ctx }: Stores, indexes: DocumentStoreOptions<Film>['indexes'] = INDEXES): DocumentStore<Film> {
  return new DocumentStore(ctx, 'Film', { indexes })
}

/** 1,000 films: ten of each year, half of each genre, and no year for a hundred of them. */
function fill(store: DocumentStore<Film>): void {
  store.createBatch(
    Array.from({ length: 1_000 }, (_, index) => ({
      $id: `film-${String(index).padStart(4, '0')}`,
      title: `Film ${index}`,
      genre: index % 2 === 0 ? 'Drama' : 'Comedy',
      director: { name: `Director ${index % 50}` },
      ...(index % 10 > 0 && { year: 1900 + (index % 100) }),
    })),
  )
}

function indexNames({ ctx }: Stores): string[] {
  return ctx.storage.sql
    .exec<{ name: string }>(`SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'document_Film'`)
    .toArray()
    .map(({ name }) => name)
    .filter((name) => !name.startsWith('sqlite_'))
    .toSorted()
}

describe('an index', () => {
  it.each<[DocumentQuery<Film>, number]>([
    [{ where: { year: 1955 } }, 10],
    [{ where: { 'director.name': 'Director 7' } }, 20],
    [{ where: { year: null }, limit: 50 }, 50],
    [{ where: { year: { $gte: 1951, $lt: 1953 } }, orderBy: 'year' }, 20],
    [{ where: { year: { $lt: 1903 } }, orderBy: '-year' }, 20],
    [{ where: { year: { $in: [1951, 1952, 1953] } } }, 30],
    [{ where: { $and: [{ year: 1999 }, { title: { $like: 'Film%' } }] } }, 10],
    [{ orderBy: 'year', limit: 5 }, 5],
    [{ orderBy: '-year', limit: 5 }, 5],
    [{ where: { $id: { $gte: 'film-0990' } } }, 10],
    [{ where: { $id: { $in: ['film-0001', 'film-0002'] } } }, 2],
  ])('[I7] is used by %j, which reads little more than it finds', async (query, found) => {
    await inFreshObject((object) => {
      const store = filmsOf(object)
      fill(store)
      const rowsRead = rowsReadBy(object, () => expect(store.query(query)).toHaveLength(found))
      expect(rowsRead).toBeLessThanOrEqual(found * 3)
    })
  })

  it('serves both sides of an $or', async () => {
    await inFreshObject((object) => {
      const store = filmsOf(object)
      fill(store)
      const [statement] = statementsOf(object, () =>
        store.count({ $or: [{ year: 1955 }, { 'director.name': 'Director 7' }] }),
      )
      expect(statement?.rowsRead).toBeLessThanOrEqual(100)
    })
  })

  it.each(['year', '-year', 'genre', '-genre', 'director.name', '$id', '-$id'] as const)(
    'makes every page of an order by %s cost the same',
    async (orderBy) => {
      await inFreshObject((object) => {
        const store = filmsOf(object)
        fill(store)
        let page = store.query({ orderBy, limit: 20 })
        for (let pages = 1; pages < 50; pages += 1) {
          const rowsRead = rowsReadBy(object, () => {
            page = store.query({ orderBy, limit: 20, after: page.at(-1) })
          })
          expect(page).toHaveLength(20)
          expect(rowsRead).toBeLessThanOrEqual(25)
        }
        expect(store.query({ orderBy, limit: 20, after: page.at(-1) })).toEqual([])
      })
    },
  )

  it('costs one row for each document that is created or changed, and none for one that is deleted', async () => {
    await inFreshObject((object) => {
      const store = filmsOf(object)
      store.create({ $id: 'first', title: 'First' })
      const costs = [
        () => store.create({ $id: 'a', title: 'A', year: 1 }),
        () => store.update('a', { title: 'B' }),
        () => store.delete('a'),
        () =>
          store.createBatch([
            { $id: 'b', title: 'B' },
            { $id: 'c', title: 'C' },
          ]),
        () => store.updateBatch({ $id: { $in: ['b', 'c'] } }, { year: 3 }),
        () => store.deleteBatch({ year: 3 }),
      ].map((mutate) => rowsWrittenBy(object, mutate) - 1)
      const each = 1 + INDEXES.length
      expect(costs).toEqual([each, each, 1, 2 * each, 2 * each, 2])
    })
  })

  it('is built from the existing documents, and dropped if it is no longer listed', async () => {
    const name = freshName()
    await inObject(name, (object) => {
      fill(filmsOf(object, []))
      expect(indexNames(object)).toEqual([])
      object.ctx.storage.sql.exec('CREATE INDEX mine ON document_Film (id)')
      filmsOf(object, ['year'])
      filmsOf(object, ['year', 'genre'])
      expect(indexNames(object)).toEqual(['document_Film:genre', 'document_Film:year', 'mine'])
      const store = filmsOf(object, ['director.name', 'year'])
      expect(indexNames(object)).toEqual(['document_Film:director.name', 'document_Film:year', 'mine'])
      const [statement] = statementsOf(object, () => {
        expect(store.query({ where: { 'director.name': 'Director 7' } })).toHaveLength(20)
      })
      expect(statement?.rowsRead).toBeLessThanOrEqual(22)
      expect(rowsWrittenBy(object, () => filmsOf(object, ['director.name', 'year']))).toBe(0)
    })
  })

  it('comes back with its table after deleteAll', async () => {
    await inFreshObject(async (object) => {
      const store = filmsOf(object)
      fill(store)
      await object.ctx.storage.deleteAll()
      expect(store.query()).toEqual([])
      fill(store)
      expect(indexNames(object)).toHaveLength(INDEXES.length)
      expect(store.count({ year: 1955 })).toBe(10)
    })
  })

  it('tells paths apart by case, which names in SQLite do not', async () => {
    await inFreshObject((object) => {
      const store = filmsOf(object, ['year', 'Year'])
      store.createBatch([
        { title: 'A', year: 1, Year: 2 },
        { title: 'B', year: 2, Year: 1 },
      ])
      expect(store.query({ where: { Year: 1 } })).toMatchObject([{ title: 'B' }])
      expect(store.query({ where: { year: 1 } })).toMatchObject([{ title: 'A' }])
      expect(indexNames(object)).toEqual(['document_Film:^Year', 'document_Film:year'])
      filmsOf(object, ['Year'])
      expect(indexNames(object)).toEqual(['document_Film:^Year'])
    })
  })

  it.each<[string, string[], string]>([
    ['the primary key', ['$id'], 'primary key'],
    ['a path twice', ['year', 'year'], 'twice'],
    ['too many', Array.from({ length: 11 }, (_, index) => `field${index}`), 'the limit is 10'],
    ['an empty path', [''], 'a path is'],
    ['a quote', [`year"', id); DROP TABLE document_Film; --`], 'a quote'],
    ['a NUL', ['a\0'], 'a control character'],
  ])('refuses %s', async (_, indexes, problem) => {
    const failure = await inFreshObject((object) => failureOf(() => filmsOf(object, indexes as never)))
    expect(failure).toMatchObject({ code: 'invalid-argument', message: expect.stringContaining(problem) })
  })

  it('refuses a store whose name differs from that of another only by case', async () => {
    const failure = await inFreshObject((object) => {
      filmsOf(object)
      return failureOf(() => new DocumentStore(object.ctx, 'FILM'))
    })
    expect(failure).toMatchObject({ code: 'invalid-argument', message: expect.stringContaining('document_Film') })
  })
})
