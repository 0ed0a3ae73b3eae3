// Schemas of zod and of zod/mini do the same for every store.

import { ColumnarStore, DocumentStore, GraphStore, VectorStore } from 'durable-outbox'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import * as mini from 'zod/mini'
import { failureOf } from '../notes.ts'
import { inFreshObject } from './in-stores.ts'

interface Film {
  title: string
  stars: number
}

const schemas = {
  zod: z.object({ title: z.string().trim().min(1), stars: z.number().int().default(3) }),
  'zod/mini': mini.object({
    title: mini.string().check(mini.trim(), mini.minLength(1)),
    stars: mini._default(mini.int(), 3),
  }),
}

describe.each(Object.entries(schemas))('a schema of %s', (_, schema) => {
  it('gives documents their fields, and refuses others', async () => {
    await inFreshObject(async ({ ctx }) => {
      const films = new DocumentStore(ctx, 'Film', { schema })
      const film: Film = films.create({ title: ' Alien ' })
      expect(film).toMatchObject({ title: 'Alien', stars: 3 })
      const failure = await failureOf(() => films.create({ title: '', stars: 1.5 }))
      expect(failure.code).toBe('invalid-argument')
      expect(failure.message).toMatch(/^Film\.create: title: .*; stars: /)
    })
  })

  it('gives nodes and relationships their data, and refuses other data', async () => {
    await inFreshObject(async ({ ctx }) => {
      const graph = new GraphStore<Film, Film>(ctx, 'Films', { nodeSchema: schema, relationshipSchema: schema })
      expect(graph.put({ id: 'a', data: { title: ' Alien ', stars: 5 } }).data.title).toBe('Alien')
      const data = { title: 'Aliens', stars: 1.5 }
      for (const change of [
        () => graph.put({ id: 'b', data }),
        () => graph.relate({ from: 'a', to: 'b', type: 'sequel', data }),
      ])
        expect(await failureOf(change)).toMatchObject({
          code: 'invalid-argument',
          message: expect.stringMatching(/^Films\.\w+: data\.stars: /),
        })
    })
  })

  it('gives vectors their metadata, and refuses other metadata', async () => {
    await inFreshObject(async ({ ctx }) => {
      const vectors = new VectorStore(ctx, 'films', { dimension: 1, schema })
      vectors.insert({ id: 'a', content: '', embedding: [1], metadata: { title: ' Alien ' } })
      const metadata: Film | undefined = vectors.get('a')?.metadata
      expect(metadata).toEqual({ title: 'Alien', stars: 3 })
      const failure = await failureOf(() =>
        vectors.insert({ id: 'b', content: '', embedding: [1], metadata: { title: '' } }),
      )
      expect(failure.code).toBe('invalid-argument')
      expect(failure.message).toMatch(/^films\.insert: metadata\.title: /)
    })
  })

  it('gives rows their columns, and refuses other rows and columns', async () => {
    await inFreshObject(async ({ ctx }) => {
      const films = new ColumnarStore<Film>(ctx, 'films', { schema })
      expect(films.meta().columns).toEqual({ title: 'string', stars: 'integer' })
      films.insertBatch([{ title: ' Alien ', stars: 5 }])
      expect(films.query()).toEqual([{ title: 'Alien', stars: 5 }])
      const failures = [
        await failureOf(() =>
          films.insertBatch([
            { title: 'Alien', stars: 5 },
            { title: 'Aliens', stars: 1.5 },
          ]),
        ),
        await failureOf(() => films.insertBatch([{ title: 'Alien', stars: 5, year: null } as Film])),
      ]
      expect(failures.map(({ code }) => code)).toEqual(['invalid-argument', 'invalid-argument'])
      expect(failures[0]?.message).toMatch(/^films\.insertBatch: row 2: stars: /)
      expect(failures[1]?.message).toBe('films.insertBatch: row 1: the schema has no column "year"')
      expect(films.count()).toBe(1)
    })
  })
})

it('gives a column of every kind of field its type', async () => {
  await inFreshObject(({ ctx }) => {
    const typesOf = (schema: z.ZodObject) => new ColumnarStore(ctx, 'rows', { schema }).meta().columns
    expect(
      typesOf(
        z.object({
          number: z.number(),
          float: z.float32(),
          int: z.int(),
          checkedInt: z.number().min(1).int(),
          uint: z.uint32().optional(),
          text: z.string().nullable(),
          email: z.email(),
          word: z.enum(['a', 'b']).default('a'),
          level: z.enum({ low: 1, high: 2 }),
          flag: z.boolean(),
          at: z.date(),
          list: z.array(z.string()),
          either: z.union([z.string(), z.number()]),
        }),
      ),
    ).toEqual({
      number: 'number',
      float: 'number',
      int: 'integer',
      checkedInt: 'integer',
      uint: 'integer',
      text: 'string',
      email: 'string',
      word: 'string',
      level: 'json',
      flag: 'boolean',
      at: 'timestamp',
      list: 'json',
      either: 'json',
    })
  })
})
