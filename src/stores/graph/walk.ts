// How a graph is walked: each walk is one recursive query, and reads the relationships of a node once.

import type { CDCError } from '../../error.ts'
import { checkWhole, describe, invalid } from '../checks.ts'
import { limits } from './limits.ts'
import { ends, type GraphDirection, type GraphTable } from './query.ts'
import { checkId, checkType } from './rows.ts'

export interface TraverseOptions {
  start: string
  /** Default: `outgoing`. */
  direction?: GraphDirection
  /** Types of relationships to follow. Default: all. */
  types?: readonly string[]
  /** Steps, at most: 0 to `limits.walkSteps`, the default. */
  maxDepth?: number
  /** At most this many nodes, the nearest ones. Default: all of them, and an error beyond `limits.walkNodes`. */
  limit?: number
}

/** A node that was reached. */
export interface TraversedNode {
  id: string
  /** How many steps away it is. */
  depth: number
}

export interface PathOptions {
  from: string
  to: string
  /** Types of relationships to follow. Default: all. */
  types?: readonly string[]
  /** Steps, at most: 0 to `limits.walkSteps`, the default. */
  maxDepth?: number
}

/** All nodes that can be reached, nearest first, without the start. @throws {CDCError} `invalid-argument` beyond the limits. */
export function traverse(graph: GraphTable, options: TraverseOptions): TraversedNode[] {
  const { start, direction = 'outgoing', types, maxDepth, limit } = options
  const { caller } = graph
  checkId(start, `${caller}: start`)
  if (direction !== 'outgoing' && direction !== 'incoming')
    throw invalid(caller, `direction must be outgoing or incoming, not ${describe(direction)}`)
  if (limit !== undefined) checkWhole(limit, { from: 1, to: limits.walkNodes }, `${caller}: limit`)
  const levels = walkLevels(graph, { start, direction, types, maxDepth, limit })
  return levels.flatMap((ids, depth) => (depth === 0 ? [] : ids.map((id) => ({ id, depth }))))
}

/**
 * The ids of a path with as few steps as possible, including both ends. It walks level by level as far as `to`, and from
 * there back to a node of the level before that leads to it, and so on.
 *
 * @throws {CDCError} like `traverse`.
 */
export function shortestPath(graph: GraphTable, { from, to, types, maxDepth }: PathOptions): string[] | undefined {
  checkId(from, `${graph.caller}: from`)
  checkId(to, `${graph.caller}: to`)
  const steps: Steps = { direction: 'outgoing', types }
  const levels = walkLevels(graph, { ...steps, start: from, maxDepth, end: to })
  if (levels.at(-1)?.includes(to) !== true) return undefined
  return query<{ id: string }>(
    graph,
    `WITH RECURSIVE path (depth, id) AS (
      SELECT json_array_length(?3) - 1, ?2
      UNION ALL
      SELECT depth - 1, (
        SELECT node.value FROM json_each(?3 -> (depth - 1)) AS node ${stepsFromNode(graph, steps)}
        WHERE step.to_id = path.id LIMIT 1
      )
      FROM path WHERE depth > 0
    )
    SELECT id FROM path ORDER BY depth`,
    [JSON.stringify(types ?? []), to, JSON.stringify(levels)],
  ).map(({ id }) => id)
}

/** Which relationships a walk follows. */
interface Steps {
  readonly direction: GraphDirection
  readonly types: readonly string[] | undefined
}

interface LevelsTask extends Steps {
  readonly start: string
  /** The walk ends with the level that has this node. */
  readonly end?: string
  readonly maxDepth: number | undefined
  readonly limit?: number | undefined
}

/**
 * The nodes that are 0, 1, 2 … steps away, each in the first level that has it. A row of the query holds all nodes visited
 * so far, and the index from which on they are new; the next row holds these and the neighbours of the new ones, in this
 * order, each once. (A recursion with a row for each node would visit nodes again at each depth, as UNION compares whole
 * rows.)
 */
function walkLevels(graph: GraphTable, { start, end, types, direction, limit, ...task }: LevelsTask): string[][] {
  const { caller } = graph
  for (const type of types ?? []) checkType(type, `${caller}: types`)
  const maxDepth = task.maxDepth ?? limits.walkSteps
  checkWhole(maxDepth, { from: 0, to: limits.walkSteps }, `${caller}: maxDepth`)
  const rows = query<{ nodes: string }>(
    graph,
    `WITH RECURSIVE level (depth, visited, first) AS (
      SELECT 0, json_array(?2), 0
      UNION ALL
      SELECT
        depth + 1,
        (SELECT json_group_array(id) FROM (
          SELECT DISTINCT id FROM (
            SELECT value AS id FROM json_each(visited)
            UNION ALL
            SELECT id FROM (${neighbours('visited', graph, { direction, types }, 'node.key >= first')})
          )
          LIMIT ?5
        )),
        json_array_length(visited)
      FROM level
      WHERE depth < ?4 AND json_array_length(visited) > first
        ${end === undefined ? '' : 'AND ?3 NOT IN (SELECT value FROM json_each(visited))'}
    )
    SELECT (SELECT json_group_array(value) FROM json_each(visited) WHERE key >= first) AS nodes FROM level`,
    [JSON.stringify(types ?? []), start, end ?? '', maxDepth, 1 + (limit ?? limits.walkNodes + 1)],
  )
  const levels = rows.map(({ nodes }) => JSON.parse(nodes) as string[])
  const visited = levels.reduce((sum, { length }) => sum + length, 0)
  if (limit === undefined && visited > 1 + limits.walkNodes) throw tooFar(caller)
  return levels
}

/** Where one step from the nodes of a JSON array leads. No level needs more rows than the whole walk may read. */
function neighbours(nodes: string, graph: GraphTable, steps: Steps, which = 'TRUE'): string {
  return `
    SELECT step.${ends(steps.direction).far} AS id FROM json_each(${nodes}) AS node ${stepsFromNode(graph, steps)}
    WHERE ${which} LIMIT ${limits.walkRowsRead}`
}

/** `?1` is the array of types. CROSS JOIN fixes the order: the nodes, and for each its steps by primary key or index. */
function stepsFromNode({ table }: GraphTable, { direction, types }: Steps): string {
  const follows = types === undefined ? '' : 'AND step.type IN (SELECT value FROM json_each(?1))'
  return `CROSS JOIN ${table} AS step ON step.${ends(direction).near} = node.value ${follows}`
}

/** A query that reads as many rows as it may could have missed some; one that reads fewer has missed none. */
function query<Row extends Record<string, SqlStorageValue>>(
  { sql, caller }: GraphTable,
  statement: string,
  params: SqlStorageValue[],
): Row[] {
  try {
    const rows: Row[] = []
    const result = sql.exec<Row>(statement, ...params)
    // Checked row by row, because the query continues while its rows are read.
    for (const row of result) {
      if (result.rowsRead >= limits.walkRowsRead) break
      rows.push(row)
    }
    if (result.rowsRead >= limits.walkRowsRead) throw tooFar(caller)
    return rows
  } catch (error) {
    // The ids of all visited nodes are one value in SQLite, whose limit is two megabytes.
    throw error instanceof Error && error.message.endsWith('SQLITE_TOOBIG') ? tooFar(caller) : error
  }
}

function tooFar(caller: string): CDCError {
  return invalid(
    caller,
    `the walk goes too far; its limits are ${limits.walkNodes} nodes, 2 MB of their ids and ${limits.walkRowsRead} rows ` +
      'read; name the types to follow, or choose a smaller maxDepth or limit',
  )
}
