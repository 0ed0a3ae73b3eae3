// From a query to SQL. Field names travel as bound parameters, inside JSON paths, so that none can become SQL.

import { CDCError } from '../../error.ts'
import type { DocumentFields } from './document-store.ts'

/** Documents that one call of `query` returns, at most. */
export const DOCUMENTS_PER_PAGE_MAX = 1_000
const DOCUMENTS_PER_PAGE = 100

type FieldOf<T> = Extract<keyof (T & DocumentFields), string>

/** Fields and the values that they must have. `null` also finds documents that don't have the field. */
export type DocumentWhere<T> = { [Field in FieldOf<T>]?: (T & DocumentFields)[Field] | null }

export interface DocumentQuery<T> {
  where?: DocumentWhere<T>
  /** A field, with `-` before it for descending order. Documents with equal values follow in the order of `$id`. */
  orderBy?: FieldOf<T> | `-${FieldOf<T>}`
  /** Documents per page, at most `DOCUMENTS_PER_PAGE_MAX`. Default: 100. */
  limit?: number
  /** How many documents to pass over. */
  offset?: number
}

export interface Statement {
  readonly sql: string
  readonly params: SqlStorageValue[]
}

export function selectDocuments<T>(table: string, query: DocumentQuery<T>): Statement {
  const { where = {}, orderBy = '$id', limit = DOCUMENTS_PER_PAGE, offset = 0 } = query
  if (!Number.isInteger(limit) || limit < 1 || limit > DOCUMENTS_PER_PAGE_MAX)
    throw new CDCError('invalid-argument', `query: limit must be 1 to ${DOCUMENTS_PER_PAGE_MAX}, not ${limit}`)
  if (!Number.isInteger(offset) || offset < 0)
    throw new CDCError('invalid-argument', `query: offset must be a whole number from 0, not ${offset}`)
  const clause = whereClause(where)
  const direction = orderBy.startsWith('-') ? 'DESC' : 'ASC'
  return {
    sql: `SELECT document FROM ${table} ${clause.sql} ORDER BY document ->> ? ${direction}, id LIMIT ? OFFSET ?`,
    params: [...clause.params, jsonPath(orderBy.replace(/^-/, '')), limit, offset],
  }
}

export function whereClause(where: object): Statement {
  const fields = Object.entries(where).filter(([, value]) => value !== undefined)
  if (fields.length === 0) return { sql: '', params: [] }
  return {
    sql: `WHERE ${fields.map(() => 'document ->> ? IS ?').join(' AND ')}`,
    params: fields.flatMap(([field, value]) => [jsonPath(field), comparable(field, value)]),
  }
}

/** SQLite's path to a top-level field; quoted, so that spaces and dots in its name are part of it. */
function jsonPath(field: string): string {
  if (field.includes('"')) throw new CDCError('invalid-argument', `query: field ${field} has a quote in its name`)
  return `$."${field}"`
}

/** JSON's true and false come out of SQLite as 1 and 0. */
function comparable(field: string, value: unknown): SqlStorageValue {
  if (typeof value === 'boolean') return value ? 1 : 0
  if (value === null || typeof value === 'string' || (typeof value === 'number' && Number.isFinite(value))) return value
  throw new CDCError('invalid-argument', `query: ${field} must be compared with a string, number, boolean or null`)
}
