import { eventLimits, VectorStore } from 'durable-outbox'
import type { VectorDocument } from 'durable-outbox/stores'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { failureOf } from '../../notes.ts'
import type { Stores } from '../../worker.ts'
import { foldRows } from '../fold.ts'
import { inFreshObject, logOf, snapshotOf } from '../in-stores.ts'
import { type Topic, type Vectors, withVectors } from './vectors.ts'

const { limits } = VectorStore

const tea: VectorDocument<Topic> = {
  id: 'tea',
  content: 'Alice likes tea',
  embedding: [1, 0, 0.5],
  metadata: { topic: 'drinks' },
}
const cake: VectorDocument<Topic> = { id: 'cake', content: 'Bob bakes cake', embedding: new Float32Array([0, 1, 0]) }

/** MurmurHash3 x86 128 of the embedding's bytes and the content, by another implementation (Python's mmh3). */
const TEA_HASH = '59b5bc03ee41f4273adbf819315c8df1'

/** The events, in short. */
function changes(object: Stores): unknown[][] {
  return logOf(object).map(({ op, store, table, key, before, after }) => [
    op,
    `${store}/${table} ${key}`,
    before,
    after,
  ])
}

/** Bytes that the table has, as a reader of the file would see them. */
function bytesOf(object: Stores, id: string): number[] {
  const [row] = object.ctx.storage.sql
    .exec<{ embedding: ArrayBuffer }>('SELECT embedding FROM vector_vectors WHERE id = ?', id)
    .toArray()
  return Array.from(new Uint8Array(row?.embedding ?? new ArrayBuffer(0)))
}

describe('VectorStore', () => {
  it('[I1] emits what each call changed: metadata, dimension and a hash, and never the embedding or the content', async () => {
    await withVectors('each call', (vectors, object) => {
      vectors.insert(tea)
      vectors.upsert({ ...tea, metadata: { topic: 'hot drinks' } })
      vectors.upsert(cake)
      vectors.delete('tea')
      const drinks = { metadata: { topic: 'drinks' }, dimension: 3, contentHash: TEA_HASH }
      const hotDrinks = { ...drinks, metadata: { topic: 'hot drinks' } }
      expect(changes(object)).toEqual([
        ['c', 'vector/vectors tea', undefined, drinks],
        ['u', 'vector/vectors tea', drinks, hotDrinks],
        ['c', 'vector/vectors cake', undefined, { metadata: {}, dimension: 3, contentHash: expect.any(String) }],
        ['d', 'vector/vectors tea', hotDrinks, undefined],
      ])
    })
  })

  it('returns what it was given, the embedding as 32-bit floats', async () => {
    await withVectors('gives back', (vectors, object) => {
      vectors.insert({ ...tea, embedding: [0.1, -2, 1e-45] })
      vectors.insert({ ...cake, embedding: new Float32Array([9, 0, 1, 0, 9]).subarray(1, 4) })
      expect(vectors.get('tea')).toEqual({ ...tea, embedding: new Float32Array([0.1, -2, 1e-45]) })
      expect(vectors.get('cake')).toEqual({ ...cake, metadata: {} })
      expect(vectors.get('nobody')).toBeUndefined()
      expect(bytesOf(object, 'cake')).toEqual([0, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0, 0])
    })
  })

  it('changes the hash with the embedding or the content, and with nothing else', async () => {
    await withVectors('hashes', (vectors, object) => {
      vectors.insert(tea)
      vectors.upsert({ ...tea, metadata: { topic: 'other' } })
      vectors.upsert({ ...tea, content: 'Alice likes tea.' })
      vectors.upsert({ ...tea, embedding: [1, 0, 0.25] })
      vectors.upsert(tea)
      const [first, ...others] = logOf(object).map(({ after }) => after?.['contentHash'])
      expect(new Set(others).size).toBe(4 - 1)
      expect(others[0]).toBe(first)
      expect(others[3]).toBe(first)
    })
  })

  it('[I1] inserts a batch in one transaction, with an event for each document', async () => {
    await withVectors('batch', (vectors, object) => {
      vectors.insertBatch([tea, cake], { actor: 'User/alice', correlationId: 'r1' })
      vectors.insertBatch([])
      const events = logOf(object)
      expect(events).toMatchObject([
        { op: 'c', key: 'tea', actor: 'User/alice', correlationId: 'r1', lsn: 1 },
        { op: 'c', key: 'cake', actor: 'User/alice', correlationId: 'r1', lsn: 2 },
      ])
      expect(new Set(events.map(({ txid }) => txid)).size).toBe(1)
      expect(vectors.get('tea')).toEqual({ ...tea, embedding: new Float32Array([1, 0, 0.5]) })
      expect(vectors.get('cake')).toEqual({ ...cake, metadata: {} })
    })
  })

  it('records the actor in the events, of a call or of a transaction', async () => {
    await withVectors('attribution', (vectors, object) => {
      object.ctx.transactionSync(
        (tx) => {
          vectors.insert(tea, { actor: 'User/bob' })
          vectors.upsert({ ...tea, content: 'tea' })
          vectors.delete('tea')
          tx.emit({ type: 'Tea.drunk' })
        },
        { actor: 'User/alice', correlationId: 'r1' },
      )
      vectors.upsert(cake, { actor: 'User/carol' })
      vectors.delete('cake', { actor: 'User/dave' })
      const events = logOf(object)
      expect(events.map(({ actor }) => actor?.slice(5))).toEqual(['bob', 'alice', 'alice', 'alice', 'carol', 'dave'])
      expect(events.map(({ correlationId }) => correlationId)).toEqual(['r1', 'r1', 'r1', 'r1', undefined, undefined])
      const [first, second, third, fourth, fifth, sixth] = events.map(({ txid }) => txid)
      expect([second, third, fourth]).toEqual([first, first, first])
      expect(new Set([first, fifth, sixth]).size).toBe(3)
    })
  })

  it.each<[string, (vectors: Vectors) => void]>([
    ['insert', (vectors) => vectors.insert(cake)],
    ['insertBatch', (vectors) => vectors.insertBatch([cake, { ...cake, id: 'second cake' }])],
    ['upsert', (vectors) => vectors.upsert({ ...tea, content: 'changed' })],
    ['delete', (vectors) => void vectors.delete('tea')],
  ])('[I1] leaves neither row nor event of %s if the transaction around it throws', async (method, change) => {
    await withVectors(`throws after ${method}`, async (vectors, object) => {
      vectors.insert(tea)
      const failure = await failureOf(() =>
        object.ctx.transactionSync(() => {
          change(vectors)
          throw new Error('on purpose')
        }),
      )
      expect(failure.message).toBe('on purpose')
      expect(vectors.get('tea')?.content).toBe(tea.content)
      expect(vectors.get('cake')).toBeUndefined()
      expect(logOf(object)).toHaveLength(1)
    })
  })

  it('writes and emits nothing if nothing changes', async () => {
    await withVectors('no change', (vectors, object) => {
      vectors.insert(tea)
      vectors.upsert({ ...tea, embedding: new Float32Array([1, 0, 0.5]) })
      expect(vectors.delete('nobody')).toBe(false)
      expect(vectors.delete('')).toBe(false)
      expect(logOf(object)).toHaveLength(1)
    })
  })

  it.each<[string, VectorDocument<Topic>[]]>([
    ['one of its own', [cake, { ...cake, content: 'again' }]],
    ['one that is there', [cake, tea]],
  ])('refuses a batch with the id of %s, and inserts none of it', async (kind, documents) => {
    await withVectors(`taken, ${kind}`, async (vectors, object) => {
      vectors.insert(tea)
      const failure = await failureOf(() => vectors.insertBatch(documents))
      expect(failure.code).toBe('already-exists')
      expect(failure.message).toContain(documents[1]?.id)
      expect(vectors.get('cake')).toBeUndefined()
      expect(logOf(object)).toHaveLength(1)
    })
  })

  it('refuses to insert over a document', async () => {
    await withVectors('taken', async (vectors, object) => {
      vectors.insert(tea)
      const failure = await failureOf(() => vectors.insert({ ...tea, content: 'other' }))
      expect(failure).toEqual({
        code: 'already-exists',
        message: 'vectors.insert: document tea already exists; upsert it instead',
      })
      expect(vectors.get('tea')?.content).toBe(tea.content)
      expect(logOf(object)).toHaveLength(1)
    })
  })

  const bad: [string, object, string][] = [
    ['another dimension', { embedding: [1, 2] }, 'embedding has 2 numbers'],
    ['NaN', { embedding: [1, Number.NaN, 0] }, 'embedding[1] is NaN'],
    ['Infinity', { embedding: new Float32Array([1, 0, Number.POSITIVE_INFINITY]) }, 'embedding[2] is Infinity'],
    ['a number beyond 32 bits', { embedding: [1e39, 0, 0] }, 'embedding[0] is 1e+39'],
    ['a string for a number', { embedding: ['1', 0, 0] }, 'embedding[0] is "1"'],
    ['a hole', { embedding: [1, , 0] }, 'embedding[1] is undefined'], // oxlint-disable-line no-sparse-arrays
    ['numbers of another kind', { embedding: new Float64Array(3) }, 'not a Float64Array'],
    ['no embedding', { embedding: undefined }, 'not undefined'],
    ['no id', { id: undefined }, 'id must be'],
    ['an empty id', { id: '' }, 'id must be'],
    ['an id that is a number', { id: 5 }, 'id must be'],
    ['a long id', { id: 'x'.repeat(eventLimits.nameLength + 1) }, 'id must be'],
    ['a NUL in the id', { id: 'a\0b' }, 'id must be'],
    ['half a surrogate pair in the id', { id: '\ud800' }, 'id must be'],
    ['no content', { content: undefined }, 'content must be'],
    ['a NUL in the content', { content: 'a\0b' }, 'content has a NUL'],
    ['half a surrogate pair in the content', { content: 'a\udc00' }, 'content has a NUL or half'],
    ['content that is too long', { content: 'é'.repeat(limits.contentBytes / 2 + 1) }, 'content is 900002 bytes'],
    ['a Date', { metadata: { at: new Date(0) } }, 'metadata: at is a Date'],
    ['a bigint', { metadata: { at: 1n } }, 'metadata: at is a bigint'],
    ['NaN in metadata', { metadata: { at: Number.NaN } }, 'metadata: at is NaN'],
    ['undefined in an array', { metadata: { at: [undefined] } }, 'metadata: at[0] is undefined'],
    ['bytes', { metadata: { at: new Uint8Array(1) } }, 'metadata: at is a Uint8Array'],
    ['a list for metadata', { metadata: [] }, 'metadata must be an object'],
    ['null for metadata', { metadata: null }, 'metadata must be an object'],
    ['an unknown field', { meta: {} }, 'unknown field meta'],
  ]
  it.each(bad)('refuses a document with %s, and writes nothing', async (kind, fields, message) => {
    await withVectors(`bad: ${kind}`, async (vectors, object) => {
      const document = { ...tea, ...fields }
      for (const write of [
        () => vectors.insert(document),
        () => vectors.upsert(document),
        () => vectors.insertBatch([cake, document]),
      ]) {
        const failure = await failureOf(write)
        expect(failure.code).toBe('invalid-argument')
        expect(failure.message).toContain(message)
      }
      expect(logOf(object)).toEqual([])
      expect(vectors.readRows(undefined, 10).events).toEqual([])
    })
  })

  it('refuses metadata that no event can hold', async () => {
    await withVectors('large metadata', async (vectors, object) => {
      const failure = await failureOf(() => vectors.insert({ ...tea, metadata: { topic: 'x'.repeat(1_000_000) } }))
      expect(failure.code).toBe('event-too-large')
      expect(vectors.get('tea')).toBeUndefined()
      expect(logOf(object)).toEqual([])
    })
  })

  it('takes a document of the largest size', async () => {
    const large = {
      content: '"'.repeat(limits.contentBytes),
      embedding: new Float32Array(limits.dimension).fill(1),
      metadata: { topic: 'x'.repeat(900_000) },
    }
    await withVectors(
      'large',
      (vectors, object) => {
        vectors.insertBatch([
          { ...large, id: 'a' },
          { ...large, id: 'b' },
        ])
        vectors.upsert({ ...large, id: 'x'.repeat(eventLimits.nameLength), metadata: {} })
        expect(vectors.get('b')).toEqual({ ...large, id: 'b' })
        expect(vectors.search({ embedding: large.embedding, limit: 1 })).toMatchObject([{ id: 'a', similarity: 1 }])
        expect(logOf(object)).toHaveLength(3)
      },
      { dimension: limits.dimension },
    )
  })

  it('refuses a batch beyond limits.batchDocuments', async () => {
    await withVectors('batch too large', async (vectors) => {
      const failure = await failureOf(() =>
        vectors.insertBatch(Array.from({ length: limits.batchDocuments + 1 }, () => tea)),
      )
      expect(failure).toMatchObject({ code: 'invalid-argument' })
      expect(failure.message).toContain('more than 10000 documents')
    })
  })

  it.each(['', '1st', 'a b', 'x"; DROP TABLE notes; --', 'a'.repeat(65)])('refuses %j as a name', async (name) => {
    const failure = await withVectors('names', (_, { ctx }) =>
      failureOf(() => new VectorStore(ctx, name, { dimension: 3 })),
    )
    expect(failure.code).toBe('invalid-argument')
  })

  it.each([0, 1.5, -3, Number.NaN, limits.dimension + 1])('refuses %d as a dimension', async (dimension) => {
    const failure = await failureOf(() => withVectors('dimensions', () => undefined, { dimension }))
    expect(failure.code).toBe('invalid-argument')
  })

  it('refuses another dimension than that of the stored embeddings', async () => {
    await withVectors('new dimension', (vectors) => vectors.insert(tea))
    const failure = await failureOf(() => withVectors('new dimension', () => undefined, { dimension: 4 }))
    expect(failure.message).toBe(
      'VectorStore: vectors holds embeddings of 3 numbers, not 4; give the new ones a store of another name',
    )
    await withVectors('new dimension', (vectors) => vectors.delete('tea'))
    await withVectors('new dimension', (vectors) => vectors.insert({ ...tea, embedding: [1, 2, 3, 4] }), {
      dimension: 4,
    })
  })

  it('separates the tables of several stores', async () => {
    await withVectors('several', (vectors, object) => {
      const faces = new VectorStore(object.ctx, 'faces', { dimension: 2 })
      vectors.insert(tea)
      faces.insert({ id: 'tea', content: '', embedding: [1, 1] })
      expect(changes(object).map(([op, key]) => [op, key])).toEqual([
        ['c', 'vector/vectors tea'],
        ['c', 'vector/faces tea'],
      ])
      expect(faces.search({ embedding: [1, 1] })).toHaveLength(1)
    })
  })

  it('keeps what a schema returns for metadata, and refuses what it refuses', async () => {
    await inFreshObject(async (object) => {
      const schema = z.strictObject({ topic: z.string(), stars: z.int().default(3) })
      const vectors = new VectorStore(object.ctx, 'vectors', { dimension: 1, schema })
      vectors.insert({ id: 'a', content: '', embedding: [1], metadata: { topic: 'x' } })
      expect(vectors.get('a')?.metadata.stars).toBe(3)
      // @ts-expect-error The schema wants a topic.
      const failure = await failureOf(() => vectors.insert({ id: 'b', content: '', embedding: [1], metadata: {} }))
      expect(failure.code).toBe('invalid-argument')
      expect(failure.message).toContain('vectors.insert: metadata.topic:')
      expect(vectors.get('b')).toBeUndefined()
    })
  })

  it('has its tables again after deleteAll', async () => {
    await withVectors('deleteAll', async (vectors, object) => {
      vectors.insert(tea)
      vectors.search({ embedding: [1, 0, 0] })
      await object.ctx.storage.deleteAll()
      expect(vectors.search({ embedding: [1, 0, 0] })).toEqual([])
      vectors.insert(cake)
      expect(vectors.search({ embedding: [0, 1, 0] })).toMatchObject([{ id: 'cake' }])
    })
  })
})

const id = fc.constantFrom('a', 'b', 'c', 'É', '😀', "'; --")
const text = fc.string({ unit: 'grapheme', maxLength: 8 }).map((content) => content.replaceAll('\0', ''))
const document: fc.Arbitrary<VectorDocument<Topic>> = fc.record({
  id,
  content: text,
  embedding: fc.array(fc.float({ noNaN: true, noDefaultInfinity: true }), { minLength: 3, maxLength: 3 }),
  metadata: fc.oneof(
    fc.record({ topic: text }),
    fc.dictionary(text, fc.jsonValue({ maxDepth: 2 })) as fc.Arbitrary<Topic>,
  ),
})
const call = fc.oneof(
  fc.record({ method: fc.constant('insert' as const), document }),
  fc.record({ method: fc.constant('upsert' as const), document }),
  fc.record({ method: fc.constant('insertBatch' as const), documents: fc.array(document, { maxLength: 4 }) }),
  fc.record({ method: fc.constant('delete' as const), id }),
)
type Call = typeof call extends fc.Arbitrary<infer Value> ? Value : never

/** What the store must hold. Calls that fail change nothing. */
function modelAfter(model: ReadonlyMap<string, VectorDocument<Topic>>, step: Call): Map<string, VectorDocument<Topic>> {
  const next = new Map(model)
  if (step.method === 'delete') next.delete(step.id)
  if (step.method === 'upsert') next.set(step.document.id, step.document)
  if (step.method === 'insert' && !model.has(step.document.id)) next.set(step.document.id, step.document)
  if (step.method === 'insertBatch') {
    for (const added of step.documents) next.set(added.id, added)
    if (next.size !== model.size + step.documents.length) return new Map(model)
  }
  return next
}

function apply(vectors: Vectors, step: Call): void {
  if (step.method === 'delete') vectors.delete(step.id)
  else if (step.method === 'insertBatch') vectors.insertBatch(step.documents)
  else vectors[step.method](step.document)
}

it('[I1] emits a log from which its rows can be rebuilt, and holds what a simple model holds', async () => {
  let runs = 0
  const script = fc.array(fc.record({ calls: fc.array(call, { maxLength: 3 }), isUndone: fc.boolean() }), {
    maxLength: 6,
  })
  await fc.assert(
    fc.asyncProperty(script, async (transactions) => {
      await withVectors(`model ${runs++}`, async (vectors, object) => {
        let model: ReadonlyMap<string, VectorDocument<Topic>> = new Map()
        for (const { calls, isUndone } of transactions) {
          let after = model
          const run = (): void =>
            object.ctx.transactionSync(() => {
              for (const step of calls) {
                after = modelAfter(after, step)
                try {
                  apply(vectors, step)
                } catch (error) {
                  expect(error).toMatchObject({ code: 'already-exists' })
                }
              }
              if (isUndone) throw new Error('undone')
            })
          if (isUndone) await failureOf(run)
          else run()
          if (!isUndone) model = after
        }
        const held = [...model.values()].map((kept) => ({ ...kept, embedding: new Float32Array(kept.embedding) }))
        expect(held.map((kept) => vectors.get(kept.id))).toEqual(held)
        const events = logOf(object)
        expect(events.map(({ lsn }) => lsn)).toEqual(events.map((_, index) => index + 1))
        const folded = foldRows(events as Parameters<typeof foldRows>[0]).get('vector/vectors') ?? new Map()
        const snapshot = foldRows(snapshotOf(vectors, 2) as Parameters<typeof foldRows>[0]).get('vector/vectors')
        expect(snapshot ?? new Map()).toEqual(folded)
        expect(new Set(folded.keys())).toEqual(new Set(model.keys()))
        for (const [key, row] of folded)
          expect(row).toEqual({ metadata: model.get(key)?.metadata, dimension: 3, contentHash: expect.any(String) })
      })
    }),
    { numRuns: 60 },
  )
})
