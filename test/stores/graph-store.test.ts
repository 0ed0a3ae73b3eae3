import { GraphStore } from 'durable-outbox'
import type { Relationship, RelationshipKey } from 'durable-outbox/stores'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { failureOf } from '../notes.ts'
import type { Stores } from '../worker.ts'
import { type FoldedTables, foldRows } from './fold.ts'
import { inFreshObject, logOf, snapshotOf, statementsOf } from './in-stores.ts'

const { limits } = GraphStore

/** Runs code in an object of its own, with an empty graph in it. */
function inGraph<T>(run: (graph: GraphStore, object: Stores) => T | Promise<T>): Promise<T> {
  return inFreshObject((object) => run(new GraphStore(object.ctx, 'Social'), object))
}

/** The tables that a reader of the store's snapshot has. */
function tablesOf(graph: GraphStore, maxRows: number): FoldedTables {
  return foldRows(snapshotOf(graph, maxRows))
}

function rowsOf(tables: FoldedTables): Record<'nodes' | 'relationships', Record<string, unknown>> {
  return {
    nodes: Object.fromEntries(tables.get('graph/Social.nodes') ?? []),
    relationships: Object.fromEntries(tables.get('graph/Social.relationships') ?? []),
  }
}

/** The statements that write, each as its first words and its rows. */
function writesOf(object: Stores, run: () => unknown): [words: string, rows: number][] {
  return statementsOf(object, run)
    .filter(({ rowsWritten }) => rowsWritten > 0)
    .map(({ query, rowsWritten }) => [
      query
        .trim()
        .split(/[\s(]+/, 3)
        .join(' '),
      rowsWritten,
    ])
}

const alice = { id: 'User/alice', data: { name: 'Alice' } }
const bob = { id: 'User/bob', data: { name: 'Bob' } }
const follows = { from: alice.id, to: bob.id, type: 'follows', data: { since: 2024 } }
const followsKey = 'User/alice|User/bob|follows'

describe('GraphStore', () => {
  it('[I1] emits what each call changed, with the whole row before and after, in a transaction of its own', async () => {
    const events = await inGraph((graph, object) => {
      graph.put(alice)
      graph.put({ id: alice.id, data: { name: 'Alice B.' } })
      graph.relate(follows)
      graph.updateRelationship(alice.id, bob.id, 'follows', { data: { since: 2025 } })
      graph.unrelate(alice.id, bob.id, 'follows')
      graph.delete(alice.id)
      return logOf(object)
    })
    const node = { store: 'graph', table: 'Social.nodes', key: alice.id }
    const relationship = { store: 'graph', table: 'Social.relationships', key: followsKey }
    const renamed = { id: alice.id, data: { name: 'Alice B.' } }
    const changed = { ...follows, data: { since: 2025 } }
    expect(
      events.map(({ op, store, table, key, before, after }) => ({ op, store, table, key, before, after })),
    ).toEqual([
      { op: 'c', ...node, before: undefined, after: alice },
      { op: 'u', ...node, before: alice, after: renamed },
      { op: 'c', ...relationship, before: undefined, after: follows },
      { op: 'u', ...relationship, before: follows, after: changed },
      { op: 'd', ...relationship, before: changed, after: undefined },
      { op: 'd', ...node, before: renamed, after: undefined },
    ])
    expect(new Set(events.map(({ txid }) => txid)).size).toBe(6)
  })

  it('deletes a node and its relationships, each with its event, in one transaction', async () => {
    const events = await inGraph((graph, object) => {
      graph.putBatch([alice, bob])
      graph.relateBatch([
        follows,
        { from: bob.id, to: alice.id, type: 'follows' },
        { from: alice.id, to: alice.id, type: 'likes' },
        { from: bob.id, to: 'User/carol', type: 'follows' },
      ])
      expect(graph.delete(alice.id)).toBe(true)
      expect(graph.get(alice.id)).toBeUndefined()
      expect([...graph.outgoing(alice.id), ...graph.incoming(alice.id)]).toEqual([])
      expect(graph.outgoing(bob.id)).toEqual([{ from: bob.id, to: 'User/carol', type: 'follows', data: null }])
      return logOf(object).slice(6)
    })
    expect(new Set(events.map(({ txid }) => txid)).size).toBe(1)
    const likes = { from: alice.id, to: alice.id, type: 'likes', data: null }
    const followsBack = { from: bob.id, to: alice.id, type: 'follows', data: null }
    expect(events.map(({ op, key, before }) => ({ op, key, before }))).toEqual([
      { op: 'd', key: followsKey, before: follows },
      { op: 'd', key: 'User/alice|User/alice|likes', before: likes },
      { op: 'd', key: 'User/bob|User/alice|follows', before: followsBack },
      { op: 'd', key: alice.id, before: alice },
    ])
  })

  it('relates ids without nodes, and deletes the relationships of such an id', async () => {
    const [isDeleted, isDeletedAgain, events] = await inGraph((graph, object) => {
      graph.relate({ from: 'a', to: 'b', type: 't' })
      return [graph.delete('b'), graph.delete('b'), logOf(object)] as const
    })
    expect([isDeleted, isDeletedAgain]).toEqual([true, false])
    expect(events.map(({ op, key }) => [op, key])).toEqual([
      ['c', 'a|b|t'],
      ['d', 'a|b|t'],
    ])
  })

  it('emits an event for each row of a batch, in its order, from one transaction and one statement', async () => {
    const [writes, events] = await inGraph((graph, object) => {
      graph.putBatch([alice, bob])
      const nodes = [
        alice,
        { id: bob.id, data: { name: 'Bob B.' } },
        { id: 'c', data: {} },
        { id: 'c', data: { n: 1 } },
      ]
      return [
        [
          ...writesOf(object, () => graph.putBatch(nodes)),
          ...writesOf(object, () => graph.relateBatch([follows, { from: 'b', to: 'a', type: 't' }])),
        ],
        logOf(object).slice(2),
      ] as const
    })
    expect(writes).toEqual([
      ['INSERT INTO "graph_Social_nodes"', 3],
      ['INSERT INTO "graph_Social_relationships"', 4],
    ])
    expect(events.map(({ op, key }) => [op, key])).toEqual([
      ['u', bob.id],
      ['c', 'c'],
      ['u', 'c'],
      ['c', followsKey],
      ['c', 'b|a|t'],
    ])
    expect(new Set(events.map(({ txid }) => txid)).size).toBe(2)
  })

  it('writes as few rows as possible', async () => {
    const writes = await inGraph((graph, object) => [
      ...writesOf(object, () => graph.put(alice)),
      ...writesOf(object, () => graph.put({ id: alice.id, data: {} })),
      ...writesOf(object, () => graph.relate(follows)),
      ...writesOf(object, () => graph.updateRelationship(alice.id, bob.id, 'follows', { data: null })),
      ...writesOf(object, () => graph.unrelate(alice.id, bob.id, 'follows')),
      ...writesOf(object, () => graph.delete(alice.id)),
    ])
    expect(writes).toEqual([
      ['INSERT INTO "graph_Social_nodes"', 1],
      ['INSERT INTO "graph_Social_nodes"', 1],
      // The row, and the index for what goes against the direction.
      ['INSERT INTO "graph_Social_relationships"', 2],
      ['UPDATE "graph_Social_relationships" SET', 1],
      ['DELETE FROM "graph_Social_relationships"', 1],
      ['DELETE FROM "graph_Social_nodes"', 1],
    ])
  })

  it('joins the open transaction, and takes the actor from it or from the call', async () => {
    const events = await inGraph((graph, object) => {
      object.ctx.transactionSync(
        (tx) => {
          graph.put(alice)
          graph.relate(follows, { actor: 'User/bob' })
          tx.emit({ type: 'Follower.gained' })
        },
        { actor: 'User/alice', correlationId: 'request-1' },
      )
      return logOf(object)
    })
    expect(new Set(events.map(({ txid }) => txid)).size).toBe(1)
    expect(events.map(({ lsn, actor, correlationId }) => [lsn, actor, correlationId])).toEqual([
      [1, 'User/alice', 'request-1'],
      [2, 'User/bob', 'request-1'],
      [3, 'User/alice', 'request-1'],
    ])
  })

  it.each<[string, (graph: GraphStore) => unknown]>([
    ['put', (graph) => graph.put(bob, { actor: 'A' })],
    ['putBatch', (graph) => graph.putBatch([bob], { actor: 'A' })],
    ['delete', (graph) => graph.delete(alice.id, { actor: 'A' })],
    ['relate', (graph) => graph.relate({ from: 'a', to: 'b', type: 't' }, { actor: 'A' })],
    ['relateBatch', (graph) => graph.relateBatch([{ from: 'a', to: 'b', type: 't' }], { actor: 'A' })],
    [
      'updateRelationship',
      (graph) => graph.updateRelationship(alice.id, bob.id, 'follows', { data: {} }, { actor: 'A' }),
    ],
    ['unrelate', (graph) => graph.unrelate(alice.id, bob.id, 'follows', { actor: 'A' })],
  ])(
    '%s records the actor, and [I1] leaves neither row nor event if the transaction around it throws',
    async (_, change) => {
      await inGraph(async (graph, object) => {
        graph.put(alice)
        graph.relate(follows)
        const before = rowsOf(tablesOf(graph, 10))
        await failureOf(() =>
          object.ctx.transactionSync(() => {
            change(graph)
            throw new Error('on purpose')
          }),
        )
        expect(rowsOf(tablesOf(graph, 10))).toEqual(before)
        expect(logOf(object)).toHaveLength(2)
        change(graph)
        const events = logOf(object).slice(2)
        expect(events.length).toBeGreaterThan(0)
        expect(events.every(({ actor }) => actor === 'A')).toBe(true)
        expect(rowsOf(tablesOf(graph, 10))).not.toEqual(before)
      })
    },
  )

  it('writes and emits nothing if nothing changes', async () => {
    await inGraph((graph, object) => {
      graph.put(alice)
      graph.relate(follows)
      const writes = writesOf(object, () => {
        graph.put(alice)
        graph.putBatch([alice, alice])
        graph.putBatch([])
        graph.relateBatch([])
        graph.updateRelationship(alice.id, bob.id, 'follows', { data: { since: 2024 } })
        expect(graph.unrelate(bob.id, alice.id, 'follows')).toBe(false)
        expect(graph.unrelate(alice.id, bob.id, 'likes')).toBe(false)
        expect(graph.delete('User/nobody')).toBe(false)
      })
      expect(writes).toEqual([])
      expect(logOf(object)).toHaveLength(2)
    })
  })

  it.each<[string, string, (graph: GraphStore) => unknown]>([
    ['already-exists', 'a second relationship of a type', (graph) => graph.relate(follows)],
    [
      'already-exists',
      'a batch with one that is there',
      (graph) =>
        graph.relateBatch([
          { from: 'a', to: 'b', type: 't' },
          { ...follows, data: null },
        ]),
    ],
    [
      'already-exists',
      'a batch with one twice',
      (graph) => graph.relateBatch(['x', 'y', 'x'].map((to) => ({ from: 'a', to, type: 't' }))),
    ],
    ['not-found', 'other data for no relationship', (graph) => graph.updateRelationship('a', 'b', 't', { data: {} })],
  ])('refuses with %s %s, and writes nothing', async (code, _, change) => {
    await inGraph((graph, object) => {
      graph.relate(follows)
      const failure = object.ctx.transactionSync(() => {
        graph.put(alice)
        try {
          return void change(graph)
        } catch (error) {
          return error
        }
      })
      expect(failure).toMatchObject({ code })
      expect(String(failure)).toMatch(/^CDCError: Social\.(relate|relateBatch|updateRelationship): .*\|/)
      expect(rowsOf(tablesOf(graph, 10)).relationships).toEqual({ [followsKey]: follows })
      expect(logOf(object).map(({ key }) => key)).toEqual([followsKey, alice.id])
    })
  })

  it.each<[string, unknown]>([
    ['a Date', { at: new Date(0) }],
    ['a bigint', { n: 1n }],
    ['NaN', { n: Number.NaN }],
    ['Infinity', { n: -Infinity }],
    ['a Map', { map: new Map() }],
    ['bytes', { bytes: new Uint8Array(2) }],
    ['undefined in an array', { list: [undefined] }],
    ['a hole in an array', { list: Array(1) }],
    ['half a surrogate pair', { text: '\ud83d' }],
    ['half a surrogate pair as a field', { '\ud83d': 1 }],
    ['a NUL in the name of a field', { 'a\0b': 1 }],
    ['too many levels', { nested: JSON.parse(`${'['.repeat(63)}${']'.repeat(63)}`) as unknown }],
    ['an array', [1]],
    ['a text', 'text'],
  ])('refuses data with %s, and writes nothing', async (_, data) => {
    await inGraph(async (graph, object) => {
      const given = data as Record<string, unknown>
      graph.relate({ from: 'a', to: 'b', type: 't' })
      for (const change of [
        () => graph.put({ id: 'a', data: given }),
        () => graph.putBatch([alice, { id: 'a', data: given }]),
        () => graph.relate({ from: 'b', to: 'a', type: 't', data: given }),
        () => graph.relateBatch([follows, { from: 'b', to: 'a', type: 't', data: given }]),
        () => graph.updateRelationship('a', 'b', 't', { data: given }),
      ]) {
        const failure = await failureOf(change)
        expect(failure.code).toBe('invalid-argument')
        expect(failure.message).toMatch(/^Social\.\w+: /)
      }
      expect(logOf(object)).toHaveLength(1)
      expect(rowsOf(tablesOf(graph, 10)).nodes).toEqual({})
    })
  })

  it('refuses a node without data', async () => {
    const failure = await inGraph((graph) => failureOf(() => graph.put({ id: 'a', data: null as never })))
    expect(failure).toEqual({ code: 'invalid-argument', message: 'Social.put: data must be an object, not null' })
  })

  it('keeps all data that is JSON as it is, one by one and in batches', async () => {
    const name = fc.string({ unit: 'grapheme' })
    const value = fc.oneof(fc.jsonValue({ maxDepth: 4, stringUnit: 'grapheme' }), fc.string({ unit: 'binary' }))
    const json = fc.dictionary(name, value, { maxKeys: 5 })
    await inGraph((graph, object) => {
      let id = 0
      fc.assert(
        fc.property(json, json, (one, other) => {
          const data = JSON.parse(JSON.stringify(one)) as Record<string, unknown>
          id += 1
          graph.putBatch([{ id: `a${id}`, data }])
          graph.put({ id: `b${id}`, data: other })
          graph.relateBatch([{ from: `a${id}`, to: `b${id}`, type: 't', data }])
          expect(graph.get(`a${id}`)?.data).toEqual(data)
          expect(graph.outgoing(`a${id}`)).toMatchObject([{ data }])
          const count = logOf(object).length
          // The text is the same either way, so that this is seen to change nothing.
          graph.put({ id: `a${id}`, data })
          graph.putBatch([{ id: `b${id}`, data: other }])
          graph.updateRelationship(`a${id}`, `b${id}`, 't', { data })
          expect(logOf(object)).toHaveLength(count)
        }),
        { numRuns: 50 },
      )
    })
  })

  it.each<[string, unknown]>([
    ['nothing', ''],
    ['what is too long', 'a'.repeat(201)],
    ['a NUL', 'a\0b'],
    ['half a surrogate pair', 'a\udc00'],
    ['a number', 7],
    ['undefined', undefined],
  ])('refuses %s as an id or a type', async (_, name) => {
    await inGraph(async (graph, object) => {
      const bad = name as string
      const calls = [
        () => graph.put({ id: bad, data: {} }),
        () => graph.get(bad),
        () => graph.delete(bad),
        () => graph.relate({ from: bad, to: 'b', type: 't' }),
        () => graph.relate({ from: 'a', to: bad, type: 't' }),
        () => graph.relate({ from: 'a', to: 'b', type: bad }),
        () => graph.unrelate('a', 'b', bad),
        () => graph.exists('a', bad, 't'),
        () => graph.updateRelationship(bad, 'b', 't', { data: {} }),
        () => graph.outgoing(bad),
        () => graph.incoming('a', { after: { from: bad, to: 'b', type: 't' } }),
        () => graph.traverse({ start: bad }),
        () => graph.traverse({ start: 'a', types: [bad] }),
        () => graph.shortestPath({ from: 'a', to: bad }),
        () => graph.findPath({ from: bad, to: 'b' }),
        () => graph.detectCycle('a', bad),
      ]
      const failures = await Promise.all(calls.map((call) => failureOf(call)))
      expect(failures.map(({ code }) => code)).toEqual(calls.map(() => 'invalid-argument'))
      expect(logOf(object)).toEqual([])
    })
  })

  it.each([`x'; DROP TABLE "graph_Social_nodes"; --`, `") OR 1=1 --`, '$."a"', '%', '?1', '|', '\\', '\u0001\u2028😀'])(
    'treats %j as a name like any other',
    async (name) => {
      await inGraph((graph, object) => {
        graph.put(alice)
        graph.putBatch([{ id: name, data: { [name]: name } }])
        graph.relateBatch([{ from: name, to: alice.id, type: name }])
        graph.relate({ from: alice.id, to: name, type: name, data: { [name]: name } })
        expect(graph.get(name)?.data).toEqual({ [name]: name })
        expect(graph.exists(name, alice.id, name)).toBe(true)
        expect(graph.outgoing(alice.id, { type: name })).toMatchObject([{ to: name, data: { [name]: name } }])
        expect(graph.incoming(alice.id, { type: name })).toMatchObject([{ from: name }])
        expect(graph.traverse({ start: alice.id, types: [name] })).toEqual({ nodes: [{ id: name, depth: 1 }] })
        expect(graph.shortestPath({ from: name, to: alice.id, types: [name] })).toEqual([name, alice.id])
        expect(graph.detectCycle(name, name)).toEqual([name, alice.id, name])
        expect(rowsOf(tablesOf(graph, 1))).toEqual(rowsOf(foldRows(logOf(object))))
        graph.delete(name)
        expect(rowsOf(tablesOf(graph, 1))).toEqual({ nodes: { [alice.id]: alice }, relationships: {} })
      })
    },
  )

  it('gives every relationship its own key, which an event can hold', async () => {
    const letters = ['a', '|', '\\']
    const names = [...letters, ...letters.flatMap((first) => letters.map((second) => first + second))]
    await inGraph((graph, object) => {
      const longest = '|'.repeat(limits.idCharacters)
      graph.relate({ from: longest, to: longest, type: '\\'.repeat(limits.typeCharacters) })
      graph.relateBatch(names.flatMap((from) => names.flatMap((to) => names.map((type) => ({ from, to, type })))))
      expect(new Set(logOf(object).map(({ key }) => key)).size).toBe(1 + names.length ** 3)
    })
  })

  it.each([[''], ['1st'], ['a b'], ['x"; DROP TABLE notes; --'], ['a'.repeat(65)]])(
    'refuses %j as the name of a graph',
    async (name) => {
      const failure = await inGraph((_, { ctx }) => failureOf(() => new GraphStore(ctx, name)))
      expect(failure.code).toBe('invalid-argument')
    },
  )

  it('separates the graphs of one object', async () => {
    await inGraph((graph, object) => {
      const other = new GraphStore(object.ctx, 'graph')
      graph.put(alice)
      other.relate(follows)
      expect(other.get(alice.id)).toBeUndefined()
      expect(graph.outgoing(alice.id)).toEqual([])
      expect(logOf(object).map(({ table }) => table)).toEqual(['Social.nodes', 'graph.relationships'])
    })
  })

  it('checks data by its schemas, and keeps what they return', async () => {
    await inGraph(async (_, object) => {
      const person = z.object({ name: z.string().trim().min(1) })
      const since = z.object({ since: z.int() }).nullable()
      const graph = new GraphStore(object.ctx, 'Checked', { nodeSchema: person, relationshipSchema: since })
      expect(graph.put({ id: 'a', data: { name: ' Alice ' } }).data.name).toBe('Alice')
      expect(graph.get('a')?.data).toEqual({ name: 'Alice' })
      graph.relate({ from: 'a', to: 'b', type: 't' })
      const failures = [
        await failureOf(() => graph.put({ id: 'b', data: { name: '' } })),
        await failureOf(() => graph.relate({ from: 'b', to: 'a', type: 't', data: { since: 1.5 } })),
        await failureOf(() => graph.updateRelationship('a', 'b', 't', { data: { since: 1.5 } })),
      ]
      expect(failures.map(({ code }) => code)).toEqual(Array(3).fill('invalid-argument'))
      expect(failures[0]?.message).toMatch(/^Checked\.put: data\.name: /)
      expect(logOf(object)).toHaveLength(2)
    })
  })

  it('refuses a row that is too large for an event, and takes a batch that is too large for one statement', async () => {
    await inGraph(async (graph, object) => {
      const large = { text: 'é'.repeat(490_000) }
      const tooLarge = { text: 'é'.repeat(510_000) }
      const failures = [
        await failureOf(() => graph.put({ id: 'a', data: tooLarge })),
        await failureOf(() => graph.putBatch([{ id: 'a', data: tooLarge }])),
        await failureOf(() => graph.relate({ ...follows, data: tooLarge })),
        await failureOf(() => graph.relateBatch([{ ...follows, data: tooLarge }])),
      ]
      expect(failures.map(({ code }) => code)).toEqual(Array(4).fill('event-too-large'))
      expect(logOf(object)).toEqual([])
      const ids = ['a', 'b', 'c']
      graph.putBatch(ids.map((id) => ({ id, data: large })))
      graph.relateBatch(ids.map((id) => ({ from: id, to: id, type: 't', data: large })))
      expect(ids.map((id) => graph.get(id)?.data)).toEqual(ids.map(() => large))
      expect(ids.map((id) => graph.outgoing(id)[0]?.data)).toEqual(ids.map(() => large))
      expect(new Set(logOf(object).map(({ txid }) => txid)).size).toBe(2)
    })
  })

  it('refuses batches and deletions beyond their limits', async () => {
    await inGraph(async (graph, object) => {
      object.outbox.pause()
      const ids = Array.from({ length: limits.batchRows + 1 }, (_, index) => `User/${index}`)
      const relationships = ids.map((from) => ({ from, to: 'hub', type: 'follows' }))
      const failures = [
        await failureOf(() => graph.putBatch(ids.map((id) => ({ id, data: {} })))),
        await failureOf(() => graph.relateBatch(relationships)),
      ]
      graph.relateBatch(relationships.slice(1))
      graph.relateBatch(relationships.slice(0, 1 + limits.deleteRelationships - limits.batchRows))
      failures.push(await failureOf(() => graph.delete('hub')))
      expect(failures.map(({ code }) => code)).toEqual(Array(3).fill('invalid-argument'))
      expect(graph.incoming('hub')).toHaveLength(1_000)
      graph.unrelate('User/0', 'hub', 'follows')
      expect(graph.delete('hub')).toBe(true)
      expect(graph.incoming('hub')).toEqual([])
      expect(object.outbox.stats().lastLSN).toBe(2 * limits.deleteRelationships + 2)
    })
  })

  it('has its tables again after deleteAll', async () => {
    await inGraph(async (graph, object) => {
      graph.put(alice)
      await object.ctx.storage.deleteAll()
      expect(graph.get(alice.id)).toBeUndefined()
      graph.relate(follows)
      expect(graph.exists(alice.id, bob.id, 'follows')).toBe(true)
    })
  })
})

const id = fc.constantFrom('a', 'b', 'c|', 'd"\\')
const type = fc.constantFrom('t', 'u')
const data = fc.constantFrom({}, { n: 1 }, { n: 1.5, text: 'é' })
const action = fc.oneof(
  fc.record({ do: fc.constant('put' as const), id, data }),
  fc.record({ do: fc.constant('putBatch' as const), nodes: fc.array(fc.record({ id, data }), { maxLength: 3 }) }),
  fc.record({ do: fc.constant('delete' as const), id }),
  fc.record({ do: fc.constant('relate' as const), from: id, to: id, type, data }),
  fc.record({
    do: fc.constant('relateBatch' as const),
    relationships: fc.array(fc.record({ from: id, to: id, type, data }), { maxLength: 3 }),
  }),
  fc.record({ do: fc.constant('updateRelationship' as const), from: id, to: id, type, data }),
  fc.record({ do: fc.constant('unrelate' as const), from: id, to: id, type }),
)
type Action = typeof action extends fc.Arbitrary<infer Value> ? Value : never

function apply(graph: GraphStore, action: Action): void {
  switch (action.do) {
    case 'put':
      return void graph.put(action)
    case 'putBatch':
      return void graph.putBatch(action.nodes)
    case 'delete':
      return void graph.delete(action.id)
    case 'relate':
      return void graph.relate(action)
    case 'relateBatch':
      return void graph.relateBatch(action.relationships)
    case 'updateRelationship':
      return void graph.updateRelationship(action.from, action.to, action.type, action)
    case 'unrelate':
      return void graph.unrelate(action.from, action.to, action.type)
  }
}

type Model = { nodes: Map<string, unknown>; relationships: Map<string, Relationship<object>> }
const nameOf = ({ from, to, type }: RelationshipKey): string => JSON.stringify([from, to, type])

/** Applies the action to the model. @returns whether the store must accept it. */
function applyToModel({ nodes, relationships }: Model, action: Action): boolean {
  switch (action.do) {
    case 'put':
      nodes.set(action.id, action.data)
      return true
    case 'putBatch':
      for (const node of action.nodes) nodes.set(node.id, node.data)
      return true
    case 'delete':
      nodes.delete(action.id)
      for (const [name, { from, to }] of relationships)
        if (from === action.id || to === action.id) relationships.delete(name)
      return true
    case 'relate':
      return applyToModel({ nodes, relationships }, { do: 'relateBatch', relationships: [action] })
    case 'relateBatch': {
      const names = action.relationships.map(nameOf)
      if (new Set(names).size < names.length || names.some((name) => relationships.has(name))) return false
      for (const { from, to, type, data } of action.relationships)
        relationships.set(nameOf({ from, to, type }), { from, to, type, data })
      return true
    }
    case 'updateRelationship': {
      const { from, to, type, data } = action
      if (!relationships.has(nameOf(action))) return false
      relationships.set(nameOf(action), { from, to, type, data })
      return true
    }
    case 'unrelate':
      relationships.delete(nameOf(action))
      return true
  }
}

it('[I1] emits a log from which the graph can be rebuilt, whatever calls are made', async () => {
  const script = fc.array(
    fc.record({ actions: fc.array(action, { minLength: 1, maxLength: 3 }), fails: fc.boolean() }),
    {
      maxLength: 15,
    },
  )
  await fc.assert(
    fc.asyncProperty(script, (transactions) =>
      inGraph((graph, object) => {
        let model: Model = { nodes: new Map(), relationships: new Map() }
        for (const { actions, fails } of transactions) {
          const next = { nodes: new Map(model.nodes), relationships: new Map(model.relationships) }
          const succeeds = actions.every((action) => applyToModel(next, action)) && !fails
          let hasSucceeded = true
          try {
            object.ctx.transactionSync(() => {
              for (const action of actions) apply(graph, action)
              if (fails) throw new Error('on purpose')
            })
          } catch {
            hasSucceeded = false
          }
          expect(hasSucceeded).toBe(succeeds)
          if (succeeds) model = next
        }
        const held = rowsOf(tablesOf(graph, 3))
        expect(rowsOf(foldRows(logOf(object)))).toEqual(held)
        expect(held.nodes).toEqual(Object.fromEntries([...model.nodes].map(([id, data]) => [id, { id, data }])))
        expect(new Set(Object.values(held.relationships))).toEqual(new Set(model.relationships.values()))
      }),
    ),
    { numRuns: 60 },
  )
})
