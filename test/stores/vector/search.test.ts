import { VectorStore } from 'durable-outbox'
import { type VectorDocument, type VectorMetric, type VectorSearch } from 'durable-outbox/stores'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../../notes.ts'
import { nearestOf, type Topic, withVectors } from './vectors.ts'

/** Small whole numbers, with which every order of additions gives the same, so that ties are ties. */
const number = fc.integer({ min: -2, max: 2 })
const embedding = fc.array(number, { minLength: 3, maxLength: 3 })

function point(id: string, x: number, y: number, z = 0): VectorDocument<Topic> {
  return { id, content: `content of ${id}`, embedding: [x, y, z], metadata: { topic: id } }
}

describe('search', () => {
  it('returns the nearest first, with content, metadata, similarity and distance', async () => {
    await withVectors('gives', (vectors) => {
      vectors.insertBatch([point('east', 2, 0), point('north', 0, 3), point('west', -1, 0), point('nowhere', 0, 0)])
      const find = (metric?: VectorMetric): unknown[] =>
        vectors
          .search({ embedding: [1, 0, 0], ...(metric && { metric }) })
          .map(({ id, similarity, distance }) => [id, similarity, distance])
      expect(vectors.search({ embedding: new Float32Array([1, 0, 0]), limit: 1 })).toEqual([
        { id: 'east', content: 'content of east', metadata: { topic: 'east' }, similarity: 1, distance: 0 },
      ])
      expect(find('cosine')).toEqual([
        ['east', 1, 0],
        ['north', 0, 1],
        ['nowhere', 0, 1],
        ['west', -1, 2],
      ])
      expect(find()).toEqual(find('cosine'))
      expect(find('dot')).toEqual([
        ['east', 2, -2],
        ['north', 0, 0],
        ['nowhere', 0, 0],
        ['west', -1, 1],
      ])
      expect(find('l2')).toEqual([
        ['east', 1 / 2, 1],
        ['nowhere', 1 / 2, 1],
        ['west', 1 / 3, 2],
        ['north', 1 / (1 + Math.sqrt(10)), Math.sqrt(10)],
      ])
    })
  })

  it('finds nothing in an empty store', async () => {
    await withVectors('empty', (vectors) => expect(vectors.search({ embedding: [1, 0, 0] })).toEqual([]))
  })

  it.each<[string, number]>([
    ['from memory', 1_000_000],
    ['from SQLite', 0],
  ])('finds exactly what measuring everything finds, %s', async (kind, maxMemoryBytes) => {
    let runs = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(embedding, { maxLength: 400, size: 'max' }),
        embedding,
        fc.constantFrom<VectorMetric>('cosine', 'dot', 'l2'),
        fc.integer({ min: 1, max: 500 }),
        async (embeddings, query, metric, limit) => {
          fc.pre(query.some((each) => each !== 0))
          const points = embeddings.map((numbers, index) => ({ ...point(`p${index}`, 0, 0), embedding: numbers }))
          await withVectors(
            `exactly ${kind} ${runs++}`,
            (vectors) => {
              vectors.insertBatch(points)
              const expected = nearestOf(points, query, metric).slice(0, limit)
              for (let repeated = 0; repeated < 2; repeated++)
                expect(vectors.search({ embedding: query, metric, limit }).map(({ id }) => id)).toEqual(expected)
            },
            { maxMemoryBytes },
          )
        },
      ),
      { numRuns: 30 },
    )
  })

  it('measures embeddings of any dimension, including 1 and others that are not multiples of 4', async () => {
    for (const dimension of [1, 2, 4, 5, 7, 130])
      await withVectors(
        `dimension ${dimension}`,
        (vectors) => {
          const points = Array.from({ length: 20 }, (_, row) => ({
            ...point(`p${row}`, 0, 0),
            embedding: Array.from({ length: dimension }, (_, index) => ((row * 7 + index * 3) % 11) - 5),
          }))
          vectors.insertBatch(points)
          const query = Array.from({ length: dimension }, (_, index) => (index % 3) + 1)
          for (const metric of ['cosine', 'dot', 'l2'] as const)
            expect(vectors.search({ embedding: query, metric, limit: 20 }).map(({ id }) => id)).toEqual(
              nearestOf(points, query, metric),
            )
        },
        { dimension },
      )
  })

  it('keeps cosines between -1 and 1, and that of the same embedding 1', async () => {
    await withVectors('cosines', (vectors) => {
      const numbers = new Float32Array([0.1, 0.7, -0.3])
      vectors.insert({ ...point('same', 0, 0), embedding: numbers })
      vectors.insert({ ...point('longer', 0, 0), embedding: numbers.map((each) => each * 1e30) })
      vectors.insert({ ...point('opposite', 0, 0), embedding: numbers.map((each) => each * -1e-30) })
      const found = vectors.search({ embedding: numbers })
      expect(found.map(({ id }) => id)).toEqual(expect.arrayContaining(['same', 'longer', 'opposite']))
      expect(found.find(({ id }) => id === 'same')).toMatchObject({ similarity: 1, distance: 0 })
      for (const { similarity } of found) expect(Math.abs(similarity)).toBeLessThanOrEqual(1)
    })
  })

  it.each<[string, object, string]>([
    ['another dimension', { embedding: [1, 0] }, 'embedding has 2 numbers'],
    ['NaN', { embedding: [1, 0, Number.NaN] }, 'embedding[2] is NaN'],
    ['an embedding without a direction', { embedding: [0, -0, 0] }, 'embedding has length 0'],
    ['no embedding', { embedding: undefined }, 'not undefined'],
    ['a limit of 0', { limit: 0 }, 'limit must be'],
    ['a fraction as a limit', { limit: 1.5 }, 'limit must be'],
    ['a limit that is too high', { limit: VectorStore.limits.searchDocuments + 1 }, 'limit must be'],
    ['an unknown metric', { metric: 'toString' }, 'metric must be'],
    ['an unknown field', { filters: {} }, 'but no filters'],
  ])('refuses %s', async (kind, fields, message) => {
    await withVectors(`refuses ${kind}`, async (vectors) => {
      const failure = await failureOf(() => vectors.search({ embedding: [1, 0, 0], ...fields }))
      expect(failure.code).toBe('invalid-argument')
      expect(failure.message).toContain(message)
    })
  })

  it('takes an embedding of length 0 if the metric allows it', async () => {
    await withVectors('length 0', (vectors) => {
      vectors.insertBatch([point('far', 5, 0), point('near', 1, 0)])
      const near = vectors.search({ embedding: [0, 0, 0], metric: 'l2' })
      expect(near.map(({ id }) => id)).toEqual(['near', 'far'])
    })
  })

  it('refuses to return more text than limits.searchCharacters', async () => {
    await withVectors('much text', async (vectors) => {
      for (let index = 0; index < 18; index++)
        vectors.insert({ ...point(`p${index}`, 1, 0), content: 'x'.repeat(900_000) })
      const failure = await failureOf(() => vectors.search({ embedding: [1, 0, 0], limit: 18 }))
      expect(failure).toMatchObject({ code: 'invalid-argument' })
      expect(failure.message).toContain('choose a lower limit')
      expect(vectors.search({ embedding: [1, 0, 0], limit: 17 })).toHaveLength(17)
    })
  })
})

describe('filter', () => {
  const seeds: [id: string, metadata: Topic][] = [
    ['a', { topic: 'x', stars: 3, done: true, author: { name: 'Ann', 'e.mail': 'a' } }],
    ['b', { topic: 'x', stars: 1, done: false, author: { name: 'Bob' } }],
    ['c', { topic: 'y', stars: 1, done: 1, 'a field': "it's", tags: ['a'] }],
    ['d', { stars: null, metadata: { topic: 'inner' }, große: 'ß' }],
    ['e', { stars: 1.5e300, huge: 2 ** 60, text: 'a\0b"\\\u2028', author: 'Ann' }],
  ]

  it.each<[VectorSearch<Topic>['filter'], string[]]>([
    [{}, ['a', 'b', 'c', 'd', 'e']],
    [{ topic: 'x' }, ['a', 'b']],
    [{ 'metadata.topic': 'x' }, ['a', 'b']],
    [{ topic: 'x', stars: 1 }, ['b']],
    [{ stars: 1 }, ['b', 'c']],
    [{ stars: 1.5e300 }, ['e']],
    [{ huge: 2 ** 60 }, ['e']],
    [{ done: true }, ['a']],
    [{ done: 1 }, ['c']],
    [{ done: '1' }, []],
    [{ stars: null }, ['d']],
    [{ topic: null }, ['d', 'e']],
    [{ 'author.name': 'Ann' }, ['a']],
    [{ 'metadata.author.name': 'Bob' }, ['b']],
    [{ 'metadata.metadata.topic': 'inner' }, ['d']],
    [{ 'a field': "it's" }, ['c']],
    [{ große: 'ß' }, ['d']],
    [{ text: 'a\0b"\\\u2028' }, ['e']],
    [{ text: 'a' }, []],
    [{ tags: '["a"]' }, []],
    [{ topic: "x' OR 1=1 --" }, []],
    [{ ["x') IS NULL OR (1"]: null }, ['a', 'b', 'c', 'd', 'e']],
    [{ ["topic' OR 1=1 --"]: 'x' }, []],
    [{ '$[0]': 'x' }, []],
  ])('finds by %j', async (filter, found) => {
    await withVectors('filter', (vectors) => {
      if (vectors.get('a') === undefined)
        vectors.insertBatch(seeds.map(([id, metadata]) => ({ ...point(id, 1, 0), metadata })))
      expect(vectors.search({ embedding: [1, 0, 0], filter: filter ?? {} }).map(({ id }) => id)).toEqual(found)
    })
  })

  it('returns the nearest of those that match', async () => {
    await withVectors('filter and limit', (vectors) => {
      const points = Array.from({ length: 700 }, (_, index) => ({
        ...point(`p${index}`, index, 1),
        metadata: { topic: index % 2 === 0 ? 'even' : 'odd' },
      }))
      vectors.insertBatch(points)
      const found = vectors.search({ embedding: [1, 0, 0], filter: { topic: 'even' }, limit: 2, metric: 'dot' })
      expect(found.map(({ id }) => id)).toEqual(['p698', 'p696'])
    })
  })

  it.each<[string, object, string]>([
    ['undefined', { topic: undefined }, 'topic must be compared with'],
    ['a list', { topic: ['x'] }, 'topic must be compared with'],
    ['a Date', { topic: new Date(0) }, 'topic must be compared with'],
    ['a bigint', { topic: 1n }, 'topic must be compared with'],
    ['NaN', { topic: Number.NaN }, 'topic is NaN'],
    ['half a surrogate pair', { topic: '\ud800' }, 'topic holds half a surrogate pair'],
    ['a quote in a name', { 'x" = 1 --': 1 }, "can't have"],
    ['a backslash in a name', { 'a\\b': 1 }, "can't have"],
    ['an empty name between dots', { 'a..b': 1 }, "can't have"],
    ['an empty name', { '': 1 }, "can't have"],
    ['a NUL in a name', { 'a\0': 1 }, "can't have"],
    ['many fields', Object.fromEntries(Array.from({ length: 41 }, (_, index) => [`f${index}`, 1])), 'the limit is 40'],
  ])('refuses %s', async (_, filter, message) => {
    await withVectors('bad filter', async (vectors) => {
      const failure = await failureOf(() => vectors.search({ embedding: [1, 0, 0], filter }))
      expect(failure.code).toBe('invalid-argument')
      expect(failure.message).toContain(message)
    })
  })

  it('finds by every value that JSON can hold, and by no other', async () => {
    const scalar = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 4 }).map((text) => text.toWellFormed()),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.integer(),
      fc.boolean(),
      fc.constantFrom('1', 1, true, 'true', 'null', '', 0, 1e21, 2 ** 53 + 2, '1.0'),
    )
    const name = fc
      .string({ minLength: 1, maxLength: 5 })
      .filter((text) => !/["\\.]/.test(text) && text !== '__proto__')
    let runs = 0
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(scalar, { minLength: 2, maxLength: 6 }), name, async (values, field) => {
        await withVectors(`values ${runs++}`, (vectors) => {
          vectors.insertBatch(
            values.map((value, index) => ({ ...point(`p${index}`, 1, 0), metadata: { [field]: value, f: 'other' } })),
          )
          values.forEach((value, index) => {
            const found = vectors.search({ embedding: [1, 0, 0], filter: { [field]: value } })
            const same = values.flatMap((other, at) => (JSON.stringify(other) === JSON.stringify(value) ? [at] : []))
            if (field !== 'f') expect(found.map(({ id }) => id)).toEqual(same.map((at) => `p${at}`))
            else expect(index).toBeGreaterThanOrEqual(0)
          })
        })
      }),
      { numRuns: 60 },
    )
  })
})
