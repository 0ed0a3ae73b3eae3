// Finds a cycle by a depth-first walk. Relationships are read in pages, each for many nodes that the walk has met: it will
// visit them all unless it finds a cycle before. So neither wide nor deep graphs cost more than their rows.

import type { CDCError } from '../../error.ts'
import { invalid } from '../checks.ts'
import { limits } from './limits.ts'
import type { GraphTable } from './query.ts'
import { checkId, checkType } from './rows.ts'

const PAGE_RELATIONSHIPS = 1_000
const PAGE_NODES = 1_000

type Step = { from: string; to: string }

/** A node that the walk has met. */
interface Node {
  readonly id: string
  /** `open` on the path from the start, `done` once everything behind it is known to be without a cycle. */
  state: 'new' | 'open' | 'done'
  /** Where its relationships lead: those of the page that was read last. */
  steps: Node[]
  stepsTaken: number
  /** Where the last relationship leads that was read: `''` before the first page, nothing after the last one. */
  after: string | undefined
}

/**
 * The ids of a cycle of relationships of a type that can be reached from a node, each with a relationship to the next one;
 * the first one is also the last. Nothing if there is no cycle.
 *
 * @throws {CDCError} `invalid-argument` beyond the limits, which are those of `GraphStore.detectCycle`.
 */
export function findCycle(graph: GraphTable, start: string, type: string): string[] | undefined {
  checkId(start, `${graph.caller}: start`)
  checkType(type, `${graph.caller}: type`)
  const nodes = new Nodes(graph, type)
  const path = [nodes.get(start)]
  for (let node = path.at(-1); node !== undefined; node = path.at(-1)) {
    node.state = 'open'
    const next = nodes.nextStep(node)
    if (next === undefined) {
      node.state = 'done'
      path.pop()
    } else if (next.state === 'open') return [...path.slice(path.indexOf(next)), next].map(({ id }) => id)
    else if (next.state === 'new') path.push(next)
  }
  return undefined
}

/** The nodes that the walk has met, and the relationships that it reads. */
class Nodes {
  readonly #graph: GraphTable
  readonly #type: string
  readonly #nodes = new Map<string, Node>()
  readonly #unread = new Set<Node>()
  #idCharacters = 0
  #rowsRead = 0

  constructor(graph: GraphTable, type: string) {
    this.#graph = graph
    this.#type = type
  }

  get(id: string): Node {
    const known = this.#nodes.get(id)
    if (known !== undefined) return known
    this.#idCharacters += id.length
    if (this.#nodes.size === limits.cycleNodes || this.#idCharacters > limits.cycleIdCharacters) throw this.#tooFar()
    const node: Node = { id, state: 'new', steps: [], stepsTaken: 0, after: '' }
    this.#nodes.set(id, node)
    this.#unread.add(node)
    return node
  }

  /** Where the next relationship of a node leads; nothing if all of them were followed. */
  nextStep(node: Node): Node | undefined {
    while (node.stepsTaken === node.steps.length && node.after !== undefined) this.#readPage(node)
    const next = node.steps[node.stepsTaken]
    node.stepsTaken += 1
    return next
  }

  /** Reads relationships of a node and, as far as the page has room, of nodes of which none were read yet. */
  #readPage(node: Node): void {
    this.#unread.delete(node)
    const asked = [node, ...this.#unread.values().take(PAGE_NODES - 1)]
    const page = this.#relationshipsOf(asked)
    // The relationships of the nodes after the last one are on the next page, and so may be others of the last one.
    const last = page.length < PAGE_RELATIONSHIPS ? undefined : page.at(-1)
    const read = last === undefined ? asked : asked.slice(0, asked.findIndex(({ id }) => id === last.from) + 1)
    for (const each of read) {
      Object.assign(each, { steps: [], stepsTaken: 0, after: undefined })
      this.#unread.delete(each)
    }
    for (const { from, to } of page) this.get(from).steps.push(this.get(to))
    if (last !== undefined) this.get(last.from).after = last.to
  }

  /** Relationships of nodes, in their order; of the first node those after the ones that were read. */
  #relationshipsOf(nodes: readonly Node[]): Step[] {
    const { sql, table } = this.#graph
    const rows = sql.exec<Step>(
      `SELECT step.from_id AS "from", step.to_id AS "to" FROM json_each(?1) AS node CROSS JOIN ${table} AS step
        ON step.from_id = node.value AND step.type = ?2 AND step.to_id > iif(node.key = 0, ?3, '')
        LIMIT ?4`,
      JSON.stringify(nodes.map(({ id }) => id)),
      this.#type,
      nodes[0]?.after ?? '',
      PAGE_RELATIONSHIPS,
    )
    const steps = rows.toArray()
    this.#rowsRead += rows.rowsRead
    if (this.#rowsRead > limits.walkRowsRead) throw this.#tooFar()
    return steps
  }

  #tooFar(): CDCError {
    return invalid(
      this.#graph.caller,
      `the walk goes too far; its limits are ${limits.cycleNodes} nodes, ${limits.cycleIdCharacters} characters of their ids ` +
        `and ${limits.walkRowsRead} rows read; start from a node that reaches less`,
    )
  }
}
