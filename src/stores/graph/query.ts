// The relationships of one node, in pages.

import type { StoreSQL } from '../../store.ts'
import { checkWhole } from '../checks.ts'
import { limits } from './limits.ts'
import { checkId, checkRelationshipKey, checkType, type RelationshipKey } from './rows.ts'

export type GraphDirection = 'outgoing' | 'incoming'

export interface RelationshipQuery {
  /** Only relationships of this type. */
  type?: string
  /** Relationships per page: 1 to `limits.pageRelationships`, the default. */
  limit?: number
  /** The last relationship of the page before. */
  after?: RelationshipKey | undefined
}

/** The relationships of a graph, and the caller for errors. */
export interface GraphTable {
  readonly sql: StoreSQL
  /** The name of the table of relationships, in SQL. */
  readonly table: string
  readonly caller: string
}

interface Statement {
  readonly sql: string
  readonly params: SqlStorageValue[]
}

/** The columns at both ends of a relationship: the end that a step in this direction comes from, and the end it leads to. */
export function ends(direction: GraphDirection): { near: string; far: string } {
  return direction === 'outgoing' ? { near: 'from_id', far: 'to_id' } : { near: 'to_id', far: 'from_id' }
}

/** Uses the primary key, or the index for `incoming`: a page reads what it returns, wherever it begins. */
export function selectRelationships(
  table: string,
  direction: GraphDirection,
  id: string,
  { type, limit = limits.pageRelationships, after, caller }: RelationshipQuery & { caller: string },
): Statement {
  checkId(id, `${caller}: id`)
  if (type !== undefined) checkType(type, `${caller}: type`)
  if (after !== undefined) checkRelationshipKey(after, `${caller}: after`)
  checkWhole(limit, { from: 1, to: limits.pageRelationships }, `${caller}: limit`)
  const { near, far } = ends(direction)
  const last = (direction === 'outgoing' ? after?.to : after?.from) ?? ''
  return {
    sql: `SELECT * FROM ${table}
      WHERE ${near} = ? AND ${type === undefined ? `(type, ${far}) > (?, ?)` : `type = ? AND ${far} > ?`}
      ORDER BY type, ${far} LIMIT ?`,
    params: [id, type ?? after?.type ?? '', last, limit],
  }
}
