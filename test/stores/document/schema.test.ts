import { DocumentStore } from 'durable-outbox'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { failureOf } from '../../notes.ts'
import type { Stores } from '../../worker.ts'
import { inFreshObject, logOf } from '../in-stores.ts'

const filmSchema = z.object({
  title: z.string().min(1),
  rating: z.number().max(10).default(5),
  director: z.object({ name: z.string(), born: z.int().optional() }).optional(),
  tags: z.array(z.string()).default([]),
})

function filmsOf({ ctx }: Stores) {
  return new DocumentStore(ctx, 'Film', { schema: filmSchema, indexes: ['director.name'] })
}

describe('a schema', () => {
  it('shapes what is kept, and types what is passed', async () => {
    await inFreshObject((object) => {
      const films = filmsOf(object)
      const given = { $id: 'a', title: 'A', unknown: 1 }
      const film = films.create(given)
      expect(film).toMatchObject({ $id: 'a', title: 'A', rating: 5, tags: [] })
      expect('unknown' in film).toBe(false)
      expect(films.replace('a', { title: 'B' })).toMatchObject({ title: 'B', rating: 5, tags: [], $version: 2 })
      expect(films.update('a', { 'director.name': 'D' })).toMatchObject({ title: 'B', director: { name: 'D' } })
      expect(films.upsert('b', { title: 'B' }).rating).toBe(5)
      expect(films.createBatch([{ title: 'C' }])[0]?.tags).toEqual([])
      expect(films.get('a')?.director?.name.length).toBe(1)
      expect(logOf(object)[0]?.after).toEqual(film)
    })
  })

  it.each<[string, (films: ReturnType<typeof filmsOf>) => unknown, string]>([
    ['create', (films) => films.create({ title: '' }), 'title: '],
    ['createBatch', (films) => films.createBatch([{ title: 'C' }, { title: 'D', rating: 11 }]), 'rating: '],
    ['update', (films) => films.update('a', { rating: 11 }), 'rating: '],
    ['updateBatch', (films) => films.updateBatch({}, { 'director.born': 0.5 }), 'director.name: '],
    ['updateIfVersion', (films) => films.updateIfVersion('a', { title: '' }, 1), 'title: '],
    ['replace', (films) => films.replace('a', { title: '' }), 'title: '],
    ['upsert', (films) => films.upsert('a', { title: '' }), 'title: '],
    ['upsert of none', (films) => films.upsert('b', { title: '' }), 'title: '],
  ])('refuses what does not pass it: %s', async (method, mutate, problem) => {
    await inFreshObject(async (object) => {
      const films = filmsOf(object)
      const film = films.create({ $id: 'a', title: 'A' })
      const failure = await failureOf(() => mutate(films))
      expect(failure).toMatchObject({ code: 'invalid-argument', message: expect.stringContaining(problem) })
      expect(failure.message).toContain(`Film.${method.split(' ')[0]}: `)
      expect(films.list()).toEqual([film])
      expect(logOf(object)).toHaveLength(1)
    })
  })

  it('must return a document', async () => {
    await inFreshObject(async (object) => {
      const schema = z.object({ at: z.string() }).transform(({ at }) => ({ at: new Date(at) }))
      const events = new DocumentStore(object.ctx, 'Event', { schema })
      expect(await failureOf(() => events.create({ at: '2026-11-22' }))).toMatchObject({ code: 'invalid-argument' })
      expect(events.count()).toBe(0)
    })
  })
})

/** Never called: the compiler fails if one of these is not an error. */
export function misuse(films: ReturnType<typeof filmsOf>, anything: DocumentStore<Record<string, string>>): unknown {
  const { title }: { title: string } = films.create({ title: 'A' })
  const name: string | undefined = films.get('a')?.director?.name
  films.query({ where: { 'director.name': { $in: ['A', null] }, $or: [{ rating: { $gt: 1 } }, { $version: 2 }] } })
  films.query({ orderBy: '-director.name', after: films.query().at(-1) })
  anything.query({ where: { anything: 'x', 'any.path': { $like: 'x' }, $or: [{ anything: null }] } })
  anything.update('a', { 'any.path': 'x' })
  return [
    title,
    name,
    // @ts-expect-error a field of another type
    films.create({ title: 1 }),
    // @ts-expect-error a path that is none
    films.update('a', { 'director.nam': 'x' }),
    // @ts-expect-error a value of another type
    films.update('a', { 'director.name': 1 }),
    // @ts-expect-error a field of the store
    films.update('a', { $version: 1 }),
    // @ts-expect-error a path that is none
    films.query({ where: { 'director.nam': 'x' } }),
    // @ts-expect-error a value of another type
    films.query({ where: { rating: 'x' } }),
    // @ts-expect-error a value of another type in a comparison
    films.query({ where: { rating: { $gt: 'x' } } }),
    // @ts-expect-error the same, deeper
    films.query({ where: { $not: { rating: { $in: ['x'] } } } }),
    // @ts-expect-error an order by no path
    films.query({ orderBy: 'ratin' }),
    // @ts-expect-error a part of a document
    films.query({ after: { $id: 'a' } }),
    // @ts-expect-error no filter
    films.deleteBatch(),
  ]
}
