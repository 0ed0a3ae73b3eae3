// A page of documents as SQL. A page that continues after a document is read range by range, each of them one range of an
// index, so that it costs the same wherever it begins: first the documents with the same value, then those with later ones.

import { checkPage, invalid } from '../checks.ts'
import { type Columns, Parameters } from './columns.ts'
import type { Document, DocumentFields } from './document.ts'
import { limits } from './limits.ts'
import { type DocumentPath, parsePath, valueAt } from './path.ts'
import { type DocumentWhere, WhereCompiler } from './where.ts'

const DEFAULT_PAGE_DOCUMENTS = 100

export interface DocumentQuery<T> {
  where?: DocumentWhere<T>
  /**
   * A path, with `-` before it for descending order; default `$id`. Documents without a value come first, then numbers (true
   * and false count as 1 and 0), then strings. Documents with equal values are ordered by `$id`, in the same direction.
   *
   * With an index on the path, a page reads what it returns; without one, all documents that match are read and sorted.
   */
  orderBy?: DocumentPath<T> | `-${DocumentPath<T>}`
  /** Documents per page, at most `limits.pageDocuments`. Default: 100. */
  limit?: number
  /** The last document of the page before, or nothing for the first page: `after: page.at(-1)`. */
  after?: Document<T> | undefined
  /** How many documents to skip. They are all read; `after` costs nothing. */
  offset?: number
}

/** The ranges of a page, to be read one after the other until the page is full. */
export interface Page {
  readonly limit: number
  readonly offset: number
  /** The SQL between `FROM` and `LIMIT` of each. */
  readonly ranges: readonly string[]
  readonly parameters: Parameters
}

/** @throws {CDCError} `invalid-argument` for a query that is not valid, and beyond the limits. */
export function planPage<T>(query: DocumentQuery<T>, columns: Columns, caller: string): Page {
  const { where = {}, orderBy = '$id', limit = DEFAULT_PAGE_DOCUMENTS, after, offset = 0, ...unknown } = query
  const [surplus] = Object.keys(unknown)
  if (surplus !== undefined)
    throw invalid(caller, `a query has where, orderBy, limit, after and offset, but no ${surplus}`)
  if (typeof orderBy !== 'string')
    throw invalid(caller, 'orderBy must be a path, with - before it for descending order')
  checkPage({ limit, offset }, limits.pageDocuments, caller)
  if (after !== undefined && offset > 0) throw invalid(caller, 'after already tells where the page begins; omit offset')
  if (after !== undefined && typeof after?.$id !== 'string') throw invalid(caller, 'after must be a document')

  const parameters = new Parameters()
  const filter = new WhereCompiler(columns, parameters, caller).compile(where)
  const path = orderBy.replace(/^-/, '')
  const order: Order = {
    value: columns.column(path, parameters, caller).value,
    isDescending: orderBy.startsWith('-'),
  }
  const ranges = after === undefined ? [whole(order)] : following(order, positionOf(after, path, caller), parameters)
  return { limit, offset, ranges: ranges.map((range) => `WHERE ${filter} AND ${range}`), parameters }
}

interface Order {
  /** The SQL of the value that documents are ordered by. */
  readonly value: string
  readonly isDescending: boolean
}

interface Position {
  readonly $id: string
  /** As `->>` returns it. */
  readonly value: string | number | boolean | null
}

function positionOf(document: DocumentFields, path: string, caller: string): Position {
  const value = valueAt(document, parsePath(path, caller)) ?? null
  const isScalar =
    value === null || typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
  return { $id: document.$id, value: isScalar ? value : JSON.stringify(value) }
}

function whole(order: Order): string {
  return `TRUE ${ordered(order)}`
}

/** The ranges after a position. Missing values are NULL in SQL, which is in no range of values, so they have their own. */
function following(order: Order, position: Position, parameters: Parameters): string[] {
  const { value, isDescending } = order
  const beyond = isDescending ? '<' : '>'
  const sameValue: Order = { value: 'id', isDescending }
  const laterId = `id ${beyond} ${parameters.add(position.$id)}`
  if (value === 'id') return [`${laterId} ${ordered(sameValue)}`]
  if (position.value === null) {
    const missing = `${value} IS NULL AND ${laterId} ${ordered(sameValue)}`
    // With IS NOT NULL, SQLite would walk over the NULLs. No number in JSON is infinite.
    return isDescending ? [missing] : [missing, `${value} > -9e999 ${ordered(order)}`]
  }
  const bound = parameters.addScalar(position.value)
  const ranges = [
    `${value} = ${bound} AND ${laterId} ${ordered(sameValue)}`,
    `${value} ${beyond} ${bound} ${ordered(order)}`,
  ]
  return isDescending ? [...ranges, `${value} IS NULL ${ordered(sameValue)}`] : ranges
}

function ordered({ value, isDescending }: Order): string {
  const direction = isDescending ? 'DESC' : 'ASC'
  return value === 'id' ? `ORDER BY id ${direction}` : `ORDER BY ${value} ${direction}, id ${direction}`
}
