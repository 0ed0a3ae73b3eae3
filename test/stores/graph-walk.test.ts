import { GraphStore } from 'durable-outbox'
import type { RelationshipKey } from 'durable-outbox/stores'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { failureOf } from '../notes.ts'
import { allBetween, chainOf, ids, inGraph, relateAll } from './graphs.ts'
import { rowsReadBy } from './in-stores.ts'

const { limits } = GraphStore

describe('outgoing and incoming', () => {
  it('return the relationships of a node, by type and then by the node at the other end', async () => {
    await inGraph('a-u>c a-t>c a-t>b b-t>a c-t>c', (graph) => {
      expect(graph.outgoing('a').map(({ type, to }) => type + to)).toEqual(['tb', 'tc', 'uc'])
      expect(graph.outgoing('a', { type: 't' }).map(({ to }) => to)).toEqual(['b', 'c'])
      expect(graph.incoming('c').map(({ type, from }) => type + from)).toEqual(['ta', 'tc', 'ua'])
      expect(graph.incoming('c', { type: 'u' })).toEqual([{ from: 'a', to: 'c', type: 'u', data: null }])
      expect(graph.outgoing('nobody')).toEqual([])
    })
  })

  it.each(['outgoing', 'incoming'] as const)('return %s relationships in pages that join', async (direction) => {
    const arrows = direction === 'outgoing' ? 'a-t>b a-t>c a-t>d a-u>b a-u>c' : 'b-t>a c-t>a d-t>a b-u>a c-u>a'
    await inGraph(`${arrows} a-t>a b-t>b`, (graph) => {
      for (const type of [undefined, 't', 'u'])
        for (const limit of [1, 2, 3, 10]) {
          const filter = type === undefined ? {} : { type }
          const all = graph[direction]('a', filter)
          const paged: RelationshipKey[] = []
          for (let page = 0; page < 6; page++)
            paged.push(...graph[direction]('a', { ...filter, limit, after: paged.at(-1) }))
          expect(paged).toEqual(all)
        }
    })
  })

  it('read what they return, wherever the page begins', async () => {
    await inGraph('', (graph, object) => {
      relateAll(graph, allBetween(['hub'], ids('n', 3_000)))
      const after = { from: 'hub', to: 'n2', type: 't' }
      for (const query of [{ after }, { after, type: 't' }])
        expect(rowsReadBy(object, () => graph.outgoing('hub', { ...query, limit: 10 }))).toBeLessThanOrEqual(11)
      expect(graph.outgoing('hub')).toHaveLength(limits.pageRelationships)
    })
  })

  it.each([0, 1.5, limits.pageRelationships + 1, Number.NaN])('refuse pages of %d', async (limit) => {
    const failure = await inGraph('', (graph) => failureOf(() => graph.incoming('a', { limit })))
    expect(failure.code).toBe('invalid-argument')
  })
})

describe('traverse', () => {
  const arrows = 'a-t>b a-t>c b-t>d c-t>d d-t>a d-u>e e-t>e x-t>a'

  it.each<[object, string]>([
    [{ start: 'a' }, 'b1 c1 d2 e3'],
    [{ start: 'a', types: ['t'] }, 'b1 c1 d2'],
    [{ start: 'a', types: ['u'] }, ''],
    [{ start: 'a', types: [] }, ''],
    [{ start: 'd', types: ['u', 't'] }, 'a1 e1 b2 c2'],
    [{ start: 'a', maxDepth: 2 }, 'b1 c1 d2'],
    [{ start: 'a', maxDepth: 0 }, ''],
    [{ start: 'a', limit: 1 }, 'b1'],
    [{ start: 'a', limit: 3 }, 'b1 c1 d2'],
    [{ start: 'd', direction: 'incoming' }, 'b1 c1 a2 x3'],
    [{ start: 'e', direction: 'incoming', types: ['u'] }, 'd1'],
    [{ start: 'e' }, ''],
    [{ start: 'nobody' }, ''],
  ])('finds what %j reaches, nearest first', async (options, found) => {
    await inGraph(arrows, (graph) => {
      const { nodes } = graph.traverse({ start: 'a', ...options })
      expect(nodes.map(({ id, depth }) => id + depth).join(' ')).toBe(found)
    })
  })

  it('reads each relationship of a dense graph once, however deep it goes', async () => {
    await inGraph('n0-t>c0', (graph, object) => {
      const dense = ids('n', 100)
      relateAll(graph, allBetween(dense, dense))
      relateAll(graph, chainOf(ids('c', 10)))
      const rowsRead = rowsReadBy(object, () => expect(graph.traverse({ start: 'n0' }).nodes).toHaveLength(109))
      expect(rowsRead).toBeGreaterThan(10_000)
      expect(rowsRead).toBeLessThan(15_000)
    })
  })

  it('reads no more than it needs for its limit', async () => {
    await inGraph('', (graph, object) => {
      relateAll(graph, allBetween(['hub'], ids('n', 5_000)))
      const rowsRead = rowsReadBy(object, () =>
        expect(graph.traverse({ start: 'hub', limit: 10 }).nodes).toHaveLength(10),
      )
      expect(rowsRead).toBeLessThan(100)
    })
  })

  it('refuses to go beyond its limits, and never leaves anything out', async () => {
    await inGraph('', async (graph) => {
      const tooMany = ids('n', limits.walkNodes + 1)
      relateAll(graph, allBetween(['hub'], tooMany.slice(1)))
      expect(graph.traverse({ start: 'hub' }).nodes).toHaveLength(limits.walkNodes)
      relateAll(graph, allBetween(['hub'], tooMany.slice(0, 1)))
      const failures = [
        await failureOf(() => graph.traverse({ start: 'hub' })),
        await failureOf(() => graph.shortestPath({ from: 'hub', to: 'nobody' })),
      ]
      expect(failures.map(({ code }) => code)).toEqual(['invalid-argument', 'invalid-argument'])
      expect(failures[0]?.message).toMatch(/^graph\.traverse: the walk goes too far; .*50000 nodes/)
      expect(graph.traverse({ start: 'hub', limit: limits.walkNodes }).nodes).toHaveLength(limits.walkNodes)
    })
  })

  it('refuses to read too many rows, and to hold ids that are too long together', async () => {
    await inGraph('wide-t>c0', async (graph) => {
      relateAll(graph, allBetween(['wide'], ids('n', 10_000)))
      relateAll(graph, chainOf(ids('c', limits.walkSteps)))
      relateAll(graph, allBetween(['heavy'], ids('é'.repeat(190), 8_000)))
      for (const start of ['wide', 'heavy']) {
        const failure = await failureOf(() => graph.traverse({ start }))
        expect(failure).toMatchObject({
          code: 'invalid-argument',
          message: expect.stringMatching(/^graph\.traverse: /),
        })
      }
      expect(graph.traverse({ start: 'wide', maxDepth: 10 }).nodes).toHaveLength(10_010)
      expect(graph.traverse({ start: 'heavy', limit: 100 }).nodes).toHaveLength(100)
    })
  })

  it.each([
    { maxDepth: limits.walkSteps + 1 },
    { maxDepth: -1 },
    { maxDepth: Infinity },
    { limit: 0 },
    { limit: limits.walkNodes + 1 },
    { limit: 1.5 },
    { direction: 'both' as never },
  ])('refuses %j', async (options) => {
    const failure = await inGraph('', (graph) => failureOf(() => graph.traverse({ start: 'a', ...options })))
    expect(failure.code).toBe('invalid-argument')
  })
})

describe('shortestPath', () => {
  const arrows = 'a-t>b b-t>c c-t>d a-u>x x-u>d d-t>a e-t>e'

  it.each<[object, string[] | undefined]>([
    [{ to: 'd' }, ['a', 'x', 'd']],
    [{ to: 'd', types: ['t'] }, ['a', 'b', 'c', 'd']],
    [{ to: 'd', types: ['t'], maxDepth: 3 }, ['a', 'b', 'c', 'd']],
    [{ to: 'd', types: ['t'], maxDepth: 2 }, undefined],
    [{ to: 'd', types: [] }, undefined],
    [{ to: 'a' }, ['a']],
    [{ to: 'a', maxDepth: 0 }, ['a']],
    [{ to: 'b', maxDepth: 0 }, undefined],
    [{ to: 'e' }, undefined],
    [{ from: 'nobody', to: 'a' }, undefined],
    [{ from: 'd', to: 'c' }, ['d', 'a', 'b', 'c']],
  ])('finds %j', async (options, path) => {
    await inGraph(arrows, (graph) => {
      const asked = { from: 'a', to: 'a', ...options }
      expect(graph.shortestPath(asked)).toEqual(path)
      expect(graph.findPath(asked)).toEqual(path)
    })
  })

  it('stops at the level of its end', async () => {
    await inGraph('start-t>near near-t>far', (graph, object) => {
      relateAll(graph, allBetween(['far'], ids('n', 5_000)))
      const rowsRead = rowsReadBy(object, () => graph.shortestPath({ from: 'start', to: 'far' }))
      expect(rowsRead).toBeLessThan(100)
    })
  })

  it('finds paths as long as limits.walkSteps, and none beyond', async () => {
    await inGraph('', (graph) => {
      const chain = ids('n', limits.walkSteps + 2)
      relateAll(graph, chainOf(chain))
      expect(graph.shortestPath({ from: 'n0', to: `n${limits.walkSteps}` })).toEqual(chain.slice(0, -1))
      expect(graph.shortestPath({ from: 'n0', to: `n${limits.walkSteps + 1}` })).toBeUndefined()
    })
  })
})

/** The steps that each node is away, as plain code has it. */
function distances(relationships: readonly RelationshipKey[], start: string): Map<string, number> {
  const found = new Map([[start, 0]])
  for (const [id, depth] of found)
    for (const { from, to } of relationships) if (from === id && !found.has(to)) found.set(to, depth + 1)
  return found
}

it('walks any graph like plain code', async () => {
  const id = fc.constantFrom('a', 'b"', 'c|', 'd\\', 'é', '😀', "f'")
  const type = fc.constantFrom('t', 'u')
  const graphs = fc.uniqueArray(fc.record({ from: id, to: id, type }), {
    selector: ({ from, to, type }) => JSON.stringify([from, to, type]),
    maxLength: 12,
  })
  const task = fc.record({
    relationships: graphs,
    types: fc.option(fc.subarray(['t', 'u']), { nil: undefined }),
    start: id,
    end: id,
    maxDepth: fc.integer({ min: 0, max: 6 }),
    limit: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
  })
  await inGraph('', (graph) => {
    fc.assert(
      fc.property(task, ({ relationships, types, start, end, maxDepth, limit }) => {
        for (const from of new Set(relationships.map(({ from }) => from))) graph.delete(from)
        graph.relateBatch(relationships)
        const followed = relationships.filter(({ type }) => types?.includes(type) ?? true)
        const asked = { ...(types && { types }), maxDepth, ...(limit && { limit }) }

        for (const direction of ['outgoing', 'incoming'] as const) {
          const walked =
            direction === 'outgoing' ? followed : followed.map(({ from, to, type }) => ({ from: to, to: from, type }))
          const expected = [...distances(walked, start)].filter(([, depth]) => depth > 0 && depth <= maxDepth)
          const { nodes } = graph.traverse({ start, direction, ...asked })
          expect(nodes.map(({ depth }) => depth)).toEqual(expected.slice(0, limit).map(([, depth]) => depth))
          expect(expected).toEqual(expect.arrayContaining(nodes.map(({ id, depth }) => [id, depth])))
          expect(new Set(nodes.map(({ id }) => id)).size).toBe(nodes.length)
        }

        const steps = distances(followed, start).get(end) ?? Infinity
        const path = graph.shortestPath({ from: start, to: end, ...asked })
        expect(path === undefined ? Infinity : path.length - 1).toBe(steps > maxDepth ? Infinity : steps)
        expect(path?.[0] ?? start).toBe(start)
        expect(path?.at(-1) ?? end).toBe(end)
        path
          ?.slice(1)
          .forEach((to, index) => expect(followed.map(({ from, to }) => [from, to])).toContainEqual([path[index], to]))

        for (const { from, to, type } of relationships) graph.unrelate(from, to, type)
      }),
      { numRuns: 300 },
    )
  })
})
