// A page of documents as SQL. A page that goes on after a document is read in parts, each of which is one range of an index,
// so that it costs the same wherever it begins: first the documents with the same value, then those with later ones.

import { checkPage, invalid } from '../checks.ts'
import { type Columns, Parameters } from './columns.ts'
import type { Document, DocumentFields } from './document.ts'
import { DOCUMENTS_PER_PAGE, DOCUMENTS_PER_PAGE_MAX } from './limits.ts'
import { type DocumentPath, parsePath, valueAt } from './path.ts'
import { type DocumentWhere, WhereCompiler } from './where.ts'

export interface DocumentQuery<T> {
  where?: DocumentWhere<T>
  /**
   * A path, with `-` before it for descending order; default `$id`. No value comes before numbers, true and false among
   * them as 1 and 0, and these before strings. Documents with equal values are in the order of `$id`, which a `-` turns too.
   *
   * With an index on it, a page reads what it returns; without one, all that the filter lets through is read and sorted.
   */
  orderBy?: DocumentPath<T> | `-${DocumentPath<T>}`
  /** Documents per page, at most `DOCUMENTS_PER_PAGE_MAX`. Default: 100. */
  limit?: number
  /** The last document of the page before, or nothing for the first page: `after: page.at(-1)`. */
  after?: Document<T> | undefined
  /** How many documents to pass over. They are all read; `after` costs nothing. */
  offset?: number
}

/** The parts of a page, to be read one after the other until it is full. */
export interface Page {
  readonly limit: number
  readonly offset: number
  /** What follows `FROM`, up to the limit. */
  readonly parts: readonly string[]
  readonly parameters: Parameters
}

/** @throws {CDCError} `invalid-argument` for what is no query, and beyond the limits. */
export function planPage<T>(query: DocumentQuery<T>, columns: Columns, caller: string): Page {
  const { where = {}, orderBy = '$id', limit = DOCUMENTS_PER_PAGE, after, offset = 0, ...unknown } = query
  const [surplus] = Object.keys(unknown)
  if (surplus !== undefined)
    throw invalid(caller, `there is no ${surplus} in a query, but where, orderBy, limit, after and offset`)
  if (typeof orderBy !== 'string')
    throw invalid(caller, 'orderBy must be a path, with - before it for descending order')
  checkPage({ limit, offset }, DOCUMENTS_PER_PAGE_MAX, caller)
  if (after !== undefined && offset > 0) throw invalid(caller, 'after says where the page begins; leave offset out')
  if (after !== undefined && typeof after?.$id !== 'string') throw invalid(caller, 'after must be a document')

  const parameters = new Parameters()
  const filter = new WhereCompiler(columns, parameters, caller).compile(where)
  const path = orderBy.replace(/^-/, '')
  const order: Order = {
    value: columns.column(path, parameters, caller).value,
    isDescending: orderBy.startsWith('-'),
  }
  const parts = after === undefined ? [whole(order)] : following(order, positionOf(after, path, caller), parameters)
  return { limit, offset, parts: parts.map((part) => `WHERE ${filter} AND ${part}`), parameters }
}

interface Order {
  /** What documents are ordered by, in SQL. */
  readonly value: string
  readonly isDescending: boolean
}

interface Position {
  readonly $id: string
  /** As `->>` finds it. */
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

/** What comes after a position. Absent values, which are NULL in SQL and in no range, are a part of their own. */
function following(order: Order, position: Position, parameters: Parameters): string[] {
  const { value, isDescending } = order
  const beyond = isDescending ? '<' : '>'
  const sameValue: Order = { value: 'id', isDescending }
  const laterId = `id ${beyond} ${parameters.add(position.$id)}`
  if (value === 'id') return [`${laterId} ${ordered(sameValue)}`]
  if (position.value === null) {
    const absent = `${value} IS NULL AND ${laterId} ${ordered(sameValue)}`
    // Not IS NOT NULL, for which SQLite would walk over the NULLs. No number in JSON is infinite.
    return isDescending ? [absent] : [absent, `${value} > -9e999 ${ordered(order)}`]
  }
  const bound = parameters.addScalar(position.value)
  const parts = [
    `${value} = ${bound} AND ${laterId} ${ordered(sameValue)}`,
    `${value} ${beyond} ${bound} ${ordered(order)}`,
  ]
  return isDescending ? [...parts, `${value} IS NULL ${ordered(sameValue)}`] : parts
}

function ordered({ value, isDescending }: Order): string {
  const direction = isDescending ? 'DESC' : 'ASC'
  return value === 'id' ? `ORDER BY id ${direction}` : `ORDER BY ${value} ${direction}, id ${direction}`
}
