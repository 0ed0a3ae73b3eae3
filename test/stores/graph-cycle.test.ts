import { GraphStore } from 'durable-outbox'
import type { RelationshipKey } from 'durable-outbox/stores'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allBetween, chainOf, ids, inGraph, relateAll } from './graphs.ts'
import { rowsReadBy } from './in-stores.ts'

const { limits } = GraphStore

/** Expects a cycle to be one, and one that can be reached from a node. */
function expectCycle(cycle: string[] | undefined, relationships: readonly RelationshipKey[], start: string): void {
  if (cycle === undefined) throw new Error('no cycle was found')
  expect(cycle.length).toBeGreaterThan(1)
  expect(cycle.at(-1)).toBe(cycle[0])
  expect(new Set(cycle).size).toBe(cycle.length - 1)
  const related = new Set(relationships.map(({ from, to }) => JSON.stringify([from, to])))
  for (const { from, to } of chainOf(cycle)) expect(related).toContain(JSON.stringify([from, to]))
  expect(reachableFrom(start, relationships)).toContain(cycle[0])
}

/** The nodes that plain code reaches, including the start. */
function reachableFrom(start: string, relationships: readonly RelationshipKey[]): Set<string> {
  const from = Map.groupBy(relationships, (relationship) => relationship.from)
  const reached = new Set([start])
  for (const id of reached) for (const { to } of from.get(id) ?? []) reached.add(to)
  return reached
}

/** Whether relationships are left when plain code removes those that lead nowhere, again and again. */
function hasCycle(start: string, relationships: readonly RelationshipKey[]): boolean {
  const reached = reachableFrom(start, relationships)
  let left = relationships.filter(({ from }) => reached.has(from))
  for (let count = Infinity; left.length < count;) {
    count = left.length
    const leading = new Set(left.map(({ from }) => from))
    left = left.filter(({ to }) => leading.has(to))
  }
  return left.length > 0
}

/** Cycles of these lengths, each with a relationship from `start`. */
function cyclesOf(lengths: readonly number[]): RelationshipKey[] {
  return lengths.flatMap((length) => {
    const cycle = ids(`${length}-`, length)
    return [...chainOf(['start', ...cycle]), ...chainOf([...cycle.slice(-1), ...cycle.slice(0, 1)])]
  })
}

describe('detectCycle', () => {
  it.each<[string, string, string | undefined]>([
    ['nothing', '', undefined],
    ['a chain', 'a-t>b b-t>c', undefined],
    ['a cycle', 'a-t>b b-t>c c-t>a', 'a b c a'],
    ['a relationship of a node with itself', 'a-t>a', 'a a'],
    ['a cycle beyond the start', 'a-t>b b-t>c c-t>d d-t>c', 'c d c'],
    ['a relationship of a node with itself beyond the start', 'a-t>b b-t>b', 'b b'],
    ['two ways to a node', 'a-t>b a-t>c b-t>d c-t>d', undefined],
    ['ways of different length to a node', 'a-t>b b-t>c c-t>d a-t>d d-t>e', undefined],
    ['a cycle of another type', 'a-t>b b-u>a', undefined],
    ['a cycle that is not reached', 'a-t>b x-t>a x-t>y y-t>x', undefined],
    ['cycles of different lengths', 'a-t>b b-t>c c-t>b a-t>d d-t>e e-t>f f-t>d', 'b c b'],
  ])('returns the cycle of %s, if there is one', async (_, arrows, cycle) => {
    await inGraph(arrows, (graph) => expect(graph.detectCycle('a', 't')?.join(' ')).toBe(cycle))
  })

  it.each([
    ['42 nodes', [2, 3, 5, 7, 11, 13]],
    ['59 nodes', [2, 3, 5, 7, 11, 13, 17]],
  ])('answers at once for %s in cycles of coprime lengths', async (_, lengths) => {
    await inGraph('', (graph, object) => {
      const relationships = cyclesOf(lengths)
      relateAll(graph, relationships)
      const rowsRead = rowsReadBy(object, () => expectCycle(graph.detectCycle('start', 't'), relationships, 'start'))
      expect(rowsRead).toBeLessThan(200)
    })
  })

  it('follows a chain of 100,000 relationships, and finds where it closes', async () => {
    await inGraph('', (graph, object) => {
      const chain = ids('n', 100_001)
      relateAll(graph, chainOf(chain))
      const rowsRead = rowsReadBy(object, () => expect(graph.detectCycle('n0', 't')).toBeUndefined())
      expect(rowsRead).toBeLessThan(4 * 100_000)
      graph.relate({ from: 'n100000', to: 'n90000', type: 't' })
      expect(graph.detectCycle('n0', 't')).toEqual([...chain.slice(90_000), 'n90000'])
    })
  })

  it('follows 100,000 relationships between few nodes, and finds the one that closes a cycle', async () => {
    await inGraph('', (graph, object) => {
      const dense = ids('n', 448)
      relateAll(
        graph,
        dense.flatMap((from, index) => allBetween([from], dense.slice(index + 1))),
      )
      const rowsRead = rowsReadBy(object, () => expect(graph.detectCycle('n0', 't')).toBeUndefined())
      expect(rowsRead).toBeLessThan(2 * 100_000)
      graph.relate({ from: 'n447', to: 'n447', type: 't' })
      expect(graph.detectCycle('n0', 't')).toEqual(['n447', 'n447'])
    })
  })

  it('follows 50,000 relationships of one node, and finds the one that closes a cycle', async () => {
    await inGraph('', (graph, object) => {
      relateAll(graph, allBetween(['hub'], ids('n', 50_000)))
      const statements = rowsReadBy(object, () => expect(graph.detectCycle('hub', 't')).toBeUndefined())
      expect(statements).toBeLessThan(4 * 50_000)
      graph.relate({ from: 'n9999', to: 'hub', type: 't' })
      expect(graph.detectCycle('hub', 't')).toEqual(['hub', 'n9999', 'hub'])
    })
  })

  it('looks no further once it is back at the start', async () => {
    await inGraph('', (graph, object) => {
      const dense = ids('n', 100)
      relateAll(graph, allBetween(dense, dense))
      const rowsRead = rowsReadBy(object, () => expect(graph.detectCycle('n0', 't')).toEqual(['n0', 'n0']))
      expect(rowsRead).toBeLessThan(1_000)
    })
  })

  it.each([
    [
      'read too many rows',
      1_000,
      `SELECT 'start', 't', 'a' || i, 'null' FROM number
        UNION ALL SELECT 'a' || a.i, 't', 'b' || b.i, 'null' FROM number AS a CROSS JOIN number AS b`,
    ],
    ['hold too many nodes', limits.cycleNodes, "SELECT 'start', 't', i, 'null' FROM number"],
    [
      'hold ids that are too long together',
      limits.cycleIdCharacters / 180,
      "SELECT 'start', 't', replace(hex(zeroblob(95)), '0', 'é') || i, 'null' FROM number",
    ],
  ])('[I7] refuses to %s, and stops there', async (_, count, relationships) => {
    await inGraph('', (graph, object) => {
      // Not through the store and without its index, because a million relationships would take too long.
      object.ctx.storage.sql.exec(
        `DROP INDEX "graph_graph_incoming"; INSERT INTO "graph_graph_relationships"
          WITH RECURSIVE number (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number WHERE i < ?) ${relationships}`,
        count,
      )
      const rowsRead = rowsReadBy(object, () =>
        expect(() => graph.detectCycle('start', 't')).toThrow(
          'graph.detectCycle: the walk goes too far; its limits are 250000 nodes, 16000000 characters of their ids and ' +
            '1000000 rows read; start from a node that reaches less',
        ),
      )
      expect(rowsRead).toBeLessThan(1.01 * limits.walkRowsRead)
    })
  })
})

it('finds a cycle in any graph if plain code finds one', async () => {
  const id = fc.constantFrom('a', 'b"', 'c|', 'd\\', 'é', '😀', "f'")
  const relationship = fc.record({ from: id, to: id, type: fc.constantFrom('t', 'u') })
  const relationships = fc.uniqueArray(relationship, {
    selector: ({ from, to, type }) => JSON.stringify([from, to, type]),
    maxLength: 12,
  })
  await inGraph('', (graph) => {
    fc.assert(
      fc.property(relationships, id, (given, start) => {
        graph.relateBatch(given)
        const followed = given.filter(({ type }) => type === 't')
        const cycle = graph.detectCycle(start, 't')
        if (hasCycle(start, followed)) expectCycle(cycle, followed, start)
        else expect(cycle).toBeUndefined()
        for (const { from, to, type } of given) graph.unrelate(from, to, type)
      }),
      { numRuns: 300 },
    )
  })
})

it('finds a cycle in graphs whose relationships take several pages if plain code finds one', async () => {
  const hub = fc.record({
    /** How many leaves the hub has, of those that all hubs share. */
    leaves: fc.constantFrom(0, 1, 99, 100, 101, 999, 1_000, 1_001, 2_500),
    firstLeaf: fc.integer({ min: 0, max: 1_500 }),
    /** A leaf that leads to this or another hub. */
    back: fc.option(fc.record({ leaf: fc.nat(4_000), hub: fc.nat(4) }), { nil: undefined }),
  })
  await inGraph('', (graph) => {
    fc.assert(
      fc.property(fc.array(hub, { minLength: 1, maxLength: 4 }), (hubs) => {
        const leaf = (index: number): string => `leaf${String(index).padStart(4, '0')}`
        const relationships = [
          ...chainOf(ids('hub', hubs.length)),
          ...hubs.flatMap(({ leaves, firstLeaf, back }, index) => [
            ...allBetween(
              [`hub${index}`],
              Array.from({ length: leaves }, (_, nth) => leaf(firstLeaf + nth)),
            ),
            ...(back === undefined ? [] : [{ from: leaf(back.leaf), to: `hub${back.hub}`, type: 't' }]),
          ]),
        ]
        const distinct = [...new Map(relationships.map((each) => [JSON.stringify(each), each])).values()]
        relateAll(graph, distinct)
        const cycle = graph.detectCycle('hub0', 't')
        if (hasCycle('hub0', distinct)) expectCycle(cycle, distinct, 'hub0')
        else expect(cycle).toBeUndefined()
        for (const { from, to, type } of distinct) graph.unrelate(from, to, type)
      }),
      { numRuns: 15 },
    )
  })
})
