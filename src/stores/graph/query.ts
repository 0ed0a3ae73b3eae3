// The relationships of one node, in pages.

import { checkWhole } from '../checks.ts'
import { checkId, checkRelationshipKey, checkType, type RelationshipKey } from './rows.ts'

/** Relationships that one call of `outgoing` or `incoming` returns, at most. */
export const RELATIONSHIPS_PER_PAGE_MAX = 1_000

export type GraphDirection = 'outgoing' | 'incoming'

export interface RelationshipQuery {
  /** Only those of this type. */
  type?: string
  /** How many, at most: 1 to `RELATIONSHIPS_PER_PAGE_MAX`, the default. */
  limit?: number
  /** The last relationship of the page before. */
  after?: RelationshipKey | undefined
}

interface Statement {
  readonly sql: string
  readonly params: SqlStorageValue[]
}

/** The columns at both ends of a relationship, as one sees them who comes along it. */
export function ends(direction: GraphDirection): { near: string; far: string } {
  return direction === 'outgoing' ? { near: 'from_id', far: 'to_id' } : { near: 'to_id', far: 'from_id' }
}

/** Goes along the primary key, or the index for `incoming`: it reads what it returns, wherever the page begins. */
export function selectRelationships(
  table: string,
  direction: GraphDirection,
  id: string,
  { type, limit = RELATIONSHIPS_PER_PAGE_MAX, after, method }: RelationshipQuery & { method: string },
): Statement {
  checkId(id, `${method}: id`)
  if (type !== undefined) checkType(type, `${method}: type`)
  if (after !== undefined) checkRelationshipKey(after, `${method}: after`)
  checkWhole(limit, { from: 1, to: RELATIONSHIPS_PER_PAGE_MAX }, `${method}: limit`)
  const { near, far } = ends(direction)
  const last = (direction === 'outgoing' ? after?.to : after?.from) ?? ''
  return {
    sql: `SELECT * FROM ${table}
      WHERE ${near} = ? AND ${type === undefined ? `(type, ${far}) > (?, ?)` : `type = ? AND ${far} > ?`}
      ORDER BY type, ${far} LIMIT ?`,
    params: [id, type ?? after?.type ?? '', last, limit],
  }
}
