import { DocumentStore } from 'durable-outbox'
import type { Document, DocumentQuery, DocumentWhere } from 'durable-outbox/stores'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../../notes.ts'
import type { Stores } from '../../worker.ts'
import { inFreshObject } from '../in-stores.ts'
import { inOrder, isMatch, like } from './query-model.ts'

/** Anything at these paths, of which half are indexed. */
type Anything = Record<string, unknown>
type Where = DocumentWhere<Anything>
const PATHS = ['a', 'b', 'deep.a', 'deep.b']

/** Values that are easily taken for one another, and some that SQLite reads otherwise than JavaScript. */
const scalar = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(null, true, false, 0, 1, '', '0', '1', 'true', '[1]', '{}', 'a', 'A', 'ab') },
  fc.constantFrom('a\0b', 'ä', '\uffff', '\u{1f600}', 0.1, 0.1 + 0.2, 1e21, 2 ** 53, 2 ** 60 + 2 ** 8, 5e-324),
  fc.double({ noDefaultInfinity: true, noNaN: true }),
)
const value = fc.oneof({ weight: 9, arbitrary: scalar }, fc.constantFrom([1], ['a'], {}, { a: 1 }))
const fields = fc.record(
  { a: value, b: value, deep: fc.oneof(fc.record({ a: value, b: value }, { requiredKeys: [] }), value) },
  { requiredKeys: [] },
)
const path = fc.constantFrom(...PATHS, '$version')
const pattern = fc.constantFrom('%', '_', 'a%', '%b', 'A_', '\\%', '[%', '')

const ordered = scalar.filter((given) => typeof given === 'string' || typeof given === 'number')
const comparison = fc.oneof(
  fc.record({ $eq: scalar }),
  fc.record({ $ne: scalar }),
  fc.record({ $gt: ordered }),
  fc.record({ $gte: ordered }),
  fc.record({ $lt: ordered }),
  fc.record({ $lte: ordered }),
  fc.record({ $in: fc.array(scalar, { maxLength: 4 }) }),
  fc.record({ $like: pattern }),
)
const operand = fc.oneof(
  scalar,
  comparison,
  fc.tuple(comparison, comparison).map(([one, other]) => ({ ...one, ...other })),
)
const { filter } = fc.letrec<{ filter: Where }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 2, depthSize: 'small', withCrossShrink: true },
    fc.dictionary(path, operand, { minKeys: 1, maxKeys: 2 }),
    fc.tuple(tie('filter'), tie('filter')).map(([one, other]) => ({ ...one, ...other })),
    fc.record({ $and: fc.array(tie('filter'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ $or: fc.array(tie('filter'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ $not: tie('filter') }),
  ) as fc.Arbitrary<Where>,
}))
const order = fc
  .tuple(fc.constantFrom('', '-'), fc.constantFrom(...PATHS, '$id'))
  .map(([direction, at]) => direction + at)

/** A store with indexes and one without, in one object, with the same documents. */
function twoStores({ ctx }: Stores, documents: readonly object[]) {
  const indexed = new DocumentStore<Anything>(ctx, 'Indexed', { indexes: ['a', 'deep.a'] })
  const plain = new DocumentStore<Anything>(ctx, 'Plain')
  ctx.storage.sql.exec('DELETE FROM document_Indexed; DELETE FROM document_Plain')
  const given = documents.map((document, index) => ({ ...document, $id: `${index}` }))
  return { held: plain.createBatch(given), stores: [plain, indexed.createBatch(given) && indexed] }
}

function idsOf(documents: readonly Document<Anything>[]): string[] {
  return documents.map(({ $id }) => $id)
}

describe('query', () => {
  it('finds what the filter matches, in the order of the query, with indexes and without', async () => {
    await inFreshObject((object) =>
      fc.assert(
        fc.property(
          fc.array(fields, { maxLength: 12 }),
          fc.array(filter, { minLength: 1, maxLength: 5 }),
          order,
          (documents, filters, orderBy) => {
            const { held, stores } = twoStores(object, documents)
            for (const where of filters) {
              const expected = inOrder(
                held.filter((document) => isMatch(document, where)),
                orderBy,
              )
              for (const store of stores) {
                expect(idsOf(store.query({ where, orderBy }))).toEqual(idsOf(expected))
                expect(store.count(where)).toBe(expected.length)
              }
            }
          },
        ),
        { numRuns: 400 },
      ),
    )
  })

  it('continues after the last document of the page before, until all are seen once', async () => {
    await inFreshObject((object) =>
      fc.assert(
        fc.property(
          fc.array(fields, { maxLength: 12 }),
          fc.option(filter, { nil: {} }),
          order,
          fc.integer({ min: 1, max: 4 }),
          (documents, where, orderBy, limit) => {
            const { held, stores } = twoStores(object, documents)
            for (const store of stores) {
              const seen: Document<Anything>[] = []
              for (let page; page === undefined || page.length === limit;) {
                page = store.query({ where, orderBy, limit, after: page?.at(-1) })
                seen.push(...page)
              }
              const expected = held.filter((document) => isMatch(document, where))
              expect(idsOf(seen)).toEqual(idsOf(inOrder(expected, orderBy)))
            }
          },
        ),
        { numRuns: 300 },
      ),
    )
  })

  it('continues after a document that is gone by now', async () => {
    await inFreshObject((object) => {
      const {
        stores: [store],
      } = twoStores(object, [{ a: 1 }, { a: 2 }, { a: 2 }, { a: 3 }, {}])
      const [first, second] = store?.query({ orderBy: '-a', limit: 2 }) ?? []
      store?.deleteBatch({ $id: { $in: [first?.$id ?? '', second?.$id ?? ''] } })
      expect(idsOf(store?.query({ orderBy: '-a', after: second }) ?? [])).toEqual(['1', '0', '4'])
    })
  })

  it('finds every number by itself, however many digits it has', async () => {
    await inFreshObject((object) =>
      fc.assert(
        fc.property(
          fc.array(fc.double({ noDefaultInfinity: true, noNaN: true }), { minLength: 1, maxLength: 50 }),
          (numbers) => {
            const { stores } = twoStores(
              object,
              numbers.map((a) => ({ a })),
            )
            for (const store of stores)
              for (const [index, a] of numbers.entries()) {
                expect(idsOf(store.query({ where: { a } }))).toContain(`${index}`)
                expect(store.count({ a: { $in: [a] } })).toBe(numbers.filter((other) => other === a).length)
                expect(store.count({ a: { $gt: a } }) + store.count({ a: { $lte: a } })).toBe(numbers.length)
              }
          },
        ),
        { numRuns: 50 },
      ),
    )
  })

  it('matches a pattern as a whole, exactly except for the case of A to Z', async () => {
    // What stands in the text, and what in the pattern: mostly, but not always, they fit.
    const piece = fc.constantFrom(
      { text: 'a', pattern: 'a' },
      { text: 'a', pattern: 'A' },
      { text: 'B', pattern: 'b' },
      { text: 'ä', pattern: 'Ä' },
      { text: 'ä', pattern: '_' },
      { text: '\u{1f600}', pattern: '_' },
      { text: 'ab', pattern: '%' },
      { text: '', pattern: '%' },
      { text: '%', pattern: '\\%' },
      { text: '_', pattern: '\\_' },
      { text: '\\', pattern: '\\\\' },
      { text: 'a', pattern: '\\a' },
      { text: 'a', pattern: '\\%' },
      { text: '\\', pattern: '\\' },
      { text: '[*', pattern: '[*' },
    )
    await inFreshObject((object) =>
      fc.assert(
        fc.property(fc.array(piece, { maxLength: 6 }), (pieces) => {
          const text = pieces.map((given) => given.text).join('')
          const pattern = pieces.map((given) => given.pattern).join('')
          const { stores } = twoStores(object, [{ a: text }])
          for (const store of stores) expect(store.count({ a: { $like: pattern } })).toBe(like(text, pattern) ? 1 : 0)
        }),
        { numRuns: 300 },
      ),
    )
  })

  it('finds a field by any name that it can have', async () => {
    const name = fc
      .string({ unit: 'binary', minLength: 1 })
      .filter((given) => JSON.stringify(given) === `"${given}"` && !given.startsWith('$') && !given.includes('.'))
    const odd = fc.constantFrom(
      "it's",
      "' OR 1=1 --",
      'a[0]',
      '#',
      '*',
      '?1',
      ':a',
      '@b',
      ')',
      '-- ',
      '/*',
      '0',
      '-1',
      '`',
      'a b',
      'document',
      '__proto__',
      'constructor',
    )
    await inFreshObject((object) =>
      fc.assert(
        fc.property(fc.oneof(name, odd), (field) => {
          const store = new DocumentStore<Anything>(object.ctx, 'Odd', { indexes: [`inside.${field}`] })
          object.ctx.storage.sql.exec('DELETE FROM document_Odd')
          const own = Object.fromEntries([[field, 7]])
          store.create({ ...own, inside: own, $id: 'it' })
          store.create({ other: 7, $id: 'another' })
          for (const at of [field, `inside.${field}`]) {
            expect(idsOf(store.query({ where: Object.fromEntries([[at, 7]]) }))).toEqual(['it'])
            expect(idsOf(store.query({ where: { $or: [Object.fromEntries([[at, { $in: [7] }]])] } }))).toEqual(['it'])
            expect(idsOf(store.query({ orderBy: `-${at}` }))).toEqual(['it', 'another'])
          }
        }),
        { numRuns: 200 },
      ),
    )
  })

  it.each([["' OR 1=1 --"], ["a') OR (1=1"], ["'; DROP TABLE document_Film; --"], ['a" OR 1=1'], ['$.a'], ['?1']])(
    'takes %j for a value or a name, and for no SQL',
    async (text) => {
      await inFreshObject(async (object) => {
        const films = new DocumentStore<Anything>(object.ctx, 'Film')
        films.create({ title: 'The Land Girls' })
        const wheres: Where[] = [
          { title: text },
          { title: { $in: [text] } },
          { title: { $like: text } },
          { $id: text },
          { [text]: 'x' },
        ]
        for (const where of wheres) {
          const found = await failureOf(() => {
            throw Object.assign(new Error('found'), { code: `${films.count(where)}` })
          })
          expect(['0', 'invalid-argument']).toContain(found.code)
        }
        expect(films.count()).toBe(1)
      })
    },
  )

  it.each<[string, unknown, string]>([
    ['a limit of none', { limit: 0 }, 'limit must be'],
    [
      'a limit beyond the limit',
      { limit: DocumentStore.limits.pageDocuments + 1 },
      `1 to ${DocumentStore.limits.pageDocuments}`,
    ],
    ['half a limit', { limit: 1.5 }, 'limit must be'],
    ['an offset before the first', { offset: -1 }, 'offset must be'],
    ['after and offset together', { after: { $id: 'a' }, offset: 1 }, 'omit offset'],
    ['an end of a page that is no document', { after: 'a' }, 'after must be'],
    ['null for the end of a page', { after: null }, 'after must be'],
    ['an order that is no path', { orderBy: { a: 1 } }, 'orderBy must be'],
    ['an option that does not exist', { filter: { a: 1 } }, 'but no filter'],
    ['a filter that is none', { where: 'a = 1' }, 'a filter must be'],
    ['a list for a filter', { where: [{ a: 1 }] }, 'a filter must be'],
    ['undefined', { where: { a: undefined } }, 'not undefined'],
    ['a list', { where: { a: [1] } }, 'not an array'],
    ['an object', { where: { a: { b: 1 } } }, "can't be compared by b"],
    ['an empty object', { where: { a: {} } }, 'not {}'],
    ['an operator that is none', { where: { a: { $regex: 'x' } } }, "can't be compared by $regex"],
    ['a combination that does not exist', { where: { $nor: [{ a: 1 }] } }, 'not an array'],
    ['a Date', { where: { a: { $gt: new Date(0) } } }, 'not a Date'],
    ['NaN', { where: { a: Number.NaN } }, 'not NaN'],
    ['Infinity in a range', { where: { a: { $lt: Number.POSITIVE_INFINITY } } }, 'not Infinity'],
    ['a bigint', { where: { a: 1n } }, 'not a bigint'],
    ['half a surrogate pair', { where: { a: '\ud800' } }, 'well-formed'],
    ['true in a range', { where: { a: { $gt: true } } }, "can't be compared by $gt"],
    ['null in a range', { where: { a: { $gt: null } } }, 'a must be compared with'],
    ['no list of values', { where: { a: { $in: 1 } } }, '$in must be'],
    ['too many values', { where: { a: { $in: Array(1_001).fill(1) } } }, 'at most 1000'],
    ['too large values', { where: { a: { $in: ['x'.repeat(600_000)] } } }, '600000'],
    ['too large a value', { where: { a: 'x'.repeat(600_001) } }, '600000'],
    ['a list among values', { where: { a: { $in: [[1]] } } }, 'not an array'],
    ['a pattern that is no string', { where: { a: { $like: 1 } } }, '$like must be'],
    ['too long a pattern', { where: { a: { $like: 'ä'.repeat(26) } } }, 'at most 50 bytes'],
    ['a pattern with a NUL', { where: { a: { $like: 'a\0' } } }, 'without a NUL'],
    ['an empty $and', { where: { $and: [] } }, '$and must be'],
    ['no list of filters', { where: { $or: { a: 1 } } }, '$or must be'],
    ['no filter to turn round', { where: { $not: [] } }, 'a filter must be'],
    ['too many conditions', { where: { $or: Array.from({ length: 31 }, (_, a) => ({ a })) } }, 'at most 30'],
    ['too many conditions of several types', { where: { $or: mixed(11) } }, 'at most 30'],
    ['too many conditions without values', { where: { $not: nested(30) } }, 'at most 30'],
    ['a quote in a name', { where: { 'a"b': 1 } }, 'a quote, a backslash'],
    ['a backslash in a name', { where: { 'a\\b': 1 } }, 'a quote, a backslash'],
    ['an empty name', { where: { 'a..b': 1 } }, 'a path is'],
    ['an order by no name', { orderBy: '' }, 'a path is'],
    ['an order by a name with a quote', { orderBy: 'a"' }, 'a quote, a backslash'],
  ])('refuses %s', async (_, query, problem) => {
    await inFreshObject(async (object) => {
      const films = new DocumentStore<Anything>(object.ctx, 'Film')
      films.create({ a: 1 })
      const failure = await failureOf(() => films.query(query as DocumentQuery<Anything>))
      expect(failure).toMatchObject({ code: 'invalid-argument', message: expect.stringContaining(problem) })
      expect(failure.message).toMatch(/^Film\.query: /)
      if (typeof query === 'object' && query !== null && 'where' in query)
        for (const attempt of [
          () => films.count(query.where as never),
          () => films.deleteBatch(query.where as never),
          () => films.updateBatch(query.where as never, { a: 2 }),
        ])
          expect((await failureOf(attempt)).code).toBe('invalid-argument')
      expect(films.query()).toMatchObject([{ a: 1 }])
    })
  })

  it('takes as many conditions and values as its limits allow', async () => {
    await inFreshObject((object) => {
      const films = new DocumentStore<Anything>(object.ctx, 'Film')
      const last = films.create({ $id: 'a', field29: 1 })
      films.create({ $id: 'b', field29: 1 })
      const each = Array.from({ length: 29 }, (_, index) => ({ [`field${index + 1}`]: 1 }))
      expect(films.query({ where: { $or: each }, orderBy: '-other', after: films.get('b') })).toEqual([last])
      expect(films.count(nested(29))).toBe(2)
      expect(films.count({ $not: { $or: mixed(9) } })).toBe(2)
      expect(films.count({ field29: { $in: [...Array(999).fill('x'), 1] } })).toBe(2)
    })
  })

  it('[I7] refuses a page that is too large to be held', async () => {
    await inFreshObject(async (object) => {
      const films = new DocumentStore<{ text: string }>(object.ctx, 'Film')
      for (let batch = 0; batch < 3; batch += 1)
        films.createBatch(Array.from({ length: 30 }, () => ({ text: 'x'.repeat(400_000) })))
      const failure = await failureOf(() => films.query({ limit: 100 }))
      expect(failure).toMatchObject({ code: 'invalid-argument', message: expect.stringContaining('lower limit') })
      expect(films.query({ limit: 50 })).toHaveLength(50)
    })
  })
})

describe('list', () => {
  it('returns all documents in the order of their ids, page by page', async () => {
    await inFreshObject(async (object) => {
      const films = new DocumentStore<Anything>(object.ctx, 'Film')
      films.createBatch(['d', 'a', 'c', 'b', 'e'].map(($id) => ({ $id })))
      const pages = [
        films.list({ limit: 2 }),
        films.list({ limit: 2, after: 'b' }),
        films.list({ limit: 2, after: 'd' }),
      ]
      expect(pages.map(idsOf)).toEqual([['a', 'b'], ['c', 'd'], ['e']])
      expect(films.list()).toHaveLength(5)
      expect((await failureOf(() => films.list({ limit: 1_001 }))).code).toBe('invalid-argument')
    })
  })
})

/** Filters of three conditions each. */
function mixed(count: number): Where[] {
  return Array.from({ length: count }, (_, index) => ({ [`field${index}`]: { $in: [1, 'x', true] } }))
}

/** A filter that matches everything, at a depth. */
function nested(depth: number): Where {
  return depth === 0 ? { a: null } : { $and: [nested(depth - 1)] }
}
