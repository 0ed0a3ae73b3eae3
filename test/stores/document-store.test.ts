import { DocumentStore } from 'durable-outbox'
import type { DocumentQuery } from 'durable-outbox/stores'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { drain, failureOf, inNotes } from '../notes.ts'
import type { Draft } from '../worker.ts'

let objects = 0
function freshName(): string {
  return `document-${objects++}`
}

describe('DocumentStore', () => {
  it('[I1] emits what each call changed, with the whole document before and after', async () => {
    const name = freshName()
    const [created, updated] = await inNotes(name, ({ drafts }) => {
      const first = drafts.create({ text: 'one', tags: ['a'] })
      const second = drafts.update(first.$id, { stars: 5 })
      drafts.delete(first.$id)
      return [first, second]
    })
    expect(created).toMatchObject({ text: 'one', tags: ['a'], $version: 1 })
    expect(updated).toMatchObject({ text: 'one', tags: ['a'], stars: 5, $version: 2, $createdAt: created?.$createdAt })
    const shared = { store: 'document', table: 'Draft', key: created?.$id }
    expect(await drain(name)).toMatchObject([
      { ...shared, type: 'cdc.insert', op: 'c', after: created },
      { ...shared, type: 'cdc.update', op: 'u', before: created, after: updated },
      { ...shared, type: 'cdc.delete', op: 'd', before: updated },
    ])
  })

  it('gives each call a transaction of its own, and joins the open one', async () => {
    const name = freshName()
    await inNotes(name, ({ ctx, drafts }) => {
      drafts.create({ text: 'alone' })
      ctx.transactionSync((tx) => {
        drafts.create({ text: 'together' })
        tx.emit({ type: 'Draft.announced' })
      })
    })
    const [alone, together, announced] = (await drain(name)).map((record) => record.txid)
    expect(together).toBe(announced)
    expect(alone).not.toBe(together)
  })

  it('[I1] leaves neither document nor event if the transaction around it throws', async () => {
    const name = freshName()
    const left = await inNotes(name, async ({ ctx, drafts }) => {
      const kept = drafts.create({ text: 'kept' })
      await failureOf(() =>
        ctx.transaction(async () => {
          drafts.create({ text: 'lost' })
          drafts.update(kept.$id, { text: 'changed' })
          await Promise.resolve()
          drafts.delete(kept.$id)
          throw new Error('on purpose')
        }),
      )
      return drafts.query()
    })
    expect(left).toMatchObject([{ text: 'kept', $version: 1 }])
    expect(await drain(name)).toHaveLength(1)
  })

  it('emits nothing if nothing changes', async () => {
    const name = freshName()
    const draft = await inNotes(name, ({ drafts }) => {
      const { $id } = drafts.create({ text: 'one', stars: 1 })
      drafts.update($id, { text: 'one', stars: 1 })
      drafts.update($id, {})
      expect(drafts.delete('nobody')).toBe(false)
      return drafts.get($id)
    })
    expect(draft?.$version).toBe(1)
    expect(await drain(name)).toHaveLength(1)
  })

  it('refuses a second document of the same id, and a change to a missing one', async () => {
    const name = freshName()
    const failures = await inNotes(name, async ({ drafts }) => {
      drafts.create({ text: 'one', $id: 'a' })
      return [
        await failureOf(() => drafts.create({ text: 'two', $id: 'a' })),
        await failureOf(() => drafts.update('b', { text: 'two' })),
      ]
    })
    expect(failures.map(({ code }) => code)).toEqual(['already-exists', 'not-found'])
    expect(await drain(name)).toHaveLength(1)
  })

  it.each<[string, object]>([
    ['a Date', { text: new Date(0) }],
    ['a bigint', { text: 'x', stars: 1n }],
    ['a field of the store', { text: 'x', $version: 7 }],
    ['NaN', { text: 'x', stars: Number.NaN }],
  ])('refuses a document with %s and writes nothing', async (_, document) => {
    const name = freshName()
    const failure = await inNotes(name, ({ drafts }) => failureOf(() => drafts.create(document as Draft)))
    expect(failure.code).toBe('invalid-argument')
    expect(await inNotes(name, ({ drafts }) => drafts.count())).toBe(0)
  })

  it.each([[''], ['1st'], ['a b'], ['x"; DROP TABLE notes; --'], ['a'.repeat(65)]])(
    'refuses %j as a name',
    async (type) => {
      const failure = await inNotes(freshName(), ({ ctx }) => failureOf(() => new DocumentStore(ctx, type)))
      expect(failure.code).toBe('invalid-argument')
    },
  )
})

describe('query', () => {
  const seeds: Draft[] = [
    { text: 'a', stars: 3, done: true, 'a field': 'x' },
    { text: 'b', stars: 1, done: false },
    { text: 'c', stars: 2, done: true },
    { text: 'd', stars: null },
  ]

  function texts(name: string, query?: DocumentQuery<Draft>): Promise<string[]> {
    return inNotes(name, ({ drafts }) => {
      if (drafts.count() === 0) for (const seed of seeds) drafts.create({ ...seed, $id: seed.text })
      return drafts.query(query).map((draft) => draft.text)
    })
  }

  it.each<[DocumentQuery<Draft>, string[]]>([
    [{}, ['a', 'b', 'c', 'd']],
    [{ where: { stars: 1 } }, ['b']],
    [{ where: { done: true } }, ['a', 'c']],
    [{ where: { done: true, text: 'c' } }, ['c']],
    [{ where: { stars: null } }, ['d']],
    [{ where: { $id: 'b' } }, ['b']],
    [{ where: { 'a field': 'x' } }, ['a']],
    [{ orderBy: 'stars' }, ['d', 'b', 'c', 'a']],
    [{ orderBy: '-stars', limit: 2 }, ['a', 'c']],
    [{ orderBy: '-stars', limit: 2, offset: 2 }, ['b', 'd']],
    [{ where: { text: "a' OR 1=1 --" } }, []],
  ])('finds by %j', async (query, found) => {
    const name = freshName()
    expect(await texts(name, query)).toEqual(found)
    if (query.where) expect(await inNotes(name, ({ drafts }) => drafts.count(query.where))).toBe(found.length)
  })

  it.each([
    [{ limit: 0 }],
    [{ limit: DocumentStore.limits.pageDocuments + 1 }],
    [{ limit: 1.5 }],
    [{ offset: -1 }],
    [{ where: { ['x" = 1 --']: 1 } }],
    [{ where: { tags: ['a'] } }],
  ])('refuses %j', async (query) => {
    const failure = await inNotes(freshName(), ({ drafts }) => failureOf(() => drafts.query(query as never)))
    expect(failure.code).toBe('invalid-argument')
  })
})

/** What a reader makes of the log: the last `after` of each key is the document, unless a delete follows. */
function fold(records: { op?: string; key?: string; after?: unknown }[]): Record<string, unknown> {
  const state = new Map<string, unknown>()
  for (const { op, key = '', after } of records) {
    if (op === 'd') state.delete(key)
    else state.set(key, after)
  }
  return Object.fromEntries(state)
}

it('[I1] emits a log from which the store can be rebuilt, whatever calls are made', async () => {
  const id = fc.constantFrom('a', 'b', 'c')
  const text = fc.string()
  const actions = fc.array(
    fc.oneof(
      fc.record({ do: fc.constant('create' as const), id, text }),
      fc.record({ do: fc.constant('update' as const), id, text }),
      fc.record({ do: fc.constant('delete' as const), id }),
      fc.record({ do: fc.constant('fail' as const), id, text }),
    ),
    { maxLength: 15 },
  )
  await fc.assert(
    fc.asyncProperty(actions, async (script) => {
      const name = freshName()
      const held = await inNotes(name, async ({ ctx, drafts }) => {
        for (const action of script)
          await failureOf(() => {
            if (action.do === 'create') drafts.create({ $id: action.id, text: action.text.toWellFormed() })
            if (action.do === 'update') drafts.update(action.id, { text: action.text.toWellFormed() })
            if (action.do === 'delete') drafts.delete(action.id)
            if (action.do === 'fail')
              ctx.transactionSync(() => {
                drafts.delete(action.id)
                drafts.create({ $id: action.id, text: action.text.toWellFormed() })
                throw new Error('on purpose')
              })
            throw new Error('done')
          })
        return drafts.query()
      })
      expect(fold(await drain(name))).toEqual(Object.fromEntries(held.map((draft) => [draft.$id, draft])))
    }),
    { numRuns: 50 },
  )
})
