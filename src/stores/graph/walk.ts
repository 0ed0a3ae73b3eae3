// How a graph is walked: each walk is one recursive query, and reads the relationships of a node once.

import type { StoreSQL } from '../../store.ts'
import { CDCError } from '../../error.ts'
import { checkWhole } from '../checks.ts'
import { type GraphDirection, ends } from './query.ts'
import { checkId, checkType } from './rows.ts'

/** Steps that a walk goes, at most: a path has at most one node more. */
export const WALK_DEPTH_MAX = 100
/** Nodes that a walk visits beside its start, at most. */
export const WALK_NODES_MAX = 50_000
/** Rows that a walk reads, at most, as the platform counts them. */
export const WALK_ROWS_READ_MAX = 1_000_000

export interface TraverseOptions {
  start: string
  /** Default: `outgoing`. */
  direction?: GraphDirection
  /** Types of relationships to follow. Default: all. */
  types?: readonly string[]
  /** Steps, at most: 0 to `WALK_DEPTH_MAX`, the default. */
  maxDepth?: number
  /** Only so many nodes, the nearest ones. Without it all of them, and an error beyond `WALK_NODES_MAX`. */
  limit?: number
}

/** A node that was reached, and the steps that it is away. */
export type TraversedNode = { id: string; depth: number }

export interface PathOptions {
  from: string
  to: string
  /** Types of relationships to follow. Default: all. */
  types?: readonly string[]
  /** Steps, at most: 0 to `WALK_DEPTH_MAX`, the default. */
  maxDepth?: number
}

/** What is walked, and for whom. */
export interface Ground {
  readonly sql: StoreSQL
  /** The table of relationships, in SQL. */
  readonly table: string
  /** What an error names. */
  readonly method: string
}

/**
 * All nodes that can be reached, nearest first, without the start.
 *
 * @throws {CDCError} `invalid-argument` beyond `WALK_NODES_MAX` or `WALK_ROWS_READ_MAX`.
 */
export function traverse(ground: Ground, options: TraverseOptions): TraversedNode[] {
  const { start, direction = 'outgoing', types, maxDepth, limit } = options
  const { method } = ground
  checkId(start, `${method}: start`)
  if (direction !== 'outgoing' && direction !== 'incoming')
    throw new CDCError(
      'invalid-argument',
      `${method}: direction must be outgoing or incoming, not ${String(direction)}`,
    )
  if (limit !== undefined) checkWhole(limit, { from: 1, to: WALK_NODES_MAX }, `${method}: limit`)
  const levels = walkLevels(ground, { start, direction, types, maxDepth, limit })
  return levels.flatMap((ids, depth) => (depth === 0 ? [] : ids.map((id) => ({ id, depth }))))
}

/**
 * The ids of a path with as few steps as possible, both ends among them: level by level as far as `to`, and from there
 * back to any node of the level before that leads to it, and so on.
 *
 * @throws {CDCError} like `traverse`.
 */
export function shortestPath(ground: Ground, { from, to, types, maxDepth }: PathOptions): string[] | null {
  checkId(from, `${ground.method}: from`)
  checkId(to, `${ground.method}: to`)
  const steps: Steps = { direction: 'outgoing', types }
  const levels = walkLevels(ground, { ...steps, start: from, maxDepth, end: to })
  if (levels.at(-1)?.includes(to) !== true) return null
  return query<{ id: string }>(
    ground,
    `WITH RECURSIVE path (depth, id) AS (
      SELECT json_array_length(?3) - 1, ?2
      UNION ALL
      SELECT depth - 1, (
        SELECT node.value FROM json_each(?3 -> (depth - 1)) AS node ${stepsFromNode(ground, steps)}
        WHERE step.to_id = path.id LIMIT 1
      )
      FROM path WHERE depth > 0
    )
    SELECT id FROM path ORDER BY depth`,
    [JSON.stringify(types ?? []), to, JSON.stringify(levels)],
  ).map(({ id }) => id)
}

/**
 * Whether the relationships of a type, followed from a node, come to a cycle. Looks at the nodes that walks of 1, 2, 3 …
 * steps lead to, each as one set. Without a cycle the walks end, in a set without nodes. On a cycle they go on for ever;
 * but then they come back to the start, or sooner or later to a set that was there before, where UNION ends them.
 *
 * @throws {CDCError} `invalid-argument` beyond `WALK_ROWS_READ_MAX`.
 */
export function detectCycle(ground: Ground, start: string, type: string): boolean {
  checkId(start, `${ground.method}: start`)
  checkType(type, `${ground.method}: type`)
  const steps: Steps = { direction: 'outgoing', types: [type] }
  const next = (nodes: string): string => `
    (SELECT json_group_array(DISTINCT id ORDER BY id) FROM (${neighbours(nodes, ground, steps)}))`
  const sets = query<{ isEmpty: number }>(
    ground,
    `WITH RECURSIVE walk (nodes) AS (
      SELECT ${next('json_array(?2)')}
      UNION
      SELECT ${next('walk.nodes')} FROM walk WHERE ?2 NOT IN (SELECT value FROM json_each(walk.nodes))
    )
    SELECT nodes = '[]' AS isEmpty FROM walk`,
    [JSON.stringify([type]), start],
  )
  return sets.at(-1)?.isEmpty !== 1
}

/** The steps that a walk may take. */
interface Steps {
  readonly direction: GraphDirection
  readonly types: readonly string[] | undefined
}

interface LevelsTask extends Steps {
  readonly start: string
  /** A level with this node is the last one. */
  readonly end?: string
  readonly maxDepth: number | undefined
  readonly limit?: number | undefined
}

/**
 * The nodes that are 0, 1, 2 … steps away, each in the first level that has it. A row of the query knows all nodes
 * visited so far, and from which index on they are new; the next row has these and the neighbours of the new ones, in
 * this order, each once. (A recursion with a row for each node would visit nodes again at each depth, as UNION compares
 * whole rows.)
 */
function walkLevels(ground: Ground, { start, end, types, direction, limit, ...task }: LevelsTask): string[][] {
  const { method } = ground
  for (const type of types ?? []) checkType(type, `${method}: types`)
  const maxDepth = task.maxDepth ?? WALK_DEPTH_MAX
  checkWhole(maxDepth, { from: 0, to: WALK_DEPTH_MAX }, `${method}: maxDepth`)
  const rows = query<{ nodes: string }>(
    ground,
    `WITH RECURSIVE level (depth, visited, first) AS (
      SELECT 0, json_array(?2), 0
      UNION ALL
      SELECT
        depth + 1,
        (SELECT json_group_array(id) FROM (
          SELECT DISTINCT id FROM (
            SELECT value AS id FROM json_each(visited)
            UNION ALL
            SELECT id FROM (${neighbours('visited', ground, { direction, types }, 'node.key >= first')})
          )
          LIMIT ?5
        )),
        json_array_length(visited)
      FROM level
      WHERE depth < ?4 AND json_array_length(visited) > first
        ${end === undefined ? '' : 'AND ?3 NOT IN (SELECT value FROM json_each(visited))'}
    )
    SELECT (SELECT json_group_array(value) FROM json_each(visited) WHERE key >= first) AS nodes FROM level`,
    [JSON.stringify(types ?? []), start, end ?? '', maxDepth, 1 + (limit ?? WALK_NODES_MAX + 1)],
  )
  const levels = rows.map(({ nodes }) => JSON.parse(nodes) as string[])
  const visited = levels.reduce((sum, { length }) => sum + length, 0)
  if (limit === undefined && visited > 1 + WALK_NODES_MAX) throw tooFar(method)
  return levels
}

/** Where one step from the nodes of a JSON array leads. No level needs more rows than all of the walk may read. */
function neighbours(nodes: string, ground: Ground, steps: Steps, which = 'TRUE'): string {
  return `
    SELECT step.${ends(steps.direction).far} AS id FROM json_each(${nodes}) AS node ${stepsFromNode(ground, steps)}
    WHERE ${which} LIMIT ${WALK_ROWS_READ_MAX}`
}

/** `?1` has the types. CROSS JOIN fixes the order: the nodes, and for each its steps by primary key or index. */
function stepsFromNode({ table }: Ground, { direction, types }: Steps): string {
  const follows = types === undefined ? '' : 'AND step.type IN (SELECT value FROM json_each(?1))'
  return `CROSS JOIN ${table} AS step ON step.${ends(direction).near} = node.value ${follows}`
}

/** One that reads as many rows as it may could have missed some; one that reads fewer has missed none. */
function query<Row extends Record<string, SqlStorageValue>>(
  { sql, method }: Ground,
  statement: string,
  params: SqlStorageValue[],
): Row[] {
  try {
    const rows: Row[] = []
    const result = sql.exec<Row>(statement, ...params)
    // Looked at row by row, because the walk goes on as its rows are read.
    for (const row of result) {
      if (result.rowsRead >= WALK_ROWS_READ_MAX) break
      rows.push(row)
    }
    if (result.rowsRead >= WALK_ROWS_READ_MAX) throw tooFar(method)
    return rows
  } catch (error) {
    // The ids of all nodes visited are one value in SQLite, which takes two megabytes.
    throw error instanceof Error && error.message.endsWith('SQLITE_TOOBIG') ? tooFar(method) : error
  }
}

function tooFar(method: string): CDCError {
  return new CDCError(
    'invalid-argument',
    `${method}: the walk goes too far; its limits are ${WALK_NODES_MAX} nodes, 2 MB of their ids, and ` +
      `${WALK_ROWS_READ_MAX} rows read; name the types to follow, or a smaller maxDepth or limit`,
  )
}
